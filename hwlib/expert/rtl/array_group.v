// array_group: SIZE products of each of T dot products that share their multipliers, as carry-save pairs.
// sum + carry = dot product + SIZE * 2^15, exactly, 1 cycle later (2 with STAGED); unless `live`, in the cycle before,
// the dot product counts as 0. Free running.
// A product is eight rows of single-bit products; those of negative weight are complemented (Baugh and Wooley
// 1973), which the constant makes up for. The rows go by threes through full adders, level by level (Wallace 1964);
// rows of equal weight stand together, so that few adders have an idle input. With STAGED registers cut the tree
// where few rows are left. a: lane r of word d is byte d of dot product r, in LANE bits, zeros above.
module array_group #(
    parameter T = 4,
    parameter SIZE = 4,
    parameter LANE = 18,
    parameter STAGED = 1
) (
    input  wire                   clk,
    input  wire [LANE*T*SIZE-1:0] a,
    input  wire [8*SIZE-1:0]      b,
    input  wire                   live,
    output reg  [LANE*T-1:0]      sum,
    output reg  [LANE*T-1:0]      carry
);
    localparam W    = LANE * T;
    localparam ROWS = 8 * SIZE + 1;
    localparam CUT  = 18;                     // rows left where the tree is cut, at most
    localparam LEFT = STAGED ? rows_after(ROWS) : ROWS;
    localparam FIX  = 256 * SIZE;             // with SIZE * 2^15, what the complemented products add
    localparam BASE = 32768 * SIZE;
    localparam [LANE-1:0] BYTE = 255, TOP = 128, ONE = 1, FIX_BITS = FIX[LANE-1:0], BASE_BITS = BASE[LANE-1:0];
    localparam [W-1:0] BYTES    = {T{BYTE}};
    localparam [W-1:0] TOP_BITS = {T{TOP}};
    localparam [W-1:0] LOW_BITS = {T{ONE}};
    localparam [W-1:0] NO_ROW   = {W{1'b0}};

    function [31:0] rows_after;
        input [31:0] rows;
        integer n;
        begin
            rows_after = rows;
            for (n = rows; n > CUT; n = n - n/3)
                rows_after = n - n/3;
        end
    endfunction

    function [W*ROWS-1:0] products;
        input [W*SIZE-1:0] words;
        input [8*SIZE-1:0] bytes;
        integer d, j;
        reg [W-1:0] row;
        begin
            for (j = 0; j < 8; j = j + 1)
                for (d = 0; d < SIZE; d = d + 1) begin
                    row = words[W*d +: W] & {W{bytes[8*d+j]}};
                    row = row ^ ((j == 7) ? BYTES ^ TOP_BITS : TOP_BITS);
                    products[W*(SIZE*j+d) +: W] = row << j;
                end
            products[W*(ROWS-1) +: W] = {T{FIX_BITS}};
        end
    endfunction

    // Rows `from` of `rows` reduced until no more than `to` are left.
    function [W*ROWS-1:0] compress;
        input [W*ROWS-1:0] rows;
        input [31:0] from;
        input [31:0] to;
        integer n, i;
        reg [W*ROWS-1:0] left;
        reg [W-1:0] x, y, z;
        begin
            left = rows;
            for (n = from; n > to; n = n - n/3) begin
                for (i = 0; i < n/3; i = i + 1) begin
                    x = left[3*W*i +: W];
                    y = left[3*W*i+W +: W];
                    z = left[3*W*i+2*W +: W];
                    left[2*W*i +: W]   = x ^ y ^ z;
                    left[2*W*i+W +: W] = (((x & y) | (z & (x ^ y))) << 1) & ~LOW_BITS;
                end
                for (i = 3*(n/3); i < n; i = i + 1)
                    left[W*(i-n/3) +: W] = left[W*i +: W];
            end
            compress = left;
        end
    endfunction

    wire [W*ROWS-1:0] rows = products(a, b);
    wire [W*ROWS-1:0] last;

    generate
        if (STAGED) begin : cut
            wire [W*ROWS-1:0] fewer = compress(rows, ROWS, CUT);
            reg  [W*LEFT-1:0] held;
            always @(posedge clk)
                held <= fewer[W*LEFT-1:0];
            assign last = compress({{(ROWS-LEFT){NO_ROW}}, held}, LEFT, 2);
            wire unused = &{1'b0, fewer[W*ROWS-1:W*LEFT]};
        end else begin : whole
            assign last = compress(rows, ROWS, 2);
        end
    endgenerate

    always @(posedge clk)
        {carry, sum} <= live ? last[2*W-1:0] : {{W{1'b0}}, {T{BASE_BITS}}};

    wire unused = &{1'b0, last[W*ROWS-1:2*W]};
endmodule
