// matrix_unit_tile: collects the T columns of a tile and writes it or one of its rows, transposed or not, to bytes or,
// saturated, to nibbles: an int4 value is in both nibbles of its byte, and the strobes choose.
// Latency: the first write is offered the cycle after the last column came. Throughput: one column a
// cycle for any mix of tiles; a tile is one write when D >= T, else T/D writes of whole words
// (of one row that is transposed, all but one without a byte enabled).
// Handshake: columns are refused only while they would overwrite what o has not accepted yet
// (x_ready depends on o_ready); done follows the last write of an instruction by one cycle.
// One T x T buffer is enough: each tile is entered along the lines, rows or columns, by which the one
// before is being read out, so that it frees the places in the order in which they are filled. Whether it is
// then read along the same lines or across them makes it plain or transposed.
module matrix_unit_tile #(
    parameter T = 4,
    parameter D = 4,
    parameter OUT_W = 17
) (
    input  wire             clk,
    input  wire             rst_n,
    input  wire             x_valid,
    output wire             x_ready,
    input  wire [8*T-1:0]   x_data,
    input  wire             tile_valid,
    output wire             tile_ready,
    input  wire [OUT_W-1:0] tile_out,
    input  wire             tile_transpose,
    input  wire             tile_one_row, // write only row tile_row of the product
    input  wire             tile_int4,    // to nibbles; tile_out then counts words of nibbles
    input  wire [$clog2(T)-1:0] tile_row,
    input  wire             tile_finish, // last of its instruction
    input  wire             tile_hold,   // nothing to write
    output wire             o_valid,
    input  wire             o_ready,
    output wire [15:0]      o_addr,
    output wire [8*T*D-1:0] o_data,
    output wire [2*T*D-1:0] o_strb,
    output reg              done
);
    localparam SPAN    = (D < T) ? D : T;  // the tile's columns in a word
    localparam WRITES  = T / SPAN;
    localparam COUNT_W = $clog2(T);
    localparam LAST    = T - 1;
    localparam FINAL   = WRITES - 1;
    localparam WRITE_W = (WRITES > 1) ? $clog2(WRITES) : 1;
    localparam OUT_FRAC = OUT_W - 17;
    localparam [COUNT_W-1:0] LAST_LINE  = LAST[COUNT_W-1:0];
    localparam [WRITE_W-1:0] LAST_WRITE = FINAL[WRITE_W-1:0];
    localparam [COUNT_W:0]   SPAN_LINES = SPAN[COUNT_W:0];
    localparam [T-1:0]       FIRST_ROW  = 1;

    reg [COUNT_W-1:0] line;        // the one that the next x enters
    reg               writing;
    reg [WRITE_W-1:0] write;
    reg [COUNT_W:0]   line_limit;  // lines below are free while writing
    reg [OUT_W-1:0]   out;
    reg [T-1:0]       rows_on;     // of the words
    reg [T-1:0]       columns_on;  // of the tile, those of the next write lowest
    reg               finish;
    reg               int4;
    reg               by_rows;     // lines of the tile being written, and of the one that enters

    wire enter    = x_valid && x_ready;
    wire complete = enter && line == LAST_LINE;
    wire written  = o_valid && o_ready;
    wire last_written = written && write == LAST_WRITE;
    wire skip     = tile_valid && tile_hold && !writing;

    wire [COUNT_W:0] freed = line_limit + (o_ready ? SPAN_LINES : {(COUNT_W+1){1'b0}});

    // The last line completes the tile, which needs the place of the one being written.
    assign x_ready = tile_valid && !tile_hold
        && (!writing || ((line == LAST_LINE) ? o_ready && write == LAST_WRITE : {1'b0, line} < freed));
    assign tile_ready = complete || skip;
    assign o_valid    = writing;

    always @(posedge clk) begin
        if (!rst_n) begin
            line    <= 0;
            writing <= 0;
            by_rows <= 0;
            done    <= 0;
        end else begin
            if (enter)
                line <= (line == LAST_LINE) ? {COUNT_W{1'b0}} : line + 1'b1;
            if (complete)
                writing <= 1'b1;
            else if (last_written)
                writing <= 1'b0;
            if (complete)
                by_rows <= by_rows ^ tile_transpose;
            done <= (last_written && finish) || skip;
        end
    end

    always @(posedge clk) begin
        if (complete) begin
            out        <= tile_out;
            finish     <= tile_finish;
            int4       <= tile_int4;
            write      <= 0;
            line_limit <= 0;
            rows_on    <= (tile_one_row && !tile_transpose) ? FIRST_ROW << tile_row : {T{1'b1}};
            columns_on <= (tile_one_row && tile_transpose) ? FIRST_ROW << tile_row : {T{1'b1}};
        end else if (written) begin
            write      <= write + 1'b1;
            line_limit <= freed;
            out        <= out + 1'b1;
            columns_on <= columns_on >> SPAN;
        end
    end

    // plain[8*(T*SPAN*w + SPAN*p + k)] is byte (p, k) of write w if the tile is read by columns, turned if by rows.
    wire [8*T*T-1:0]    plain;
    wire [8*T*T-1:0]    turned;
    wire [8*T*SPAN-1:0] word = by_rows ? turned[8*T*SPAN*write +: 8*T*SPAN] : plain[8*T*SPAN*write +: 8*T*SPAN];

    wire [8*T-1:0] values;

    genvar p, q;
    generate
        for (p = 0; p < T; p = p + 1) begin : saturate
            wire [7:0] x      = x_data[8*p +: 8];
            wire       fits   = x[7:3] == 5'b00000 || x[7:3] == 5'b11111;
            wire [3:0] nibble = fits ? x[3:0] : {x[7], {3{!x[7]}}};
            assign values[8*p +: 8] = tile_int4 ? {nibble, nibble} : x;
        end
        for (p = 0; p < T; p = p + 1) begin : row
            for (q = 0; q < T; q = q + 1) begin : column
                localparam [COUNT_W-1:0] ROW_LINE    = p[COUNT_W-1:0];
                localparam [COUNT_W-1:0] COLUMN_LINE = q[COUNT_W-1:0];
                localparam PLAIN_AT  = 8 * (T*SPAN*(q/SPAN) + SPAN*p + q%SPAN);
                localparam TURNED_AT = 8 * (T*SPAN*(p/SPAN) + SPAN*q + p%SPAN);
                reg [7:0] value;
                always @(posedge clk)
                    if (enter && line == (by_rows ? ROW_LINE : COLUMN_LINE))
                        value <= by_rows ? values[8*q +: 8] : values[8*p +: 8];
                assign plain[PLAIN_AT +: 8]   = value;
                assign turned[TURNED_AT +: 8] = value;
            end
        end
    endgenerate

    wire [16:0] out_word = out[OUT_W-1 -: 17];
    wire [1:0]  halves   = {!int4 || out_word[0], !int4 || !out_word[0]};
    wire        unused   = out_word[16];

    assign o_addr = int4 ? out_word[16:1] : out_word[15:0];

    generate
        for (p = 0; p < T; p = p + 1) begin : out_row
            for (q = 0; q < D; q = q + 1) begin : out_column
                wire enabled;
                assign o_data[8*(D*p+q) +: 8] = word[8*(SPAN*p + q%SPAN) +: 8];
                if (OUT_FRAC > 0) begin : part
                    localparam PART = q / T;
                    assign enabled = rows_on[p] && columns_on[q%SPAN] && out[OUT_FRAC-1:0] == PART[OUT_FRAC-1:0];
                end else begin : all
                    assign enabled = rows_on[p] && columns_on[q%SPAN];
                end
                assign o_strb[2*(D*p+q) +: 2] = halves & {2{enabled}};
            end
        end
    endgenerate
endmodule
