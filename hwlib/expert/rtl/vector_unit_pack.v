// vector_unit_pack: gathers columns into words and writes them, row-block after row-block; a wide output's words
// alternate low plane, high plane.
// One column a cycle, or D columns in the 2 cycles that two planes' words take if D is 1; a row-block whose last word
// is not full takes one cycle more for each missing column, which is written as zero. y_ready comes from a register
// (a column waits in a spare place), so that the write port's refusal does not reach the cores in the same cycle. The
// high plane's columns run one cycle behind, so that its word is complete when the low plane's has been written.
module vector_unit_pack #(
    parameter T = 4,
    parameter D = 4
) (
    input  wire             clk,
    input  wire             rst_n,
    input  wire             start,       // an instruction begins, described by the next six
    input  wire             wide,        // two planes, the high one span words after the low one
    input  wire [15:0]      o_addr,
    input  wire [15:0]      span,
    input  wire [15:0]      o_stride,
    input  wire [11:0]      row_blocks,
    input  wire [11:0]      last_column,
    input  wire             y_valid,
    output wire             y_ready,
    input  wire [8*T-1:0]   y_data,
    input  wire [8*T-1:0]   y_high,
    output wire             w_valid,
    input  wire             w_ready,
    output reg  [15:0]      w_addr,
    output wire [8*T*D-1:0] w_data,
    output wire             idle         // every word of the instruction has been accepted
);
    localparam POS_W = (D > 1) ? $clog2(D) : 1;
    localparam END   = D - 1;

    reg  [11:0]      blocks, last_number, number;
    reg  [15:0]      row, row_step, high_offset;
    reg  [15:0]      low_addr;           // of the next low word
    reg              planes;
    reg              padding;
    reg  [POS_W-1:0] position;
    reg              held_valid, spare_valid;
    reg  [8*T-1:0]   held, spare, held_high, spare_high;
    reg              full, word_last;    // a low word is complete, and its row-block's last
    reg              high_full, high_last;
    reg              high;               // the high plane is on w
    reg              behind_valid, behind_end;
    reg  [8*T-1:0]   behind;
    reg  [8*T*D-1:0] columns, columns_high;
    wire             low_written = full && !high && w_ready;
    wire             high_written = high_full && high && w_ready;
    wire             high_shift = behind_valid && (!high_full || high_written);
    wire             open = (!full || low_written) && (!behind_valid || high_shift);
    wire             take = held_valid && open && !padding;
    wire             shift = take || (padding && open);
    wire             word_end = position == END[POS_W-1:0];
    wire             row_end = padding || number == last_number;
    wire [15:0]      next_row = row + row_step;
    wire [15:0]      next_low = word_last ? next_row : low_addr + 16'd1;

    assign y_ready = !spare_valid;
    assign idle    = blocks == 12'd0;
    assign w_valid = high ? high_full : full;
    assign w_data  = high ? columns_high : columns;

    always @(posedge clk)
        if (!rst_n) begin
            held_valid  <= 1'b0;
            spare_valid <= 1'b0;
        end else if (take || !held_valid) begin
            held_valid  <= spare_valid || y_valid;
            spare_valid <= 1'b0;
        end else if (y_valid)
            spare_valid <= 1'b1;

    always @(posedge clk) begin
        if (take || !held_valid) begin
            held      <= spare_valid ? spare : y_data;
            held_high <= spare_valid ? spare_high : y_high;
        end
        if (y_ready) begin
            spare      <= y_data;
            spare_high <= y_high;
        end
    end

    always @(posedge clk)
        if (!rst_n) begin
            full         <= 1'b0;
            high_full    <= 1'b0;
            high         <= 1'b0;
            behind_valid <= 1'b0;
            padding      <= 1'b0;
            blocks       <= 12'd0;
        end else begin
            full         <= (shift && word_end) || (full && !low_written);
            high_full    <= (high_shift && behind_end) || (high_full && !high_written);
            high         <= (low_written && planes) || (high && !high_written);
            behind_valid <= (shift && planes) || (behind_valid && !high_shift);
            if (shift)
                padding <= row_end && !word_end;
            if (start)
                blocks <= row_blocks;
            else if (planes ? high_written && high_last : low_written && word_last)
                blocks <= blocks - 12'd1;
        end

    always @(posedge clk)
        if (start) begin
            position    <= {POS_W{1'b0}};
            number      <= 12'd0;
            last_number <= last_column;
            planes      <= wide;
            high_offset <= span;
            row         <= o_addr;
            low_addr    <= o_addr;
            w_addr      <= o_addr;
            row_step    <= o_stride;
        end else begin
            if (shift) begin
                position   <= word_end ? {POS_W{1'b0}} : position + 1'b1;
                word_last  <= row_end;
                behind_end <= word_end;
            end
            if (take)
                number <= row_end ? 12'd0 : number + 12'd1;
            if (low_written) begin
                high_last <= word_last;
                low_addr  <= next_low;
                w_addr    <= planes ? low_addr + high_offset : next_low;
                if (word_last)
                    row <= next_row;
            end else if (high_written)
                w_addr <= low_addr;
        end

    genvar r;
    generate
        for (r = 0; r < T; r = r + 1) begin : lane
            wire [7:0]     column = padding ? 8'b0 : held[8*r +: 8];
            wire [8*D-1:0] older  = columns[8*D*r +: 8*D] >> 8;
            wire [8*D-1:0] older_high = columns_high[8*D*r +: 8*D] >> 8;

            always @(posedge clk) begin
                if (shift) begin
                    columns[8*D*r +: 8*D] <= ({{8*D-8{1'b0}}, column} << (8*D - 8)) | older;
                    behind[8*r +: 8]      <= padding ? 8'b0 : held_high[8*r +: 8];
                end
                if (high_shift)
                    columns_high[8*D*r +: 8*D] <= ({{8*D-8{1'b0}}, behind[8*r +: 8]} << (8*D - 8)) | older_high;
            end
        end
    endgenerate
endmodule
