// scratchpad: WORDS words of T*D bytes in BANKS low-order interleaved banks, four readers, three writers.
// Latency: a response comes the cycle after its request was accepted, straight from the bank's output latch
// through the crossbar. Throughput: each bank serves one read and one write a cycle.
// Handshake: a port waits while a lower-numbered port wants the same bank, whether or not that one is served.
module scratchpad #(
    parameter T = 4,
    parameter D = 4,
    parameter WORDS = 256,
    parameter BANKS = 4
) (
    input  wire             clk,
    input  wire             rst_n,
    input  wire             r0_req_valid,
    output wire             r0_req_ready,
    input  wire [15:0]      r0_req_addr,
    output wire             r0_rsp_valid,
    output wire [8*T*D-1:0] r0_rsp_data,
    input  wire             r1_req_valid,
    output wire             r1_req_ready,
    input  wire [15:0]      r1_req_addr,
    output wire             r1_rsp_valid,
    output wire [8*T*D-1:0] r1_rsp_data,
    input  wire             r2_req_valid,
    output wire             r2_req_ready,
    input  wire [15:0]      r2_req_addr,
    output wire             r2_rsp_valid,
    output wire [8*T*D-1:0] r2_rsp_data,
    input  wire             r3_req_valid,
    output wire             r3_req_ready,
    input  wire [15:0]      r3_req_addr,
    output wire             r3_rsp_valid,
    output wire [8*T*D-1:0] r3_rsp_data,
    input  wire             w0_valid,
    output wire             w0_ready,
    input  wire [15:0]      w0_addr,
    input  wire [8*T*D-1:0] w0_data,
    input  wire [2*T*D-1:0] w0_strb,
    input  wire             w1_valid,
    output wire             w1_ready,
    input  wire [15:0]      w1_addr,
    input  wire [8*T*D-1:0] w1_data,
    input  wire [T*D-1:0]   w1_strb,
    input  wire             w2_valid,
    output wire             w2_ready,
    input  wire [15:0]      w2_addr,
    input  wire [8*T*D-1:0] w2_data,
    input  wire [T*D-1:0]   w2_strb
);
    localparam WIDTH = 8 * T * D;
    localparam DEPTH = WORDS / BANKS;
    localparam BANK_BITS = $clog2(BANKS);
    localparam ROW_BITS = $clog2(DEPTH);

    wire [BANK_BITS-1:0] r0_bank = r0_req_addr[BANK_BITS-1:0];
    wire [BANK_BITS-1:0] r1_bank = r1_req_addr[BANK_BITS-1:0];
    wire [BANK_BITS-1:0] r2_bank = r2_req_addr[BANK_BITS-1:0];
    wire [BANK_BITS-1:0] r3_bank = r3_req_addr[BANK_BITS-1:0];
    wire [BANK_BITS-1:0] w0_bank = w0_addr[BANK_BITS-1:0];
    wire [BANK_BITS-1:0] w1_bank = w1_addr[BANK_BITS-1:0];
    wire [BANK_BITS-1:0] w2_bank = w2_addr[BANK_BITS-1:0];

    // Arbitration compares ports pairwise, so its depth does not grow with the number of banks.
    assign r0_req_ready = 1'b1;
    assign r1_req_ready = !(r0_req_valid && r0_bank == r1_bank);
    assign r2_req_ready = !(r0_req_valid && r0_bank == r2_bank) && !(r1_req_valid && r1_bank == r2_bank);
    assign r3_req_ready = !(r0_req_valid && r0_bank == r3_bank) && !(r1_req_valid && r1_bank == r3_bank)
                       && !(r2_req_valid && r2_bank == r3_bank);
    assign w0_ready = 1'b1;
    assign w1_ready = !(w0_valid && w0_bank == w1_bank);
    assign w2_ready = !(w0_valid && w0_bank == w2_bank) && !(w1_valid && w1_bank == w2_bank);

    // The matrix unit writes nibbles, the others bytes.
    wire [2*T*D-1:0] w1_nibbles, w2_nibbles;

    genvar k;
    generate
        for (k = 0; k < T*D; k = k + 1) begin : g_nibbles
            assign w1_nibbles[2*k +: 2] = {2{w1_strb[k]}};
            assign w2_nibbles[2*k +: 2] = {2{w2_strb[k]}};
        end
    endgenerate

    wire [BANKS*WIDTH-1:0] bank_data;

    genvar b;
    generate
        for (b = 0; b < BANKS; b = b + 1) begin : g_bank
            localparam [BANK_BITS-1:0] SELF = b;

            wire r0_hit = r0_req_valid && r0_bank == SELF;
            wire r1_hit = r1_req_valid && r1_bank == SELF;
            wire r2_hit = r2_req_valid && r2_bank == SELF;
            wire r3_hit = r3_req_valid && r3_bank == SELF;
            wire w0_hit = w0_valid && w0_bank == SELF;
            wire w1_hit = w1_valid && w1_bank == SELF;
            wire w2_hit = w2_valid && w2_bank == SELF;

            wire [ROW_BITS-1:0] read_row = r0_hit ? r0_req_addr[BANK_BITS +: ROW_BITS]
                                         : r1_hit ? r1_req_addr[BANK_BITS +: ROW_BITS]
                                         : r2_hit ? r2_req_addr[BANK_BITS +: ROW_BITS]
                                         :          r3_req_addr[BANK_BITS +: ROW_BITS];
            wire [ROW_BITS-1:0] write_row = w0_hit ? w0_addr[BANK_BITS +: ROW_BITS]
                                          : w1_hit ? w1_addr[BANK_BITS +: ROW_BITS]
                                          :          w2_addr[BANK_BITS +: ROW_BITS];

            sram_1r1w #(.WIDTH(WIDTH), .DEPTH(DEPTH), .GRAIN(4)) memory (
                .clk(clk),
                .read_en(r0_hit || r1_hit || r2_hit || r3_hit),
                .read_addr(read_row),
                .read_data(bank_data[b*WIDTH +: WIDTH]),
                .write_en(w0_hit || w1_hit || w2_hit),
                .write_addr(write_row),
                .write_data(w0_hit ? w0_data : w1_hit ? w1_data : w2_data),
                .write_strb(w0_hit ? w0_strb : w1_hit ? w1_nibbles : w2_nibbles)
            );
        end
    endgenerate

    reg [3:0] answer;
    reg [BANK_BITS-1:0] r0_from, r1_from, r2_from, r3_from;

    always @(posedge clk) begin
        if (!rst_n)
            answer <= 4'd0;
        else
            answer <= {r3_req_valid && r3_req_ready, r2_req_valid && r2_req_ready,
                       r1_req_valid && r1_req_ready, r0_req_valid};
        r0_from <= r0_bank;
        r1_from <= r1_bank;
        r2_from <= r2_bank;
        r3_from <= r3_bank;
    end

    assign r0_rsp_valid = answer[0];
    assign r1_rsp_valid = answer[1];
    assign r2_rsp_valid = answer[2];
    assign r3_rsp_valid = answer[3];
    assign r0_rsp_data = bank_data[r0_from*WIDTH +: WIDTH];
    assign r1_rsp_data = bank_data[r1_from*WIDTH +: WIDTH];
    assign r2_rsp_data = bank_data[r2_from*WIDTH +: WIDTH];
    assign r3_rsp_data = bank_data[r3_from*WIDTH +: WIDTH];

    wire unused_address_bits = &{1'b0, r0_req_addr, r1_req_addr, r2_req_addr, r3_req_addr, w0_addr, w1_addr, w2_addr};
endmodule
