// vector_unit_fetch: reads the words of an instruction's operands and serves them as columns, in the order
// row-block, pass (LAYERNORM and SOFTMAX two, ADD one), word, column.
// One column a cycle while reads are granted at the rate the columns need and answered within 4 cycles.
// Requests never exceed the free slots, so responses are never refused. ADD's words alternate a, b; its
// columns come in pairs. A word leaves its slot for a shift register whose first column is on x.
module vector_unit_fetch #(
    parameter T = 4,
    parameter D = 4
) (
    input  wire             clk,
    input  wire             rst_n,
    input  wire             start,       // an instruction begins, described by the next six
    input  wire             add,
    input  wire [15:0]      a_addr,
    input  wire [15:0]      b_addr,
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
    output wire [8*T-1:0]   x_b,
    output reg              x_pass,
    output reg              x_last,
    output wire             turn,        // another column comes to x with the next cycle,
    output wire [11:0]      upcoming     // and this is its number
);
    localparam WORD   = 8 * T * D;
    localparam LOG_D  = $clog2(D);
    localparam SLOTS  = (D >= 8) ? 2 : (D >= 4) ? 4 : 8;
    localparam SLOT_W = $clog2(SLOTS);
    localparam POS_W  = (D > 1) ? LOG_D : 1;
    localparam END    = D - 1;
    localparam [SLOT_W:0]   ALL_SLOTS = SLOTS[SLOT_W:0];
    localparam [SLOT_W-1:0] ODD = 1;

    // The instruction; a_row and b_row move on with the row-blocks.
    reg        pairs;
    reg [15:0] a_row, b_row, a_step, b_step;
    reg [11:0] last_number, last_word;

    // Requests.
    reg  [11:0] blocks, word;
    reg         again, second;  // the pass and the operand of the next request
    reg  [SLOT_W:0] room;       // slots neither filled nor asked for
    wire        issue = blocks != 12'd0 && room != 0 && (r_req_ready || !r_req_valid);
    wire        word_done = second || !pairs;
    wire        pass_done = word_done && word == last_word;
    wire        block_done = pass_done && (again || pairs);

    // Slots and columns.
    reg  [WORD-1:0]   slots [0:SLOTS-1];
    reg  [SLOT_W-1:0] fill, take;
    reg  [SLOT_W:0]   filled;
    reg  [WORD-1:0]   columns_a, columns_b;
    reg  [POS_W-1:0]  position;
    reg  [11:0]       number;
    reg               number_pass;
    wire              leaves = x_valid && x_ready;
    wire              word_end = x_last || position == END[POS_W-1:0];
    wire              ready = pairs ? filled[SLOT_W:1] != 0 : filled != 0;
    wire              load = ready && (!x_valid || (leaves && word_end));
    wire              shift = leaves && !word_end;
    wire [SLOT_W:0]   freed = load ? (pairs ? 2 : 1) : 0;

    assign turn     = load || shift;
    assign upcoming = number;

    always @(posedge clk)
        if (start) begin
            pairs       <= add;
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
            second <= 1'b0;
        end else if (issue) begin
            second <= !word_done;
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
        if (issue)
            r_req_addr <= (second ? b_row : a_row) + {4'b0, word};

    always @(posedge clk)
        if (!rst_n) begin
            r_req_valid <= 1'b0;
            blocks      <= 12'd0;
            room        <= ALL_SLOTS;
        end else begin
            r_req_valid <= issue || (r_req_valid && !r_req_ready);
            room        <= room + freed - {{SLOT_W{1'b0}}, issue};
            if (start)
                blocks <= row_blocks;
            else if (issue && block_done)
                blocks <= blocks - 12'd1;
        end

    always @(posedge clk)
        if (r_rsp_valid)
            slots[fill] <= r_rsp_data;

    always @(posedge clk)
        if (!rst_n || start) begin
            fill    <= {SLOT_W{1'b0}};
            take    <= {SLOT_W{1'b0}};
            filled  <= {SLOT_W+1{1'b0}};
            x_valid <= 1'b0;
        end else begin
            fill    <= fill + {{SLOT_W-1{1'b0}}, r_rsp_valid};
            take    <= take + freed[SLOT_W-1:0];
            filled  <= filled - freed + {{SLOT_W{1'b0}}, r_rsp_valid};
            x_valid <= load || (x_valid && !(leaves && word_end));
        end

    always @(posedge clk)
        if (start) begin
            number      <= 12'd0;
            number_pass <= 1'b0;
        end else if (turn) begin
            number      <= (number == last_number) ? 12'd0 : number + 12'd1;
            number_pass <= number_pass ^ (number == last_number);
            x_pass      <= number_pass;
            x_last      <= number == last_number;
        end

    always @(posedge clk)
        if (load)
            position <= {POS_W{1'b0}};
        else if (shift)
            position <= position + 1'b1;

    genvar r;
    generate
        for (r = 0; r < T; r = r + 1) begin : row
            wire [8*D-1:0] rest_a = columns_a[8*D*r +: 8*D] >> 8;
            wire [8*D-1:0] rest_b = columns_b[8*D*r +: 8*D] >> 8;

            assign x_a[8*r +: 8] = columns_a[8*D*r +: 8];
            assign x_b[8*r +: 8] = columns_b[8*D*r +: 8];

            always @(posedge clk)
                if (turn) begin
                    columns_a[8*D*r +: 8*D] <= load ? slots[take][8*D*r +: 8*D] : rest_a;
                    columns_b[8*D*r +: 8*D] <= load ? slots[take | ODD][8*D*r +: 8*D] : rest_b;
                end
        end
    endgenerate
endmodule
