// exp2_table: value = round(2**15 * 2**(-index/32)). Combinational.
// Generated from hwlib/numerics/softmax.py by `rtloom generate`; do not edit.
module exp2_table (
    input  wire [4:0]  index,
    output reg  [15:0] value
);
    always @* begin
        case (index)
            5'd0: value = 16'd32768;
            5'd1: value = 16'd32066;
            5'd2: value = 16'd31379;
            5'd3: value = 16'd30706;
            5'd4: value = 16'd30048;
            5'd5: value = 16'd29405;
            5'd6: value = 16'd28774;
            5'd7: value = 16'd28158;
            5'd8: value = 16'd27554;
            5'd9: value = 16'd26964;
            5'd10: value = 16'd26386;
            5'd11: value = 16'd25821;
            5'd12: value = 16'd25268;
            5'd13: value = 16'd24726;
            5'd14: value = 16'd24196;
            5'd15: value = 16'd23678;
            5'd16: value = 16'd23170;
            5'd17: value = 16'd22674;
            5'd18: value = 16'd22188;
            5'd19: value = 16'd21713;
            5'd20: value = 16'd21247;
            5'd21: value = 16'd20792;
            5'd22: value = 16'd20347;
            5'd23: value = 16'd19911;
            5'd24: value = 16'd19484;
            5'd25: value = 16'd19066;
            5'd26: value = 16'd18658;
            5'd27: value = 16'd18258;
            5'd28: value = 16'd17867;
            5'd29: value = 16'd17484;
            5'd30: value = 16'd17109;
            5'd31: value = 16'd16743;
            default: value = 16'd0;
        endcase
    end
endmodule
