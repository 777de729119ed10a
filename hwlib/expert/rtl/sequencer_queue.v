// sequencer_queue: the instructions waiting for one engine, and the waits of the first of them.
// The memory's output latch holds the head. A wait, once met, stays met until its instruction leaves (counts only
// rise), so the four comparisons are registered. Latency: three cycles from push to a valid head whose
// waits are met; one cycle from a retired count to valid. Handshake: push only while not full; flush empties.
module sequencer_queue #(
    parameter QUEUE = 4
) (
    input  wire         clk,
    input  wire         rst_n,
    input  wire         flush,
    input  wire         push,
    input  wire [255:0] push_instr,
    output wire         full,
    input  wire [15:0]  retired_load,
    input  wire [15:0]  retired_store,
    input  wire [15:0]  retired_matrix,
    input  wire [15:0]  retired_vector,
    output wire         valid,
    input  wire         ready,
    output wire [255:0] instr,
    output wire         waiting
);
    localparam POINTER = $clog2(QUEUE);
    localparam [POINTER:0] SIZE = {1'b1, {POINTER{1'b0}}};

    reg head, met, held;
    reg [POINTER:0] count;
    reg [POINTER-1:0] write_at, read_at;

    wire leave = valid && ready;
    wire advance = count != {(POINTER+1){1'b0}} && (!head || leave);

    assign full = count == SIZE;
    assign valid = head && met;
    assign waiting = held;

    sram_1r1w #(.WIDTH(256), .DEPTH(QUEUE), .GRAIN(256)) memory (
        .clk(clk), .read_en(advance), .read_addr(read_at), .read_data(instr),
        .write_en(push), .write_addr(write_at), .write_data(push_instr), .write_strb(1'b1)
    );

    wire [15:0] load_lead = retired_load - instr[31:16];
    wire [15:0] store_lead = retired_store - instr[47:32];
    wire [15:0] matrix_lead = retired_matrix - instr[63:48];
    wire [15:0] vector_lead = retired_vector - instr[79:64];
    wire unmet = load_lead[15] || store_lead[15] || matrix_lead[15] || vector_lead[15];

    always @(posedge clk) begin
        if (!rst_n || flush) begin
            head <= 1'b0;
            met <= 1'b0;
            held <= 1'b0;
            count <= {(POINTER+1){1'b0}};
            write_at <= {POINTER{1'b0}};
            read_at <= {POINTER{1'b0}};
        end else begin
            head <= advance || (head && !leave);
            met <= !advance && !leave && head && !unmet;
            held <= head && unmet;
            count <= count + {{POINTER{1'b0}}, push} - {{POINTER{1'b0}}, advance};
            if (push)
                write_at <= write_at + 1'b1;
            if (advance)
                read_at <= read_at + 1'b1;
        end
    end

    wire unused_lead_bits = &{1'b0, load_lead, store_lead, matrix_lead, vector_lead};
endmodule
