// activation: T int8 values through one of TABLES 256-entry tables, or unchanged.
// Latency: 2 cycles with en=0, T/LANES + 2 with en=1.
// Throughput: one beat a cycle with en=0, one every T/LANES cycles with en=1; up to 2 cycles lost where
// en=0 follows en=1, as the order is kept by waiting.
// Handshake: the whole block moves or stands; it stands while a finished beat is refused.
// Each lane has its own copy of the tables. A beat's values leave the input register LANES at a time
// and their results enter the output register in the same order, so neither needs a wide selector.
module activation #(
    parameter T = 4,
    parameter D = 4,
    parameter LANES = 1,
    parameter TABLES = 2
) (
    input  wire             clk,
    input  wire             rst_n,
    input  wire             tab_valid,
    input  wire [15:0]      tab_addr,
    input  wire [8*T*D-1:0] tab_data,
    input  wire             x_valid,
    output wire             x_ready,
    input  wire [8*T-1:0]   x_data,
    input  wire             x_en,
    input  wire [1:0]       x_table,
    output wire             y_valid,
    input  wire             y_ready,
    output wire [8*T-1:0]   y_data
);
    localparam STEPS  = T / LANES;
    localparam STEP_W = (STEPS > 1) ? $clog2(STEPS) : 1;
    localparam LAST   = STEPS - 1;
    localparam [STEP_W-1:0] LAST_STEP = LAST[STEP_W-1:0];

    reg           held;      // the input register has values to send
    reg           held_en;
    reg [1:0]     held_table;
    reg [8*T-1:0] held_data;
    reg [STEP_W-1:0] step;
    reg           looking;   // a look-up's result is at the tables' outputs
    reg           finishing; // and it is the last of its beat
    reg           done;
    reg [8*T-1:0] done_data;

    wire move    = !done || y_ready;
    wire look    = held && held_en;
    wire pass    = held && !held_en && !looking;
    wire release_held = move && (pass || (look && step == LAST_STEP));
    wire [8*LANES-1:0] found;

    assign x_ready = !held || release_held;
    assign y_valid = done;
    assign y_data  = done_data;

    always @(posedge clk) begin
        if (!rst_n) begin
            held      <= 0;
            step      <= 0;
            looking   <= 0;
            finishing <= 0;
            done      <= 0;
        end else begin
            if (x_ready)
                held <= x_valid;
            if (move) begin
                step      <= (look && step != LAST_STEP) ? step + 1'b1 : {STEP_W{1'b0}};
                looking   <= look;
                finishing <= look && step == LAST_STEP;
                done      <= pass || finishing;
            end
        end
    end

    generate
        if (STEPS > 1) begin : serial
            always @(posedge clk) begin
                if (x_ready)
                    held_data <= x_data;
                else if (move && look)
                    held_data <= {x_data[8*T-1 -: 8*LANES], held_data[8*T-1:8*LANES]};
                if (move)
                    done_data <= looking ? {found, done_data[8*T-1:8*LANES]} : held_data;
            end
        end else begin : parallel
            always @(posedge clk) begin
                if (x_ready)
                    held_data <= x_data;
                if (move)
                    done_data <= looking ? found : held_data;
            end
        end
    endgenerate

    always @(posedge clk) begin
        if (x_ready) begin
            held_en    <= x_en;
            held_table <= x_table;
        end
    end

    genvar lane;
    generate
        for (lane = 0; lane < LANES; lane = lane + 1) begin : lookup
            activation_table #(.WORD_BYTES(T*D), .TABLES(TABLES)) table_copy (
                .clk       (clk),
                .tab_valid (tab_valid),
                .tab_addr  (tab_addr),
                .tab_data  (tab_data),
                .read_en   (move && look),
                .entry     ({held_table, held_data[8*lane +: 8]}),
                .value     (found[8*lane +: 8])
            );
        end
    endgenerate
endmodule
