// array_recode: radix-4 Booth digits of D int8 multipliers, and the constants their rows need.
// Combinational. Digit j of byte d is bit 4*d+j: value (one + 2*two) negated by neg, where a negative
// row is sent as its complement and the missing +1 is added by the next row (array_group) or, for the
// last digit, by `correction`. Rows also leave out their sign extension, worth 256 * 4^j each.
// correction: for each GROUP bytes, what makes their rows sum to the exact dot product, modulo 2^32.
// enable=0 gives digits of zero, so that the products are zero whatever the operands are.
// Source: Booth 1951, MacSorley 1961.
module array_recode #(
    parameter D = 4,
    parameter GROUP = 8
) (
    input  wire                              enable,
    input  wire [8*D-1:0]                    b,
    output wire [4*D-1:0]                    one,
    output wire [4*D-1:0]                    two,
    output wire [4*D-1:0]                    neg,
    output wire [32*((D+GROUP-1)/GROUP)-1:0] correction
);
    localparam GROUPS     = (D + GROUP - 1) / GROUP;
    localparam SIGN_WORTH = 256 * (1 + 4 + 16 + 64);
    localparam [31:0] TOP_WORTH = 64; // weight of the last digit's +1

    function [12*D-1:0] digits;
        input [8*D-1:0] bytes;
        integer d, j;
        reg [8:0] x;
        reg low_odd;
        begin
            for (d = 0; d < D; d = d + 1) begin
                x = {bytes[8*d +: 8], 1'b0};
                for (j = 0; j < 4; j = j + 1) begin
                    low_odd = x[2*j+1] ^ x[2*j];
                    digits[4*d+j]     = low_odd;
                    digits[4*(D+d)+j] = (x[2*j+2] ^ x[2*j+1]) && !low_odd;
                    digits[4*(2*D+d)+j] = x[2*j+2] && !(x[2*j+1] && x[2*j]);
                end
            end
        end
    endfunction

    function [32*GROUPS-1:0] corrections;
        input [4*D-1:0] negative;
        integer d;
        begin
            for (d = 0; d < GROUPS; d = d + 1)
                corrections[32*d +: 32] = 0;
            for (d = 0; d < D; d = d + 1)
                corrections[32*(d/GROUP) +: 32] = corrections[32*(d/GROUP) +: 32] - SIGN_WORTH
                    + (negative[4*d+3] ? TOP_WORTH : 32'd0);
        end
    endfunction

    assign {neg, two, one} = digits(b) & {12*D{enable}};
    assign correction      = corrections(neg);
endmodule
