// softmax: online base-2 softmax of T rows at once, deferred normalisation (Milakov & Gimelshein; Softermax; ITA).
// Pass 0 takes the running maximum, in octaves, and the total; pass 1 gives p, while the total is inverted bit by bit.
// Throughput: one column a cycle, no gap between passes; a row-block of S columns takes S + max(S, 16) cycles.
// Latency: 3 cycles from a pass-1 column to its p beat; from the last p beat to its s beat 1, but at least 20 from
// the last column of pass 0. All three interfaces are valid/ready streams; the pipeline holds while a p beat is
// refused. Pass 0 waits until the total before has been divided by, pass 1 until the s before has left.
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
    // The division's last step, and the one from which a column of pass 0 comes to the total after it.
    localparam [3:0] LAST = 4'd14, NEARLY = 4'd10;

    wire       step = p_ready || !p_valid;
    wire       take = x_valid && x_ready;
    reg        first;     // the next column is the first of its pass
    reg  [1:0] gather;    // stages 1 and 2 hold a column of pass 0,
    reg  [1:0] restart;   // its row-block's first,
    reg  [1:0] ending;    // or last
    reg  [2:0] exponent;  // pass-1 columns in the pipeline, by stage
    reg  [2:0] frac;
    reg        add;       // a column of pass 0 joins the total,
    reg        add_last;  // which is then complete,
    reg        due;       // waits until the scale before has left,
    reg        normalise; // is shifted to 15 bits,
    reg        divide;    // and divides
    reg  [3:0] count;
    reg        scaled;    // the scale is found
    reg        occupied;  // from pass 0's last column until the total is free again
    reg        owing;     // from pass 1's last column until its s beat has left
    wire       start = due && !scaled;
    wire       gathered = gather[1] && step;
    wire       divided = divide && count == LAST;

    assign x_ready = step && !(x_pass ? owing : occupied);
    assign p_valid = exponent[2];
    assign s_valid = scaled && owing && exponent == 3'b0;

    always @(posedge clk)
        if (!rst_n) begin
            first    <= 1'b1;
            gather   <= 2'b0;
            exponent <= 3'b0;
        end else if (step) begin
            if (take)
                first <= x_last;
            gather   <= {gather[0], take && !x_pass};
            exponent <= {exponent[1:0], take && x_pass};
        end

    always @(posedge clk)
        if (step) begin
            restart <= {restart[0], first && !x_pass};
            ending  <= {ending[0], x_last};
            if (take)
                frac <= x_frac;
        end

    always @(posedge clk)
        if (!rst_n) begin
            add       <= 1'b0;
            due       <= 1'b0;
            normalise <= 1'b0;
            divide    <= 1'b0;
            scaled    <= 1'b0;
            occupied  <= 1'b0;
            owing     <= 1'b0;
        end else begin
            add       <= gathered;
            due       <= (add && add_last) || (due && scaled);
            normalise <= start;
            divide    <= normalise || (divide && !divided);
            scaled    <= divided || (scaled && !(s_valid && s_ready));
            if (take && x_last && !x_pass)
                occupied <= 1'b1;
            else if (divide && count == NEARLY)
                occupied <= 1'b0;
            if (take && x_last && x_pass)
                owing <= 1'b1;
            else if (s_valid && s_ready)
                owing <= 1'b0;
        end

    always @(posedge clk) begin
        add_last <= ending[1];
        count    <= divide ? count + 4'd1 : 4'd0;
    end

    genvar r;
    generate
        for (r = 0; r < T; r = r + 1) begin : lane
            wire [15:0] power;
            wire [6:0]  probability;
            wire [4:0]  rise;
            wire        lost;
            wire [14:0] divisor;
            wire [3:0]  level;

            softmax_exponent u_exponent (
                .clk(clk),
                .step(step),
                .gather(gather[0]),
                .first(restart[0]),
                .restart(restart[1]),
                .frac(frac),
                .x(x_data[8*r +: 8]),
                .count(x_mask[r]),
                .rise(rise),
                .lost(lost),
                .power(power),
                .probability(probability)
            );

            softmax_total u_total (
                .clk(clk),
                .gather(gathered),
                .rise(rise),
                .lost(lost),
                .add(add),
                .power(power),
                .start(start),
                .level(level),
                .divisor(divisor)
            );

            softmax_scale u_scale (
                .clk(clk),
                .load(normalise),
                .run(divide),
                .level(level),
                .divisor(divisor),
                .scale(s_data[24*r +: 24])
            );

            assign p_data[8*r +: 8] = {1'b0, probability};
        end
    endgenerate
endmodule
