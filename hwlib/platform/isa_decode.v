// isa_decode: names the fields of an instruction (ISA version 4).
// Purely combinational. Generated from hwlib/isa.py by `rtloom generate`; do not edit.
// x_ fields belong to LOAD and STORE, g_ to GEMM, v_ to the vector engine's.
// illegal: the opcode is not defined, or a flag it does not have or a bit behind its operands is set.
module isa_decode (
    input  wire [255:0] instr,
    output wire [7:0] opcode,
    output wire [7:0] flags,
    output wire [15:0] wait_load,
    output wire [15:0] wait_store,
    output wire [15:0] wait_matrix,
    output wire [15:0] wait_vector,
    output wire [39:0] x_dram_addr,
    output wire [15:0] x_local_addr,
    output wire [15:0] x_rows,
    output wire [15:0] x_row_words,
    output wire [31:0] x_dram_stride,
    output wire [15:0] x_local_stride,
    output wire [7:0] x_space,
    output wire [5:0] x_lane,
    output wire [15:0] g_a_addr,
    output wire [15:0] g_b_addr,
    output wire [15:0] g_o_addr,
    output wire [11:0] g_m_tiles,
    output wire [11:0] g_n_tiles,
    output wire [15:0] g_k_words,
    output wire [15:0] g_a_stride,
    output wire [15:0] g_b_stride,
    output wire [15:0] g_o_stride,
    output wire [15:0] g_p_addr,
    output wire [11:0] g_r_addr,
    output wire [1:0] g_act_table,
    output wire [3:0] g_gain,
    output wire [0:0] g_o_high,
    output wire [15:0] v_a_addr,
    output wire [15:0] v_b_addr,
    output wire [15:0] v_o_addr,
    output wire [11:0] v_row_blocks,
    output wire [15:0] v_cols,
    output wire [15:0] v_a_stride,
    output wire [15:0] v_b_stride,
    output wire [15:0] v_o_stride,
    output wire [15:0] v_p_addr,
    output wire [11:0] v_r_addr,
    output wire [2:0] v_frac,
    output wire [15:0] v_span,
    output reg illegal
);
    assign opcode = instr[7:0];
    assign flags = instr[15:8];
    assign wait_load = instr[31:16];
    assign wait_store = instr[47:32];
    assign wait_matrix = instr[63:48];
    assign wait_vector = instr[79:64];
    assign x_dram_addr = instr[119:80];
    assign x_local_addr = instr[135:120];
    assign x_rows = instr[151:136];
    assign x_row_words = instr[167:152];
    assign x_dram_stride = instr[199:168];
    assign x_local_stride = instr[215:200];
    assign x_space = instr[223:216];
    assign x_lane = instr[229:224];
    assign g_a_addr = instr[95:80];
    assign g_b_addr = instr[111:96];
    assign g_o_addr = instr[127:112];
    assign g_m_tiles = instr[139:128];
    assign g_n_tiles = instr[151:140];
    assign g_k_words = instr[167:152];
    assign g_a_stride = instr[183:168];
    assign g_b_stride = instr[199:184];
    assign g_o_stride = instr[215:200];
    assign g_p_addr = instr[231:216];
    assign g_r_addr = instr[243:232];
    assign g_act_table = instr[245:244];
    assign g_gain = instr[249:246];
    assign g_o_high = instr[250:250];
    assign v_a_addr = instr[95:80];
    assign v_b_addr = instr[111:96];
    assign v_o_addr = instr[127:112];
    assign v_row_blocks = instr[139:128];
    assign v_cols = instr[155:140];
    assign v_a_stride = instr[171:156];
    assign v_b_stride = instr[187:172];
    assign v_o_stride = instr[203:188];
    assign v_p_addr = instr[219:204];
    assign v_r_addr = instr[231:220];
    assign v_frac = instr[234:232];
    assign v_span = instr[250:235];
    wire unused_bits = &{1'b0, instr};

    always @* begin
        case (instr[7:0])
            8'h01: illegal = |(instr[15:8] & ~8'h00) || |instr[255:80]; // END
            8'h10: illegal = |(instr[15:8] & ~8'h03) || |instr[255:230]; // LOAD
            8'h11: illegal = |(instr[15:8] & ~8'h00) || |instr[255:224]; // STORE
            8'h20: illegal = |(instr[15:8] & ~8'hff) || |instr[255:251]; // GEMM
            8'h30: illegal = |(instr[15:8] & ~8'h00) || |instr[255:251]; // LAYERNORM
            8'h31: illegal = |(instr[15:8] & ~8'h01) || |instr[255:251]; // SOFTMAX
            8'h32: illegal = |(instr[15:8] & ~8'h03) || |instr[255:251]; // ADD
            8'h33: illegal = |(instr[15:8] & ~8'h00) || |instr[255:251]; // RMSNORM
            8'h34: illegal = |(instr[15:8] & ~8'h00) || |instr[255:251]; // MUL
            8'h35: illegal = |(instr[15:8] & ~8'h00) || |instr[255:251]; // ROPE
            default: illegal = 1'b1;
        endcase
    end
endmodule
