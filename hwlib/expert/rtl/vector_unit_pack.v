// vector_unit_pack: gathers columns into words and writes them, row-block after row-block.
// One column a cycle; a row-block whose last word is not full takes one cycle more for each missing column,
// which is written as zero. y_ready comes from a register (a column waits in a spare place), so that the
// write port's refusal does not reach the cores in the same cycle.
module vector_unit_pack #(
    parameter T = 4,
    parameter D = 4
) (
    input  wire             clk,
    input  wire             rst_n,
    input  wire             start,       // an instruction begins, described by the next four
    input  wire [15:0]      o_addr,
    input  wire [15:0]      o_stride,
    input  wire [11:0]      row_blocks,
    input  wire [11:0]      last_column,
    input  wire             y_valid,
    output wire             y_ready,
    input  wire [8*T-1:0]   y_data,
    output reg              w_valid,
    input  wire             w_ready,
    output reg  [15:0]      w_addr,
    output wire [8*T*D-1:0] w_data,
    output wire             idle         // every word of the instruction has been accepted
);
    localparam POS_W = (D > 1) ? $clog2(D) : 1;
    localparam END   = D - 1;

    reg  [11:0]      blocks, last_number, number;
    reg  [15:0]      row, row_step;
    reg              word_last;          // the word on w is its row-block's last
    reg              padding;
    reg  [POS_W-1:0] position;
    reg              held_valid, spare_valid;
    reg  [8*T-1:0]   held, spare;
    reg  [8*T*D-1:0] columns;
    wire             written = w_valid && w_ready;
    wire             open = w_ready || !w_valid;
    wire             take = held_valid && open && !padding;
    wire             shift = take || (padding && open);
    wire             word_end = position == END[POS_W-1:0];
    wire             row_end = padding || number == last_number;

    assign y_ready = !spare_valid;
    assign idle    = blocks == 12'd0;
    assign w_data  = columns;

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
        if (take || !held_valid)
            held <= spare_valid ? spare : y_data;
        if (y_ready)
            spare <= y_data;
    end

    always @(posedge clk)
        if (!rst_n) begin
            w_valid <= 1'b0;
            padding <= 1'b0;
            blocks  <= 12'd0;
        end else begin
            w_valid <= (shift && word_end) || (w_valid && !w_ready);
            if (shift)
                padding <= row_end && !word_end;
            if (start)
                blocks <= row_blocks;
            else if (written && word_last)
                blocks <= blocks - 12'd1;
        end

    always @(posedge clk)
        if (start) begin
            position    <= {POS_W{1'b0}};
            number      <= 12'd0;
            last_number <= last_column;
            row         <= o_addr;
            w_addr      <= o_addr;
            row_step    <= o_stride;
        end else begin
            if (shift) begin
                position  <= word_end ? {POS_W{1'b0}} : position + 1'b1;
                word_last <= row_end;
            end
            if (take)
                number <= row_end ? 12'd0 : number + 12'd1;
            if (written) begin
                w_addr <= word_last ? row + row_step : w_addr + 16'd1;
                if (word_last)
                    row <= row + row_step;
            end
        end

    genvar r;
    generate
        for (r = 0; r < T; r = r + 1) begin : lane
            wire [7:0]     column = padding ? 8'b0 : held[8*r +: 8];
            wire [8*D-1:0] older  = columns[8*D*r +: 8*D] >> 8;

            always @(posedge clk)
                if (shift)
                    columns[8*D*r +: 8*D] <= ({{8*D-8{1'b0}}, column} << (8*D - 8)) | older;
        end
    endgenerate
endmodule
