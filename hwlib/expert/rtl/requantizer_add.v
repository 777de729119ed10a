// requantizer_add: sum = x + y modulo 2^49, by carry select (Bedrij 1962). Combinational.
// Blocks of 13, 12, 12 and 12 bits; all but the lowest are added with and without a carry in, which then chooses.
module requantizer_add (
    input  wire [48:0] x,
    input  wire [48:0] y,
    output wire [48:0] sum
);
    localparam LOWEST = 13, BLOCK = 12, BLOCKS = 3;

    wire [LOWEST:0] lowest = {1'b0, x[LOWEST-1:0]} + {1'b0, y[LOWEST-1:0]};
    wire [BLOCKS:0] carry;

    assign sum[LOWEST-1:0] = lowest[LOWEST-1:0];
    assign carry[0]        = lowest[LOWEST];

    genvar k;
    generate
        for (k = 0; k < BLOCKS; k = k + 1) begin : block
            wire [BLOCK:0] plain = {1'b0, x[LOWEST+BLOCK*k +: BLOCK]} + {1'b0, y[LOWEST+BLOCK*k +: BLOCK]};
            wire [BLOCK:0] up    = plain + 1'b1;
            wire [BLOCK:0] right = carry[k] ? up : plain;
            assign sum[LOWEST+BLOCK*k +: BLOCK] = right[BLOCK-1:0];
            assign carry[k+1] = right[BLOCK];
        end
    endgenerate

    wire unused = carry[BLOCKS];
endmodule
