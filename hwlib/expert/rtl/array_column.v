// array_column: a column of T dot-product units, D int8 products a cycle each, into 32-bit accumulators.
// Booth rows go through a registered carry-save tree (two when D > GROUP: of each group, then of all), then
// one carry-propagate add with the accumulator. Free running, no reset: idle cycles add zero (see
// array_recode), `first` clears. All T units share the digits of the column's multipliers.
// total: the accumulators' next values, 1 cycle after the operands (2 when D > GROUP).
module array_column #(
    parameter T = 4,
    parameter D = 4,
    parameter GROUP = 8
) (
    input  wire                              clk,
    input  wire [32*T*D-1:0]                 a,
    input  wire [4*D-1:0]                    one,
    input  wire [4*D-1:0]                    two,
    input  wire [4*D-1:0]                    neg,
    input  wire [32*((D+GROUP-1)/GROUP)-1:0] correction,
    input  wire                              first,
    output wire [32*T-1:0]                   total
);
    localparam GROUPS = (D + GROUP - 1) / GROUP;
    localparam W      = 32 * T;

    wire [2*W*GROUPS-1:0] partial;
    wire [W-1:0]          sum;
    wire [W-1:0]          carry;

    genvar g;
    generate
        for (g = 0; g < GROUPS; g = g + 1) begin : group
            localparam SIZE = (D - g*GROUP < GROUP) ? D - g*GROUP : GROUP;
            array_group #(.T(T), .SIZE(SIZE)) products (
                .clk        (clk),
                .a          (a[W*GROUP*g +: W*SIZE]),
                .one        (one[4*GROUP*g +: 4*SIZE]),
                .two        (two[4*GROUP*g +: 4*SIZE]),
                .neg        (neg[4*GROUP*g +: 4*SIZE]),
                .correction (correction[32*g +: 32]),
                .sum        (partial[2*W*g +: W]),
                .carry      (partial[2*W*g+W +: W])
            );
        end
        if (GROUPS > 1) begin : merge
            array_csa #(.T(T), .ROWS(2 * GROUPS)) tree (
                .clk   (clk),
                .rows  (partial),
                .sum   (sum),
                .carry (carry)
            );
        end else begin : no_merge
            assign {carry, sum} = partial;
        end
    endgenerate

    function [W-1:0] add;
        input [W-1:0] x;
        input [W-1:0] y;
        input [W-1:0] z;
        integer r;
        reg [W-1:0] low, high;
        begin
            low  = x ^ y ^ z;
            high = ((x & y) | (z & (x ^ y))) << 1;
            for (r = 0; r < T; r = r + 1)
                add[32*r +: 32] = low[32*r +: 32] + {high[32*r+1 +: 31], 1'b0};
        end
    endfunction

    reg [W-1:0] acc;

    assign total = add(sum, carry, acc & {W{!first}});

    always @(posedge clk)
        acc <= total;
endmodule
