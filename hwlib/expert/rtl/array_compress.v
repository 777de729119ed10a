// array_compress: ROWS numbers of each of T lanes reduced to LEFT numbers of the same totals. Combinational.
// By threes through full adders, level by level (Wallace 1964). LEFT is one of the counts that ROWS goes through.
// A row is T lanes of LANE bits and zeros up to PITCH bits; no lane's total reaches 2^LANE.
// Simulators unroll loops whose bounds are parameters: a level is then straight code over whole machine words. Exclusive
// or is written in AND, OR and NOT, which simulators do by the word where they do XOR by the bit; mapping finds the same
// full adders.
module array_compress #(
    parameter T = 4,
    parameter LANE = 20,
    parameter PITCH = 96,
    parameter ROWS = 4,
    parameter LEFT = 2
) (
    input  wire [PITCH*ROWS-1:0] rows,
    output wire [PITCH*LEFT-1:0] left
);
    localparam [LANE-1:0] ABOVE = {{LANE-1{1'b1}}, 1'b0};
    localparam [PITCH+LANE*T-1:0] LANES = {{PITCH{1'b0}}, {T{ABOVE}}};
    localparam [PITCH-1:0]        KEEP  = LANES[PITCH-1:0]; // a carry stays in its lane

    // The next level grows from its last row down to its first, in whole words: simulators store parts bit by bit.
    function [PITCH*LEFT-1:0] compress;
        input [PITCH*ROWS-1:0] given;
        integer n, i;
        reg [PITCH*ROWS-1:0] level, next;
        reg [PITCH-1:0] x, y, z, both, up;
        begin
            level = given;
            for (n = ROWS; n > LEFT; n = n - n/3) begin
                next = level >> 3*PITCH*(n/3);
                for (i = n/3 - 1; i >= 0; i = i - 1) begin
                    x    = level[3*PITCH*i +: PITCH];
                    y    = level[3*PITCH*i+PITCH +: PITCH];
                    z    = level[3*PITCH*i+2*PITCH +: PITCH];
                    both = x & y;
                    x    = (x | y) & ~both;
                    up   = both | (x & z);
                    x    = (x | z) & ~(x & z);
                    next = {next[PITCH*(ROWS-2)-1:0], {up[PITCH-2:0], up[PITCH-1]} & KEEP, x};
                end
                level = next;
            end
            compress = level[PITCH*LEFT-1:0];
        end
    endfunction

    assign left = compress(rows);
endmodule
