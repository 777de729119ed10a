// load_unit_addresses: the read bursts of a 2-D transfer.
// Bursts end at natural boundaries of 32 beats (which never cross 4 KiB), so a burst's successor address is an
// increment of the upper bits. Throughput: one burst a cycle, the first two cycles after start.
// Handshake: an offered address stays until accepted, also after stop; hold (too much is outstanding) only delays.
// more, and start_more, count the beats of the row after the next one.
module load_unit_addresses #(
    parameter ADDR_BITS = 37,
    parameter STRIDE_BITS = 29,
    parameter BEAT_BITS = 18
) (
    input  wire                   clk,
    input  wire                   rst_n,
    input  wire                   start,
    input  wire [ADDR_BITS-1:0]   start_addr,
    input  wire [STRIDE_BITS-1:0] start_stride,
    input  wire [15:0]            start_rows,
    input  wire [BEAT_BITS-1:0]   start_more,
    input  wire                   hold,
    input  wire                   stop,
    output wire                   busy,
    output wire                   ar_valid,
    input  wire                   ar_ready,
    output wire [ADDR_BITS-1:0]   ar_addr,
    output wire [4:0]             ar_more
);
    localparam PART = 12;
    localparam [ADDR_BITS-1:0] BURST = 32;

    reg active, setup, offered;
    reg [ADDR_BITS-1:0] addr, next_row;
    reg [STRIDE_BITS-1:0] stride;
    reg [15:0] rows;
    reg [BEAT_BITS-1:0] more, row_more;

    wire [4:0] room = ~addr[4:0];
    wire row_end = more[BEAT_BITS-1:5] == {(BEAT_BITS-5){1'b0}} && more[4:0] <= room;
    wire accept = ar_valid && ar_ready;
    wire last_row = rows == 16'd1;

    // x + y by carry select: parts of PART bits and the rest.
    function [ADDR_BITS-1:0] add;
        input [ADDR_BITS-1:0] x;
        input [ADDR_BITS-1:0] y;
        reg [PART:0] low, middle, middle_up;
        reg [ADDR_BITS-2*PART-1:0] high, high_up;
        begin
            low = {1'b0, x[PART-1:0]} + {1'b0, y[PART-1:0]};
            middle = {1'b0, x[2*PART-1:PART]} + {1'b0, y[2*PART-1:PART]};
            middle_up = middle + 1'b1;
            high = x[ADDR_BITS-1:2*PART] + y[ADDR_BITS-1:2*PART];
            high_up = high + 1'b1;
            if (low[PART])
                middle = middle_up;
            add = {middle[PART] ? high_up : high, middle[PART-1:0], low[PART-1:0]};
        end
    endfunction

    wire [ADDR_BITS-1:0] row_after = add(next_row, {{(ADDR_BITS-STRIDE_BITS){1'b0}}, stride});
    wire [ADDR_BITS-1:0] burst_after = add({addr[ADDR_BITS-1:5], 5'd0}, BURST);

    assign busy = active || setup;
    assign ar_valid = active && (offered || (!hold && !stop));
    assign ar_addr = addr;
    assign ar_more = row_end ? more[4:0] : room;

    always @(posedge clk) begin
        if (!rst_n) begin
            active <= 1'b0;
            setup <= 1'b0;
            offered <= 1'b0;
        end else begin
            setup <= start;
            offered <= ar_valid && !ar_ready;
            if (setup)
                active <= 1'b1;
            else if (accept && row_end && last_row)
                active <= 1'b0;
        end
    end

    always @(posedge clk) begin
        if (start) begin
            addr <= start_addr;
            next_row <= start_addr;
            stride <= start_stride;
            rows <= start_rows;
            more <= start_more;
            row_more <= start_more;
        end else if (setup) begin
            next_row <= row_after;
        end else if (accept && row_end) begin
            addr <= next_row;
            next_row <= row_after;
            rows <= rows - 1'b1;
            more <= row_more;
        end else if (accept) begin
            addr <= burst_after;
            more <= more - {{(BEAT_BITS-5){1'b0}}, room} - 1'b1;
        end
    end
endmodule
