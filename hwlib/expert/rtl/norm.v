// norm: integer LayerNorm and RMSNorm of T rows at once.
// Throughput: one column a cycle, 70 idle cycles between pass 0 and pass 1. Latency: 7 cycles from a pass-1
// column to its y beat. x and y are valid/ready streams; the whole block holds while a y beat is refused.
//
// Pass 0 gathers S and Q in one accumulator: x*(x - 2^27) = x^2 - 2^27*x; with rms just x*x, which leaves S at 0.
// Between the passes a program of 70 steps (norm_program) makes two numbers a row of them, so that a pass-1 column
// costs one multiplication: (n*x - S)*r + half = x*(n*r) + C with C = half - S*r. The multiplier of that pass also
// makes x^2, V, n*r and C; the square root and the reciprocal are bit-serial in each lane (norm_lane).
module norm #(
    parameter T = 4
) (
    input  wire           clk,
    input  wire           rst_n,
    input  wire           x_valid,
    output wire           x_ready,
    input  wire [8*T-1:0] x_data,
    input  wire           x_pass,
    input  wire           x_last,
    input  wire           x_rms,
    input  wire [15:0]    x_cols,
    input  wire [63:0]    x_param,
    output wire           y_valid,
    input  wire           y_ready,
    output wire [8*T-1:0] y_data
);
    localparam LATENCY = 7;

    wire               step = y_ready || !y_valid;
    wire               streaming;
    wire               take = x_valid && streaming;
    reg                first;   // the next column is the first of its pass
    reg  [12:0]        cols;
    reg                rms;
    reg  [LATENCY-1:0] scaling; // pass-1 columns in the pipeline, by stage

    assign x_ready = step && streaming;
    assign y_valid = scaling[LATENCY-1];

    always @(posedge clk)
        if (!rst_n) begin
            first   <= 1'b1;
            scaling <= {LATENCY{1'b0}};
        end else if (step) begin
            scaling <= {scaling[LATENCY-2:0], take && x_pass};
            if (take)
                first <= x_last;
        end

    always @(posedge clk)
        if (step && take) begin
            cols <= x_cols[12:0];
            rms  <= x_rms;
        end

    // The column's parameters travel beside it to the stages that use them.
    reg [15:0] mult0, mult1, mult2, mult3;
    reg [39:0] bias0, bias1, bias2, bias3, bias4;
    reg [5:0]  shift0, shift1, shift2, shift3, shift4, shift5;

    always @(posedge clk)
        if (step) begin
            {mult3, mult2, mult1, mult0} <= {mult2, mult1, mult0, x_param[15:0]};
            {bias4, bias3, bias2, bias1, bias0} <= {bias3, bias2, bias1, bias0, x_param[63:24]};
            {shift5, shift4, shift3, shift2, shift1} <= {shift4, shift3, shift2, shift1, shift0};
            shift0 <= x_param[21:16] - 6'd1;
        end

    wire [2:0] pick;
    wire [7:0] constant;
    wire [4:0] operand;
    wire [3:0] base;
    wire       write, normalise, capture, load_root, load_scale, root_step, root_mode;

    norm_program u_program (
        .clk(clk),
        .rst_n(rst_n),
        .step(step),
        .take(take),
        .pass(x_pass),
        .first(first),
        .last(x_last),
        .cols(cols),
        .streaming(streaming),
        .pick(pick),
        .constant(constant),
        .operand(operand),
        .base(base),
        .write(write),
        .normalise(normalise),
        .capture(capture),
        .load_root(load_root),
        .load_scale(load_scale),
        .root_step(root_step),
        .root_mode(root_mode)
    );

    genvar r;
    generate
        for (r = 0; r < T; r = r + 1) begin : lane
            norm_lane u_lane (
                .clk(clk),
                .step(step),
                .x(x_data[8*r +: 8]),
                .cols(cols),
                .rms(rms),
                .pick(pick),
                .constant(constant),
                .operand(operand),
                .base(base),
                .write(write),
                .normalise(normalise),
                .capture(capture),
                .load_root(load_root),
                .load_scale(load_scale),
                .root_step(root_step),
                .root_mode(root_mode),
                .mult(mult3),
                .bias(bias4),
                .shift(shift5),
                .y(y_data[8*r +: 8])
            );
        end
    endgenerate

    wire unused = &{1'b0, x_cols[15:13], x_param[23:22]};
endmodule
