// eltwise_round: v = floor((floor(sum / 2^shift) + 1) / 2) of a signed 41-bit sum, shift 0 to 46, saturated to int8 or,
// with `wide`, to -32640..32639, as v = 256*high + data. high is 0 unless wide.
// One register deep (advancing with `step`; `wide` belongs to the beat behind it), then saturation and increment. The
// sum is shifted in one's complement magnitude, so a bit lost above the sixteenth means saturation whatever the sign.
module eltwise_round (
    input  wire        clk,
    input  wire        step,
    input  wire [40:0] sum,
    input  wire [5:0]  shift,
    input  wire        wide,
    output wire [7:0]  data,
    output wire [7:0]  high
);
    wire [39:0] by0  = sum[39:0] ^ {40{sum[40]}};
    wire [39:0] by32 = shift[5] ? {32'b0, by0[39:32]} : by0;
    wire [30:0] by16 = shift[4] ? {7'b0, by32[39:16]} : by32[30:0];
    wire [22:0] by8  = shift[3] ? by16[30:8] : by16[22:0];
    wire [18:0] by4  = shift[2] ? by8[22:4] : by8[18:0];
    wire [16:0] by2  = shift[1] ? by4[18:2] : by4[16:0];
    wire [15:0] by1  = shift[0] ? by2[16:1] : by2[15:0];
    wire        lost = (!shift[4] && |by32[39:31]) || (!shift[3] && |by16[30:23]) ||
                       (!shift[2] && |by8[22:19]) || (!shift[1] && |by4[18:17]) || (!shift[0] && by2[16]);

    reg         negative, over;
    reg  [15:0] twice;

    always @(posedge clk)
        if (step) begin
            negative <= sum[40];
            over     <= lost;
            twice    <= by1;
        end

    // The largest magnitude's halves: 254 or 255 (negative) before the last place, in each byte with `wide`.
    wire        over_wide = &twice[15:9] && (twice[8] || &twice[7:0]);
    wire        over_byte = |twice[15:8] || &twice[7:0];
    wire        clamp = over || (wide ? over_wide : over_byte);
    wire [15:0] fit = clamp ? {{7{wide}}, 1'b0, 7'h7f, negative} : twice;
    wire [14:0] half = fit[15:1] ^ {15{negative}};
    wire [8:0]  low = {1'b0, half[7:0]} + {8'b0, fit[0] ^ negative};

    assign data = low[7:0];
    assign high = {negative, half[14:8]} + {7'b0, low[8] | low[7]};
endmodule
