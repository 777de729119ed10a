// requantizer_lane: y = sat8((x*mult + bias + 2^(shift-1)) >> shift), shift 1 to 47.
// Free running, no reset; y is combinational from the second register, 2 cycles after the operands.
// Cycle 0: radix-4 Booth rows of x*mult and the bias through a carry-save tree; cycle 1: the one
// carry-propagate add (requantizer_add); cycle 2: shift and saturate (requantizer_round).
// Booth rows leave out their sign extension (2^32 * 4^j each) and the +1 of a negative row; the next row's
// free low bits and the constant row `offset` make up for both, modulo 2^49.
module requantizer_lane (
    input  wire        clk,
    input  wire [31:0] x,
    input  wire [15:0] mult,
    input  wire [5:0]  shift,
    input  wire [39:0] bias,
    output wire [7:0]  y
);
    wire [16:0]       digits = {mult, 1'b0};
    wire [49*8-1:0]   rows;
    wire [7:0]        neg;

    genvar j;
    generate
        for (j = 0; j < 8; j = j + 1) begin : digit
            wire one = digits[2*j+1] ^ digits[2*j];
            wire two = (digits[2*j+2] ^ digits[2*j+1]) && !one;
            assign neg[j] = digits[2*j+2] && !(digits[2*j+1] && digits[2*j]);
            wire [32:0] row = (({33{one}} & {x[31], x}) | ({33{two}} & {x, 1'b0})) ^ {33{neg[j]}};
            if (j == 0) begin : lowest
                assign rows[48:0] = {16'b0, ~row[32], row[31:0]};
            end else begin : higher
                assign rows[49*j +: 49] = {16'b0, ~row[32], row[31:0]} << 2*j | {48'b0, neg[j-1]} << (2*j - 2);
            end
        end
    endgenerate

    // -(2^39 + sum over j of 2^32 * 4^j) modulo 2^49: 2^39 for the bias, sent as {~sign, rest}
    localparam [16:0] OFFSET_HIGH = 17'h1aa2b;
    wire [48:0] offset   = {OFFSET_HIGH, 17'b0, neg[7], 14'b0};
    wire [48:0] bias_row = {9'b0, ~bias[39], bias[38:0]};

    wire [48:0] s0, s1, s2, s3, s4, s5, s6, s7;
    wire [48:0] c0, c1, c2, c3, c4, c5, c6, c7;

    requantizer_csa add0 (.x(rows[0   +: 49]), .y(rows[49  +: 49]), .z(rows[98  +: 49]), .sum(s0), .carry(c0));
    requantizer_csa add1 (.x(rows[147 +: 49]), .y(rows[196 +: 49]), .z(rows[245 +: 49]), .sum(s1), .carry(c1));
    requantizer_csa add2 (.x(rows[294 +: 49]), .y(rows[343 +: 49]), .z(bias_row),        .sum(s2), .carry(c2));
    requantizer_csa add3 (.x(s0), .y(c0), .z(s1),     .sum(s3), .carry(c3));
    requantizer_csa add4 (.x(c1), .y(s2), .z(c2),     .sum(s4), .carry(c4));
    requantizer_csa add5 (.x(s3), .y(c3), .z(s4),     .sum(s5), .carry(c5));
    requantizer_csa add6 (.x(s5), .y(c5), .z(c4),     .sum(s6), .carry(c6));
    requantizer_csa add7 (.x(s6), .y(c6), .z(offset), .sum(s7), .carry(c7));

    reg [48:0] sum;
    reg [48:0] carry;
    reg [48:0] total;
    reg [5:0]  less_one;
    reg [5:0]  places;

    wire [48:0] added;
    requantizer_add add8 (.x(sum), .y(carry), .sum(added));

    always @(posedge clk) begin
        sum      <= s7;
        carry    <= c7;
        less_one <= shift - 1'b1;
        total    <= added;
        places   <= less_one;
    end

    requantizer_round round (
        .value  (total),
        .places (places),
        .y      (y)
    );
endmodule
