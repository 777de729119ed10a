// matrix_unit_operand: prefetch queue of one operand, WORDS words in a memory whose output register is
// the operand of the array.
// Latency: a response can be read the cycle after it came, and is at `word` the cycle after that.
// Throughput: one word a cycle. `read` only while `there`; word holds until the next read. The user
// never asks for more words than the queue has places.
module matrix_unit_operand #(
    parameter BITS = 128,
    parameter WORDS = 8
) (
    input  wire            clk,
    input  wire            rst_n,
    input  wire            rsp_valid,
    input  wire [BITS-1:0] rsp_data,
    output wire            there,
    input  wire            read,
    output wire [BITS-1:0] word
);
    localparam PLACE_W = $clog2(WORDS);

    reg [PLACE_W-1:0] write_place;
    reg [PLACE_W-1:0] read_place;
    reg [PLACE_W:0]   count;

    assign there = count != 0;

    always @(posedge clk) begin
        if (!rst_n) begin
            write_place <= 0;
            read_place  <= 0;
            count       <= 0;
        end else begin
            if (rsp_valid)
                write_place <= write_place + 1'b1;
            if (read)
                read_place <= read_place + 1'b1;
            if (rsp_valid != read)
                count <= rsp_valid ? count + 1'b1 : count - 1'b1;
        end
    end

    sram_1r1w #(.WIDTH(BITS), .DEPTH(WORDS), .GRAIN(BITS)) memory (
        .clk        (clk),
        .read_en    (read),
        .read_addr  (read_place),
        .read_data  (word),
        .write_en   (rsp_valid),
        .write_addr (write_place),
        .write_data (rsp_data),
        .write_strb (1'b1)
    );
endmodule
