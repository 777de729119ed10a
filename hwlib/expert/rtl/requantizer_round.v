// requantizer_round: y = sat8(((value >> places) + 1) >> 1), arithmetic shifts, places 0 to 46. Combinational.
// A shifter by powers of two, largest first. After each step only the bits that the remaining steps can
// still bring into the nine that count are kept; what is cut off and is not sign means saturation.
module requantizer_round (
    input  wire [48:0] value,
    input  wire [5:0]  places,
    output wire [7:0]  y
);
    wire        sign = value[48];
    wire [39:0] by32 = places[5] ? {{23{sign}}, value[48:32]} : value[39:0];
    wire [23:0] by16 = places[4] ? by32[39:16] : by32[23:0];
    wire [15:0] by8  = places[3] ? by16[23:8]  : by16[15:0];
    wire [11:0] by4  = places[2] ? by8[15:4]   : by8[11:0];
    wire [9:0]  by2  = places[1] ? by4[11:2]   : by4[9:0];
    wire [8:0]  by1  = places[0] ? by2[9:1]    : by2[8:0];

    wire over = (!places[5] && (|(value[47:39] ^ {9{sign}})))
        || (!places[4] && (|(by32[39:23] ^ {17{sign}})))
        || (!places[3] && (|(by16[23:15] ^ {9{sign}})))
        || (!places[2] && (|(by8[15:11] ^ {5{sign}})))
        || (!places[1] && (|(by4[11:9] ^ {3{sign}})))
        || (!places[0] && (by2[9] ^ sign))
        || (by1[8] ^ sign);

    wire       top     = by1[7:0] == 8'hff && !sign; // rounds up to 128
    wire [7:0] rounded = by1[8:1] + {7'b0, by1[0]};

    assign y = (over || top) ? {sign, {7{!sign}}} : rounded;
endmodule
