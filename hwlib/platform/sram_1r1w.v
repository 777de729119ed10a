// sram_1r1w: a memory with one read and one write port.
// Latency: read data one cycle after read_en, held until the next read_en.
// Throughput: one read and one write a cycle. A read of the word being written in the same
// cycle returns old or new bytes: users must not depend on it. Not reset.
// Synthesis counts it apart, as a memory macro.
module sram_1r1w #(
    parameter WIDTH = 32,
    parameter DEPTH = 64,
    parameter GRAIN = 8,
    parameter ADDR_BITS = $clog2(DEPTH)
) (
    input  wire                     clk,
    input  wire                     read_en,
    input  wire [ADDR_BITS-1:0]     read_addr,
    output reg  [WIDTH-1:0]         read_data,
    input  wire                     write_en,
    input  wire [ADDR_BITS-1:0]     write_addr,
    input  wire [WIDTH-1:0]         write_data,
    input  wire [WIDTH/GRAIN-1:0]   write_strb
);
    reg [WIDTH-1:0] mem [0:DEPTH-1];
    integer g;

    always @(posedge clk) begin
        if (read_en)
            read_data <= mem[read_addr];
        if (write_en)
            for (g = 0; g < WIDTH / GRAIN; g = g + 1)
                if (write_strb[g])
                    mem[write_addr][g*GRAIN +: GRAIN] <= write_data[g*GRAIN +: GRAIN];
    end
endmodule
