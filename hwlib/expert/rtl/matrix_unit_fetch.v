// matrix_unit_fetch: turns a GEMM instruction into its steps, one pair of operand words each.
// Latency: the first step is offered in the cycle after cmd is accepted. Throughput: one step a cycle; the
// next instruction is accepted with the last step of the one before, so no cycle is lost between them.
// Order: column tiles outermost, then row tiles, then K. An int4 word of B serves two steps of a tile, the first
// with its low nibbles. With the last step of a tile come the tile's output place (in units of 2^-OUT_FRAC words, of
// int4 output words of nibbles: half as many to a stride), the row of it that is written, parameter entry and row-scale entry.
// All addresses are running sums: no multiplier.
module matrix_unit_fetch #(
    parameter T = 4,
    parameter D = 4,
    parameter PARAM_W = 8,
    parameter SCALE_W = 6,
    parameter OUT_W = 17
) (
    input  wire               clk,
    input  wire               rst_n,
    input  wire               cmd_valid,
    output wire               cmd_ready,
    input  wire [255:0]       cmd_instr,
    output wire               step_valid,
    input  wire               step_ready,
    output wire [15:0]        step_a,
    output wire [15:0]        step_b,
    output wire               step_b_new,    // B's word is to be asked for
    output wire               step_b_narrow, // its nibbles are the operand
    output wire               step_clear,    // first of a tile, and the accumulators start from zero
    output wire               step_tile_end,
    output wire               step_hold,     // no drain at the end of this tile
    output wire               step_finish,   // last of the instruction
    output wire [OUT_W-1:0]   tile_out,
    output wire               tile_transpose,
    output wire               tile_one_row,  // write only row tile_row of the product
    output wire               tile_int4,     // to nibbles
    output wire [$clog2(T)-1:0] tile_row,
    output wire               tile_rowscale,
    output wire [PARAM_W-1:0] tile_param,
    output wire [SCALE_W-1:0] tile_scale,
    output wire [3:0]         tile_gain,
    output wire [2:0]         tile_act       // table, enable
);
    localparam OUT_FRAC   = OUT_W - 17;
    localparam COLUMN_GO  = (D >= T) ? 1 : T / D; // from one tile to the next along the output's columns
    localparam [OUT_W-1:0]   COLUMN_STEP = COLUMN_GO[OUT_W-1:0];
    localparam [PARAM_W-1:0] PARAM_STEP  = T[PARAM_W-1:0];
    localparam ROW_W = $clog2(T);

    localparam ACT       = 0; // bits of flags
    localparam TRANSPOSE = 1;
    localparam ROWSCALE  = 2;
    localparam KEEP      = 3;
    localparam HOLD      = 4;
    localparam W4        = 5;
    localparam ROW       = 6;
    localparam O4        = 7;

    wire [7:0]  flags;
    wire [15:0] a_addr, b_addr, o_addr, k_words, a_stride, b_stride, o_stride, p_addr;
    wire [11:0] m_tiles, n_tiles, r_addr;
    wire [1:0]  act_table;
    wire [3:0]  gain;
    wire        o_high;
    wire [7:0]  unused_opcode;
    wire [15:0] unused_wait_load, unused_wait_store, unused_wait_matrix, unused_wait_vector;
    wire [39:0] unused_x_dram_addr;
    wire [15:0] unused_x_local_addr, unused_x_rows, unused_x_row_words, unused_x_local_stride;
    wire [31:0] unused_x_dram_stride;
    wire [7:0]  unused_x_space;
    wire [5:0]  unused_x_lane;
    wire [15:0] unused_v_a_addr, unused_v_b_addr, unused_v_o_addr, unused_v_cols;
    wire [15:0] unused_v_a_stride, unused_v_b_stride, unused_v_o_stride, unused_v_p_addr;
    wire [11:0] unused_v_row_blocks, unused_v_r_addr;
    wire [2:0]  unused_v_frac;
    wire [15:0] unused_v_span;
    wire        unused_illegal;
    wire        unused_bits = ^{p_addr, r_addr};

    isa_decode decode (
        .instr          (cmd_instr),
        .opcode         (unused_opcode),
        .flags          (flags),
        .wait_load      (unused_wait_load),
        .wait_store     (unused_wait_store),
        .wait_matrix    (unused_wait_matrix),
        .wait_vector    (unused_wait_vector),
        .x_dram_addr    (unused_x_dram_addr),
        .x_local_addr   (unused_x_local_addr),
        .x_rows         (unused_x_rows),
        .x_row_words    (unused_x_row_words),
        .x_dram_stride  (unused_x_dram_stride),
        .x_local_stride (unused_x_local_stride),
        .x_space        (unused_x_space),
        .x_lane         (unused_x_lane),
        .g_a_addr       (a_addr),
        .g_b_addr       (b_addr),
        .g_o_addr       (o_addr),
        .g_m_tiles      (m_tiles),
        .g_n_tiles      (n_tiles),
        .g_k_words      (k_words),
        .g_a_stride     (a_stride),
        .g_b_stride     (b_stride),
        .g_o_stride     (o_stride),
        .g_p_addr       (p_addr),
        .g_r_addr       (r_addr),
        .g_act_table    (act_table),
        .g_gain         (gain),
        .g_o_high       (o_high),
        .v_a_addr       (unused_v_a_addr),
        .v_b_addr       (unused_v_b_addr),
        .v_o_addr       (unused_v_o_addr),
        .v_row_blocks   (unused_v_row_blocks),
        .v_cols         (unused_v_cols),
        .v_a_stride     (unused_v_a_stride),
        .v_b_stride     (unused_v_b_stride),
        .v_o_stride     (unused_v_o_stride),
        .v_p_addr       (unused_v_p_addr),
        .v_r_addr       (unused_v_r_addr),
        .v_frac         (unused_v_frac),
        .v_span         (unused_v_span),
        .illegal        (unused_illegal)
    );

    reg        active;
    reg [15:0] k_words_q, k_left;
    reg [11:0] m_tiles_q, m_left, n_left;
    reg        k_first, k_last, k_odd, m_last;
    reg [15:0] a_start, a_stride_q, a_block, a_word;
    reg [15:0] b_stride_q, b_block, b_word;
    reg [OUT_W-1:0]   out_block, out_tile;
    reg [15:0]        out_stride;
    reg [PARAM_W-1:0] param;
    reg [SCALE_W-1:0] scale_start, scale;
    reg [3:0]  gain_q;
    reg [2:0]  act;
    reg        transpose, rowscale, keep, hold, narrow, one_row, int4;
    reg [ROW_W-1:0] row;

    wire load = cmd_valid && cmd_ready;
    wire step = step_valid && step_ready;

    assign step_valid     = active;
    assign step_a         = a_word;
    assign step_b         = b_word;
    assign step_b_new     = !(narrow && k_odd);
    assign step_b_narrow  = narrow;
    assign step_clear     = k_first && !keep;
    assign step_tile_end  = k_last;
    assign step_hold      = hold;
    assign step_finish    = k_last && m_last && n_left == 12'd1;
    assign tile_out       = out_tile;
    assign tile_transpose = transpose;
    assign tile_one_row   = one_row;
    assign tile_int4      = int4;
    assign tile_row       = row;
    assign tile_rowscale  = rowscale;
    assign tile_param     = param;
    assign tile_scale     = scale;
    assign tile_gain      = gain_q;
    assign tile_act       = act;
    assign cmd_ready      = !active || (step && step_finish);

    wire [15:0] a_next_block = m_last ? a_start : a_block + a_stride_q;
    wire [15:0] b_next_block = m_last ? b_block + b_stride_q : b_block;

    // Along the output's columns between column tiles, or between row tiles of a transposed output.
    wire along = m_last ^ transpose;
    wire [OUT_W-1:0] stride_fixed;
    wire [OUT_W-1:0] out_next = (m_last ? out_block : out_tile) + (along ? COLUMN_STEP : stride_fixed);
    wire [OUT_W-1:0] out_first;

    wire [16:0] stride_words = int4 ? {out_stride, 1'b0} : {1'b0, out_stride};
    wire [16:0] first_word   = flags[O4] ? {o_addr, o_high} : {1'b0, o_addr};

    generate
        if (OUT_FRAC > 0) begin : fraction
            assign stride_fixed = {stride_words, {OUT_FRAC{1'b0}}};
            assign out_first    = {first_word, r_addr[ROW_W +: OUT_FRAC] & {OUT_FRAC{flags[ROW]}}};
        end else begin : whole
            assign stride_fixed = stride_words;
            assign out_first    = first_word;
        end
    endgenerate

    always @(posedge clk) begin
        if (!rst_n)
            active <= 1'b0;
        else if (load)
            active <= 1'b1;
        else if (step && step_finish)
            active <= 1'b0;
    end

    always @(posedge clk) begin
        if (load) begin
            k_words_q   <= k_words;
            k_left      <= k_words;
            k_first     <= 1'b1;
            k_odd       <= 1'b0;
            k_last      <= k_words == 16'd1;
            m_tiles_q   <= m_tiles;
            m_left      <= m_tiles;
            m_last      <= m_tiles == 12'd1;
            n_left      <= n_tiles;
            a_start     <= a_addr;
            a_stride_q  <= a_stride;
            a_block     <= a_addr;
            a_word      <= a_addr;
            b_stride_q  <= b_stride;
            b_block     <= b_addr;
            b_word      <= b_addr;
            out_block   <= out_first;
            out_tile    <= out_first;
            out_stride  <= o_stride;
            param       <= p_addr[PARAM_W-1:0];
            scale_start <= r_addr[SCALE_W-1:0];
            scale       <= r_addr[SCALE_W-1:0];
            gain_q      <= gain;
            act         <= {act_table & {2{flags[ACT]}}, flags[ACT]};
            transpose   <= flags[TRANSPOSE];
            rowscale    <= flags[ROWSCALE];
            keep        <= flags[KEEP];
            hold        <= flags[HOLD];
            narrow      <= flags[W4];
            one_row     <= flags[ROW];
            int4        <= flags[O4];
            row         <= r_addr[ROW_W-1:0];
        end else if (step) begin
            k_first <= k_last;
            k_odd   <= !k_last && !k_odd;
            if (k_last) begin
                k_left   <= k_words_q;
                k_last   <= k_words_q == 16'd1;
                a_block  <= a_next_block;
                a_word   <= a_next_block;
                b_block  <= b_next_block;
                b_word   <= b_next_block;
                out_tile <= out_next;
                m_left   <= m_last ? m_tiles_q : m_left - 1'b1;
                m_last   <= m_last ? m_tiles_q == 12'd1 : m_left == 12'd2;
                scale    <= m_last ? scale_start : scale + 1'b1;
                if (m_last) begin
                    out_block <= out_next;
                    n_left    <= n_left - 1'b1;
                    param     <= param + PARAM_STEP;
                end
            end else begin
                k_left <= k_left - 1'b1;
                k_last <= k_left == 16'd2;
                a_word <= a_word + 1'b1;
                b_word <= b_word + {15'b0, step_b_new};
            end
        end
    end
endmodule
