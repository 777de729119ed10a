// array_csa: carry-save tree, ROWS (3 or more) rows of T 32-bit lanes to two of the same sums modulo 2^32,
// 1 cycle later. Free running. Each level takes rows by threes through full adders (Wallace 1964).
module array_csa #(
    parameter T = 4,
    parameter ROWS = 4
) (
    input  wire                 clk,
    input  wire [32*T*ROWS-1:0] rows,
    output reg  [32*T-1:0]      sum,
    output reg  [32*T-1:0]      carry
);
    localparam W = 32 * T;
    localparam [W-1:0] LOW_BIT = {T{32'h001}};

    function [2*W-1:0] compress;
        input [W*ROWS-1:0] all;
        integer n, i;
        reg [W*ROWS-1:0] left;
        reg [W-1:0] x, y, z;
        begin
            left = all;
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
        {carry, sum} <= compress(rows);
endmodule
