// array: T x T dot-product units of D int8 products, output stationary.
// Latency: from a tile's last beat to its first acc beat 2 cycles, 3 when D >= 4, 4 when D > 16.
// Throughput: one op beat a cycle; a tile may end every T cycles, as it leaves in T beats.
// Handshake: the datapath never stops. A beat with last=1 is accepted only when the drain is sure to be
// free as the tile arrives: T cycles after the previous last, and with no more acc beats owed than the
// drain's skid holds. op_ready depends on op_last and acc_ready; acc_valid on neither.
module array #(
    parameter T = 4,
    parameter D = 4
) (
    input  wire             clk,
    input  wire             rst_n,
    input  wire             op_valid,
    output wire             op_ready,
    input  wire [8*T*D-1:0] op_a,
    input  wire [8*T*D-1:0] op_b,
    input  wire             op_first,
    input  wire             op_last,
    output wire             acc_valid,
    input  wire             acc_ready,
    output wire [32*T-1:0]  acc_data
);
    localparam GROUP  = 16;                                       // products in a tree
    localparam STAGED = (D >= 4) ? 1 : 0;                         // trees are cut by registers
    localparam SKID   = STAGED + ((D > GROUP) ? 2 : 1);           // register stages before the accumulators
    localparam LANE   = 16 + $clog2(D);                           // bits of a dot product's carry-save pair
    localparam OWED_W = $clog2(2 * T + SKID + 1);
    localparam GAP_W  = $clog2(T);

    localparam [OWED_W-1:0] TILE_BEATS = T[OWED_W-1:0];
    localparam [OWED_W-1:0] SKID_BEATS = SKID[OWED_W-1:0];
    localparam LAST_COLUMN = T - 1;
    localparam [GAP_W-1:0]  TILE_GAP   = LAST_COLUMN[GAP_W-1:0];

    wire fire     = op_valid && op_ready;
    wire commit   = fire && op_last;
    wire acc_fire = acc_valid && acc_ready;

    reg [OWED_W-1:0] owed; // acc beats of accepted lasts that have not left
    reg [GAP_W-1:0]  gap;  // cycles before the next last may be accepted

    assign op_ready = !op_last
        || (gap == 0 && (owed <= SKID_BEATS || (owed == SKID_BEATS + 1'b1 && acc_ready)));

    always @(posedge clk) begin
        if (!rst_n) begin
            owed <= 0;
            gap  <= 0;
        end else begin
            owed <= owed + (commit ? TILE_BEATS : {OWED_W{1'b0}}) - {{(OWED_W-1){1'b0}}, acc_fire};
            if (commit)
                gap <= TILE_GAP;
            else if (gap != 0)
                gap <= gap - 1'b1;
        end
    end

    // Flags that travel with the products, one bit for each register stage before the accumulators.
    reg [SKID-1:0] first_pipe;
    reg [SKID-1:0] last_pipe;
    wire           live; // the trees' pairs of the next cycle count

    generate
        if (SKID == 1) begin : short_pipe
            always @(posedge clk) begin
                first_pipe <= rst_n && fire && op_first;
                last_pipe  <= rst_n && commit;
            end
        end else begin : long_pipe
            always @(posedge clk) begin
                first_pipe <= rst_n ? {first_pipe[SKID-2:0], fire && op_first} : {SKID{1'b0}};
                last_pipe  <= rst_n ? {last_pipe[SKID-2:0], commit} : {SKID{1'b0}};
            end
        end
    endgenerate

    wire [32*T*T-1:0] total; // column by column

    // Word d holds byte d of every row in lanes of LANE bits.
    function [LANE*T*D-1:0] lanes;
        input [8*T*D-1:0] rows;
        integer r, d;
        begin
            for (d = 0; d < D; d = d + 1)
                for (r = 0; r < T; r = r + 1)
                    lanes[LANE*(T*d+r) +: LANE] = {{LANE-8{1'b0}}, rows[8*(D*r+d) +: 8]};
        end
    endfunction

    wire [LANE*T*D-1:0] a_lanes = lanes(op_a);

    genvar c;
    generate
        if (STAGED) begin : staged
            reg held;
            always @(posedge clk)
                held <= fire;
            assign live = held;
        end else begin : whole
            assign live = fire;
        end
        for (c = 0; c < T; c = c + 1) begin : column
            array_column #(.T(T), .D(D), .GROUP(GROUP), .LANE(LANE), .STAGED(STAGED)) dots (
                .clk   (clk),
                .a     (a_lanes),
                .b     (op_b[8*D*c +: 8*D]),
                .live  (live),
                .first (first_pipe[SKID-1]),
                .total (total[32*T*c +: 32*T])
            );
        end
    endgenerate

    array_drain #(.T(T), .SKID(SKID)) drain (
        .clk       (clk),
        .rst_n     (rst_n),
        .load      (last_pipe[SKID-1]),
        .tile      (total),
        .acc_valid (acc_valid),
        .acc_ready (acc_ready),
        .acc_data  (acc_data)
    );
endmodule
