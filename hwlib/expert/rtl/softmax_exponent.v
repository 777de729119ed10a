// softmax_exponent: one row's running maximum and its probabilities p = min(127, (2^-((m-x)/2^frac) + 128) >> 8).
// Three stages: the score; its distance below the maximum in 1/32 octaves; table, shift and rounding.
// A column of pass 0 (`gather`) only moves the maximum, in the cycle a pass-1 column would use it. Of the
// table's value only the nine bits that the rounding can see are shifted. A score that does not count becomes the
// least there is, which moves no maximum, and its distance vanishes. Registers advance with `step`.
module softmax_exponent (
    input  wire       clk,
    input  wire       step,
    input  wire       gather,
    input  wire       restart,
    input  wire [2:0] frac,
    input  wire [7:0] x,
    input  wire       count,
    output reg  [6:0] probability
);
    reg  signed [7:0] score, maximum;
    reg               counted;
    reg         [8:0] octaves;   // distance: 4 bits of octaves, 5 of fraction
    reg               vanished;  // 16 octaves or more, or not counted
    wire        [7:0] below = maximum - score;
    reg        [10:0] distance;
    wire       [15:0] power;

    always @*
        case (frac)
            3'd2:    distance = {below, 3'b0};
            3'd3:    distance = {1'b0, below, 2'b0};
            3'd4:    distance = {2'b0, below, 1'b0};
            default: distance = {3'b0, below};
        endcase

    always @(posedge clk)
        if (step) begin
            score   <= {x[7] || !count, x[6:0] & {7{count}}};
            counted <= count;
            if (gather && (restart || score > maximum))
                maximum <= score;
            octaves  <= distance[8:0];
            vanished <= |distance[10:9] || !counted;
        end

    exp2_table u_table (.index(octaves[4:0]), .value(power));

    wire [8:0] shifted = power[15:7] >> octaves[8:5];
    wire [7:0] rounded = shifted[8:1] + {7'b0, shifted[0]};
    wire       unused = &{1'b0, power[6:0]};

    always @(posedge clk)
        if (step)
            probability <= vanished ? 7'd0 : rounded[6:0] | {7{rounded[7]}};
endmodule
