// eltwise: T lanes of v = floor((u*first.mult + w + first.bias + 2^(shift-1)) / 2^shift), saturated: u is a sum's first
// operand (8 bits, or 16 in two planes), a product or a pair's rotation, w a sum's second operand times second.mult.
// Latency 5 cycles, for an even beat of rotate from its odd beat; one beat a cycle. x and y are valid/ready streams;
// the pipeline holds while the beat at its end is refused, and an even beat waits in the first stage for its odd one.
// Rounding follows floor((floor(s / 2^(shift-1)) + 1) / 2): the shifter comes before the increment.
module eltwise #(
    parameter T = 4
) (
    input  wire           clk,
    input  wire           rst_n,
    input  wire           x_valid,
    output wire           x_ready,
    input  wire [8*T-1:0] x_a,
    input  wire [8*T-1:0] x_high,
    input  wire [8*T-1:0] x_b,
    input  wire [1:0]     x_op,
    input  wire           x_wide,
    input  wire           x_wide_out,
    input  wire [63:0]    x_first,
    input  wire [63:0]    x_second,
    output wire           y_valid,
    input  wire           y_ready,
    output wire [8*T-1:0] y_data,
    output wire [8*T-1:0] y_high
);
    localparam [1:0]  ADD = 2'd0, ROTATE = 2'd2;
    localparam [31:0] ROWS = 32'hff820080; // with -2^33, what the rows of a lane's products leave out

    wire step = y_ready || !y_valid;
    wire unused = &{1'b0, x_first[23:22], x_second[63:16]};

    // Stages: operands (held), u, products, sum, shifted.
    reg        held_valid;
    reg  [3:0] valid;
    reg        add, wide, even, odd; // of the held beat
    wire       load = step && x_valid;
    wire       leaves = held_valid && (!even || x_valid);

    assign x_ready = step;
    assign y_valid = valid[3];

    always @(posedge clk)
        if (!rst_n) begin
            held_valid <= 1'b0;
            valid      <= 4'b0;
            even       <= 1'b0;
        end else if (step) begin
            held_valid <= x_valid || (held_valid && even);
            valid      <= {valid[2:0], leaves};
            if (x_valid)
                even <= x_op == ROTATE && !even;
        end

    always @(posedge clk)
        if (load) begin
            add  <= x_op == ADD;
            wide <= x_wide;
            odd  <= x_op == ROTATE && even;
        end

    // The parameters beside their beat, as far as they are needed.
    reg  [15:0] mult0, mult1, mult_b0, mult_b1;
    reg  [39:0] bias0;
    reg  [31:0] bias1;
    reg  [8:0]  bias1_plus0, bias1_plus1, bias1_plus2; // of its upper part
    reg  [7:0]  bias2;
    reg  [8:0]  bias2_plus0, bias2_plus1, bias2_plus2;
    wire [32:0] bias_sum = {1'b0, bias0[31:0]} + {1'b0, ROWS};
    wire [8:0]  upper = {bias0[39], bias0[39:32]};
    reg  [5:0]  shift0, shift1, shift2, shift3;
    reg         wide0, wide1, wide2, wide3, wide4;

    always @(posedge clk)
        if (load) begin
            mult0   <= x_first[15:0];
            mult_b0 <= x_second[15:0];
            bias0   <= x_first[63:24];
            shift0  <= x_first[21:16] - 6'd1;
            wide0   <= x_wide_out;
        end

    always @(posedge clk)
        if (step) begin
            mult1   <= mult0;
            mult_b1 <= mult_b0;
            bias1   <= bias_sum[31:0];
            bias2   <= bias1[7:0];
            shift1  <= shift0;
            shift2  <= shift1;
            shift3  <= shift2;
            wide1   <= wide0;
            wide2   <= wide1;
            wide3   <= wide2;
            wide4   <= wide3;

            {bias2_plus2, bias2_plus1, bias2_plus0} <= {bias1_plus2, bias1_plus1, bias1_plus0};
            bias1_plus0 <= bias_sum[32] ? upper - 9'd1 : upper - 9'd2;
            bias1_plus1 <= bias_sum[32] ? upper : upper - 9'd1;
            bias1_plus2 <= bias_sum[32] ? upper + 9'd1 : upper;
        end

    genvar r;
    generate
        for (r = 0; r < T; r = r + 1) begin : lane
            eltwise_lane u_lane (
                .clk(clk),
                .load(load),
                .step(step),
                .x_a(x_a[8*r +: 8]),
                .x_high(x_high[8*r +: 8]),
                .x_b(x_b[8*r +: 8]),
                .add(add),
                .wide(wide),
                .even(even),
                .odd(odd),
                .mult(mult1),
                .bias_middle(bias1[31:8]),
                .bias_plus0(bias2_plus0),
                .bias_plus1(bias2_plus1),
                .bias_plus2(bias2_plus2),
                .bias_low(bias2),
                .mult_b(mult_b1),
                .shift(shift3),
                .wide_out(wide4),
                .data(y_data[8*r +: 8]),
                .high(y_high[8*r +: 8])
            );
        end
    endgenerate
endmodule
