// array_group: SIZE products of each of T dot products that share their multipliers, as carry-save pairs.
// sum + carry = dot product + SIZE * 2^15, exactly, 1 cycle later (2 with STAGED); unless `live`, in the cycle before,
// the dot product counts as 0. Free running.
// A product is eight rows of single-bit products; those of negative weight are complemented (Baugh and Wooley
// 1973), which the constant makes up for. The rows go by threes through full adders, level by level (Wallace 1964);
// rows of equal weight stand together, so that few adders have an idle input. With STAGED registers cut the tree
// where few rows are left. a: lane r of word d is byte d of dot product r, in LANE bits, zeros above.
module array_group #(
    parameter T = 4,
    parameter SIZE = 4,
    parameter LANE = 18,
    parameter STAGED = 1
) (
    input  wire                   clk,
    input  wire [LANE*T*SIZE-1:0] a,
    input  wire [8*SIZE-1:0]      b,
    input  wire                   live,
    output reg  [LANE*T-1:0]      sum,
    output reg  [LANE*T-1:0]      carry
);
    localparam W    = LANE * T;
    localparam ROWS = 8 * SIZE + 1;
    localparam CUT  = 18;                     // rows left where the tree is cut, at most
    localparam LEFT = STAGED ? rows_after(ROWS) : ROWS;
    localparam FIX  = 256 * SIZE;             // with SIZE * 2^15, what the complemented products add
    localparam BASE = 32768 * SIZE;           // a dot product of zero
    localparam PITCH = (W + 31) / 32 * 32;    // bits from a row to the next: whole words, for simulators
    localparam [LANE-1:0]    BYTE = 255, TOP = 128, FIX_BITS = FIX[LANE-1:0], BASE_BITS = BASE[LANE-1:0];
    localparam [PITCH+W-1:0] TOP_LANES  = {{PITCH{1'b0}}, {T{TOP}}};
    localparam [PITCH+W-1:0] REST_LANES = {{PITCH{1'b0}}, {T{BYTE ^ TOP}}};
    localparam [PITCH+W-1:0] FIX_LANES  = {{PITCH{1'b0}}, {T{FIX_BITS}}};
    localparam [PITCH-1:0]   TOPS = TOP_LANES[PITCH-1:0], RESTS = REST_LANES[PITCH-1:0];

    function [31:0] rows_after;
        input [31:0] rows;
        integer n;
        begin
            rows_after = rows;
            for (n = rows; n > CUT; n = n - n/3)
                rows_after = n - n/3;
        end
    endfunction

    // From the last row to the first, as in array_compress. Complementing before the choice maps to one gate a bit.
    function [PITCH*ROWS-1:0] products;
        input [W*SIZE-1:0] words;
        input [8*SIZE-1:0] bytes;
        integer d, j;
        reg [PITCH-1:0] word, ones, chosen;
        begin
            products = 0;
            products[PITCH-1:0] = FIX_LANES[PITCH-1:0];
            for (j = 7; j >= 0; j = j - 1) begin
                ones = ((j == 7) ? RESTS : TOPS) << j;
                for (d = SIZE - 1; d >= 0; d = d - 1) begin
                    word     = ({{PITCH-W{1'b0}}, words[W*d +: W]} << j) ^ ones;
                    chosen   = {PITCH{bytes[8*d+j]}};
                    products = {products[PITCH*(ROWS-1)-1:0], (word & chosen) | (ones & ~chosen)};
                end
            end
        end
    endfunction

    wire [PITCH*ROWS-1:0] rows = products(a, b);
    wire [2*PITCH-1:0]    pair;

    generate
        if (STAGED) begin : cut
            wire [PITCH*LEFT-1:0] fewer;
            reg  [PITCH*LEFT-1:0] held;
            array_compress #(.T(T), .LANE(LANE), .PITCH(PITCH), .ROWS(ROWS), .LEFT(LEFT)) upper (
                .rows (rows),
                .left (fewer)
            );
            always @(posedge clk)
                held <= fewer;
            array_compress #(.T(T), .LANE(LANE), .PITCH(PITCH), .ROWS(LEFT), .LEFT(2)) lower (
                .rows (held),
                .left (pair)
            );
        end else begin : whole
            array_compress #(.T(T), .LANE(LANE), .PITCH(PITCH), .ROWS(ROWS), .LEFT(2)) tree (
                .rows (rows),
                .left (pair)
            );
        end
    endgenerate

    always @(posedge clk) begin
        sum   <= live ? pair[W-1:0] : {T{BASE_BITS}};
        carry <= pair[PITCH+W-1:PITCH] & {W{live}};
    end

    wire unused = &{1'b0, pair}; // above W bits a row is zero
endmodule
