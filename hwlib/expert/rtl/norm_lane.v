// norm_lane: one row of norm, under the control of norm_program.
// Three stages gather and scale: byte, product, accumulate. Four more finish a pass-1 column: shift and saturate to
// the normalised z (int16); multiply by gamma; add beta; round. Products are kept as two rows, which the next stage adds.
//
//   acc  Q and S in pass 0 (Q + 2^27*sum), V, its normalised and shifted-out radicand, the divisor, then C
//   row  Q, then remainder and root (or quotient) of the serial steps, then n*r for pass 1
//   sum  -S, 0 with rms: then x is multiplied by x, not by x - 2^27
//   fit  19 less the normalising shifts of two: z = (x*row + acc) >> (fit + 6)
//
// V = 0 needs no care: then n*x = S for every x, so z is 0 whatever r is. The quotient 2^31 / 2^15 would
// be 2^16; as the division starts from remainder 2^15 it comes out as 65535, which the contract asks for.
module norm_lane (
    input  wire        clk,
    input  wire        step,
    input  wire [7:0]  x,
    input  wire [12:0] cols,
    input  wire        rms,
    input  wire [2:0]  pick,
    input  wire [7:0]  constant,
    input  wire [4:0]  operand,
    input  wire [3:0]  base,
    input  wire        write,
    input  wire        normalise,
    input  wire        capture,
    input  wire        load_root,
    input  wire        load_scale,
    input  wire        root_step,
    input  wire        root_mode,
    input  wire [15:0] mult,
    input  wire [39:0] bias,
    input  wire [5:0]  shift,
    output wire [7:0]  y
);
    localparam [4:0] SHIFTS = 5'd19;

    reg  [47:0] acc;
    reg  [32:0] row;
    reg  [20:0] sum;
    reg  [4:0]  fit;
    reg  [7:0]  narrow;

    // Stage 0: the byte.
    always @(posedge clk)
        if (step)
            case (pick)
                3'd0:    narrow <= x;
                3'd1:    narrow <= constant;
                3'd2:    narrow <= {~sum[20], ~sum[20:14]};
                3'd3:    narrow <= {1'b0, ~sum[13:7]};
                3'd4:    narrow <= {1'b0, ~sum[6:0]};
                3'd5:    narrow <= {6'b0, row[15:14]};
                3'd6:    narrow <= {1'b0, row[13:7]};
                default: narrow <= {1'b0, row[6:0]};
            endcase

    // Stage 1: the product.
    reg  [47:0] product, product_carry;
    wire [47:0] wide_by_narrow, wide_by_narrow_carry;

    wire [28:0] wide = ({29{operand[0]}} & {!rms || narrow[7], rms ^ !narrow[7], {19{narrow[7]}}, narrow}) |
                       ({29{operand[1]}} & {1'b0, row[27:0]}) |
                       ({29{operand[2]}} & {{8{sum[20]}}, sum}) |
                       ({29{operand[3]}} & {16'b0, cols}) |
                       ({29{operand[4]}} & (29'd32 << fit));

    norm_multiply #(.A(29), .B(8), .W(48)) u_product (
        .a(wide), .b(narrow), .sum(wide_by_narrow), .carry(wide_by_narrow_carry)
    );

    always @(posedge clk)
        if (step) begin
            product       <= wide_by_narrow;
            product_carry <= wide_by_narrow_carry;
        end

    // Stage 2: accumulate. The upper byte holds only a part of S, which no shifted base needs.
    wire [39:0] addend = ({40{base[0]}} & acc[39:0]) | ({40{base[1]}} & {acc[32:0], 7'b0}) |
                         ({40{base[2]}} & {acc[37:0], 2'b0}) | ({40{base[3]}} & {24'b0, row[15:0]});
    wire [47:0] total;
    wire        keep  = normalise && acc[39:38] != 2'b0;

    norm_add #(.W(48), .BLOCK(12), .BLOCKS(3)) u_total (
        .x({{8{|base}} & acc[47:40], addend}), .y(product), .z(product_carry), .sum(total)
    );

    always @(posedge clk)
        if (step) begin
            if (write && !keep)
                acc <= total;
            if (capture)
                sum <= acc[47:27];
            if (capture)
                fit <= SHIFTS;
            else if (normalise && !keep)
                fit <= fit - 5'd1;
        end

    // Restoring square root and division share the subtractor; 17 bits of remainder, 16 of root or quotient.
    wire [18:0] next_remainder = root_mode ? {row[32:16], acc[39:38]} : {1'b0, row[32:16], 1'b0};
    wire [17:0] trial = root_mode ? {row[15:0], 2'b01} : {2'b0, acc[15:0]};
    wire [19:0] difference = {1'b0, next_remainder} - {2'b0, trial};
    wire        fits = !difference[19];
    wire [16:0] stepped = fits ? difference[16:0] : next_remainder[16:0];

    always @(posedge clk)
        if (step) begin
            if (capture || load_scale)
                row <= {5'b0, load_scale && acc[27], acc[26:0]};
            else if (root_step)
                row <= {stepped, row[14:0], fits};
            else if (normalise || load_root)
                row <= {1'b0, load_root, 15'b0, row[14:0], 1'b0};
        end

    // Stages 3 to 6: z, gamma, beta, rounding. z is shifted as a one's-complement magnitude.
    reg  [31:0]        scaled; // the product's bits 37 to 6, as it is shifted by fit + 6
    reg  [15:0]        z;
    reg  [40:0] weighed, weighed_carry;
    reg  [40:0] biased;

    wire [30:0] by0  = scaled[30:0] ^ {31{scaled[31]}};
    wire [29:0] by16 = fit[4] ? {15'b0, by0[30:16]} : by0[29:0];
    wire [21:0] by8  = fit[3] ? by16[29:8] : by16[21:0];
    wire [17:0] by4  = fit[2] ? by8[21:4] : by8[17:0];
    wire [15:0] by2  = fit[1] ? by4[17:2] : by4[15:0];
    wire [14:0] by1  = fit[0] ? by2[15:1] : by2[14:0];
    wire        over = (!fit[4] && by0[30]) || (!fit[3] && |by16[29:22]) || (!fit[2] && |by8[21:18]) ||
                       (!fit[1] && |by4[17:16]) || (!fit[0] && by2[15]);

    wire [40:0] z_by_mult, z_by_mult_carry, with_bias;

    norm_multiply #(.A(16), .B(16), .W(41)) u_weigh (.a(z), .b(mult), .sum(z_by_mult), .carry(z_by_mult_carry));
    norm_add #(.W(41), .BLOCK(12), .BLOCKS(2)) u_bias (.x({bias[39], bias}), .y(weighed), .z(weighed_carry), .sum(with_bias));

    always @(posedge clk)
        if (step) begin
            scaled <= total[37:6];
            z      <= {scaled[31], (by1 | {15{over}}) ^ {15{scaled[31]}}};
            weighed       <= z_by_mult;
            weighed_carry <= z_by_mult_carry;
            biased        <= with_bias;
        end

    wire unused = &{1'b0, difference[18:17]};

    norm_round u_round (.clk(clk), .step(step), .sum(biased), .shift(shift), .y(y));
endmodule
