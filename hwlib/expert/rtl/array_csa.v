// array_csa: ROWS numbers of each of T lanes as a carry-save pair, exactly, 1 cycle later. Free running.
// By threes through full adders, level by level (Wallace 1964). No lane's total reaches 2^LANE.
module array_csa #(
    parameter T = 4,
    parameter LANE = 20,
    parameter ROWS = 4
) (
    input  wire                   clk,
    input  wire [LANE*T*ROWS-1:0] rows,
    output reg  [LANE*T-1:0]      sum,
    output reg  [LANE*T-1:0]      carry
);
    localparam W = LANE * T;
    localparam [LANE-1:0] ONE = 1;
    localparam [W-1:0] LOW_BITS = {T{ONE}};

    function [2*W-1:0] compress;
        input [W*ROWS-1:0] given;
        integer n, i;
        reg [W*ROWS-1:0] left;
        reg [W-1:0] x, y, z;
        begin
            left = given;
            for (n = ROWS; n > 2; n = n - n/3) begin
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
            compress = left[2*W-1:0];
        end
    endfunction

    always @(posedge clk)
        {carry, sum} <= compress(rows);
endmodule
