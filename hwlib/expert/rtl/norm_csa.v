// norm_csa: carry-save adder, three rows to two of the same sum modulo 2^W. Combinational.
module norm_csa #(
    parameter W = 16
) (
    input  wire [W-1:0] x,
    input  wire [W-1:0] y,
    input  wire [W-1:0] z,
    output wire [W-1:0] sum,
    output wire [W-1:0] carry
);
    wire [W-2:0] either = x[W-2:0] ^ y[W-2:0];

    assign sum   = x ^ y ^ z;
    assign carry = {(x[W-2:0] & y[W-2:0]) | (z[W-2:0] & either), 1'b0};
endmodule
