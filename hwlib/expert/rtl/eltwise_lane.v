// eltwise_lane: one lane of eltwise: the sum of two products, the bias, shift and saturation.
// Latency 2 cycles; every register advances with `step`. `shift` (already less one) belongs to the beat
// one stage in.
module eltwise_lane (
    input  wire        clk,
    input  wire        step,
    input  wire [7:0]  a,
    input  wire [7:0]  b,
    input  wire [15:0] mult_a,
    input  wire [15:0] mult_b,
    input  wire [39:0] bias,
    input  wire [5:0]  shift,
    output wire [7:0]  y
);
    reg  signed [40:0] sum;

    always @(posedge clk)
        if (step)
            sum <= $signed(a) * $signed(mult_a) + $signed(b) * $signed(mult_b) + $signed(bias);

    eltwise_round u_round (.clk(clk), .step(step), .sum(sum), .shift(shift), .y(y));
endmodule
