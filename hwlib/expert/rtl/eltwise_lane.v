// eltwise_lane: one lane of eltwise: the sum of two products, the bias, shift and saturation.
// Latency 3 cycles; every register advances with `step`. `bias` belongs to the beat one stage in, `shift`
// (already less one) to the beat two stages in.
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
    reg signed [24:0] products;
    reg        [40:0] sum;

    always @(posedge clk)
        if (step) begin
            products <= $signed(a) * $signed(mult_a) + $signed(b) * $signed(mult_b);
            sum      <= {{16{products[24]}}, products} + {bias[39], bias};
        end

    eltwise_round u_round (.clk(clk), .step(step), .sum(sum), .shift(shift), .y(y));
endmodule
