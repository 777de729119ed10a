// vector_unit_fetch: reads the words of an instruction's operands and serves them as columns, in the order
// row-block, pass (LAYERNORM, RMSNORM and SOFTMAX two, the others one), word, column.
// One column a cycle, or D columns in as many cycles as words are read for them, while reads are granted at that rate
// and answered within 4 cycles (those of a wide operand within 3, with D < 4 in the next). Requests never exceed the
// free places, so responses are never refused. The words of two operands alternate a, b, with the high plane of a wide
// one before them; their columns come together. A word leaves its slot for a shift register whose first column is on x.
module vector_unit_fetch #(
    parameter T = 4,
    parameter D = 4
) (
    input  wire             clk,
    input  wire             rst_n,
    input  wire             start,       // an instruction begins, described by the next ten
    input  wire             two,         // operands a and b
    input  wire             wide,        // a has a high plane, span words after the low one
    input  wire             causal,      // rows of row-block 0 have span + row valid columns, the next T more
    input  wire [15:0]      a_addr,
    input  wire [15:0]      b_addr,
    input  wire [15:0]      span,
    input  wire [15:0]      a_stride,
    input  wire [15:0]      b_stride,
    input  wire [11:0]      row_blocks,
    input  wire [11:0]      last_column,
    output reg              r_req_valid,
    input  wire             r_req_ready,
    output reg  [15:0]      r_req_addr,
    input  wire             r_rsp_valid,
    input  wire [8*T*D-1:0] r_rsp_data,
    output reg              x_valid,
    input  wire             x_ready,
    output wire [8*T-1:0]   x_a,
    output wire [8*T-1:0]   x_high,
    output wire [8*T-1:0]   x_b,
    output reg  [T-1:0]     x_mask,
    output reg              x_pass,
    output reg              x_last,
    output wire             turn,        // another column comes to x with the next cycle,
    output wire [11:0]      upcoming     // and this is its number
);
    localparam WORD   = 8 * T * D;
    localparam LOG_D  = $clog2(D);
    localparam POS_W  = (D > 1) ? LOG_D : 1;
    localparam END    = D - 1;
    localparam SLOTS  = (D >= 8) ? 2 : (D >= 4) ? 4 : 8; // of a and b, alternately
    localparam HIGHS  = (D >= 8) ? 1 : 2;                // of the high plane
    localparam THREES = 3 * HIGHS;                       // words of groups of three
    localparam SLOT_W = $clog2(SLOTS);
    localparam PAIR   = (SLOT_W > 1) ? 1 : 0;
    localparam ROOM_W = SLOT_W + 2;
    localparam [SLOT_W-1:0] ODD = 1;
    localparam [12:0] ALL_COLUMNS = 13'd4096;
    localparam [12:0] ROWS = T[12:0];

    // The instruction; the rows' addresses move on with the row-blocks.
    reg        pairs, threes;
    reg [15:0] a_row, h_row, b_row, a_step, b_step;
    reg [11:0] last_number, last_word;

    // Requests.
    reg  [11:0] blocks, word;
    reg         again, high, second;  // the pass and, of a group, the word of the next request
    reg  [ROOM_W-1:0] room;           // places neither filled nor asked for
    wire        issue = blocks != 12'd0 && room != 0 && (r_req_ready || !r_req_valid);
    wire        word_done = second || !pairs;
    wire        pass_done = word_done && word == last_word;
    wire        block_done = pass_done && (again || pairs);

    // Places and columns.
    reg  [WORD-1:0]   slots [0:SLOTS-1];
    reg  [WORD-1:0]   highs [0:HIGHS-1];
    reg  [SLOT_W-1:0] fill, take;
    reg               fill_high;      // the next response is of the high plane
    reg  [SLOT_W:0]   filled;         // slots
    reg  [WORD-1:0]   columns_a, columns_h, columns_b;
    reg  [POS_W-1:0]  position;
    reg  [11:0]       number;
    reg               number_pass;
    reg  [12:0]       limit;          // valid columns of the row-block's row 0, up to 4096
    wire              leaves = x_valid && x_ready;
    wire              word_end = x_last || position == END[POS_W-1:0];
    wire              ready = pairs ? filled[SLOT_W:1] != 0 : filled != 0;
    wire              load = ready && (!x_valid || (leaves && word_end));
    wire              shift = leaves && !word_end;
    wire [SLOT_W:0]   freed = load ? (pairs ? 2 : 1) : 0;
    wire [ROOM_W-1:0] returned = load ? (threes ? 3 : pairs ? 2 : 1) : 0;
    wire              slot_comes = r_rsp_valid && !fill_high;
    wire              high_fill = HIGHS > 1 && fill[PAIR]; // the high word of a pair of slots
    wire              high_take = HIGHS > 1 && take[PAIR];
    wire              row_end = number == last_number;

    assign turn     = load || shift;
    assign upcoming = number;

    always @(posedge clk)
        if (start) begin
            pairs       <= two;
            threes      <= wide;
            a_step      <= a_stride;
            b_step      <= b_stride;
            last_number <= last_column;
            last_word   <= last_column >> LOG_D;
        end

    always @(posedge clk)
        if (start) begin
            a_row  <= a_addr;
            b_row  <= b_addr;
            word   <= 12'd0;
            again  <= 1'b0;
            high   <= wide;
            second <= 1'b0;
        end else if (issue) begin
            high   <= threes && second;
            second <= pairs && !high && !second;
            if (word_done)
                word <= pass_done ? 12'd0 : word + 12'd1;
            if (pass_done)
                again <= !block_done;
            if (block_done) begin
                a_row <= a_row + a_step;
                b_row <= b_row + b_step;
            end
        end

    always @(posedge clk)
        if (start || (issue && block_done))
            h_row <= (start ? a_addr : h_row) + (start ? span : a_step);

    always @(posedge clk)
        if (issue)
            r_req_addr <= (high ? h_row : second ? b_row : a_row) + {4'b0, word};

    always @(posedge clk)
        if (!rst_n) begin
            r_req_valid <= 1'b0;
            blocks      <= 12'd0;
        end else begin
            r_req_valid <= issue || (r_req_valid && !r_req_ready);
            if (start)
                blocks <= row_blocks;
            else if (issue && block_done)
                blocks <= blocks - 12'd1;
        end

    always @(posedge clk)
        if (start)
            room <= wide ? THREES[ROOM_W-1:0] : SLOTS[ROOM_W-1:0];
        else
            room <= room + returned - {{ROOM_W-1{1'b0}}, issue};

    always @(posedge clk) begin
        if (slot_comes)
            slots[fill] <= r_rsp_data;
        if (r_rsp_valid && fill_high)
            highs[high_fill] <= r_rsp_data;
    end

    always @(posedge clk)
        if (!rst_n || start) begin
            fill      <= {SLOT_W{1'b0}};
            take      <= {SLOT_W{1'b0}};
            fill_high <= start && wide;
            filled    <= {SLOT_W+1{1'b0}};
            x_valid   <= 1'b0;
        end else begin
            fill    <= fill + {{SLOT_W-1{1'b0}}, slot_comes};
            take    <= take + freed[SLOT_W-1:0];
            filled  <= filled - freed + {{SLOT_W{1'b0}}, slot_comes};
            x_valid <= load || (x_valid && !(leaves && word_end));
            if (r_rsp_valid)
                fill_high <= threes && !fill_high && fill[0];
        end

    always @(posedge clk)
        if (start) begin
            number      <= 12'd0;
            number_pass <= 1'b0;
        end else if (turn) begin
            number      <= row_end ? 12'd0 : number + 12'd1;
            number_pass <= number_pass ^ row_end;
            x_pass      <= number_pass;
            x_last      <= row_end;
        end

    // A row has one valid column more than the row above, so its mask is that row's of the column before.
    always @(posedge clk)
        if (start)
            limit <= (causal && span[15:12] == 4'd0) ? {1'b0, span[11:0]} : ALL_COLUMNS;
        else if (turn && row_end && number_pass && !limit[12])
            limit <= limit + ROWS;

    always @(posedge clk)
        if (turn)
            x_mask <= (number == 12'd0) ? {T{1'b1}} : {x_mask[T-2:0], x_mask[0] && {1'b0, number} != limit};

    always @(posedge clk)
        if (load)
            position <= {POS_W{1'b0}};
        else if (shift)
            position <= position + 1'b1;

    genvar r;
    generate
        for (r = 0; r < T; r = r + 1) begin : row
            wire [8*D-1:0] rest_a = columns_a[8*D*r +: 8*D] >> 8;
            wire [8*D-1:0] rest_h = columns_h[8*D*r +: 8*D] >> 8;
            wire [8*D-1:0] rest_b = columns_b[8*D*r +: 8*D] >> 8;

            assign x_a[8*r +: 8]    = columns_a[8*D*r +: 8];
            assign x_high[8*r +: 8] = columns_h[8*D*r +: 8];
            assign x_b[8*r +: 8]    = columns_b[8*D*r +: 8];

            always @(posedge clk)
                if (turn) begin
                    columns_a[8*D*r +: 8*D] <= load ? slots[take][8*D*r +: 8*D] : rest_a;
                    columns_h[8*D*r +: 8*D] <= load ? highs[high_take][8*D*r +: 8*D] : rest_h;
                    columns_b[8*D*r +: 8*D] <= load ? slots[take | ODD][8*D*r +: 8*D] : rest_b;
                end
        end
    endgenerate
endmodule
