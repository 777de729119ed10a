// array_column: a column of T dot-product units, D int8 products a cycle each, into 32-bit accumulators.
// Groups of up to GROUP products leave carry-save pairs (array_group); pairs of several groups are merged
// (array_csa); the accumulator adds the pair in one carry-select addition. Free running, no reset: what is not live
// counts as zero, `first` clears. All T units share the column's multipliers.
// total: the accumulators' next values, STAGES cycles after the operands.
module array_column #(
    parameter T = 4,
    parameter D = 4,
    parameter GROUP = 16,
    parameter LANE = 18,
    parameter STAGED = 1
) (
    input  wire                clk,
    input  wire [LANE*T*D-1:0] a,
    input  wire [8*D-1:0]      b,
    input  wire                live,  // the groups' pairs of the next cycle count
    input  wire                first,
    output wire [32*T-1:0]     total
);
    localparam SIZE   = (D < GROUP) ? D : GROUP;
    localparam GROUPS = D / SIZE;
    localparam W      = LANE * T;
    localparam LOW    = 12;     // blocks of the carry-select addition: 12, 10 and 10 bits
    localparam HIGH   = 22;

    wire [2*W*GROUPS-1:0] partial;
    wire [W-1:0]          sum;
    wire [W-1:0]          carry;

    genvar g;
    generate
        for (g = 0; g < GROUPS; g = g + 1) begin : group
            array_group #(.T(T), .SIZE(SIZE), .LANE(LANE), .STAGED(STAGED)) products (
                .clk   (clk),
                .a     (a[W*SIZE*g +: W*SIZE]),
                .b     (b[8*SIZE*g +: 8*SIZE]),
                .live  (live),
                .sum   (partial[2*W*g +: W]),
                .carry (partial[2*W*g+W +: W])
            );
        end
        if (GROUPS > 1) begin : merge
            array_csa #(.T(T), .LANE(LANE), .ROWS(2 * GROUPS)) tree (
                .clk   (clk),
                .rows  (partial),
                .sum   (sum),
                .carry (carry)
            );
        end else begin : no_merge
            assign {carry, sum} = partial;
        end
    endgenerate

    // sum + carry is the dot product plus 2^(LANE-1), below 2^LANE: at most one of their top bits is set, and the
    // place it leaves, with all places above, takes the ones of -2^(LANE-1).
    function [31:0] add;
        input [31:0] x;
        input [LANE-1:0] s;
        input [LANE-1:0] c;
        reg [31:0] y, z, both, low, high;
        reg [LOW:0]       first_block;
        reg [HIGH-LOW:0]  second, second_up;
        reg [31-HIGH:0]   third, third_up;
        begin
            y    = {{33-LANE{1'b1}}, s[LANE-2:0]};
            z    = {{32-LANE{1'b0}}, s[LANE-1] | c[LANE-1], c[LANE-2:0]};
            both = x & y;
            low  = (x | y) & ~both;
            high = (both | (low & z)) << 1;
            low  = (low | z) & ~(low & z);
            first_block = {1'b0, low[LOW-1:0]} + {1'b0, high[LOW-1:0]};
            second      = {1'b0, low[HIGH-1:LOW]} + {1'b0, high[HIGH-1:LOW]};
            second_up   = second + 1'b1;
            third       = low[31:HIGH] + high[31:HIGH];
            third_up    = third + 1'b1;
            add[LOW-1:0] = first_block[LOW-1:0];
            if (first_block[LOW])
                second = second_up;
            add[HIGH-1:LOW] = second[HIGH-LOW-1:0];
            add[31:HIGH]    = second[HIGH-LOW] ? third_up : third;
        end
    endfunction

    // The next values of all units. One vector, not a net each: simulators join the parts of a net bit by bit.
    function [32*T-1:0] sums;
        input [32*T-1:0] x;
        input [W-1:0] s;
        input [W-1:0] c;
        integer r;
        begin
            for (r = 0; r < T; r = r + 1)
                sums[32*r +: 32] = add(x[32*r +: 32], s[LANE*r +: LANE], c[LANE*r +: LANE]);
        end
    endfunction

    reg [32*T-1:0] acc;

    assign total = sums(acc & {32*T{!first}}, sum, carry);

    always @(posedge clk)
        acc <= total;
endmodule
