// top_recovery: brings the engines to rest after a fault, then lets the run end.
// A run that ended well passes straight through. After a fault: no new data burst is let out (stop), those begun are
// completed, the engines are reset (for longer than a scratchpad answer takes), and only then is finish given,
// so that a new run always starts clean and the bus never waits.
module top_recovery (
    input  wire        clk,
    input  wire        rst_n,
    input  wire        in_valid,
    input  wire [2:0]  in_fault,
    input  wire [31:0] in_pc,
    output wire        out_valid,
    output wire [2:0]  out_fault,
    output wire [31:0] out_pc,
    input  wire        bus_busy,
    output wire        stop,
    output reg         engines_rst_n
);
    localparam [2:0] RESET_CYCLES = 3'd7;
    localparam [2:0] NONE = 3'd0;

    reg draining, resetting;
    reg [2:0] left;
    reg [2:0] fault;
    reg [31:0] pc;
    wire clean = in_valid && in_fault == NONE;
    wire last = resetting && left == 3'd0;

    assign stop = draining || resetting;
    assign out_valid = clean || last;
    assign out_fault = clean ? NONE : fault;
    assign out_pc = clean ? in_pc : pc;

    always @(posedge clk) begin
        if (!rst_n) begin
            draining <= 1'b0;
            resetting <= 1'b0;
            engines_rst_n <= 1'b0;
        end else begin
            if (in_valid && !clean)
                draining <= 1'b1;
            else if (!bus_busy)
                draining <= 1'b0;
            if (draining && !bus_busy)
                resetting <= 1'b1;
            else if (last)
                resetting <= 1'b0;
            engines_rst_n <= !(resetting && !last);
        end
    end

    always @(posedge clk) begin
        left <= resetting ? left - 1'b1 : RESET_CYCLES;
        if (in_valid) begin
            fault <= in_fault;
            pc <= in_pc;
        end
    end
endmodule
