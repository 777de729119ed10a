// softmax_total: one row's running total of powers of two, total = (total >> rise) + power.
// `gather` comes with a column's rise, a cycle before `add` and its power; without them the total stays. After `start`
// the total, then 2^14 to 2^27, shifts right by `level`, to its 15 highest bits, which are the divisor until the next
// `restart`. The addition is by carry select (Bedrij 1962) in blocks of 8, 8 and 12 bits.
module softmax_total (
    input  wire        clk,
    input  wire        gather,
    input  wire        restart,
    input  wire [5:0]  rise,
    input  wire        add,
    input  wire [15:0] power,
    input  wire        start,
    output wire [3:0]  level,
    output wire [14:0] divisor
);
    reg  [27:0] total;
    reg  [4:0]  by;
    reg         keep;
    reg  [3:0]  excess;  // of the total's highest bit above bit 14

    integer i;
    always @* begin
        excess = 4'd0;
        for (i = 1; i < 14; i = i + 1)
            if (total[14+i])
                excess = i[3:0];
    end

    wire [27:0] kept = (total >> by) & {28{keep}};
    wire [15:0] more = power & {16{add}};
    wire [8:0]  lower = {1'b0, kept[7:0]} + {1'b0, more[7:0]};
    wire [8:0]  middle = {1'b0, kept[15:8]} + {1'b0, more[15:8]};
    wire [8:0]  middle_up = middle + 9'd1;
    wire [11:0] upper_up = kept[27:16] + 12'd1;
    wire        carry = lower[8] ? middle_up[8] : middle[8];

    assign level   = by[3:0];
    assign divisor = total[14:0];

    always @(posedge clk) begin
        by    <= (rise[4:0] & {5{gather}}) | {1'b0, excess & {4{start}}};
        keep  <= !(gather && (restart || rise[5]));
        total <= {carry ? upper_up : kept[27:16], lower[8] ? middle_up[7:0] : middle[7:0], lower[7:0]};
    end
endmodule
