// matrix_unit: the MATRIX engine. Fetches operands, drives the array, requantizes, activates and writes.
//
//   cmd > fetch > a_req, b_req .. a_rsp, b_rsp > operand queues > array > requantizer > activation > tile > o
//              \\____________________ tile descriptions ____ scale ______/                           /
//                                                              \\_________ tile descriptions ______/
//
// An instruction exists only in `fetch`; behind it every tile carries all that it needs, so that any number
// of instructions can be on their way and nothing starts afresh between them. An int4 word of B is asked for with
// the first of its two steps and made int8 in front of the array's operand register.
// Latency: cmd accepted in cycle 0, requests in cycle 2, the first op beat 2 cycles after A's first
// response and 3 after B's. From the last op beat to done, if nothing is refused: T + 8 cycles (D < T: T/D - 1 more for the
// further writes; D > 8: 1 more), with ACT T*T/ACT_LANES + 9.
// Throughput: an op beat every cycle, also from tile to tile and from instruction to instruction, while both
// operands answer within 4 cycles, tiles have at least T beats (T*T/ACT_LANES with ACT) and o is not refused.
// Handshake: the queues have room for every response that was asked for.
module matrix_unit #(
    parameter T = 4,
    parameter D = 4,
    parameter ACT_LANES = 1,
    parameter ACT_TABLES = 2,
    parameter PARAMS = 256,
    parameter ROW_SCALES = 64
) (
    input  wire             clk,
    input  wire             rst_n,
    input  wire             cmd_valid,
    output wire             cmd_ready,
    input  wire [255:0]     cmd_instr,
    output wire             done_valid,
    output wire             a_req_valid,
    input  wire             a_req_ready,
    output wire [15:0]      a_req_addr,
    input  wire             a_rsp_valid,
    input  wire [8*T*D-1:0] a_rsp_data,
    output wire             b_req_valid,
    input  wire             b_req_ready,
    output wire [15:0]      b_req_addr,
    input  wire             b_rsp_valid,
    input  wire [8*T*D-1:0] b_rsp_data,
    output wire             o_valid,
    input  wire             o_ready,
    output wire [15:0]      o_addr,
    output wire [8*T*D-1:0] o_data,
    output wire [2*T*D-1:0] o_strb,
    input  wire             par_valid,
    input  wire [15:0]      par_addr,
    input  wire [8*T*D-1:0] par_data,
    input  wire             tab_valid,
    input  wire [15:0]      tab_addr,
    input  wire [8*T*D-1:0] tab_data,
    input  wire             rs_valid,
    input  wire [11:0]      rs_addr,
    input  wire [24*T-1:0]  rs_data,
    output wire             perf_busy,
    output wire             perf_mac,
    output wire             perf_operand_stall,
    output wire             perf_drain_stall
);
    localparam PREFETCH = 8;                  // operand words asked for and not yet read by the array
    localparam REQUESTS = 3;                  // one operand stays a word ahead after a bank conflict, and steps still come
    localparam TILES    = (T < 4) ? 8 : 4;    // tiles fetched whose columns have not begun
    localparam WRITES   = (T < 4) ? 8 : 4;    // tiles whose columns have begun and that are not written
    localparam PARAM_W  = $clog2(PARAMS);
    localparam SCALE_W  = $clog2(ROW_SCALES);
    localparam OUT_W    = (D > T) ? 17 + $clog2(D / T) : 17;
    localparam ROW_W    = $clog2(T);
    localparam WRITE_BITS = OUT_W + 3 + ROW_W + 2;
    localparam TILE_BITS  = WRITE_BITS + PARAM_W + SCALE_W + 8;
    localparam FLIGHT_W = 6;                  // columns in the requantizer, any design's
    localparam COUNT_W  = 6;                  // instructions in progress: one a place of the queues at most

    // ---- fetch: steps, and a description of each tile

    wire        step_valid, step_clear, step_tile_end, step_hold, step_finish;
    wire        step_b_new, step_b_narrow;
    wire [15:0] step_a, step_b;
    wire [OUT_W-1:0]   next_out;
    wire               next_transpose, next_rowscale, next_one_row, next_int4;
    wire [ROW_W-1:0]   next_row;
    wire [PARAM_W-1:0] next_param;
    wire [SCALE_W-1:0] next_scale;
    wire [3:0]         next_gain;
    wire [2:0]         next_act;
    wire a_room, b_room, tiles_room, steps_room;
    wire step_ready = a_room && b_room && steps_room && (tiles_room || !step_tile_end);
    wire step       = step_valid && step_ready;

    matrix_unit_fetch #(.T(T), .D(D), .PARAM_W(PARAM_W), .SCALE_W(SCALE_W), .OUT_W(OUT_W)) fetch (
        .clk            (clk),
        .rst_n          (rst_n),
        .cmd_valid      (cmd_valid),
        .cmd_ready      (cmd_ready),
        .cmd_instr      (cmd_instr),
        .step_valid     (step_valid),
        .step_ready     (step_ready),
        .step_a         (step_a),
        .step_b         (step_b),
        .step_b_new     (step_b_new),
        .step_b_narrow  (step_b_narrow),
        .step_clear     (step_clear),
        .step_tile_end  (step_tile_end),
        .step_hold      (step_hold),
        .step_finish    (step_finish),
        .tile_out       (next_out),
        .tile_transpose (next_transpose),
        .tile_one_row   (next_one_row),
        .tile_int4      (next_int4),
        .tile_row       (next_row),
        .tile_rowscale  (next_rowscale),
        .tile_param     (next_param),
        .tile_scale     (next_scale),
        .tile_gain      (next_gain),
        .tile_act       (next_act)
    );

    matrix_unit_fifo #(.WIDTH(16), .DEPTH(REQUESTS)) a_requests (
        .clk       (clk),
        .rst_n     (rst_n),
        .in_valid  (step),
        .in_ready  (a_room),
        .in_data   (step_a),
        .out_valid (a_req_valid),
        .out_ready (a_req_ready),
        .out_data  (a_req_addr)
    );

    matrix_unit_fifo #(.WIDTH(16), .DEPTH(REQUESTS)) b_requests (
        .clk       (clk),
        .rst_n     (rst_n),
        .in_valid  (step && step_b_new),
        .in_ready  (b_room),
        .in_data   (step_b),
        .out_valid (b_req_valid),
        .out_ready (b_req_ready),
        .out_data  (b_req_addr)
    );

    // ---- operands: a step is read when both words are there and the array has room

    wire a_there, b_there, step_owed;
    wire next_clear, next_last, next_held, next_narrow;
    wire op_ready, op_fire, read;
    wire [8*T*D-1:0] op_a, op_b;
    reg  op_valid, op_first, op_last, op_held;

    assign read    = a_there && b_there && (!op_valid || op_ready);
    assign op_fire = op_valid && op_ready;

    matrix_unit_fifo #(.WIDTH(4), .DEPTH(PREFETCH)) steps (
        .clk       (clk),
        .rst_n     (rst_n),
        .in_valid  (step),
        .in_ready  (steps_room),
        .in_data   ({step_clear, step_tile_end && !step_hold, step_tile_end && step_hold, step_b_narrow}),
        .out_valid (step_owed),
        .out_ready (read),
        .out_data  ({next_clear, next_last, next_held, next_narrow})
    );

    matrix_unit_operand #(.BITS(8*T*D), .WORDS(PREFETCH)) a_queue (
        .clk       (clk),
        .rst_n     (rst_n),
        .rsp_valid (a_rsp_valid),
        .rsp_data  (a_rsp_data),
        .there     (a_there),
        .read      (read),
        .word      (op_a)
    );

    matrix_unit_unpack #(.BITS(8*T*D), .WORDS(PREFETCH)) b_queue (
        .clk       (clk),
        .rst_n     (rst_n),
        .rsp_valid (b_rsp_valid),
        .rsp_data  (b_rsp_data),
        .there     (b_there),
        .take      (read),
        .narrow    (next_narrow),
        .tile_end  (next_last || next_held),
        .word      (op_b)
    );

    always @(posedge clk) begin
        op_valid <= rst_n && (read || (op_valid && !op_ready));
        if (read) begin
            op_first <= next_clear;
            op_last  <= next_last;
            op_held  <= next_held;
        end
    end

    // ---- array

    wire acc_valid, acc_ready;
    wire [32*T-1:0] acc_data;

    array #(.T(T), .D(D)) dots (
        .clk       (clk),
        .rst_n     (rst_n),
        .op_valid  (op_valid),
        .op_ready  (op_ready),
        .op_a      (op_a),
        .op_b      (op_b),
        .op_first  (op_first),
        .op_last   (op_last),
        .acc_valid (acc_valid),
        .acc_ready (acc_ready),
        .acc_data  (acc_data)
    );

    // ---- tiles: fetched (head), then drained and written (pending); a held one only to keep the order of done

    wire head_valid, head_take, head_transpose, head_rowscale, head_one_row, head_int4, head_finish, head_hold;
    wire [ROW_W-1:0]   head_row;
    wire [OUT_W-1:0]   head_out;
    wire [PARAM_W-1:0] head_param;
    wire [SCALE_W-1:0] head_scale;
    wire [3:0]         head_gain;
    wire [2:0]         head_act;
    wire pending_room, pending_valid, pending_take, pending_transpose, pending_one_row, pending_int4;
    wire pending_finish, pending_hold;
    wire [ROW_W-1:0]   pending_row;
    wire [OUT_W-1:0]   pending_out;
    wire drain_first, drain_take, held_take;
    reg  [2:0] held_tiles; // held tiles that the array has accepted and that are still in `fetched`

    assign held_take = head_valid && head_hold && held_tiles != 0 && pending_room;
    assign head_take = drain_take || held_take;

    always @(posedge clk) begin
        if (!rst_n)
            held_tiles <= 0;
        else
            held_tiles <= held_tiles + {2'b0, op_fire && op_held} - {2'b0, held_take};
    end

    matrix_unit_fifo #(.WIDTH(TILE_BITS), .DEPTH(TILES)) fetched (
        .clk       (clk),
        .rst_n     (rst_n),
        .in_valid  (step && step_tile_end),
        .in_ready  (tiles_room),
        .in_data   ({next_out, next_transpose, next_one_row, next_int4, next_row, step_finish, step_hold, next_param,
                     next_scale, next_rowscale, next_gain, next_act}),
        .out_valid (head_valid),
        .out_ready (head_take),
        .out_data  ({head_out, head_transpose, head_one_row, head_int4, head_row, head_finish, head_hold, head_param,
                     head_scale, head_rowscale, head_gain, head_act})
    );

    matrix_unit_fifo #(.WIDTH(WRITE_BITS), .DEPTH(WRITES)) pending (
        .clk       (clk),
        .rst_n     (rst_n),
        .in_valid  (drain_first || held_take),
        .in_ready  (pending_room),
        .in_data   ({head_out, head_transpose, head_one_row, head_int4, head_row, head_finish, head_hold}),
        .out_valid (pending_valid),
        .out_ready (pending_take),
        .out_data  ({pending_out, pending_transpose, pending_one_row, pending_int4, pending_row, pending_finish,
                     pending_hold})
    );

    // ---- scale and activate. The activation's setting changes when the last column of the tile before
    // has left the requantizer: `old_left` counts those that still want the old setting.

    wire            col_valid, x_valid, x_ready, y_valid, y_ready, z_valid, z_ready;
    wire [16*T-1:0] col_mult;
    wire [6*T-1:0]  col_shift;
    wire [39:0]     col_bias;
    wire [2:0]      col_act;
    wire [8*T-1:0]  y_data, z_data;

    reg  [2:0]          act, old_act;
    reg  [FLIGHT_W-1:0] in_flight, old_left;

    wire same_act = col_act == act;
    wire change   = col_valid && !same_act && old_left == 0;
    wire joined   = col_valid && same_act && !(&in_flight);
    wire x_fire   = x_valid && x_ready;
    wire y_fire   = y_valid && y_ready;
    wire [FLIGHT_W-1:0] flight_next = in_flight + {{(FLIGHT_W-1){1'b0}}, x_fire} - {{(FLIGHT_W-1){1'b0}}, y_fire};
    wire [2:0] y_act = (old_left != 0) ? old_act : act;

    assign x_valid   = acc_valid && joined;
    assign acc_ready = x_ready && joined;

    always @(posedge clk) begin
        if (!rst_n) begin
            act       <= 0;
            in_flight <= 0;
            old_left  <= 0;
        end else begin
            in_flight <= flight_next;
            if (change) begin
                act      <= col_act;
                old_left <= flight_next;
            end else if (y_fire && old_left != 0)
                old_left <= old_left - 1'b1;
        end
    end

    always @(posedge clk)
        if (change)
            old_act <= act;

    matrix_unit_scale #(
        .T(T), .D(D), .PARAMS(PARAMS), .ROW_SCALES(ROW_SCALES), .PARAM_W(PARAM_W), .SCALE_W(SCALE_W)
    ) scale (
        .clk           (clk),
        .rst_n         (rst_n),
        .par_valid     (par_valid),
        .par_addr      (par_addr),
        .par_data      (par_data),
        .rs_valid      (rs_valid),
        .rs_addr       (rs_addr),
        .rs_data       (rs_data),
        .tile_valid    (head_valid && !head_hold && pending_room),
        .tile_first    (drain_first),
        .tile_take     (drain_take),
        .tile_param    (head_param),
        .tile_scale    (head_scale),
        .tile_rowscale (head_rowscale),
        .tile_gain     (head_gain),
        .tile_act      (head_act),
        .col_valid     (col_valid),
        .col_take      (x_fire),
        .col_mult      (col_mult),
        .col_shift     (col_shift),
        .col_bias      (col_bias),
        .col_act       (col_act)
    );

    requantizer #(.T(T)) requantize (
        .clk     (clk),
        .rst_n   (rst_n),
        .x_valid (x_valid),
        .x_ready (x_ready),
        .x_data  (acc_data),
        .x_mult  (col_mult),
        .x_shift (col_shift),
        .x_bias  (col_bias),
        .y_valid (y_valid),
        .y_ready (y_ready),
        .y_data  (y_data)
    );

    activation #(.T(T), .D(D), .LANES(ACT_LANES), .TABLES(ACT_TABLES)) activate (
        .clk       (clk),
        .rst_n     (rst_n),
        .tab_valid (tab_valid),
        .tab_addr  (tab_addr),
        .tab_data  (tab_data),
        .x_valid   (y_valid),
        .x_ready   (y_ready),
        .x_data    (y_data),
        .x_en      (y_act[0]),
        .x_table   (y_act[2:1]),
        .y_valid   (z_valid),
        .y_ready   (z_ready),
        .y_data    (z_data)
    );

    matrix_unit_tile #(.T(T), .D(D), .OUT_W(OUT_W)) tile (
        .clk            (clk),
        .rst_n          (rst_n),
        .x_valid        (z_valid),
        .x_ready        (z_ready),
        .x_data         (z_data),
        .tile_valid     (pending_valid),
        .tile_ready     (pending_take),
        .tile_out       (pending_out),
        .tile_transpose (pending_transpose),
        .tile_one_row   (pending_one_row),
        .tile_int4      (pending_int4),
        .tile_row       (pending_row),
        .tile_finish    (pending_finish),
        .tile_hold      (pending_hold),
        .o_valid        (o_valid),
        .o_ready        (o_ready),
        .o_addr         (o_addr),
        .o_data         (o_data),
        .o_strb         (o_strb),
        .done           (done_valid)
    );

    // ---- counters' events

    reg [COUNT_W-1:0] in_progress;
    wire start = cmd_valid && cmd_ready;

    always @(posedge clk) begin
        if (!rst_n)
            in_progress <= 0;
        else if (start != done_valid)
            in_progress <= start ? in_progress + 1'b1 : in_progress - 1'b1;
    end

    assign perf_busy          = in_progress != 0;
    assign perf_mac           = op_fire;
    assign perf_operand_stall = !op_valid && (step_valid || step_owed);
    assign perf_drain_stall   = op_valid && !op_ready;
endmodule
