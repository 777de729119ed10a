// matrix_unit_unpack: prefetch queue of operand B with the array's operand register behind it, where int4
// words become int8.
// A word leaves the queue for the memory's output as soon as that is free, and goes from there into `word`:
// whole, or (narrow) once for the low and once for the high nibbles of its bytes, extended by their signs. A tile
// starts with a fresh word, so the last high nibbles may be left over.
// Latency: a response can be taken 2 cycles after it came, and is at `word` the cycle after that.
// Throughput: one step a cycle, narrow or not. `take` only while `there`; word holds until the next take.
module matrix_unit_unpack #(
    parameter BITS = 128,
    parameter WORDS = 8
) (
    input  wire            clk,
    input  wire            rst_n,
    input  wire            rsp_valid,
    input  wire [BITS-1:0] rsp_data,
    output reg             there,
    input  wire            take,
    input  wire            narrow,
    input  wire            tile_end,
    output reg  [BITS-1:0] word
);
    reg             upper; // the low nibbles were taken
    wire            queued;
    wire            spent = take && (!narrow || upper || tile_end);
    wire            read  = queued && (!there || spent);
    wire [BITS-1:0] packed_word;
    wire [BITS-1:0] bytes;

    matrix_unit_operand #(.BITS(BITS), .WORDS(WORDS)) queue (
        .clk       (clk),
        .rst_n     (rst_n),
        .rsp_valid (rsp_valid),
        .rsp_data  (rsp_data),
        .there     (queued),
        .read      (read),
        .word      (packed_word)
    );

    always @(posedge clk) begin
        if (!rst_n) begin
            there <= 1'b0;
            upper <= 1'b0;
        end else begin
            there <= read || (there && !spent);
            if (take)
                upper <= !spent;
        end
    end

    always @(posedge clk)
        if (take)
            word <= bytes;

    genvar n;
    generate
        for (n = 0; n < BITS; n = n + 8) begin : lane
            wire [3:0] low  = packed_word[n +: 4];
            wire [3:0] high = packed_word[n+4 +: 4];
            wire       sign = upper ? high[3] : low[3];

            assign bytes[n +: 4]   = upper ? high : low;
            assign bytes[n+4 +: 4] = narrow ? {4{sign}} : high;
        end
    endgenerate
endmodule
