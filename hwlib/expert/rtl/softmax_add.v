// softmax_add: sum = x + y modulo 2^28, by carry select (Bedrij 1962). Combinational.
// Four blocks of 4 bits, whose carries pass by generate and propagate, and above y blocks of 4 and 8 that count up.
module softmax_add (
    input  wire [27:0] x,
    input  wire [15:0] y,
    output wire [27:0] sum
);
    wire [5:0] carry;  // into each block

    assign carry[0] = 1'b0;

    genvar k;
    generate
        for (k = 0; k < 4; k = k + 1) begin : block
            wire [4:0] plain = {1'b0, x[4*k +: 4]} + {1'b0, y[4*k +: 4]};
            wire       propagate = &(x[4*k +: 4] | y[4*k +: 4]);
            wire [3:0] turned = {&plain[2:0], &plain[1:0], plain[0], 1'b1};

            assign carry[k+1] = plain[4] || (propagate && carry[k]);
            assign sum[4*k +: 4] = plain[3:0] ^ (turned & {4{carry[k]}});
        end
    endgenerate

    wire [3:0] turned = {&x[18:16], &x[17:16], x[16], 1'b1};
    wire [7:0] up = x[27:20] + 8'd1;

    assign carry[5]   = carry[4] && (&x[19:16]);
    assign sum[19:16] = x[19:16] ^ (turned & {4{carry[4]}});
    assign sum[27:20] = carry[5] ? up : x[27:20];
endmodule
