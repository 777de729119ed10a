// requantizer: T lanes of y = sat8((x*mult + bias + 2^(shift-1)) >> shift).
// Latency: 3 cycles from x to y. Throughput: one beat a cycle.
// Handshake: the lanes never stop; x is accepted while the beats in the lanes and in the output queue
// are fewer than the queue holds. x_ready comes from a register, y_valid too.
module requantizer #(
    parameter T = 4
) (
    input  wire            clk,
    input  wire            rst_n,
    input  wire            x_valid,
    output wire            x_ready,
    input  wire [32*T-1:0] x_data,
    input  wire [16*T-1:0] x_mult,
    input  wire [6*T-1:0]  x_shift,
    input  wire [39:0]     x_bias,
    output wire            y_valid,
    input  wire            y_ready,
    output wire [8*T-1:0]  y_data
);
    localparam QUEUE = 4; // keeps the lanes full until the place of the first beat is free again
    localparam [2:0] QUEUE_FULL = QUEUE[2:0];

    wire fire = x_valid && x_ready;
    wire take = y_valid && y_ready;

    reg [1:0]     moving; // beats in the lanes' two registers
    reg [2:0]     owned;  // beats accepted and not taken
    reg           full;
    reg [2:0]     waiting;
    reg [8*T*QUEUE-1:0] queue; // newest beat lowest

    wire [8*T-1:0] result;
    wire [2:0]     owned_next = owned + {2'b0, fire} - {2'b0, take};
    wire [1:0]     oldest     = waiting[1:0] - 2'd1;

    assign x_ready = !full;
    assign y_valid = waiting != 0;
    assign y_data  = queue[8*T*oldest +: 8*T];

    always @(posedge clk) begin
        if (!rst_n) begin
            moving  <= 0;
            owned   <= 0;
            full    <= 0;
            waiting <= 0;
        end else begin
            moving  <= {moving[0], fire};
            owned   <= owned_next;
            full    <= owned_next == QUEUE_FULL;
            waiting <= waiting + {2'b0, moving[1]} - {2'b0, take};
        end
    end

    always @(posedge clk)
        if (moving[1])
            queue <= {queue[8*T*(QUEUE-1)-1:0], result};

    genvar r;
    generate
        for (r = 0; r < T; r = r + 1) begin : lane
            requantizer_lane scale (
                .clk   (clk),
                .x     (x_data[32*r +: 32]),
                .mult  (x_mult[16*r +: 16]),
                .shift (x_shift[6*r +: 6]),
                .bias  (x_bias),
                .y     (result[8*r +: 8])
            );
        end
    endgenerate
endmodule
