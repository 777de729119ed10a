// norm_multiply: product of signed a and b, modulo 2^W, W at least A + B, as the sum of two rows.
// Combinational. Baugh and Wooley's form: the products of one sign bit with the other operand's bits are
// complemented and a constant makes up for it, so that no partial product needs sign extension. The rows of
// b's lower and of its upper half are added carry-save in two chains, which then become one.
module norm_multiply #(
    parameter A = 8,
    parameter B = 8,
    parameter W = 16
) (
    input  wire [A-1:0] a,
    input  wire [B-1:0] b,
    output wire [W-1:0] sum,
    output wire [W-1:0] carry
);
    localparam         HALF = B / 2;
    localparam [W-1:0] ONE  = 1;
    localparam [W-1:0] BIAS = (ONE << (A - 1)) + (ONE << (B - 1)) - (ONE << (A + B - 1));

    reg [W-1:0] low, low_carry, high, high_carry, row, either;
    integer     i;

    always @* begin
        low        = {W{1'b0}};
        low_carry  = BIAS;
        high       = {W{1'b0}};
        high_carry = {W{1'b0}};
        for (i = 0; i < HALF; i = i + 1) begin
            row       = {{W-A{1'b0}}, (a & {A{b[i]}}) ^ {1'b1, {A-1{1'b0}}}} << i;
            either    = low ^ low_carry;
            low_carry = ((low & low_carry) | (row & either)) << 1;
            low       = either ^ row;
        end
        for (i = HALF; i < B; i = i + 1) begin
            row        = {{W-A{1'b0}}, (a & {A{b[i]}}) ^ {i != B - 1, {A-1{i == B - 1}}}} << i;
            either     = high ^ high_carry;
            high_carry = ((high & high_carry) | (row & either)) << 1;
            high       = either ^ row;
        end
    end

    wire [W-1:0] joined, joined_carry;

    norm_csa #(.W(W)) u_join (.x(low), .y(low_carry), .z(high), .sum(joined), .carry(joined_carry));
    norm_csa #(.W(W)) u_last (.x(joined), .y(joined_carry), .z(high_carry), .sum(sum), .carry(carry));
endmodule
