// requantizer_csa: carry-save adder, three rows of 49 bits to two of the same sum modulo 2^49. Combinational.
module requantizer_csa (
    input  wire [48:0] x,
    input  wire [48:0] y,
    input  wire [48:0] z,
    output wire [48:0] sum,
    output wire [48:0] carry
);
    assign sum   = x ^ y ^ z;
    assign carry = {(x[47:0] & y[47:0]) | (z[47:0] & (x[47:0] ^ y[47:0])), 1'b0};
endmodule
