// softmax_scale: one row's total of probabilities and its reciprocal, mult = min(32767, floor(2^(L+15)/total)).
// 33 cycles of `run`: in 18 the remainder doubles up to 2^L, the greatest power of two not above the total,
// and the shift counts from 15 to L + 15; in 15 (`divide`) restoring division gives mult. Starting the
// division from remainder 2^L makes total = 2^L yield all ones, which is the contract's 32767.
module softmax_scale (
    input  wire        clk,
    input  wire        add,
    input  wire        fresh,
    input  wire        run,
    input  wire        divide,
    input  wire [6:0]  probability,
    output wire [23:0] scale
);
    reg  [18:0] total, remainder;
    reg  [14:0] mult;
    reg  [5:0]  shift;

    // Searching, the remainder doubles unless that exceeds the total: borrow one more, for "not equal". Carry select.
    wire [20:0] doubled = {1'b0, remainder, 1'b0};
    wire [20:0] less = ~{2'b0, total};
    wire [10:0] lower = {1'b0, doubled[9:0]} + {1'b0, less[9:0]} + {10'b0, divide};
    wire [10:0] upper = doubled[20:10] + less[20:10];
    wire [10:0] upper_up = upper + 11'd1;
    wire [20:0] difference = {lower[10] ? upper_up : upper, lower[9:0]};
    wire        fits = !difference[20];

    wire        unused = &{1'b0, difference[19]};

    assign scale = {2'b0, shift, 1'b0, mult};

    always @(posedge clk) begin
        if (add)
            total <= (fresh ? 19'd0 : total) + {12'b0, probability};
        if (add) begin
            remainder <= 19'd1;
            shift     <= 6'd15;
        end else if (run) begin
            if (divide) begin
                remainder <= fits ? difference[18:0] : {remainder[17:0], 1'b0};
                mult      <= {mult[13:0], fits};
            end else if (!fits) begin
                remainder <= {remainder[17:0], 1'b0};
                shift     <= shift + 6'd1;
            end
        end
    end
endmodule
