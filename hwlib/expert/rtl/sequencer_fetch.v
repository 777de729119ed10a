// sequencer_fetch: reads the program ahead of its use, up to eight instructions.
// Requests are groups of up to four instructions that end at a multiple of four, so they never cross 4 KiB, and are
// made only when their data has room: r is never refused. A read error travels with its instruction, because
// what is fetched past END does not matter.
// Latency: an instruction is offered two cycles after its last beat. Throughput: as fast as beats come.
module sequencer_fetch #(
    parameter AXI_BYTES = 8
) (
    input  wire                   clk,
    input  wire                   rst_n,
    input  wire                   start,
    input  wire [34:0]            start_addr,
    input  wire                   stop,
    output wire                   idle,
    output wire                   ar_valid,
    input  wire                   ar_ready,
    output wire [39:0]            ar_addr,
    output wire [7:0]             ar_len,
    input  wire                   r_valid,
    input  wire [8*AXI_BYTES-1:0] r_data,
    input  wire                   r_error,
    output reg                    out_valid,
    input  wire                   out_ready,
    output wire [255:0]           out_instr,
    output reg                    out_error
);
    localparam BEATS = 32 / AXI_BYTES;
    localparam BEAT_SHIFT = $clog2(BEATS);
    localparam DEPTH = 8;
    localparam POINTER = $clog2(DEPTH);
    localparam LANE_BITS = BEATS > 1 ? $clog2(BEATS) : 1;
    localparam [LANE_BITS-1:0] LAST_LANE = BEATS > 1 ? {LANE_BITS{1'b1}} : {LANE_BITS{1'b0}};

    reg active, offered;
    reg [34:0] addr;
    reg [POINTER:0] asked, filled, used;
    reg [LANE_BITS-1:0] lane;
    reg [DEPTH-1:0] errors;

    wire [POINTER:0] taken = asked - used;
    wire [2:0] group = 3'd4 - {1'b0, addr[1:0]};
    wire accept = ar_valid && ar_ready;
    wire complete = r_valid && lane == LAST_LANE;
    wire advance = filled != used && (!out_valid || out_ready);
    wire [POINTER-1:0] slot = filled[POINTER-1:0];
    wire error_before = lane != {LANE_BITS{1'b0}} && errors[slot];

    assign idle = asked == filled && !offered;
    assign ar_valid = active && (offered || (!stop && taken <= 4'd4));
    assign ar_addr = {addr, 5'd0};
    assign ar_len = ({5'd0, group} << BEAT_SHIFT) - 8'd1;

    sram_1r1w #(.WIDTH(256), .DEPTH(DEPTH), .GRAIN(8*AXI_BYTES)) buffer (
        .clk(clk), .read_en(advance), .read_addr(used[POINTER-1:0]), .read_data(out_instr),
        .write_en(r_valid), .write_addr(slot), .write_data({BEATS{r_data}}),
        .write_strb({{(BEATS-1){1'b0}}, 1'b1} << lane)
    );

    always @(posedge clk) begin
        if (!rst_n || start) begin
            active <= rst_n;
            offered <= 1'b0;
            asked <= {(POINTER+1){1'b0}};
            filled <= {(POINTER+1){1'b0}};
            used <= {(POINTER+1){1'b0}};
            lane <= {LANE_BITS{1'b0}};
            out_valid <= 1'b0;
        end else begin
            offered <= ar_valid && !ar_ready;
            if (accept)
                asked <= asked + {1'b0, group};
            if (r_valid)
                lane <= complete ? {LANE_BITS{1'b0}} : lane + 1'b1;
            if (complete)
                filled <= filled + 1'b1;
            if (advance)
                used <= used + 1'b1;
            out_valid <= advance || (out_valid && !out_ready);
        end
    end

    always @(posedge clk) begin
        if (start)
            addr <= start_addr;
        else if (accept)
            addr <= {addr[34:2] + 1'b1, 2'd0};
        if (r_valid)
            errors[slot] <= r_error || error_before;
        if (advance)
            out_error <= errors[used[POINTER-1:0]];
    end
endmodule
