// softmax: base-2 softmax of T rows at once, deferred normalisation (Softermax; ITA).
// Throughput: one column a cycle, no gap between passes. Latency: 3 cycles from a pass-1 column to its p
// beat, 36 from the last p beat to its s beat. All three interfaces are valid/ready streams; the pipeline
// holds while a p beat is refused. The reciprocals are bit-serial in each lane (softmax_scale) and overlap
// the next row-block's pass 0, whose pass 1 waits until s has left.
module softmax #(
    parameter T = 4
) (
    input  wire            clk,
    input  wire            rst_n,
    input  wire            x_valid,
    output wire            x_ready,
    input  wire [8*T-1:0]  x_data,
    input  wire [T-1:0]    x_mask,
    input  wire            x_pass,
    input  wire            x_last,
    input  wire [2:0]      x_frac,
    output wire            p_valid,
    input  wire            p_ready,
    output wire [8*T-1:0]  p_data,
    output wire            s_valid,
    input  wire            s_ready,
    output wire [24*T-1:0] s_data
);
    // The scale counter: search for 18 cycles, divide for 15, then the beat waits.
    localparam SEARCH = 6'd18, DIVIDE = 6'd33;

    wire       step = p_ready || !p_valid;
    wire       take = x_valid && x_ready;
    reg        first;     // the next column is the first of its pass
    reg        gather;    // the column in stage 1 belongs to pass 0,
    reg        restart;   // and is its first
    reg  [2:0] exponent;  // pass-1 columns in the pipeline, by stage
    reg  [2:0] ending;     // that are their row-block's last
    reg  [2:0] frac;
    reg        summing;   // from pass 1's last column until its s beat has left
    reg        scaling;
    reg  [5:0] count;
    reg        fresh;     // totals start with the next p beat
    wire       sum_beat = p_valid && p_ready;
    reg        divide;    // count has come to SEARCH

    assign x_ready = step && !(x_pass && summing);
    assign p_valid = exponent[2];
    assign s_valid = scaling && count == DIVIDE;

    always @(posedge clk)
        if (!rst_n) begin
            first    <= 1'b1;
            gather   <= 1'b0;
            exponent <= 3'b0;
        end else if (step) begin
            if (take)
                first <= x_last;
            gather   <= take && !x_pass;
            exponent <= {exponent[1:0], take && x_pass};
        end

    always @(posedge clk)
        if (step) begin
            restart <= first;
            ending   <= {ending[1:0], x_last};
            if (take)
                frac <= x_frac;
        end

    always @(posedge clk)
        if (!rst_n) begin
            summing <= 1'b0;
            scaling <= 1'b0;
            fresh   <= 1'b1;
        end else begin
            if (take && x_pass && x_last)
                summing <= 1'b1;
            else if (s_valid && s_ready)
                summing <= 1'b0;
            if (sum_beat)
                fresh <= ending[2];
            if (sum_beat && ending[2])
                scaling <= 1'b1;
            else if (s_valid && s_ready)
                scaling <= 1'b0;
        end

    always @(posedge clk)
        if (!scaling) begin
            count  <= 6'd0;
            divide <= 1'b0;
        end else begin
            if (!s_valid)
                count <= count + 6'd1;
            divide <= divide || count == SEARCH - 6'd1;
        end

    genvar r;
    generate
        for (r = 0; r < T; r = r + 1) begin : lane
            wire [6:0] probability;

            softmax_exponent u_exponent (
                .clk(clk),
                .step(step),
                .gather(gather),
                .restart(restart),
                .frac(frac),
                .x(x_data[8*r +: 8]),
                .count(x_mask[r]),
                .probability(probability)
            );

            softmax_scale u_scale (
                .clk(clk),
                .add(sum_beat),
                .fresh(fresh),
                .run(scaling && !s_valid),
                .divide(divide),
                .probability(probability),
                .scale(s_data[24*r +: 24])
            );

            assign p_data[8*r +: 8] = {1'b0, probability};
        end
    endgenerate
endmodule
