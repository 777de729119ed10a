// softmax_total: one row's running total of powers of two, total = (total >> rise) + power, or = power where all is lost.
// `gather` comes with a column's rise, a cycle before `add` and its power; without them the total stays. After `start`
// the total, then 2^14 to 2^27, shifts right by `level`, to its 15 highest bits, which are the divisor until the next
// row's first column.
module softmax_total (
    input  wire        clk,
    input  wire        gather,
    input  wire [4:0]  rise,
    input  wire        lost,
    input  wire        add,
    input  wire [15:0] power,
    input  wire        start,
    output wire [3:0]  level,
    output wire [14:0] divisor
);
    reg  [27:0] total;
    reg  [3:0]  by;
    reg         near, far;  // shift by `by`, or by 16 more; neither: all away
    reg  [3:0]  excess;     // of the total's highest bit above bit 14

    integer i;
    always @* begin
        excess = 4'd0;
        for (i = 1; i < 14; i = i + 1)
            if (total[14+i])
                excess = i[3:0];
    end

    wire [27:0] kept = (total & {28{near}}) | {16'b0, total[27:16] & {12{far}}};
    wire [27:0] sum;

    softmax_add u_add (
        .x(kept >> by),
        .y(power & {16{add}}),
        .sum(sum)
    );

    wire moves = gather && !lost;

    assign level   = by;
    assign divisor = total[14:0];

    always @(posedge clk) begin
        by    <= (rise[3:0] & {4{moves}}) | (excess & {4{start}});
        near  <= !gather || (!lost && !rise[4]);
        far   <= moves && rise[4];
        total <= sum;
    end
endmodule
