// norm_round: y = sat8(floor((floor(sum / 2^shift) + 1) / 2)) of a signed 41-bit sum, shift 0 to 46.
// One register deep (advancing with `step`), then an 8-bit increment. The sum is shifted in one's
// complement magnitude, so a bit lost above the ninth means saturation whatever the sign.
module norm_round (
    input  wire        clk,
    input  wire        step,
    input  wire [40:0] sum,
    input  wire [5:0]  shift,
    output wire [7:0]  y
);
    wire [39:0] by0  = sum[39:0] ^ {40{sum[40]}};
    wire [39:0] by32 = shift[5] ? {32'b0, by0[39:32]} : by0;
    wire [23:0] by16 = shift[4] ? by32[39:16] : by32[23:0];
    wire [15:0] by8  = shift[3] ? by16[23:8] : by16[15:0];
    wire [11:0] by4  = shift[2] ? by8[15:4] : by8[11:0];
    wire [9:0]  by2  = shift[1] ? by4[11:2] : by4[9:0];
    wire [8:0]  by1  = shift[0] ? by2[9:1] : by2[8:0];
    wire        over = (!shift[4] && |by32[39:24]) || (!shift[3] && |by16[23:16]) ||
                       (!shift[2] && |by8[15:12]) || (!shift[1] && |by4[11:10]) ||
                       (!shift[0] && by2[9]) || by1[8];

    reg         negative;
    reg  [7:0]  twice;

    always @(posedge clk)
        if (step) begin
            negative <= sum[40];
            twice    <= by1[7:0] | {8{over}};
        end

    wire carry = negative ? !twice[0] : (twice[0] && !(&twice[7:1]));
    assign y = {negative, twice[7:1] ^ {7{negative}}} + {7'b0, carry};
endmodule
