// store_unit: STORE; scratchpad words into AXI4 write bursts.
// Three parts run side by side: burst addresses, scratchpad words cut into beats, and the data channel, which takes
// a burst's length when its address was accepted and the one before it is sent. Latency: done comes two cycles after
// the last write response. Throughput: one beat a cycle; instructions do not overlap.
// Faults are reported once every burst begun is finished and answered; the unit then rests until reset.
module store_unit #(
    parameter T = 4,
    parameter D = 4,
    parameter AXI_BYTES = 8
) (
    input  wire                   clk,
    input  wire                   rst_n,
    input  wire                   cmd_valid,
    output wire                   cmd_ready,
    input  wire [255:0]           cmd_instr,
    output reg                    done_valid,
    output wire                   req_valid,
    input  wire                   req_ready,
    output wire [15:0]            req_addr,
    input  wire                   rsp_valid,
    input  wire [8*T*D-1:0]       rsp_data,
    output wire                   aw_valid,
    input  wire                   aw_ready,
    output wire [39:0]            aw_addr,
    output wire [7:0]             aw_len,
    output wire                   w_valid,
    input  wire                   w_ready,
    output wire [8*AXI_BYTES-1:0] w_data,
    output wire                   w_last,
    input  wire                   b_valid,
    output wire                   b_ready,
    input  wire [1:0]             b_resp,
    output reg                    fault_valid,
    output reg  [2:0]             fault_code,
    output wire                   perf_busy,
    output wire                   perf_beat
);
    localparam LOW = $clog2(AXI_BYTES);
    localparam SHIFT = $clog2(T * D / AXI_BYTES);
    localparam BEAT_BITS = 17 + SHIFT;
    localparam [2:0] UNALIGNED = 3'd3, AXI_WRITE = 3'd5;

    wire [39:0] x_dram_addr;
    wire [31:0] x_dram_stride;
    wire [15:0] x_local_addr, x_rows, x_row_words, x_local_stride;
    wire [15:0] unused_wait_load, unused_wait_store, unused_wait_matrix, unused_wait_vector, unused_g_a_addr,
        unused_g_b_addr, unused_g_o_addr, unused_g_k_words, unused_g_a_stride, unused_g_b_stride,
        unused_g_o_stride, unused_g_p_addr, unused_v_a_addr, unused_v_b_addr, unused_v_o_addr, unused_v_cols,
        unused_v_a_stride, unused_v_b_stride, unused_v_o_stride, unused_v_p_addr;
    wire [11:0] unused_g_m_tiles, unused_g_n_tiles, unused_g_r_addr, unused_v_row_blocks, unused_v_r_addr;
    wire [7:0] unused_x_space, unused_opcode, unused_flags;
    wire [3:0] unused_g_gain;
    wire unused_g_o_high;
    wire [2:0] unused_v_frac;
    wire [15:0] unused_v_span;
    wire [1:0] unused_g_act_table;
    wire unused_illegal;
    wire [5:0] unused_x_lane;
    isa_decode decode (
        .instr(cmd_instr), .opcode(unused_opcode), .flags(unused_flags), .wait_load(unused_wait_load),
        .wait_store(unused_wait_store), .wait_matrix(unused_wait_matrix), .wait_vector(unused_wait_vector),
        .x_dram_addr(x_dram_addr), .x_local_addr(x_local_addr), .x_rows(x_rows), .x_row_words(x_row_words),
        .x_dram_stride(x_dram_stride), .x_local_stride(x_local_stride), .x_space(unused_x_space), .x_lane(unused_x_lane),
        .g_a_addr(unused_g_a_addr), .g_b_addr(unused_g_b_addr), .g_o_addr(unused_g_o_addr),
        .g_m_tiles(unused_g_m_tiles), .g_n_tiles(unused_g_n_tiles), .g_k_words(unused_g_k_words),
        .g_a_stride(unused_g_a_stride), .g_b_stride(unused_g_b_stride), .g_o_stride(unused_g_o_stride),
        .g_p_addr(unused_g_p_addr), .g_r_addr(unused_g_r_addr), .g_act_table(unused_g_act_table),
        .g_gain(unused_g_gain), .g_o_high(unused_g_o_high),
        .v_a_addr(unused_v_a_addr), .v_b_addr(unused_v_b_addr), .v_o_addr(unused_v_o_addr),
        .v_row_blocks(unused_v_row_blocks), .v_cols(unused_v_cols), .v_a_stride(unused_v_a_stride),
        .v_b_stride(unused_v_b_stride), .v_o_stride(unused_v_o_stride), .v_p_addr(unused_v_p_addr),
        .v_r_addr(unused_v_r_addr), .v_frac(unused_v_frac),
        .v_span(unused_v_span), .illegal(unused_illegal)
    );

    reg busy, unaligned, failed, dead;
    reg next_valid, sending;
    reg [4:0] next_more, more;
    reg [4:0] outstanding;
    wire addresses_busy, beat_valid;
    wire [4:0] burst_more;
    wire accept = cmd_valid && cmd_ready;
    wire misaligned = x_dram_addr[LOW-1:0] != {LOW{1'b0}} || x_dram_stride[LOW-1:0] != {LOW{1'b0}};
    wire begun = aw_valid && aw_ready;
    wire beat = w_valid && w_ready;
    wire bad = b_valid && b_resp != 2'b00;

    assign cmd_ready = !busy && !dead;
    assign aw_addr[LOW-1:0] = {LOW{1'b0}};
    assign aw_len = {3'd0, burst_more};
    assign w_valid = sending && beat_valid;
    assign w_last = more == 5'd0;
    assign b_ready = 1'b1;
    assign perf_busy = busy;
    assign perf_beat = beat;

    store_unit_addresses #(.ADDR_BITS(40 - LOW), .STRIDE_BITS(32 - LOW), .BEAT_BITS(BEAT_BITS)) addresses (
        .clk(clk), .rst_n(rst_n), .start(accept && !misaligned), .start_addr(x_dram_addr[39:LOW]),
        .start_stride(x_dram_stride[31:LOW]), .start_rows(x_rows),
        .start_beats({{(BEAT_BITS-16){1'b0}}, x_row_words} << SHIFT),
        .hold(next_valid || outstanding[4]), .stop(failed), .busy(addresses_busy),
        .aw_valid(aw_valid), .aw_ready(aw_ready), .aw_addr(aw_addr[39:LOW]), .aw_more(burst_more)
    );

    store_unit_words #(.WIDTH(8*T*D), .BEAT(8*AXI_BYTES)) cutter (
        .clk(clk), .rst_n(rst_n), .start(accept && !misaligned), .start_addr(x_local_addr), .start_rows(x_rows),
        .start_words(x_row_words), .start_stride(x_local_stride),
        .req_valid(req_valid), .req_ready(req_ready), .req_addr(req_addr), .rsp_valid(rsp_valid), .rsp_data(rsp_data),
        .beat_valid(beat_valid), .beat_ready(sending && w_ready), .beat_data(w_data)
    );

    // A burst waits here, its address accepted, until the one before it is sent.
    wire advance = next_valid && (!sending || (beat && w_last));
    wire quiet = !next_valid && !sending && outstanding == 5'd0 && !aw_valid;
    wire finished = busy && !failed && !unaligned && !addresses_busy && quiet;
    wire lost = busy && (unaligned || (failed && quiet));

    always @(posedge clk) begin
        if (!rst_n) begin
            busy <= 1'b0;
            failed <= 1'b0;
            dead <= 1'b0;
            next_valid <= 1'b0;
            sending <= 1'b0;
            outstanding <= 5'd0;
            done_valid <= 1'b0;
            fault_valid <= 1'b0;
        end else begin
            if (accept)
                busy <= 1'b1;
            else if (finished || lost)
                busy <= 1'b0;

            if (begun)
                next_valid <= 1'b1;
            else if (advance)
                next_valid <= 1'b0;

            if (advance)
                sending <= 1'b1;
            else if (beat && w_last)
                sending <= 1'b0;

            if (bad)
                failed <= 1'b1;
            if (lost)
                dead <= 1'b1;
            done_valid <= finished;
            fault_valid <= lost;
            outstanding <= outstanding + {4'd0, begun} - {4'd0, b_valid};
        end
    end

    always @(posedge clk) begin
        fault_code <= failed ? AXI_WRITE : UNALIGNED;
        if (accept)
            unaligned <= misaligned;
        if (begun)
            next_more <= burst_more;
        if (advance)
            more <= next_more;
        else if (beat)
            more <= more - 1'b1;
    end
endmodule
