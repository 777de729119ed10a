// array_drain: holds one finished T x T tile and sends it column by column.
// tile is taken in a cycle with load=1, which comes only when the previous tile's last column leaves
// the shadow registers in that cycle or has left (see array). Latency 1 cycle, one column a cycle.
// acc is refusable at any time: columns then go to SKID (1 or 2) registers, normally passed by.
module array_drain #(
    parameter T = 4,
    parameter SKID = 1
) (
    input  wire              clk,
    input  wire              rst_n,
    input  wire              load,
    input  wire [32*T*T-1:0] tile,
    output wire              acc_valid,
    input  wire              acc_ready,
    output wire [32*T-1:0]   acc_data
);
    localparam LEFT_W = $clog2(T + 1);
    localparam [LEFT_W-1:0] COLUMNS = T[LEFT_W-1:0];
    localparam [1:0] SKID_FULL = SKID[1:0];

    reg [32*T*T-1:0] shadow;
    reg [LEFT_W-1:0] left;
    reg [1:0]        held;

    wire [32*T-1:0] column = shadow[32*T-1:0];
    wire [32*T-1:0] head;

    wire move = left != 0 && (held != SKID_FULL || acc_ready);
    wire keep = move && (held != 0 || !acc_ready);
    wire take = held != 0 && acc_ready;

    assign acc_valid = held != 0 || left != 0;
    assign acc_data  = (held != 0) ? head : column;

    always @(posedge clk) begin
        if (load)
            shadow <= tile;
        else if (move)
            shadow <= {tile[32*T*T-1 -: 32*T], shadow[32*T*T-1:32*T]};
    end

    always @(posedge clk) begin
        if (!rst_n) begin
            left <= 0;
            held <= 0;
        end else begin
            if (load)
                left <= COLUMNS;
            else if (move)
                left <= left - 1'b1;
            held <= held + {1'b0, keep} - {1'b0, take};
        end
    end

    generate
        if (SKID == 1) begin : one_deep
            reg [32*T-1:0] entry;
            always @(posedge clk)
                if (held == 0 || acc_ready)
                    entry <= column;
            assign head = entry;
        end else begin : two_deep
            reg [32*T-1:0] entry0;
            reg [32*T-1:0] entry1;
            always @(posedge clk) begin
                if (held == 0 || (held == 1 && acc_ready))
                    entry0 <= column;
                else if (acc_ready)
                    entry0 <= entry1;
                if (held != 2 || acc_ready)
                    entry1 <= column;
            end
            assign head = entry0;
        end
    endgenerate
endmodule
