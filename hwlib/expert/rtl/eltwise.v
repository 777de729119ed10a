// eltwise: T lanes of y = sat8(floor((a*Ma + b*Mb + bias + 2^(shift-1)) / 2^shift)).
// Latency 3 cycles, one beat a cycle. x and y are valid/ready streams; the whole pipeline holds while the
// beat at its end is refused. Rounding follows floor((floor(s / 2^(shift-1)) + 1) / 2), so that the
// shifter comes before the increment and only nine bits of it are kept.
module eltwise #(
    parameter T = 4
) (
    input  wire           clk,
    input  wire           rst_n,
    input  wire           x_valid,
    output wire           x_ready,
    input  wire [8*T-1:0] x_a,
    input  wire [8*T-1:0] x_b,
    input  wire [63:0]    x_first,
    input  wire [63:0]    x_second,
    output wire           y_valid,
    input  wire           y_ready,
    output wire [8*T-1:0] y_data
);
    wire        step = y_ready || !y_valid;
    reg  [2:0]  valid;
    reg  [39:0] bias;
    reg  [5:0]  shift0, shift1;
    wire        unused = &{1'b0, x_first[23:22], x_second[63:16]};

    assign x_ready = step;
    assign y_valid = valid[2];

    always @(posedge clk)
        if (!rst_n)
            valid <= 3'b0;
        else if (step)
            valid <= {valid[1:0], x_valid};

    always @(posedge clk)
        if (step) begin
            bias   <= x_first[63:24];
            shift0 <= x_first[21:16] - 6'd1;
            shift1 <= shift0;
        end

    genvar r;
    generate
        for (r = 0; r < T; r = r + 1) begin : lane
            eltwise_lane u_lane (
                .clk(clk),
                .step(step),
                .a(x_a[8*r +: 8]),
                .b(x_b[8*r +: 8]),
                .mult_a(x_first[15:0]),
                .mult_b(x_second[15:0]),
                .bias(bias),
                .shift(shift1),
                .y(y_data[8*r +: 8])
            );
        end
    endgenerate
endmodule
