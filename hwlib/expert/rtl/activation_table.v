// activation_table: TABLES tables of 256 bytes, written by words of WORD_BYTES, read by the byte.
// Latency: value one cycle after read_en, held until the next. Throughput: a read and a write a cycle.
// WORD_BYTES is a power of two; of a word longer than all tables together only the first bytes count.
module activation_table #(
    parameter WORD_BYTES = 16,
    parameter TABLES = 2
) (
    input  wire                    clk,
    input  wire                    tab_valid,
    input  wire [15:0]             tab_addr,
    input  wire [8*WORD_BYTES-1:0] tab_data,
    input  wire                    read_en,
    input  wire [9:0]              entry,
    output wire [7:0]              value
);
    localparam BYTES  = 256 * TABLES;
    localparam SPAN   = (WORD_BYTES < BYTES) ? WORD_BYTES : BYTES;
    localparam WORDS  = (BYTES + SPAN - 1) / SPAN;
    localparam DEPTH  = (WORDS > 1) ? WORDS : 2;
    localparam ADDR_W = $clog2(DEPTH);
    localparam SPAN_W = $clog2(SPAN);
    localparam [16:0] END = WORDS[16:0];

    wire [9:0]        shifted = entry >> SPAN_W;
    wire [8*SPAN-1:0] word;
    reg  [SPAN_W-1:0] offset;
    wire              unused = ^tab_data ^ ^shifted;

    always @(posedge clk)
        if (read_en)
            offset <= entry[SPAN_W-1:0];

    assign value = word[8*offset +: 8];

    sram_1r1w #(.WIDTH(8*SPAN), .DEPTH(DEPTH), .GRAIN(8*SPAN)) memory (
        .clk        (clk),
        .read_en    (read_en),
        .read_addr  (shifted[ADDR_W-1:0]),
        .read_data  (word),
        .write_en   (tab_valid && {1'b0, tab_addr} < END),
        .write_addr (tab_addr[ADDR_W-1:0]),
        .write_data (tab_data[8*SPAN-1:0]),
        .write_strb (1'b1)
    );
endmodule
