// array_group: SIZE (1 to 8) products of each of T dot products that share their multipliers, as carry-save
// pairs modulo 2^32, one 32-bit lane a dot product.
// sum + carry = correction + the Booth rows of every multiplicand (see array_recode), 1 cycle later. Free
// running. The rows go by threes through full adders, level by level (Wallace 1964); rows of equal weight
// stand together, so that few adders have an idle input. a: lane r of word d is multiplicand d of dot product
// r, sign-extended to 9 bits, zeros above.
module array_group #(
    parameter T = 4,
    parameter SIZE = 4
) (
    input  wire                 clk,
    input  wire [32*T*SIZE-1:0] a,
    input  wire [4*SIZE-1:0]    one,
    input  wire [4*SIZE-1:0]    two,
    input  wire [4*SIZE-1:0]    neg,
    input  wire [31:0]          correction,
    output reg  [32*T-1:0]      sum,
    output reg  [32*T-1:0]      carry
);
    localparam W    = 32 * T;
    localparam ROWS = 4 * SIZE + 1;
    localparam [W-1:0] ROW_BITS = {T{32'h1ff}};
    localparam [W-1:0] SIGN_BIT = {T{32'h100}};
    localparam [W-1:0] LOW_BIT  = {T{32'h001}};

    function [W*ROWS-1:0] booth_rows;
        input [W*SIZE-1:0] words;
        input [4*SIZE-1:0] single;
        input [4*SIZE-1:0] double;
        input [4*SIZE-1:0] negative;
        input [31:0] constant;
        integer d, j;
        reg [W-1:0] x, row;
        begin
            for (d = 0; d < SIZE; d = d + 1) begin
                x = words[W*d +: W];
                for (j = 0; j < 4; j = j + 1) begin
                    row = (x & {W{single[4*d+j]}}) | ((x << 1) & ROW_BITS & {W{double[4*d+j]}});
                    row = row ^ SIGN_BIT ^ (ROW_BITS & {W{negative[4*d+j]}});
                    row = row << 2*j;
                    if (j > 0)
                        row = row | ((LOW_BIT & {W{negative[4*d+j-1]}}) << (2*j - 2));
                    booth_rows[W*(SIZE*j+d) +: W] = row;
                end
            end
            booth_rows[W*(ROWS-1) +: W] = {T{constant}};
        end
    endfunction

    function [2*W-1:0] compress;
        input [W*ROWS-1:0] rows;
        integer n, i;
        reg [W*ROWS-1:0] left;
        reg [W-1:0] x, y, z;
        begin
            left = rows;
            for (n = ROWS; n > 2; n = n - n/3) begin
                for (i = 0; i < n/3; i = i + 1) begin
                    x = left[3*W*i +: W];
                    y = left[3*W*i+W +: W];
                    z = left[3*W*i+2*W +: W];
                    left[2*W*i +: W]   = x ^ y ^ z;
                    left[2*W*i+W +: W] = (((x & y) | (z & (x ^ y))) << 1) & ~LOW_BIT;
                end
                for (i = 3*(n/3); i < n; i = i + 1)
                    left[W*(i-n/3) +: W] = left[W*i +: W];
            end
            compress = left[2*W-1:0];
        end
    endfunction

    always @(posedge clk)
        {carry, sum} <= compress(booth_rows(a, one, two, neg, correction));
endmodule
