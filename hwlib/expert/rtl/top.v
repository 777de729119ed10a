// top: the accelerator. AXI4 master for program and data, AXI4-Lite slave for control.
// Connects the blocks; holds the read arbiter, the routing of local writes, and the recovery after faults.
// A fault ends the run only when the data bursts begun are complete and the engines have been reset.
module top #(
    parameter T = 4,
    parameter D = 4,
    parameter WORDS = 1024,
    parameter BANKS = 4,
    parameter AXI_BYTES = 8,
    parameter ACT_LANES = 1,
    parameter ACT_TABLES = 2,
    parameter MATRIX_PARAMS = 256,
    parameter VECTOR_PARAMS = 256,
    parameter ROW_SCALES = 64,
    parameter QUEUE = 4
) (
    input  wire                   clk,
    input  wire                   rst_n,
    input  wire                   s_axil_awvalid,
    output wire                   s_axil_awready,
    input  wire [11:0]            s_axil_awaddr,
    input  wire                   s_axil_wvalid,
    output wire                   s_axil_wready,
    input  wire [31:0]            s_axil_wdata,
    input  wire [3:0]             s_axil_wstrb,
    output wire                   s_axil_bvalid,
    input  wire                   s_axil_bready,
    output wire [1:0]             s_axil_bresp,
    input  wire                   s_axil_arvalid,
    output wire                   s_axil_arready,
    input  wire [11:0]            s_axil_araddr,
    output wire                   s_axil_rvalid,
    input  wire                   s_axil_rready,
    output wire [31:0]            s_axil_rdata,
    output wire [1:0]             s_axil_rresp,
    output wire                   m_axi_arvalid,
    input  wire                   m_axi_arready,
    output wire                   m_axi_arid,
    output wire [39:0]            m_axi_araddr,
    output wire [7:0]             m_axi_arlen,
    output wire [2:0]             m_axi_arsize,
    output wire [1:0]             m_axi_arburst,
    input  wire                   m_axi_rvalid,
    output wire                   m_axi_rready,
    input  wire                   m_axi_rid,
    input  wire [8*AXI_BYTES-1:0] m_axi_rdata,
    input  wire [1:0]             m_axi_rresp,
    input  wire                   m_axi_rlast,
    output wire                   m_axi_awvalid,
    input  wire                   m_axi_awready,
    output wire [39:0]            m_axi_awaddr,
    output wire [7:0]             m_axi_awlen,
    output wire [2:0]             m_axi_awsize,
    output wire [1:0]             m_axi_awburst,
    output wire                   m_axi_wvalid,
    input  wire                   m_axi_wready,
    output wire [8*AXI_BYTES-1:0] m_axi_wdata,
    output wire [AXI_BYTES-1:0]   m_axi_wstrb,
    output wire                   m_axi_wlast,
    input  wire                   m_axi_bvalid,
    output wire                   m_axi_bready,
    input  wire [1:0]             m_axi_bresp,
    output wire                   irq_line
);
    localparam WORD = 8 * T * D;
    localparam [31:0] BEAT_SIZE = $clog2(AXI_BYTES);
    localparam [1:0] INCR = 2'b01;
    localparam [1:0] SCRATCHPAD = 2'd0, MATRIX_PARAMETERS = 2'd1, VECTOR_PARAMETERS = 2'd2, TABLES = 2'd3;

    wire engines_rst_n, stop;

    // Control and sequencing.
    wire start_valid, end_valid, finish_valid;
    wire [39:0] start_addr;
    wire [2:0] end_fault, finish_fault;
    wire [31:0] end_pc, finish_pc;
    wire running, issue, wait_load, wait_store, wait_matrix, wait_vector;
    wire matrix_busy, matrix_mac, operand_stall, drain_stall, vector_busy, load_busy, store_busy, read_beat, write_beat;

    control #(.T(T), .D(D), .AXI_BYTES(AXI_BYTES)) registers (
        .clk(clk), .rst_n(rst_n), .aw_valid(s_axil_awvalid), .aw_ready(s_axil_awready), .aw_addr(s_axil_awaddr),
        .w_valid(s_axil_wvalid), .w_ready(s_axil_wready), .w_data(s_axil_wdata), .w_strb(s_axil_wstrb),
        .b_valid(s_axil_bvalid), .b_ready(s_axil_bready), .b_resp(s_axil_bresp), .ar_valid(s_axil_arvalid),
        .ar_ready(s_axil_arready), .ar_addr(s_axil_araddr), .r_valid(s_axil_rvalid), .r_ready(s_axil_rready),
        .r_data(s_axil_rdata), .r_resp(s_axil_rresp), .start_valid(start_valid), .start_addr(start_addr),
        .finish_valid(finish_valid), .finish_fault(finish_fault), .finish_pc(finish_pc), .event_running(running),
        .event_issue(issue), .event_mac(matrix_mac), .event_matrix_busy(matrix_busy),
        .event_operand_stall(operand_stall), .event_drain_stall(drain_stall), .event_vector_busy(vector_busy),
        .event_load_busy(load_busy), .event_store_busy(store_busy), .event_read_beat(read_beat),
        .event_write_beat(write_beat), .event_wait_load(wait_load), .event_wait_store(wait_store),
        .event_wait_matrix(wait_matrix), .event_wait_vector(wait_vector), .irq_line(irq_line)
    );

    wire fetch_ar_valid, fetch_ar_ready, fetch_r_valid, fetch_r_ready;
    wire [39:0] fetch_ar_addr;
    wire [7:0] fetch_ar_len;
    wire load_valid, load_ready, store_valid, store_ready, matrix_valid, matrix_ready, vector_valid, vector_ready;
    wire [255:0] load_instr, store_instr, matrix_instr, vector_instr;
    wire load_done, store_done, matrix_done, vector_done;
    wire load_fault, store_fault;
    wire [2:0] load_fault_code, store_fault_code;
    sequencer #(.AXI_BYTES(AXI_BYTES), .QUEUE(QUEUE), .WORDS(WORDS), .D(D)) dispatch (
        .clk(clk), .rst_n(rst_n), .start_valid(start_valid), .start_addr(start_addr), .finish_valid(end_valid),
        .finish_fault(end_fault), .finish_pc(end_pc), .ar_valid(fetch_ar_valid), .ar_ready(fetch_ar_ready),
        .ar_addr(fetch_ar_addr), .ar_len(fetch_ar_len), .r_valid(fetch_r_valid), .r_ready(fetch_r_ready),
        .r_data(m_axi_rdata), .r_resp(m_axi_rresp), .r_last(m_axi_rlast), .load_valid(load_valid),
        .load_ready(load_ready), .load_instr(load_instr), .store_valid(store_valid), .store_ready(store_ready),
        .store_instr(store_instr), .matrix_valid(matrix_valid), .matrix_ready(matrix_ready),
        .matrix_instr(matrix_instr), .vector_valid(vector_valid), .vector_ready(vector_ready),
        .vector_instr(vector_instr), .retire_load(load_done), .retire_store(store_done),
        .retire_matrix(matrix_done), .retire_vector(vector_done), .fault_valid(load_fault || store_fault),
        .fault_code(load_fault ? load_fault_code : store_fault_code), .perf_running(running), .perf_issue(issue),
        .perf_wait_load(wait_load), .perf_wait_store(wait_store), .perf_wait_matrix(wait_matrix),
        .perf_wait_vector(wait_vector)
    );

    // Recovery: writes begun but not answered count as bus activity, as do reads.
    wire read_busy, write_offer;
    reg write_held;
    reg [9:0] writes;
    wire store_aw_valid;
    wire write_begun = m_axi_awvalid && m_axi_awready;
    wire write_ended = m_axi_bvalid && m_axi_bready;

    assign write_offer = store_aw_valid && (write_held || !stop);
    assign m_axi_awvalid = write_offer;

    always @(posedge clk) begin
        if (!rst_n) begin
            write_held <= 1'b0;
            writes <= 10'd0;
        end else begin
            write_held <= write_offer && !m_axi_awready;
            writes <= writes + {9'd0, write_begun} - {9'd0, write_ended};
        end
    end

    top_recovery recovery (
        .clk(clk), .rst_n(rst_n), .in_valid(end_valid), .in_fault(end_fault), .in_pc(end_pc),
        .out_valid(finish_valid), .out_fault(finish_fault), .out_pc(finish_pc),
        .bus_busy(read_busy || write_held || writes != 10'd0), .stop(stop), .engines_rst_n(engines_rst_n)
    );

    // Load: memory to local storage.
    wire load_ar_valid, load_ar_ready, load_r_valid, load_r_ready;
    wire [39:0] load_ar_addr;
    wire [7:0] load_ar_len;
    wire local_valid, scratchpad_ready;
    wire [1:0] local_space;
    wire [15:0] local_addr;
    wire [WORD-1:0] local_data;
    wire [T*D-1:0] local_strb;
    wire to_scratchpad = local_valid && local_space == SCRATCHPAD;
    wire to_matrix = local_valid && local_space == MATRIX_PARAMETERS;
    wire to_vector = local_valid && local_space == VECTOR_PARAMETERS;
    wire to_tables = local_valid && local_space == TABLES;

    top_read_arbiter reads (
        .clk(clk), .rst_n(rst_n), .stop(stop), .busy(read_busy),
        .fetch_ar_valid(fetch_ar_valid), .fetch_ar_ready(fetch_ar_ready), .fetch_ar_addr(fetch_ar_addr),
        .fetch_ar_len(fetch_ar_len), .fetch_r_valid(fetch_r_valid), .fetch_r_ready(fetch_r_ready),
        .data_ar_valid(load_ar_valid), .data_ar_ready(load_ar_ready), .data_ar_addr(load_ar_addr),
        .data_ar_len(load_ar_len), .data_r_valid(load_r_valid), .data_r_ready(load_r_ready),
        .ar_valid(m_axi_arvalid), .ar_ready(m_axi_arready), .ar_id(m_axi_arid), .ar_addr(m_axi_araddr),
        .ar_len(m_axi_arlen), .r_valid(m_axi_rvalid), .r_ready(m_axi_rready), .r_id(m_axi_rid), .r_last(m_axi_rlast)
    );
    assign m_axi_arsize = BEAT_SIZE[2:0];
    assign m_axi_arburst = INCR;

    load_unit #(.T(T), .D(D), .AXI_BYTES(AXI_BYTES)) loader (
        .clk(clk), .rst_n(engines_rst_n), .cmd_valid(load_valid), .cmd_ready(load_ready), .cmd_instr(load_instr),
        .done_valid(load_done), .ar_valid(load_ar_valid), .ar_ready(load_ar_ready), .ar_addr(load_ar_addr),
        .ar_len(load_ar_len), .r_valid(load_r_valid), .r_ready(load_r_ready), .r_data(m_axi_rdata),
        .r_resp(m_axi_rresp), .r_last(m_axi_rlast), .local_valid(local_valid),
        .local_ready(local_space != SCRATCHPAD || scratchpad_ready), .local_space(local_space),
        .local_addr(local_addr), .local_data(local_data), .local_strb(local_strb), .fault_valid(load_fault),
        .fault_code(load_fault_code), .perf_busy(load_busy), .perf_beat(read_beat)
    );

    // Store: scratchpad to memory.
    wire [3:0] req_valid, req_ready, rsp_valid;
    wire [15:0] req0_addr, req1_addr, req2_addr, req3_addr;
    wire [WORD-1:0] rsp0_data, rsp1_data, rsp2_data, rsp3_data;

    store_unit #(.T(T), .D(D), .AXI_BYTES(AXI_BYTES)) storer (
        .clk(clk), .rst_n(engines_rst_n), .cmd_valid(store_valid), .cmd_ready(store_ready),
        .cmd_instr(store_instr), .done_valid(store_done), .req_valid(req_valid[3]), .req_ready(req_ready[3]),
        .req_addr(req3_addr), .rsp_valid(rsp_valid[3]), .rsp_data(rsp3_data), .aw_valid(store_aw_valid),
        .aw_ready(m_axi_awready && write_offer), .aw_addr(m_axi_awaddr), .aw_len(m_axi_awlen),
        .w_valid(m_axi_wvalid), .w_ready(m_axi_wready), .w_data(m_axi_wdata), .w_last(m_axi_wlast),
        .b_valid(m_axi_bvalid), .b_ready(m_axi_bready), .b_resp(m_axi_bresp), .fault_valid(store_fault),
        .fault_code(store_fault_code), .perf_busy(store_busy), .perf_beat(write_beat)
    );
    assign m_axi_awsize = BEAT_SIZE[2:0];
    assign m_axi_awburst = INCR;
    assign m_axi_wstrb = {AXI_BYTES{1'b1}};

    // Compute.
    wire matrix_o_valid, matrix_o_ready, vector_w_valid, vector_w_ready, scales_valid;
    wire [15:0] matrix_o_addr, vector_w_addr;
    wire [WORD-1:0] matrix_o_data, vector_w_data;
    wire [2*T*D-1:0] matrix_o_strb;
    wire [T*D-1:0] vector_w_strb;
    wire [11:0] scales_addr;
    wire [24*T-1:0] scales_data;

    matrix_unit #(.T(T), .D(D), .ACT_LANES(ACT_LANES), .ACT_TABLES(ACT_TABLES), .PARAMS(MATRIX_PARAMS),
                  .ROW_SCALES(ROW_SCALES)) matrix (
        .clk(clk), .rst_n(engines_rst_n), .cmd_valid(matrix_valid), .cmd_ready(matrix_ready),
        .cmd_instr(matrix_instr), .done_valid(matrix_done), .a_req_valid(req_valid[0]), .a_req_ready(req_ready[0]),
        .a_req_addr(req0_addr), .a_rsp_valid(rsp_valid[0]), .a_rsp_data(rsp0_data), .b_req_valid(req_valid[1]),
        .b_req_ready(req_ready[1]), .b_req_addr(req1_addr), .b_rsp_valid(rsp_valid[1]), .b_rsp_data(rsp1_data),
        .o_valid(matrix_o_valid), .o_ready(matrix_o_ready), .o_addr(matrix_o_addr), .o_data(matrix_o_data),
        .o_strb(matrix_o_strb), .par_valid(to_matrix), .par_addr(local_addr), .par_data(local_data),
        .tab_valid(to_tables), .tab_addr(local_addr), .tab_data(local_data), .rs_valid(scales_valid),
        .rs_addr(scales_addr), .rs_data(scales_data), .perf_busy(matrix_busy), .perf_mac(matrix_mac),
        .perf_operand_stall(operand_stall), .perf_drain_stall(drain_stall)
    );
    vector_unit #(.T(T), .D(D), .PARAMS(VECTOR_PARAMS)) vector (
        .clk(clk), .rst_n(engines_rst_n), .cmd_valid(vector_valid), .cmd_ready(vector_ready),
        .cmd_instr(vector_instr), .done_valid(vector_done), .r_req_valid(req_valid[2]), .r_req_ready(req_ready[2]),
        .r_req_addr(req2_addr), .r_rsp_valid(rsp_valid[2]), .r_rsp_data(rsp2_data), .w_valid(vector_w_valid),
        .w_ready(vector_w_ready), .w_addr(vector_w_addr), .w_data(vector_w_data), .w_strb(vector_w_strb),
        .par_valid(to_vector), .par_addr(local_addr), .par_data(local_data), .rs_valid(scales_valid),
        .rs_addr(scales_addr), .rs_data(scales_data), .perf_busy(vector_busy)
    );

    scratchpad #(.T(T), .D(D), .WORDS(WORDS), .BANKS(BANKS)) words (
        .clk(clk), .rst_n(rst_n), .r0_req_valid(req_valid[0]), .r0_req_ready(req_ready[0]),
        .r0_req_addr(req0_addr), .r0_rsp_valid(rsp_valid[0]), .r0_rsp_data(rsp0_data), .r1_req_valid(req_valid[1]),
        .r1_req_ready(req_ready[1]), .r1_req_addr(req1_addr), .r1_rsp_valid(rsp_valid[1]), .r1_rsp_data(rsp1_data),
        .r2_req_valid(req_valid[2]), .r2_req_ready(req_ready[2]), .r2_req_addr(req2_addr),
        .r2_rsp_valid(rsp_valid[2]), .r2_rsp_data(rsp2_data), .r3_req_valid(req_valid[3]),
        .r3_req_ready(req_ready[3]), .r3_req_addr(req3_addr), .r3_rsp_valid(rsp_valid[3]), .r3_rsp_data(rsp3_data),
        .w0_valid(matrix_o_valid), .w0_ready(matrix_o_ready), .w0_addr(matrix_o_addr), .w0_data(matrix_o_data),
        .w0_strb(matrix_o_strb), .w1_valid(vector_w_valid), .w1_ready(vector_w_ready), .w1_addr(vector_w_addr),
        .w1_data(vector_w_data), .w1_strb(vector_w_strb), .w2_valid(to_scratchpad), .w2_ready(scratchpad_ready),
        .w2_addr(local_addr), .w2_data(local_data), .w2_strb(local_strb)
    );

    wire unused_size_bits = &{1'b0, BEAT_SIZE};
endmodule
