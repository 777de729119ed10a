// matrix_unit_fifo: a queue of DEPTH words of WIDTH bits in registers.
// Latency 1 cycle; one word in and one out a cycle. in_ready and out_valid come from registers.
module matrix_unit_fifo #(
    parameter WIDTH = 8,
    parameter DEPTH = 2
) (
    input  wire             clk,
    input  wire             rst_n,
    input  wire             in_valid,
    output wire             in_ready,
    input  wire [WIDTH-1:0] in_data,
    output wire             out_valid,
    input  wire             out_ready,
    output wire [WIDTH-1:0] out_data
);
    localparam COUNT_W = $clog2(DEPTH + 1);
    localparam [COUNT_W-1:0] FULL = DEPTH[COUNT_W-1:0];

    reg [WIDTH*DEPTH-1:0] words; // newest lowest
    reg [COUNT_W-1:0]     count;

    wire               push   = in_valid && in_ready;
    wire               pop    = out_valid && out_ready;
    wire [COUNT_W-1:0] oldest = out_valid ? count - 1'b1 : {COUNT_W{1'b0}};

    assign in_ready  = count != FULL;
    assign out_valid = count != 0;
    assign out_data  = words[WIDTH*oldest +: WIDTH];

    always @(posedge clk) begin
        if (!rst_n)
            count <= 0;
        else if (push != pop)
            count <= push ? count + 1'b1 : count - 1'b1;
    end

    always @(posedge clk)
        if (push)
            words <= {words[WIDTH*(DEPTH-1)-1:0], in_data};
endmodule
