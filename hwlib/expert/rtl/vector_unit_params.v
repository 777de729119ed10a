// vector_unit_params: the vector parameter memory, written by the word, read by the 64-bit entry.
// Latency 1 cycle; the entry stays until the next read. Entry e is bytes 8e..8e+7 of the space.
module vector_unit_params #(
    parameter T      = 4,
    parameter D      = 4,
    parameter PARAMS = 256
) (
    input  wire             clk,
    input  wire             par_valid,
    input  wire [15:0]      par_addr,
    input  wire [8*T*D-1:0] par_data,
    input  wire             read,
    input  wire [15:0]      index,
    output wire [63:0]      entry
);
    localparam WORD    = 8 * T * D;
    localparam ENTRIES = T * D / 8;
    localparam SUB     = $clog2(ENTRIES);
    localparam SUB_W   = (ENTRIES > 1) ? SUB : 1;
    localparam WORDS   = (PARAMS > ENTRIES) ? PARAMS / ENTRIES : 2;
    localparam ADDR_W  = $clog2(WORDS);

    reg  [SUB_W-1:0] chosen;
    wire [WORD-1:0]  word;
    wire [15:0]      read_word = index >> SUB;

    sram_1r1w #(.WIDTH(WORD), .DEPTH(WORDS), .GRAIN(WORD), .ADDR_BITS(ADDR_W)) u_memory (
        .clk(clk),
        .read_en(read),
        .read_addr(read_word[ADDR_W-1:0]),
        .read_data(word),
        .write_en(par_valid),
        .write_addr(par_addr[ADDR_W-1:0]),
        .write_data(par_data),
        .write_strb(1'b1)
    );

    always @(posedge clk)
        if (read)
            chosen <= (ENTRIES > 1) ? index[SUB_W-1:0] : {SUB_W{1'b0}};

    assign entry = word[64*chosen +: 64];

    wire unused = &{1'b0, par_addr[15:ADDR_W], read_word[15:ADDR_W]};
endmodule
