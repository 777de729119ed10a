// matrix_unit_scale: parameter memory and row-scale memory; gives each output column its multipliers,
// shifts and bias.
// Latency: 2 cycles from a tile's description to its first column. Throughput: one column a cycle.
// Handshake: tile_* describes the next tile and is taken with the read of its last column; col_* is the
// column at the head, stable until taken.
module matrix_unit_scale #(
    parameter T = 4,
    parameter D = 4,
    parameter PARAMS = 256,
    parameter ROW_SCALES = 64,
    parameter PARAM_W = 8,
    parameter SCALE_W = 6
) (
    input  wire               clk,
    input  wire               rst_n,
    input  wire               par_valid,
    input  wire [15:0]        par_addr,
    input  wire [8*T*D-1:0]   par_data,
    input  wire               rs_valid,
    input  wire [11:0]        rs_addr,
    input  wire [24*T-1:0]    rs_data,
    input  wire               tile_valid,
    output wire               tile_first, // the tile's first column is read in this cycle
    output wire               tile_take,  // its last column is
    input  wire [PARAM_W-1:0] tile_param,
    input  wire [SCALE_W-1:0] tile_scale,
    input  wire               tile_rowscale,
    input  wire [3:0]         tile_gain,
    input  wire [2:0]         tile_act,
    output wire               col_valid,
    input  wire               col_take,
    output wire [16*T-1:0]    col_mult,
    output wire [6*T-1:0]     col_shift,
    output wire [39:0]        col_bias,
    output wire [2:0]         col_act
);
    localparam ENTRY_BYTES = 8;
    localparam SPAN    = (T*D < ENTRY_BYTES*PARAMS) ? T*D : ENTRY_BYTES*PARAMS;
    localparam ENTRIES = SPAN / ENTRY_BYTES;
    localparam WORDS   = PARAMS / ENTRIES;
    localparam DEPTH   = (WORDS > 1) ? WORDS : 2;
    localparam ADDR_W  = $clog2(DEPTH);
    localparam PICK_W  = (ENTRIES > 1) ? $clog2(ENTRIES) : 1;
    localparam COLUMN_W = $clog2(T);
    localparam LAST = T - 1;
    localparam [COLUMN_W-1:0] LAST_COLUMN = LAST[COLUMN_W-1:0];
    localparam LANE_BITS = 22;

    reg [COLUMN_W-1:0] column;

    // first stage: the parameter word is at its memory's output
    reg               reading;
    reg [PICK_W-1:0]  reading_pick;
    reg               reading_first;
    reg [SCALE_W-1:0] reading_scale;
    reg               reading_rowscale;
    reg [3:0]         reading_gain;
    reg [2:0]         reading_act;

    // second stage: the entry is in registers, the row scales at their memory's output
    reg        ready;
    reg [15:0] mult;
    reg [5:0]  shift;
    reg [39:0] bias;
    reg        rowscale;
    reg [3:0]  gain;
    reg [2:0]  act;

    wire forward = reading && (!ready || col_take);
    wire read    = tile_valid && (!reading || forward);

    wire [PARAM_W:0]       column_wide = {{(PARAM_W+1-COLUMN_W){1'b0}}, column};
    wire [PARAM_W-1:0]     entry = tile_param + column_wide[PARAM_W-1:0];
    wire [8*SPAN-1:0]      par_word;
    wire [63:0]            picked = par_word[64*reading_pick +: 64];
    wire [LANE_BITS*T-1:0] scales;
    wire [LANE_BITS*T-1:0] rs_lanes;
    wire unused = ^par_addr ^ ^par_data ^ ^rs_addr ^ ^picked[23:22] ^ column_wide[PARAM_W];

    assign tile_first = read && column == 0;
    assign tile_take  = read && column == LAST_COLUMN;
    assign col_valid  = ready;
    assign col_act    = act;
    assign col_bias   = rowscale ? 40'b0 : bias;

    always @(posedge clk) begin
        if (!rst_n) begin
            column  <= 0;
            reading <= 0;
            ready   <= 0;
        end else begin
            if (read)
                column <= (column == LAST_COLUMN) ? {COLUMN_W{1'b0}} : column + 1'b1;
            reading <= read || (reading && !forward);
            ready   <= forward || (ready && !col_take);
        end
    end

    always @(posedge clk) begin
        if (read) begin
            reading_first    <= column == 0;
            reading_scale    <= tile_scale;
            reading_rowscale <= tile_rowscale;
            reading_gain     <= tile_gain;
            reading_act      <= tile_act;
        end
        if (forward) begin
            mult     <= picked[15:0];
            shift    <= picked[21:16];
            bias     <= picked[63:24];
            rowscale <= reading_rowscale;
            gain     <= reading_gain;
            act      <= reading_act;
        end
    end

    generate
        if (ENTRIES > 1) begin : pick
            always @(posedge clk)
                if (read)
                    reading_pick <= entry[PICK_W-1:0];
        end else begin : whole
            always @(posedge clk)
                reading_pick <= 1'b0;
        end
    endgenerate

    wire [PARAM_W-1:0] entry_word = (ENTRIES > 1) ? entry >> PICK_W : entry;
    wire               unused_entry = ^entry_word;

    sram_1r1w #(.WIDTH(8*SPAN), .DEPTH(DEPTH), .GRAIN(8*SPAN)) params (
        .clk        (clk),
        .read_en    (read),
        .read_addr  (entry_word[ADDR_W-1:0]),
        .read_data  (par_word),
        .write_en   (par_valid),
        .write_addr (par_addr[ADDR_W-1:0]),
        .write_data (par_data[8*SPAN-1:0]),
        .write_strb (1'b1)
    );

    sram_1r1w #(.WIDTH(LANE_BITS*T), .DEPTH(ROW_SCALES), .GRAIN(LANE_BITS*T)) row_scales (
        .clk        (clk),
        .read_en    (forward && reading_first && reading_rowscale),
        .read_addr  (reading_scale),
        .read_data  (scales),
        .write_en   (rs_valid),
        .write_addr (rs_addr[SCALE_W-1:0]),
        .write_data (rs_lanes),
        .write_strb (1'b1)
    );

    genvar r;
    generate
        for (r = 0; r < T; r = r + 1) begin : lane
            wire [15:0] row_mult  = scales[LANE_BITS*r +: 16];
            wire [5:0]  row_shift = scales[LANE_BITS*r+16 +: 6];
            wire [6:0]  gained    = {1'b0, row_shift} - {3'b0, gain};
            wire        too_far   = gained[6] || gained == 7'd0;
            wire [1:0]  unused_top = rs_data[24*r+22 +: 2];

            assign rs_lanes[LANE_BITS*r +: LANE_BITS] = rs_data[24*r +: LANE_BITS];
            assign col_mult[16*r +: 16] = rowscale ? row_mult : mult;
            assign col_shift[6*r +: 6]  = !rowscale ? shift : too_far ? 6'd1 : gained[5:0];
        end
    endgenerate
endmodule
