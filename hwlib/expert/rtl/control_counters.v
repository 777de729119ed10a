// control_counters: fifteen 48-bit counters, one for each event.
// The totals live in a small memory; a few bits beside each event collect what came since the last visit.
// A visit takes two cycles: read the total, then add what was collected, write it back and start collecting
// anew. A scan visits every counter in turn; a software read is a visit out of turn, so it is exact to the cycle.
// Latency: the value is on `value` the cycle after `read` was granted. Throughput: one visit a cycle.
// clear makes every total count as zero until its next visit.
module control_counters (
    input  wire        clk,
    input  wire        rst_n,
    input  wire        clear,
    input  wire [14:0] events,
    input  wire        read,
    output wire        grant,
    input  wire [3:0]  index,
    output wire [47:0] value
);
    localparam COUNTERS = 15;
    // A scan takes at most 32 cycles, because reads take at most every second slot.
    localparam COLLECT_BITS = 6;

    reg [3:0] scan, visiting;
    reg visit;
    reg [COUNTERS-1:0] stale;
    reg [COUNTERS*COLLECT_BITS-1:0] collected;

    // What was collected is added below; of the groups of bits above, each counts on if all below it are ones.
    function [47:0] sum;
        input [47:0] x;
        input [COLLECT_BITS-1:0] more;
        integer g;
        reg [COLLECT_BITS:0] low;
        reg carry;
        begin
            low = {1'b0, x[COLLECT_BITS-1:0]} + {1'b0, more};
            sum[COLLECT_BITS-1:0] = low[COLLECT_BITS-1:0];
            carry = 1'b1;
            for (g = COLLECT_BITS; g < 48; g = g + COLLECT_BITS) begin
                sum[g +: COLLECT_BITS] = low[COLLECT_BITS] && carry ? x[g +: COLLECT_BITS] + 1'b1 : x[g +: COLLECT_BITS];
                carry = carry && &x[g +: COLLECT_BITS];
            end
        end
    endfunction

    wire [47:0] total;
    wire [COLLECT_BITS-1:0] recent = collected[visiting*COLLECT_BITS +: COLLECT_BITS];
    wire scan_clash = visit && visiting == scan;
    wire take_read = read && grant;
    wire [3:0] next = take_read ? index : scan;

    // The counter being written back cannot be read in the same cycle.
    assign grant = !(visit && visiting == index);
    assign value = sum(stale[visiting] ? 48'd0 : total, recent);

    sram_1r1w #(.WIDTH(48), .DEPTH(16), .GRAIN(48)) totals (
        .clk(clk), .read_en(1'b1), .read_addr(next), .read_data(total),
        .write_en(visit), .write_addr(visiting), .write_data(value), .write_strb(1'b1)
    );

    integer n;
    always @(posedge clk) begin
        if (!rst_n || clear) begin
            visit <= 1'b0;
            scan <= 4'd0;
            stale <= {COUNTERS{1'b1}};
            collected <= {(COUNTERS*COLLECT_BITS){1'b0}};
        end else begin
            visit <= take_read || !scan_clash;
            if (!take_read && !scan_clash)
                scan <= scan == 4'd14 ? 4'd0 : scan + 1'b1;
            for (n = 0; n < COUNTERS; n = n + 1)
                if (visit && visiting == n[3:0]) begin
                    stale[n] <= 1'b0;
                    collected[n*COLLECT_BITS +: COLLECT_BITS] <= {{(COLLECT_BITS-1){1'b0}}, events[n]};
                end else if (events[n]) begin
                    collected[n*COLLECT_BITS +: COLLECT_BITS] <= collected[n*COLLECT_BITS +: COLLECT_BITS] + 1'b1;
                end
        end
        visiting <= next;
    end
endmodule
