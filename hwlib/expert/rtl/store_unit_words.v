// store_unit_words: reads the words of a 2-D transfer from the scratchpad and cuts them into beats.
// A small FIFO takes the responses; a request is made only when its response has room. Latency: two cycles
// from an accepted request to its first beat, with a scratchpad that answers in one. Throughput: one beat
// a cycle with such a scratchpad. Handshake: beats are valid/ready, requests stay until accepted.
module store_unit_words #(
    parameter WIDTH = 128,
    parameter BEAT = 64
) (
    input  wire             clk,
    input  wire             rst_n,
    input  wire             start,
    input  wire [15:0]      start_addr,
    input  wire [15:0]      start_rows,
    input  wire [15:0]      start_words,
    input  wire [15:0]      start_stride,
    output wire             req_valid,
    input  wire             req_ready,
    output wire [15:0]      req_addr,
    input  wire             rsp_valid,
    input  wire [WIDTH-1:0] rsp_data,
    output wire             beat_valid,
    input  wire             beat_ready,
    output wire [BEAT-1:0]  beat_data
);
    localparam BEATS = WIDTH / BEAT;
    // Room for the words requested during the three cycles that a freed place takes to be filled again.
    localparam ENTRIES = BEATS > 1 ? 2 : 4;
    localparam ENTRY_BITS = $clog2(ENTRIES);
    localparam READ_BITS = $clog2(ENTRIES * BEATS);

    reg active, setup;
    reg [15:0] addr, next_row, stride, words, words_left, rows_left;
    reg [ENTRY_BITS:0] room, held;
    reg [ENTRY_BITS-1:0] write_at;
    reg [READ_BITS-1:0] read_at;
    wire [ENTRIES*WIDTH-1:0] store;

    wire request = req_valid && req_ready;
    wire row_end = words_left == 16'd1;
    wire beat = beat_valid && beat_ready;
    wire word_end;
    generate
        if (BEATS > 1) begin : g_many
            assign word_end = beat && &read_at[READ_BITS-ENTRY_BITS-1:0];
        end else begin : g_one
            assign word_end = beat;
        end
    endgenerate

    assign req_valid = active && room != {(ENTRY_BITS+1){1'b0}};
    assign req_addr = addr;
    assign beat_valid = held != {(ENTRY_BITS+1){1'b0}};
    assign beat_data = store[read_at*BEAT +: BEAT];

    genvar e;
    generate
        for (e = 0; e < ENTRIES; e = e + 1) begin : g_entry
            localparam [ENTRY_BITS-1:0] HERE = e;
            reg [WIDTH-1:0] entry;
            always @(posedge clk)
                if (rsp_valid && write_at == HERE)
                    entry <= rsp_data;
            assign store[WIDTH*e +: WIDTH] = entry;
        end
    endgenerate

    always @(posedge clk) begin
        if (!rst_n) begin
            active <= 1'b0;
            setup <= 1'b0;
            room <= {1'b1, {ENTRY_BITS{1'b0}}};
            held <= {(ENTRY_BITS+1){1'b0}};
            write_at <= {ENTRY_BITS{1'b0}};
            read_at <= {READ_BITS{1'b0}};
        end else begin
            setup <= start;
            if (setup)
                active <= 1'b1;
            else if (request && row_end && rows_left == 16'd1)
                active <= 1'b0;
            room <= room + {{ENTRY_BITS{1'b0}}, word_end} - {{ENTRY_BITS{1'b0}}, request};
            held <= held + {{ENTRY_BITS{1'b0}}, rsp_valid} - {{ENTRY_BITS{1'b0}}, word_end};
            if (rsp_valid)
                write_at <= write_at + 1'b1;
            if (beat)
                read_at <= read_at + 1'b1;
        end
    end

    always @(posedge clk) begin
        if (start) begin
            addr <= start_addr;
            next_row <= start_addr;
            stride <= start_stride;
            words <= start_words;
            words_left <= start_words;
            rows_left <= start_rows;
        end else begin
            if (request) begin
                addr <= row_end ? next_row : addr + 1'b1;
                words_left <= row_end ? words : words_left - 1'b1;
                if (row_end)
                    rows_left <= rows_left - 1'b1;
            end
            if (setup || (request && row_end))
                next_row <= next_row + stride;
        end
    end
endmodule
