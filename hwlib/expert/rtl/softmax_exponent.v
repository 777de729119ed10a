// softmax_exponent: one row's running maximum in octaves, and each score's power of two below it, 2^(15 + x/2^frac - M).
// Three stages: the score; how far its octave, rounded up, is above the maximum, and its fraction; table and shift.
// A column of pass 0 (`gather`) then moves the maximum: one that is above it is its own maximum, and `rise`, beside
// stage 2, is what the total before it shifts by (32: all away). `first` and `restart` mark a row's first column, in
// stages 1 and 2. A score that does not count becomes the least there is, which moves no maximum, and its power
// vanishes. The probability is the power's upper bits, rounded. Registers advance with `step`.
module softmax_exponent (
    input  wire        clk,
    input  wire        step,
    input  wire        gather,
    input  wire        first,
    input  wire        restart,
    input  wire [2:0]  frac,
    input  wire [7:0]  x,
    input  wire        count,
    output wire [5:0]  rise,
    output reg  [15:0] power,
    output wire [6:0]  probability
);
    reg  [7:0] score;
    reg        counted1, counted2;
    reg  [6:0] lowest;   // minus the maximum
    reg  [7:0] above;    // of the octave to the maximum, two's complement
    reg  [4:0] index;    // from the score up to its octave, in 1/32

    reg  [5:0] whole;
    reg  [4:0] part;

    always @*
        case (frac)
            3'd2: begin
                whole = score[7:2];
                part  = {score[1:0], 3'b0};
            end
            3'd3: begin
                whole = {score[7], score[7:3]};
                part  = {score[2:0], 2'b0};
            end
            3'd4: begin
                whole = {{2{score[7]}}, score[7:4]};
                part  = {score[3:0], 1'b0};
            end
            default: begin
                whole = {{3{score[7]}}, score[7:5]};
                part  = score[4:0];
            end
        endcase

    wire       up = part != 5'b0;
    wire [8:0] sum = {{2{whole[5]}}, whole, up} + {lowest[6], lowest, up};
    wire       unused = sum[0];

    always @(posedge clk)
        if (step) begin
            score    <= {x[7] || !count, x[6:0] & {7{count}}};
            counted1 <= count;
            counted2 <= counted1;
            above    <= sum[8:1];
            index    <= 5'd0 - part;
            if (gather && (first || !sum[8]))
                lowest <= {~whole[5], ~whole} + {6'b0, !up};
        end

    wire        below = above[7] && !restart;
    wire  [6:0] distance = 7'd0 - above[6:0];
    wire        vanishes = !counted2 || (below && (distance[6:4] != 3'b0));
    wire [15:0] value;

    assign rise = above[7] ? 6'd0 : {above[6] || above[5], above[4:0]};

    exp2_table u_table (.index(index), .value(value));

    wire [15:0] shifted = value >> (distance[3:0] & {4{below}});

    always @(posedge clk)
        if (step)
            power <= shifted & {16{!vanishes}};

    wire [7:0] rounded = power[15:8] + {7'b0, power[7]};

    assign probability = rounded[6:0] | {7{rounded[7]}};
endmodule
