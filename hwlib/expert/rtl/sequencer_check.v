// sequencer_check: which engine runs an instruction, and what is wrong with it. Combinational.
// defect: 0 none, 1 illegal opcode, flag, reserved bit, space, count or K, 2 a scratchpad address past WORDS.
module sequencer_check #(
    parameter WORDS = 256,
    parameter D = 4
) (
    input  wire [255:0] instr,
    output wire [3:0]   engine,
    output wire         is_end,
    output wire [2:0]   defect
);
    localparam [7:0] END = 8'h01, LOAD = 8'h10, STORE = 8'h11, GEMM = 8'h20;
    localparam [7:0] LAYERNORM = 8'h30, SOFTMAX = 8'h31, ADD = 8'h32, RMSNORM = 8'h33, MUL = 8'h34, ROPE = 8'h35;
    localparam COMPACT = 0, SPREAD = 1;
    localparam [31:0] PAST = WORDS - 1;
    localparam [15:0] OUTSIDE = ~PAST[15:0];
    localparam K_BITS = 16 - $clog2(D); // of k_words, where K is at most 65,535 and no sum wraps
    localparam [2:0] NONE = 3'd0, ILLEGAL = 3'd1, ADDRESS_RANGE = 3'd2;

    wire [7:0] opcode, x_space;
    wire [15:0] x_local_addr, x_rows, x_row_words;
    wire [15:0] a_addr, b_addr, o_addr, g_k_words, v_cols;
    wire [11:0] g_m_tiles, g_n_tiles, v_row_blocks;
    wire illegal;
    wire [39:0] unused_x_dram_addr;
    wire [31:0] unused_x_dram_stride;
    wire [15:0] unused_v_span;
    wire [15:0] unused_wait_load, unused_wait_store, unused_wait_matrix, unused_wait_vector, unused_x_local_stride,
        unused_g_a_addr, unused_g_b_addr, unused_g_o_addr, unused_g_a_stride, unused_g_b_stride, unused_g_o_stride,
        unused_g_p_addr, unused_v_a_stride, unused_v_b_stride, unused_v_o_stride, unused_v_p_addr;
    wire [11:0] unused_g_r_addr, unused_v_r_addr;
    wire [7:0] flags;
    wire [3:0] unused_g_gain;
    wire unused_g_o_high;
    wire [2:0] unused_v_frac;
    wire [1:0] unused_g_act_table;
    wire [5:0] unused_x_lane;
    isa_decode decode (
        .instr(instr), .opcode(opcode), .flags(flags), .wait_load(unused_wait_load),
        .wait_store(unused_wait_store), .wait_matrix(unused_wait_matrix), .wait_vector(unused_wait_vector),
        .x_dram_addr(unused_x_dram_addr), .x_local_addr(x_local_addr), .x_rows(x_rows), .x_row_words(x_row_words),
        .x_dram_stride(unused_x_dram_stride), .x_local_stride(unused_x_local_stride), .x_space(x_space), .x_lane(unused_x_lane),
        .g_a_addr(unused_g_a_addr), .g_b_addr(unused_g_b_addr), .g_o_addr(unused_g_o_addr), .g_m_tiles(g_m_tiles),
        .g_n_tiles(g_n_tiles), .g_k_words(g_k_words), .g_a_stride(unused_g_a_stride), .g_b_stride(unused_g_b_stride),
        .g_o_stride(unused_g_o_stride), .g_p_addr(unused_g_p_addr), .g_r_addr(unused_g_r_addr),
        .g_act_table(unused_g_act_table), .g_gain(unused_g_gain), .g_o_high(unused_g_o_high),
        .v_a_addr(a_addr), .v_b_addr(b_addr),
        .v_o_addr(o_addr), .v_row_blocks(v_row_blocks), .v_cols(v_cols), .v_a_stride(unused_v_a_stride),
        .v_b_stride(unused_v_b_stride), .v_o_stride(unused_v_o_stride), .v_p_addr(unused_v_p_addr),
        .v_r_addr(unused_v_r_addr), .v_frac(unused_v_frac), .v_span(unused_v_span), .illegal(illegal)
    );

    wire load = opcode == LOAD;
    wire store = opcode == STORE;
    wire matrix = opcode == GEMM;
    wire pair = opcode == ADD || opcode == MUL || opcode == ROPE;
    wire vector = opcode == LAYERNORM || opcode == SOFTMAX || opcode == RMSNORM || pair;

    wire bad_space = load ? x_space > 8'd3 : x_space != 8'd0;
    wire bad_compact = flags[COMPACT] && (x_row_words[15] || (x_space != 8'd1 && x_space != 8'd2));
    wire bad_spread = flags[SPREAD] && x_space != 8'd0;
    wire bad_transfer = x_rows == 16'd0 || x_row_words == 16'd0 || bad_space || (load && (bad_compact || bad_spread));
    wire bad_matrix = g_m_tiles == 12'd0 || g_n_tiles == 12'd0 || g_k_words == 16'd0 || g_k_words >> K_BITS != 16'd0;
    wire bad_vector = v_row_blocks == 12'd0 || v_cols == 16'd0;
    wire bad = illegal || ((load || store) && bad_transfer) || (matrix && bad_matrix) || (vector && bad_vector);

    wire far_transfer = |(x_local_addr & OUTSIDE) && x_space == 8'd0;
    wire far_operands = |((a_addr | o_addr) & OUTSIDE) || ((matrix || pair) && |(b_addr & OUTSIDE));
    wire far = ((load || store) && far_transfer) || ((matrix || vector) && far_operands);

    wire unused_flags = &{1'b0, flags[7:2]};

    assign engine = {vector, matrix, store, load};
    assign is_end = opcode == END;
    assign defect = bad ? ILLEGAL : far ? ADDRESS_RANGE : NONE;
endmodule
