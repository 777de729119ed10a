// load_unit: LOAD; AXI4 read bursts into local words, of 4-byte parameter entries (COMPACT) two local words each, of rows
// of D bytes (SPREAD) one row of a local word each.
// The address side runs ahead of the data side, into the next instruction too, while fewer than 96 beats are
// outstanding: enough to cover a long memory latency, few enough to leave the program fetch its turn.
// Latency: done comes the cycle after the last local write was accepted. Throughput: one beat a cycle (COMPACT where a
// beat is a word: one in two cycles; SPREAD: one local word where it is less than a beat); one idle cycle between
// instructions whose data is already coming.
// Faults are reported once everything asked for has come; the unit then rests until reset.
module load_unit #(
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
    output wire                   ar_valid,
    input  wire                   ar_ready,
    output wire [39:0]            ar_addr,
    output wire [7:0]             ar_len,
    input  wire                   r_valid,
    output wire                   r_ready,
    input  wire [8*AXI_BYTES-1:0] r_data,
    input  wire [1:0]             r_resp,
    input  wire                   r_last,
    output wire                   local_valid,
    input  wire                   local_ready,
    output wire [1:0]             local_space,
    output wire [15:0]            local_addr,
    output wire [8*T*D-1:0]       local_data,
    output wire [T*D-1:0]         local_strb,
    output reg                    fault_valid,
    output reg  [2:0]             fault_code,
    output wire                   perf_busy,
    output wire                   perf_beat
);
    localparam WIDTH = 8 * T * D;
    localparam BEAT = 8 * AXI_BYTES;
    localparam BEATS = T * D / AXI_BYTES;
    localparam LOW = $clog2(AXI_BYTES);
    localparam SHIFT = $clog2(BEATS);
    localparam BEAT_BITS = 17 + SHIFT;
    localparam COUNT_BITS = BEATS > 1 ? SHIFT : 1;
    localparam [COUNT_BITS-1:0] LAST_BEAT = BEATS > 1 ? {COUNT_BITS{1'b1}} : {COUNT_BITS{1'b0}};
    localparam [COUNT_BITS-1:0] HALF_BEAT = LAST_BEAT >> 1; // of a word whose halves become words
    localparam PART_BEATS = D > AXI_BYTES ? D / AXI_BYTES : 1; // of SPREAD: a part is one row of D bytes, or a beat of
    localparam PART_ROWS = D < AXI_BYTES ? AXI_BYTES / D : 1;  // several
    localparam [31:0] WORD_LAST = BEATS - 1, PART_LAST = PART_BEATS - 1;
    localparam [COUNT_BITS-1:0] PART_BEAT = PART_LAST[COUNT_BITS-1:0];
    localparam LANE_BITS = $clog2(T);
    localparam COMPACT = 0, SPREAD = 1; // bits of flags
    localparam [2:0] UNALIGNED = 3'd3, AXI_READ = 3'd4;

    wire [39:0] x_dram_addr;
    wire [31:0] x_dram_stride;
    wire [15:0] x_local_addr, x_rows, x_row_words, x_local_stride;
    wire [7:0] x_space;
    wire [5:0] x_lane;
    wire [15:0] unused_wait_load, unused_wait_store, unused_wait_matrix, unused_wait_vector, unused_g_a_addr,
        unused_g_b_addr, unused_g_o_addr, unused_g_k_words, unused_g_a_stride, unused_g_b_stride,
        unused_g_o_stride, unused_g_p_addr, unused_v_a_addr, unused_v_b_addr, unused_v_o_addr, unused_v_cols,
        unused_v_a_stride, unused_v_b_stride, unused_v_o_stride, unused_v_p_addr;
    wire [11:0] unused_g_m_tiles, unused_g_n_tiles, unused_g_r_addr, unused_v_row_blocks, unused_v_r_addr;
    wire [7:0] unused_opcode, flags;
    wire [3:0] unused_g_gain;
    wire [2:0] unused_v_frac;
    wire [15:0] unused_v_span;
    wire [1:0] unused_g_act_table;
    wire unused_g_o_high, unused_illegal;
    isa_decode decode (
        .instr(cmd_instr), .opcode(unused_opcode), .flags(flags), .wait_load(unused_wait_load),
        .wait_store(unused_wait_store), .wait_matrix(unused_wait_matrix), .wait_vector(unused_wait_vector),
        .x_dram_addr(x_dram_addr), .x_local_addr(x_local_addr), .x_rows(x_rows), .x_row_words(x_row_words),
        .x_dram_stride(x_dram_stride), .x_local_stride(x_local_stride), .x_space(x_space), .x_lane(x_lane),
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

    // Address side. `fresh`: the instruction's data side has not begun.
    reg fresh, unaligned, failed, dead;
    reg [15:0] new_addr, new_rows, new_words, new_stride;
    reg [1:0] new_space;
    reg new_compact, new_spread;
    reg [LANE_BITS-1:0] new_lane;
    reg [7:0] outstanding;
    wire addresses_busy;
    wire [4:0] burst_more;
    wire accept = cmd_valid && cmd_ready;
    wire misaligned = x_dram_addr[LOW-1:0] != {LOW{1'b0}} || x_dram_stride[LOW-1:0] != {LOW{1'b0}};
    wire full_pipe = outstanding[7] || outstanding[6:5] == 2'b11;
    wire beat = r_valid && r_ready;

    // Beats of a row after its first.
    wire [15:0] more_words = x_row_words - 1'b1;
    wire [BEAT_BITS-1:0] more_wide = {{(BEAT_BITS-16){1'b0}}, more_words};
    wire [BEAT_BITS-1:0] more_plain = more_wide << SHIFT | WORD_LAST[BEAT_BITS-1:0];
    wire [BEAT_BITS-1:0] more_spread = (more_wide << $clog2(PART_BEATS) | PART_LAST[BEAT_BITS-1:0]) >> $clog2(PART_ROWS);

    assign cmd_ready = !fresh && !addresses_busy && !failed && !dead;
    assign ar_addr[LOW-1:0] = {LOW{1'b0}};
    assign ar_len = {3'd0, burst_more};

    load_unit_addresses #(.ADDR_BITS(40 - LOW), .STRIDE_BITS(32 - LOW), .BEAT_BITS(BEAT_BITS)) addresses (
        .clk(clk), .rst_n(rst_n), .start(accept && !misaligned), .start_addr(x_dram_addr[39:LOW]),
        .start_stride(x_dram_stride[31:LOW]), .start_rows(x_rows),
        .start_more(flags[SPREAD] ? more_spread : more_plain),
        .hold(full_pipe), .stop(failed), .busy(addresses_busy),
        .ar_valid(ar_valid), .ar_ready(ar_ready), .ar_addr(ar_addr[39:LOW]), .ar_more(burst_more)
    );

    // Data side: beats shift into a word, full words leave at the local address. Compact ones leave by halves, of which
    // the last that came is the upper; words then counts local words, and second is high for every other one. Rows of D
    // bytes leave from the upper end as they come: once a part has come, and where it is a beat of several one by one.
    reg active, setup, full, compact, second, spread;
    reg [LANE_BITS-1:0] lane;
    reg [1:0] space;
    reg [15:0] addr, next_row, stride, words, words_left, rows_left;
    reg [COUNT_BITS-1:0] position;
    wire row_end = words_left == 16'd1;
    wire last_word = row_end && rows_left == 16'd1;
    wire written = local_valid && local_ready;
    wire finishing = written && last_word && !failed;
    wire hand_over = fresh && (!active || finishing) && !failed && !dead;
    wire bad = beat && r_resp != 2'b00;
    wire take = beat && !failed && !bad;
    wire word_end = position == LAST_BEAT || (compact && position == HALF_BEAT)
                 || (spread && (position & PART_BEAT) == PART_BEAT);
    wire part_left; // more of its rows are to leave
    wire keeps = (BEATS == 1 && compact && !second) || (spread && part_left); // what came last has more to leave

    assign r_ready = failed || (active && (!full || (local_ready && !last_word && !keeps)));
    assign local_valid = full;
    assign local_space = space;
    assign local_addr = addr;
    assign perf_busy = fresh || active || addresses_busy;
    assign perf_beat = beat;

    wire [WIDTH-1:0] shifted;
    reg [WIDTH-1:0] word;
    generate
        if (BEATS > 1) begin : g_shift
            assign shifted = {r_data, word[WIDTH-1:BEAT]};
        end else begin : g_copy
            assign shifted = r_data;
        end
    endgenerate

    wire [WIDTH/2-1:0] half = BEATS == 1 && !second ? word[WIDTH/2-1:0] : word[WIDTH-1:WIDTH/2];
    wire [WIDTH-1:0] expanded;
    genvar k;
    generate
        for (k = 0; k < WIDTH; k = k + 64) begin : g_expand
            wire [31:0] entry = half[k/2 +: 32];
            assign expanded[k +: 64] = {{12{entry[31]}}, entry[31:22], 18'd0, 2'd0, entry[21:0]};
        end
    endgenerate

    wire [8*D-1:0] row;
    generate
        if (PART_ROWS > 1) begin : g_part
            reg [$clog2(PART_ROWS)-1:0] index;
            wire [BEAT-1:0] part = word[WIDTH-1:WIDTH-BEAT];
            assign row = part[8*D*index +: 8*D];
            assign part_left = !(&index) && !row_end;
            always @(posedge clk) begin
                if (hand_over || (written && row_end))
                    index <= {$clog2(PART_ROWS){1'b0}};
                else if (written)
                    index <= index + 1'b1;
            end
        end else begin : g_row
            assign row = word[WIDTH-1:WIDTH-8*D];
            assign part_left = 1'b0;
        end
        for (k = 0; k < T; k = k + 1) begin : g_lane
            localparam [31:0] SELF = k;
            assign local_strb[D*k +: D] = {D{!spread || lane == SELF[LANE_BITS-1:0]}};
        end
    endgenerate
    assign local_data = compact ? expanded : spread ? {T{row}} : word;

    wire drained = outstanding == 8'd0 && !ar_valid && !full;

    always @(posedge clk) begin
        if (!rst_n) begin
            fresh <= 1'b0;
            active <= 1'b0;
            full <= 1'b0;
            failed <= 1'b0;
            dead <= 1'b0;
            done_valid <= 1'b0;
            fault_valid <= 1'b0;
            outstanding <= 8'd0;
            position <= {COUNT_BITS{1'b0}};
        end else begin
            if (accept)
                fresh <= 1'b1;
            else if (hand_over)
                fresh <= 1'b0;

            if (hand_over && !unaligned)
                active <= 1'b1;
            else if (finishing || (failed && drained))
                active <= 1'b0;

            if (take && word_end)
                full <= 1'b1;
            else if (written && !keeps)
                full <= 1'b0;

            if (take)
                position <= position == LAST_BEAT ? {COUNT_BITS{1'b0}} : position + 1'b1;
            else if (hand_over)
                position <= {COUNT_BITS{1'b0}};

            if (bad)
                failed <= 1'b1;
            if ((failed && drained) || (hand_over && unaligned))
                dead <= 1'b1;
            done_valid <= finishing;
            fault_valid <= !dead && ((failed && drained) || (hand_over && unaligned));
            outstanding <= outstanding + (ar_valid && ar_ready ? {3'd0, burst_more} + 8'd1 : 8'd0)
                         - {7'd0, beat};
        end
    end

    always @(posedge clk) begin
        fault_code <= failed ? AXI_READ : UNALIGNED;
        if (accept) begin
            unaligned <= misaligned;
            new_addr <= x_local_addr;
            new_rows <= x_rows;
            new_words <= flags[COMPACT] ? {x_row_words[14:0], 1'b0} : x_row_words;
            new_stride <= x_local_stride;
            new_space <= x_space[1:0];
            new_compact <= flags[COMPACT];
            new_spread <= flags[SPREAD];
            new_lane <= x_lane[LANE_BITS-1:0];
        end
        if (take)
            word <= shifted;
        setup <= hand_over;
        if (hand_over) begin
            space <= new_space;
            compact <= new_compact;
            spread <= new_spread;
            lane <= new_lane;
            second <= 1'b0;
            addr <= new_addr;
            next_row <= new_addr;
            stride <= new_stride;
            words <= new_words;
            words_left <= new_words;
            rows_left <= new_rows;
        end else begin
            if (written) begin
                second <= !second;
                addr <= row_end ? next_row : addr + 1'b1;
                words_left <= row_end ? words : words_left - 1'b1;
                if (row_end)
                    rows_left <= rows_left - 1'b1;
            end
            if (setup || (written && row_end))
                next_row <= next_row + stride;
        end
    end

    wire unused_inputs = &{1'b0, r_last, x_space[7:2], flags[7:2], x_lane};
endmodule
