// array_csa: ROWS numbers of each of T lanes as a carry-save pair, exactly, 1 cycle later. Free running.
// The adders are array_compress's. No lane's total reaches 2^LANE.
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
    wire [2*LANE*T-1:0] pair;

    array_compress #(.T(T), .LANE(LANE), .PITCH(LANE * T), .ROWS(ROWS), .LEFT(2)) tree (
        .rows (rows),
        .left (pair)
    );

    always @(posedge clk)
        {carry, sum} <= pair;
endmodule
