// softmax_scale: one row's scale: mult = min(32767, floor(2^29 / divisor)), shift = level + 21.
// `load` takes the level; then 15 cycles of `run` divide, restoring, one bit each. Starting from remainder 2^14 makes
// divisor = 2^14, the least there is, yield all ones, which is the contract's 32767.
module softmax_scale (
    input  wire        clk,
    input  wire        load,
    input  wire        run,
    input  wire [3:0]  level,
    input  wire [14:0] divisor,
    output wire [23:0] scale
);
    reg  [14:0] remainder, mult;
    reg  [3:0]  excess;

    wire [16:0] difference = {1'b0, remainder, 1'b0} - {2'b0, divisor};
    wire        fits = !difference[16];
    wire        unused = difference[15];

    // 21 and excess, 0 to 13
    wire       three = excess[1] && excess[0];
    wire       carry = excess[2] || three;
    wire       over = excess[3] && carry;
    wire [5:0] shift = {over, !over, excess[3] ^ carry, !(excess[2] ^ three), excess[1] ^ excess[0], !excess[0]};

    assign scale = {2'b0, shift, 1'b0, mult};

    always @(posedge clk) begin
        if (load)
            excess <= level;
        remainder <= !run ? 15'h4000 : fits ? difference[14:0] : {remainder[13:0], 1'b0};
        if (run)
            mult <= {mult[13:0], fits};
    end
endmodule
