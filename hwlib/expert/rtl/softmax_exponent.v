// softmax_exponent: one row's running maximum in octaves, and each score's power of two below it, 2^(15 + x/2^frac - M).
// Three stages: the score less one, whose octave rounded down is x's rounded up, less one, and whose fraction is the
// complement of what x lacks to its octave; how far the octave is above the maximum; table and shift.
// A column of pass 0 (`gather`) then moves the maximum: one that is above it is its own maximum, and `rise`, beside
// stage 2, is what the total before it shifts by (`lost`: all away). `first` and `restart` mark a row's first column, in
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
    output wire [4:0]  rise,
    output wire        lost,
    output reg  [15:0] power,
    output wire [6:0]  probability
);
    wire [7:0] score = {x[7] || !count, x[6:0] & {7{count}}};
    wire [7:0] below_one = {|score[6:0], |score[5:0], |score[4:0], |score[3:0], |score[2:0], |score[1:0], score[0], 1'b0};

    reg  [8:0] less;     // the score less one
    reg        counted1, counted2;
    reg  [6:0] octave, maximum;
    reg  [4:0] part, missing;
    reg  [7:0] excess;   // of the octave over the maximum, less one

    always @*
        case (frac)
            3'd2: begin
                octave = less[8:2];
                part   = {less[1:0], 3'b111};
            end
            3'd3: begin
                octave = {less[8], less[8:3]};
                part   = {less[2:0], 2'b11};
            end
            3'd4: begin
                octave = {{2{less[8]}}, less[8:4]};
                part   = {less[3:0], 1'b1};
            end
            default: begin
                octave = {{3{less[8]}}, less[8:5]};
                part   = less[4:0];
            end
        endcase

    wire [7:0] over = {octave[6], octave} + {!maximum[6], ~maximum};

    always @(posedge clk)
        if (step) begin
            less     <= {score[7] || !below_one[7], ~(score ^ below_one)};
            counted1 <= count;
            counted2 <= counted1;
            excess   <= over;
            missing  <= part;
            if (gather && (first || !over[7]))
                maximum <= octave;
        end

    wire        below = excess[7] && !restart;
    wire        vanishes = !counted2 || (below && excess[6:4] != 3'b111);
    wire [15:0] value;

    assign rise = {5{!excess[7]}} & (excess[4:0] ^ {&excess[3:0], &excess[2:0], &excess[1:0], excess[0], 1'b1});
    assign lost = restart || (!excess[7] && (excess[5] || excess[4:0] == 5'h1f));

    exp2_table u_table (.index(~missing), .value(value));

    wire [15:0] shifted = value >> (~excess[3:0] & {4{below}});

    always @(posedge clk)
        if (step)
            power <= shifted & {16{!vanishes}};

    // 2^15 rounds to 128, the next power of the table to 125.
    wire [6:0] carry = {&power[13:7], &power[12:7], &power[11:7], &power[10:7], &power[9:7], &power[8:7], power[7]};

    assign probability = (power[14:8] ^ carry) | {7{power[15]}};
endmodule
