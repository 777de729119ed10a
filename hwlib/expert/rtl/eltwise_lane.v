// eltwise_lane: one lane of eltwise: operands, u, products, sum, and the rounding of eltwise_round.
// Latency 5 cycles; the operands' registers advance with `load`, all others with `step`. add, wide, even and odd
// describe the held beat, mult, mult_b and bias_middle the beat one stage further, the other parts of the bias two, shift
// three, wide_out that at the end. An odd beat finds its even one in the operands before; an even one its odd one at the port.
// Rows of products keep their sign bit complemented instead of extended (Baugh-Wooley); constants, the lanes' common
// ones in the bias, make up for it: those of both products by mult, of 8 unsigned and 9 signed bits, and that by mult_b.
module eltwise_lane (
    input  wire        clk,
    input  wire        load,
    input  wire        step,
    input  wire [7:0]  x_a,
    input  wire [7:0]  x_high,
    input  wire [7:0]  x_b,
    input  wire        add,
    input  wire        wide,
    input  wire        even,
    input  wire        odd,
    input  wire [15:0] mult,
    input  wire [15:0] mult_b,
    input  wire [23:0] bias_middle,
    input  wire [8:0]  bias_plus0,
    input  wire [8:0]  bias_plus1,
    input  wire [8:0]  bias_plus2,
    input  wire [7:0]  bias_low,
    input  wire [5:0]  shift,
    input  wire        wide_out,
    output wire [7:0]  data,
    output wire [7:0]  high
);
    localparam [7:0]  SIGN8 = 8'h80;
    localparam [15:0] SIGN16 = 16'h8000;
    localparam [12:0] LOW = 13'h1000; // added, then taken off: a chain of sums that starts with 0 is no tree to Yosys
    localparam [16:0] TURN = 17'h10180; // of two products of 8 by 8 bits and a signed byte: 2^9 - 2^16 - 2^7

    reg [7:0] a, plane, b;   // the held beat
    reg [7:0] before_a, before_b;

    always @(posedge clk)
        if (load) begin
            a        <= x_a;
            plane    <= x_high;
            b        <= x_b;
            before_a <= a;
            before_b <= b;
        end

    // u = 256*coarse + fine. For rotate's even beat the second product is the odd beat's, subtracted (-p*q is
    // p*(-1-q) + p); for its odd beat it is the even beat's a and the odd one's b. For multiply it is 0.
    wire [7:0]  factor = odd ? before_b : b;
    wire [7:0]  other = ({8{even}} & x_a) | ({8{odd}} & before_a);
    wire [7:0]  other_factor = odd ? b : ~x_b;
    wire [7:0]  extra = other & {8{even}};
    wire [8:0]  upper = ({9{wide}} & {plane[7], plane}) + {9{a[7]}};
    reg  [8:0]  coarse;
    reg  [7:0]  fine, addend;

    // Sums of rows, the uppermost row of each first.
    integer i, j, k;
    reg [16:0] turned;
    reg [15:0] low;
    reg [12:0] low_above;
    reg [24:0] row;
    reg [15:0] middle;
    reg [13:0] middle_above;
    reg [25:0] line;

    always @* begin
        turned = TURN + {9'b0, ~extra[7], extra[6:0]} + {2'b0, ({8{a[7]}} & factor) ^ ~SIGN8, 7'b0} +
                 {2'b0, ({8{other[7]}} & other_factor) ^ ~SIGN8, 7'b0};
        for (i = 0; i < 7; i = i + 1)
            turned = turned + ({9'b0, ({8{a[i]}} & factor) ^ SIGN8} << i) +
                     ({9'b0, ({8{other[i]}} & other_factor) ^ SIGN8} << i);
    end

    // The rows' lower 12 bits and the rest are summed apart, so that carries run half the way.
    always @* begin
        row = {2'b0, ({16{addend[7]}} & mult_b) ^ ~SIGN16, 7'b0};
        low = {4'b0, row[11:0]};
        low_above = LOW + row[24:12];
        row = {2'b0, ({16{fine[7]}} & mult) ^ SIGN16, 7'b0};
        low = low + {4'b0, row[11:0]};
        low_above = low_above + row[24:12];
        for (j = 0; j < 7; j = j + 1) begin
            row = {9'b0, ({16{fine[j]}} & mult) ^ SIGN16} << j;
            low = low + {4'b0, row[11:0]};
            low_above = low_above + row[24:12];
            row = {9'b0, ({16{addend[j]}} & mult_b) ^ SIGN16} << j;
            low = low + {4'b0, row[11:0]};
            low_above = low_above + row[24:12];
        end
    end

    always @* begin
        line = {2'b0, ({16{coarse[8]}} & mult) ^ ~SIGN16, 8'b0};
        middle = {4'b0, bias_middle[11:0]} + {4'b0, line[11:0]};
        middle_above = {2'b0, bias_middle[23:12]} + line[25:12];
        for (k = 0; k < 8; k = k + 1) begin
            line = {10'b0, ({16{coarse[k]}} & mult) ^ SIGN16} << k;
            middle = middle + {4'b0, line[11:0]};
            middle_above = middle_above + line[25:12];
        end
    end

    always @(posedge clk)
        if (step) begin
            coarse <= add ? upper : turned[16:8];
            fine   <= add ? a : turned[7:0];
            addend <= b & {8{add}};
        end

    reg  [15:0] middle_part;
    reg  [13:0] middle_above_part;
    // The sum of middle rows carries 0, 1 or 2 into the bias' upper part, and what is added below it so too.
    wire [8:0]  bias_upper = middle_above_part[13] ? bias_plus2 : middle_above_part[12] ? bias_plus1 : bias_plus0;
    wire [15:0] top_part = {bias_upper, middle_above_part[11:5]};
    reg  [15:0] low_part;
    reg  [12:0] low_above_part;
    reg  [40:0] sum;
    wire [26:0] added = {2'b0, middle_above_part[4:0], middle_part[11:0], bias_low} +
                        {2'b0, low_above_part ^ LOW, low_part[11:0]} +
                        {3'b0, middle_part[15:12], 4'b0, low_part[15:12], 12'b0};

    always @(posedge clk)
        if (step) begin
            low_part  <= low;
            low_above_part <= low_above;
            middle_part <= middle;
            middle_above_part <= middle_above;
            sum       <= {added[26] ? top_part + 16'd2 : added[25] ? top_part + 16'd1 : top_part, added[24:0]};
        end

    eltwise_round u_round (
        .clk(clk),
        .step(step),
        .sum(sum),
        .shift(shift),
        .wide(wide_out),
        .data(data),
        .high(high)
    );
endmodule
