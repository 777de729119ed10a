// norm_program: the control of norm's lanes, one micro-operation a cycle, the same for every lane.
// A micro-operation meets a lane in three consecutive cycles: `pick` chooses the multiplier's byte, then
// `operand` its wide side, then `base` and the remaining outputs say what becomes of the product. While
// streaming each accepted column is a micro-operation; after pass 0's last column the program below runs.
// Everything advances with `step`.
module norm_program (
    input  wire        clk,
    input  wire        rst_n,
    input  wire        step,
    input  wire        take,       // a column is accepted, if step
    input  wire        pass,
    input  wire        first,
    input  wire        last,
    input  wire [12:0] cols,
    output reg         streaming,  // columns are welcome
    output reg  [2:0]  pick,       // byte: 0 x, 1 constant, 2..4 chunk of ~S, 5..7 chunk of r (high, middle, low)
    output reg  [7:0]  constant,
    output reg  [4:0]  operand,    // wide side, one-hot: x - 2^27 (or x), row, sum, cols, half
    output reg  [3:0]  base,       // added to the product, one-hot or zero: acc, acc << 7, acc << 2, root
    output reg         write,      // the sum becomes acc
    output reg         normalise,  // write only while acc's top two bits are zero, counting
    output reg         capture,    // sum and row take S and Q from acc
    output reg         load_root,  // the remainder starts the division
    output reg         load_scale, // row takes acc
    output reg         root_step,  // a step of the square root or division
    output reg         root_mode   // 1 square root, 0 division
);
    localparam X = 3'd0, CONSTANT = 3'd1, S_HIGH = 3'd2, S_MID = 3'd3, S_LOW = 3'd4,
               R_HIGH = 3'd5, R_MID = 3'd6, R_LOW = 3'd7;
    localparam SELF = 5'd1, ROW = 5'd2, SUM = 5'd4, COLS = 5'd8, HALF = 5'd16;
    localparam ZERO = 4'd0, ACC = 4'd1, UP7 = 4'd2, UP2 = 4'd4, ROOT = 4'd8;

    // Slots of the program. A result is in acc two slots after its micro-operation.
    localparam CAPTURE = 7'd1, VARIANCE = 7'd4, NORMALISE = 7'd10, SQUARE_ROOT = 7'd29,
               DIVISOR = 7'd45, DIVIDE = 7'd46, SETTLE = 7'd62, SCALE = 7'd64, END = 7'd70;

    reg  [6:0] slot;
    reg  [4:0] operand_next;
    reg  [3:0] base_next, base1;
    wire       gather = streaming && take && !pass;
    wire       normalise_next = slot >= NORMALISE && slot < SQUARE_ROOT;
    wire       square_root_next = slot >= SQUARE_ROOT && slot < DIVISOR;
    wire       divide_next = slot >= DIVIDE && slot < SETTLE;
    wire       product_next = (slot >= VARIANCE && slot < NORMALISE) || slot >= SCALE;
    wire       write_next = gather || product_next || normalise_next || square_root_next || slot == DIVISOR;
    reg        write1, normalise1, capture1, load_root1, load_scale1, root_step1, root_mode1;

    always @(posedge clk)
        if (!rst_n) begin
            streaming <= 1'b1;
            slot      <= 7'd0;
        end else if (step) begin
            if (streaming) begin
                streaming <= !(take && last && !pass);
                slot      <= (take && last && !pass) ? CAPTURE : 7'd0;
            end else begin
                streaming <= slot == END;
                slot      <= (slot == END) ? 7'd0 : slot + 7'd1;
            end
        end

    always @* begin
        pick         = CONSTANT;
        constant     = 8'd0;
        operand_next = ROW;
        base_next    = ACC;
        case (slot)
            7'd0: begin
                pick = X;
                operand_next = pass ? ROW : SELF;
                base_next = (first && !pass) ? ZERO : ACC;
            end
            // V = n*Q + sum*~sum + sum, sum = -S, by Horner's rule on bytes of seven bits
            VARIANCE:        begin pick = S_HIGH; operand_next = SUM; base_next = ZERO; end
            VARIANCE + 7'd1: begin pick = S_MID; operand_next = SUM; base_next = UP7; end
            VARIANCE + 7'd2: constant = {2'b0, cols[12:7]};
            VARIANCE + 7'd3: begin pick = S_LOW; operand_next = SUM; base_next = UP7; end
            VARIANCE + 7'd4: constant = {1'b0, cols[6:0]};
            VARIANCE + 7'd5: begin constant = 8'd1; operand_next = SUM; end
            DIVISOR:         base_next = ROOT;
            // n*r, then C = sum*r + half
            SCALE:           begin pick = R_HIGH; operand_next = COLS; base_next = ZERO; end
            SCALE + 7'd1:    begin pick = R_MID; operand_next = COLS; base_next = UP7; end
            SCALE + 7'd2:    begin pick = R_LOW; operand_next = COLS; base_next = UP7; end
            SCALE + 7'd3:    begin pick = R_HIGH; operand_next = SUM; base_next = ZERO; end
            SCALE + 7'd4:    begin pick = R_MID; operand_next = SUM; base_next = UP7; end
            SCALE + 7'd5:    begin pick = R_LOW; operand_next = SUM; base_next = UP7; end
            END:             begin constant = 8'd1; operand_next = HALF; end
            default:         base_next = UP2;
        endcase
    end

    always @(posedge clk)
        if (step) begin
            operand <= operand_next;
            {base, base1} <= {base1, base_next};
            {normalise, normalise1} <= {normalise1, normalise_next};
            {capture, capture1} <= {capture1, slot == CAPTURE};
            {load_root, load_root1} <= {load_root1, slot == DIVISOR};
            {load_scale, load_scale1} <= {load_scale1, slot == SCALE + 7'd3};
            {root_step, root_step1} <= {root_step1, square_root_next || divide_next};
            {root_mode, root_mode1} <= {root_mode1, square_root_next};
            {write, write1} <= {write1, write_next};
        end
endmodule
