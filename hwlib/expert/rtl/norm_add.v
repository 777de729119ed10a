// norm_add: sum = x + y + z modulo 2^W. Combinational.
// A carry-save row, then carry select (Bedrij 1962): BLOCKS blocks of BLOCK bits above the rest.
module norm_add #(
    parameter W = 48,
    parameter BLOCK = 12,
    parameter BLOCKS = 3
) (
    input  wire [W-1:0] x,
    input  wire [W-1:0] y,
    input  wire [W-1:0] z,
    output wire [W-1:0] sum
);
    localparam LOWEST = W - BLOCKS * BLOCK;

    wire [W-1:0] a, b;

    norm_csa #(.W(W)) u_rows (.x(x), .y(y), .z(z), .sum(a), .carry(b));

    wire [LOWEST:0] lowest = {1'b0, a[LOWEST-1:0]} + {1'b0, b[LOWEST-1:0]};
    wire [BLOCKS:0] carry;

    assign sum[LOWEST-1:0] = lowest[LOWEST-1:0];
    assign carry[0]        = lowest[LOWEST];

    genvar k;
    generate
        for (k = 0; k < BLOCKS; k = k + 1) begin : block
            wire [BLOCK:0] plain = {1'b0, a[LOWEST+BLOCK*k +: BLOCK]} + {1'b0, b[LOWEST+BLOCK*k +: BLOCK]};
            wire [BLOCK+1:0] from_one = {1'b0, a[LOWEST+BLOCK*k +: BLOCK], 1'b1} +
                                        {1'b0, b[LOWEST+BLOCK*k +: BLOCK], 1'b1};
            wire [BLOCK:0] right = carry[k] ? from_one[BLOCK+1:1] : plain;
            assign sum[LOWEST+BLOCK*k +: BLOCK] = right[BLOCK-1:0];
            assign carry[k+1] = right[BLOCK];
            wire unused_place = from_one[0];
        end
    endgenerate

    wire unused = carry[BLOCKS];
endmodule
