// norm_multiply: product of signed a and b, in W bits, at least A + B.
// Combinational, for synthesis to merge with the sums around it. Baugh and Wooley's form: the products of
// one sign bit with the other operand's bits are complemented and a constant makes up for it, so that
// no partial product needs sign extension.
module norm_multiply #(
    parameter A = 8,
    parameter B = 8,
    parameter W = 16
) (
    input  wire [A-1:0] a,
    input  wire [B-1:0] b,
    output reg  [W-1:0] product
);
    localparam [W-1:0] ONE  = 1;
    localparam [W-1:0] BIAS = (ONE << (A - 1)) + (ONE << (B - 1)) - (ONE << (A + B - 1));

    reg [A-1:0] row;
    integer     i;

    always @* begin
        product = BIAS;
        for (i = 0; i < B; i = i + 1) begin
            row     = (a & {A{b[i]}}) ^ {i != B - 1, {A-1{i == B - 1}}};
            product = product + ({{W-A{1'b0}}, row} << i);
        end
    end
endmodule
