// array_drain: holds one finished T x T tile and sends it column by column.
// tile is taken in a cycle with load=1, which comes only when the previous tile's last column leaves
// the shadow registers in that cycle or has left (see array). Latency 1 cycle, one column a cycle.
// acc is refusable at any time: columns then go to SKID (1 to 3) registers, normally passed by.
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

    // Columns wait in order from entry 0 on; all move down when one is taken.
    localparam C = 32 * T;
    reg  [C*SKID-1:0] entries;
    wire [C*SKID-1:0] moved = take ? entries >> C : entries;
    wire [1:0]        place = held - {1'b0, take};

    assign head = entries[C-1:0];

    genvar e;
    generate
        for (e = 0; e < SKID; e = e + 1) begin : skid
            localparam [1:0] HERE = e;
            always @(posedge clk)
                entries[C*e +: C] <= (keep && place == HERE) ? column : moved[C*e +: C];
        end
    endgenerate
endmodule
