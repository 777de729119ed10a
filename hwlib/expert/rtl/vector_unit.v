// vector_unit: runs LAYERNORM, RMSNORM, SOFTMAX, ADD, MUL and ROPE over matrices in the scratchpad, one at a time.
// Throughput: one column a cycle in each pass; reads run ahead over words, passes and row-blocks as far as
// the fetch buffer reaches, which hides a read latency of up to 4 cycles. LAYERNORM and RMSNORM take 2*cols + 70 cycles
// a row-block, SOFTMAX 2*cols, the others cols, or as many cycles as words are read or written. Streams are valid/ready; r_rsp and rs are never refused.
//
// vector_unit_fetch turns words into columns, one of three cores computes, vector_unit_pack turns columns into
// words. In place: a word is written only after its last column has been read for the last time.
module vector_unit #(
    parameter T      = 4,
    parameter D      = 4,
    parameter PARAMS = 256
) (
    input  wire             clk,
    input  wire             rst_n,
    input  wire             cmd_valid,
    output wire             cmd_ready,
    input  wire [255:0]     cmd_instr,
    output wire             done_valid,
    output wire             r_req_valid,
    input  wire             r_req_ready,
    output wire [15:0]      r_req_addr,
    input  wire             r_rsp_valid,
    input  wire [8*T*D-1:0] r_rsp_data,
    output wire             w_valid,
    input  wire             w_ready,
    output wire [15:0]      w_addr,
    output wire [8*T*D-1:0] w_data,
    output wire [T*D-1:0]   w_strb,
    input  wire             par_valid,
    input  wire [15:0]      par_addr,
    input  wire [8*T*D-1:0] par_data,
    output wire             rs_valid,
    output wire [11:0]      rs_addr,
    output wire [24*T-1:0]  rs_data,
    output wire             perf_busy
);
    localparam [7:0] LAYERNORM = 8'h30, SOFTMAX = 8'h31, ADD = 8'h32, RMSNORM = 8'h33, MUL = 8'h34, ROPE = 8'h35;
    localparam [1:0] OP_ADD = 2'd0, OP_MULTIPLY = 2'd1, OP_ROTATE = 2'd2;
    localparam CAUSAL = 0, WIDE = 0, WIDE_OUT = 1; // flags

    // The instruction.
    wire [7:0]  opcode, flags, x_space;
    wire [15:0] a_addr, b_addr, o_addr, cols_field, a_stride, b_stride, o_stride, p_addr_field, span;
    wire [11:0] row_blocks, r_addr;
    wire [2:0]  frac_field;
    wire        illegal;
    wire [15:0] wait_load, wait_store, wait_matrix, wait_vector;
    wire [39:0] x_dram_addr;
    wire [15:0] x_local_addr, x_rows, x_row_words, x_local_stride;
    wire [31:0] x_dram_stride;
    wire [5:0]  x_lane;
    wire [15:0] g_a_addr, g_b_addr, g_o_addr, g_k_words, g_a_stride, g_b_stride, g_o_stride, g_p_addr;
    wire [11:0] g_m_tiles, g_n_tiles, g_r_addr;
    wire [1:0]  g_act_table;
    wire [3:0]  g_gain;
    wire        g_o_high;

    isa_decode u_decode (
        .instr(cmd_instr), .opcode(opcode), .flags(flags), .illegal(illegal),
        .wait_load(wait_load), .wait_store(wait_store), .wait_matrix(wait_matrix), .wait_vector(wait_vector),
        .x_dram_addr(x_dram_addr), .x_local_addr(x_local_addr), .x_rows(x_rows), .x_row_words(x_row_words),
        .x_dram_stride(x_dram_stride), .x_local_stride(x_local_stride), .x_space(x_space), .x_lane(x_lane),
        .g_a_addr(g_a_addr), .g_b_addr(g_b_addr), .g_o_addr(g_o_addr), .g_m_tiles(g_m_tiles),
        .g_n_tiles(g_n_tiles), .g_k_words(g_k_words), .g_a_stride(g_a_stride), .g_b_stride(g_b_stride),
        .g_o_stride(g_o_stride), .g_p_addr(g_p_addr), .g_r_addr(g_r_addr), .g_act_table(g_act_table),
        .g_gain(g_gain),
        .g_o_high(g_o_high),
        .v_a_addr(a_addr), .v_b_addr(b_addr), .v_o_addr(o_addr), .v_row_blocks(row_blocks),
        .v_cols(cols_field), .v_a_stride(a_stride), .v_b_stride(b_stride), .v_o_stride(o_stride),
        .v_p_addr(p_addr_field), .v_r_addr(r_addr), .v_frac(frac_field), .v_span(span)
    );

    wire unused = &{1'b0, flags[7:2], illegal, wait_load, wait_store, wait_matrix, wait_vector, x_dram_addr,
                    x_local_addr, x_rows, x_row_words, x_dram_stride, x_local_stride, x_space, x_lane,
                    g_a_addr,
                    g_b_addr, g_o_addr, g_m_tiles, g_n_tiles, g_k_words, g_a_stride, g_b_stride, g_o_stride,
                    g_p_addr, g_r_addr, g_act_table, g_gain, g_o_high, cols_field[15:13]};

    reg         busy;
    reg         is_norm, is_softmax, is_eltwise;
    reg         rms, wide, wide_out;
    reg  [1:0]  op;
    reg  [12:0] cols;
    reg  [15:0] p_addr;
    reg  [2:0]  frac;
    wire        start = cmd_valid && cmd_ready;
    wire        starts_eltwise = opcode == ADD || opcode == MUL || opcode == ROPE;
    wire        starts_wide = opcode == ADD && flags[WIDE];
    wire        starts_wide_out = opcode == ADD && flags[WIDE_OUT];
    wire [11:0] last_column = cols_field[11:0] - 12'd1;
    wire        packed_all;
    reg  [11:0] scales_due; // row scales still to come

    assign cmd_ready  = !busy;
    assign done_valid = busy && packed_all && scales_due == 12'd0;
    assign perf_busy  = busy;

    always @(posedge clk)
        if (!rst_n)
            busy <= 1'b0;
        else
            busy <= busy ? !done_valid : cmd_valid;

    always @(posedge clk)
        if (start) begin
            is_norm    <= opcode == LAYERNORM || opcode == RMSNORM;
            is_softmax <= opcode == SOFTMAX;
            is_eltwise <= starts_eltwise;
            rms        <= opcode == RMSNORM;
            wide       <= starts_wide;
            wide_out   <= starts_wide_out;
            op         <= (opcode == MUL) ? OP_MULTIPLY : (opcode == ROPE) ? OP_ROTATE : OP_ADD;
            cols       <= cols_field[12:0];
            p_addr     <= p_addr_field;
            frac       <= frac_field;
        end

    // Words to columns.
    wire           x_valid, x_ready, x_pass, x_last, turn;
    wire [8*T-1:0] x_a, x_high, x_b;
    wire [T-1:0]   x_mask;
    wire [11:0]    upcoming;

    vector_unit_fetch #(.T(T), .D(D)) u_fetch (
        .clk(clk),
        .rst_n(rst_n),
        .start(start),
        .two(starts_eltwise),
        .wide(starts_wide),
        .causal(opcode == SOFTMAX && flags[CAUSAL]),
        .a_addr(a_addr),
        .b_addr(b_addr),
        .span(span),
        .a_stride(a_stride),
        .b_stride(b_stride),
        .row_blocks(row_blocks),
        .last_column(last_column),
        .r_req_valid(r_req_valid),
        .r_req_ready(r_req_ready),
        .r_req_addr(r_req_addr),
        .r_rsp_valid(r_rsp_valid),
        .r_rsp_data(r_rsp_data),
        .x_valid(x_valid),
        .x_ready(x_ready),
        .x_a(x_a),
        .x_high(x_high),
        .x_b(x_b),
        .x_mask(x_mask),
        .x_pass(x_pass),
        .x_last(x_last),
        .turn(turn),
        .upcoming(upcoming)
    );

    // Parameters: a norm's entry comes beside its column; eltwise's two are fetched before its first column, the
    // multipliers into registers, and the memory's output keeps the first entry's bias and shift.
    wire [63:0] entry;
    reg  [15:0] mult_a, mult_b;
    reg  [2:0]  fetch_step;
    wire        fetch = is_eltwise && (fetch_step[0] || fetch_step[1]);
    wire [15:0] p_offset = is_eltwise ? {15'b0, fetch_step[0]} : {4'b0, upcoming};

    vector_unit_params #(.T(T), .D(D), .PARAMS(PARAMS)) u_params (
        .clk(clk),
        .par_valid(par_valid),
        .par_addr(par_addr),
        .par_data(par_data),
        .read(fetch || (is_norm && turn)),
        .index(p_addr + p_offset),
        .entry(entry)
    );

    always @(posedge clk)
        if (!rst_n)
            fetch_step <= 3'b0;
        else
            fetch_step <= {fetch_step[1:0], start};

    always @(posedge clk) begin
        if (fetch_step[1])
            mult_b <= entry[15:0];
        if (fetch_step[2])
            mult_a <= entry[15:0];
    end

    // The cores; only the instruction's own is given columns, and norm and softmax, which take what comes, see zeros.
    wire           norm_ready, softmax_ready, eltwise_ready;
    wire           norm_y_valid, softmax_y_valid, eltwise_y_valid, y_ready;
    wire [8*T-1:0] norm_y, softmax_y, eltwise_y, eltwise_y_high;

    assign x_ready = (is_norm && norm_ready) || (is_softmax && softmax_ready) || (is_eltwise && eltwise_ready);

    norm #(.T(T)) u_norm (
        .clk(clk),
        .rst_n(rst_n),
        .x_valid(x_valid && is_norm),
        .x_ready(norm_ready),
        .x_data(x_a & {8*T{is_norm}}),
        .x_pass(x_pass),
        .x_last(x_last),
        .x_rms(rms),
        .x_cols({3'b0, cols}),
        .x_param(entry),
        .y_valid(norm_y_valid),
        .y_ready(y_ready),
        .y_data(norm_y)
    );

    softmax #(.T(T)) u_softmax (
        .clk(clk),
        .rst_n(rst_n),
        .x_valid(x_valid && is_softmax),
        .x_ready(softmax_ready),
        .x_data(x_a & {8*T{is_softmax}}),
        .x_mask(x_mask),
        .x_pass(x_pass),
        .x_last(x_last),
        .x_frac(frac),
        .p_valid(softmax_y_valid),
        .p_ready(y_ready),
        .p_data(softmax_y),
        .s_valid(rs_valid),
        .s_ready(1'b1),
        .s_data(rs_data)
    );

    eltwise #(.T(T)) u_eltwise (
        .clk(clk),
        .rst_n(rst_n),
        .x_valid(x_valid && is_eltwise),
        .x_ready(eltwise_ready),
        .x_a(x_a),
        .x_high(x_high),
        .x_b(x_b),
        .x_op(op),
        .x_wide(wide),
        .x_wide_out(wide_out),
        .x_first({entry[63:16], mult_a}),
        .x_second({48'b0, mult_b}),
        .y_valid(eltwise_y_valid),
        .y_ready(y_ready),
        .y_data(eltwise_y),
        .y_high(eltwise_y_high)
    );

    // Row scales.
    reg [11:0] scale_addr;

    assign rs_addr = scale_addr;

    always @(posedge clk)
        if (!rst_n)
            scales_due <= 12'd0;
        else if (start)
            scales_due <= (opcode == SOFTMAX) ? row_blocks : 12'd0;
        else if (rs_valid)
            scales_due <= scales_due - 12'd1;

    always @(posedge clk)
        if (start)
            scale_addr <= r_addr;
        else if (rs_valid)
            scale_addr <= scale_addr + 12'd1;

    // Columns to words.
    vector_unit_pack #(.T(T), .D(D)) u_pack (
        .clk(clk),
        .rst_n(rst_n),
        .start(start),
        .wide(starts_wide_out),
        .o_addr(o_addr),
        .span(span),
        .o_stride(o_stride),
        .row_blocks(row_blocks),
        .last_column(last_column),
        .y_valid(norm_y_valid || softmax_y_valid || eltwise_y_valid),
        .y_ready(y_ready),
        .y_data(is_norm ? norm_y : is_softmax ? softmax_y : eltwise_y),
        .y_high(eltwise_y_high),
        .w_valid(w_valid),
        .w_ready(w_ready),
        .w_addr(w_addr),
        .w_data(w_data),
        .idle(packed_all)
    );

    assign w_strb = {T*D{1'b1}};
endmodule
