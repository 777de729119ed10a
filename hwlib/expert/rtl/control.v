// control: AXI4-Lite registers, interrupt and performance counters.
// Latency: a write is answered the next cycle, a read two cycles after its address was taken (one more when it meets
// the counters' scan). Throughput: one write every two cycles, one read every three.
// Handshake: a write is taken when address and data are both there and no response waits.
module control #(
    parameter T = 4,
    parameter D = 4,
    parameter AXI_BYTES = 8
) (
    input  wire        clk,
    input  wire        rst_n,
    input  wire        aw_valid,
    output wire        aw_ready,
    input  wire [11:0] aw_addr,
    input  wire        w_valid,
    output wire        w_ready,
    input  wire [31:0] w_data,
    input  wire [3:0]  w_strb,
    output reg         b_valid,
    input  wire        b_ready,
    output wire [1:0]  b_resp,
    input  wire        ar_valid,
    output wire        ar_ready,
    input  wire [11:0] ar_addr,
    output reg         r_valid,
    input  wire        r_ready,
    output reg  [31:0] r_data,
    output wire [1:0]  r_resp,
    output reg         start_valid,
    output wire [39:0] start_addr,
    input  wire        finish_valid,
    input  wire [2:0]  finish_fault,
    input  wire [31:0] finish_pc,
    input  wire        event_running,
    input  wire        event_issue,
    input  wire        event_mac,
    input  wire        event_matrix_busy,
    input  wire        event_operand_stall,
    input  wire        event_drain_stall,
    input  wire        event_vector_busy,
    input  wire        event_load_busy,
    input  wire        event_store_busy,
    input  wire        event_read_beat,
    input  wire        event_write_beat,
    input  wire        event_wait_load,
    input  wire        event_wait_store,
    input  wire        event_wait_matrix,
    input  wire        event_wait_vector,
    output wire        irq_line
);
    localparam [9:0] CONTROL = 10'h000, STATUS = 10'h001, PROGRAM_LOW = 10'h002, PROGRAM_HIGH = 10'h003;
    localparam [9:0] PC = 10'h004, VERSION = 10'h005, CONFIG = 10'h006;
    localparam [3:0] COUNTER_PAGE = 4'h1;
    localparam [31:0] TILE = T, DOT = D, WIDTH = AXI_BYTES;

    reg running, done, irq_enable;
    reg [2:0] fault;
    reg [31:0] pc;
    reg [39:0] address;

    // Writes.
    reg write_error;
    wire write = aw_valid && w_valid && !b_valid;
    wire [9:0] write_at = aw_addr[11:2];
    wire write_control = write && write_at == CONTROL;
    wire begin_run = write_control && w_data[0] && !running;

    assign aw_ready = write;
    assign w_ready = write;
    assign b_resp = {write_error, 1'b0};
    assign start_addr = address;
    assign irq_line = done && irq_enable;

    always @(posedge clk) begin
        if (!rst_n) begin
            b_valid <= 1'b0;
            start_valid <= 1'b0;
            running <= 1'b0;
            done <= 1'b0;
            irq_enable <= 1'b0;
            fault <= 3'd0;
            pc <= 32'd0;
            address <= 40'd0;
        end else begin
            b_valid <= write || (b_valid && !b_ready);
            start_valid <= begin_run;
            if (write_control)
                irq_enable <= w_data[8];
            if (write && write_at == PROGRAM_LOW)
                address[31:0] <= w_data;
            if (write && write_at == PROGRAM_HIGH)
                address[39:32] <= w_data[7:0];

            if (begin_run)
                running <= 1'b1;
            else if (finish_valid)
                running <= 1'b0;
            if (finish_valid) begin
                done <= 1'b1;
                fault <= finish_fault;
                pc <= finish_pc;
            end else if (begin_run || (write_control && w_data[1])) begin
                done <= 1'b0;
                fault <= 3'd0;
            end
        end
    end

    always @(posedge clk)
        if (write)
            write_error <= write_at != CONTROL && write_at != PROGRAM_LOW && write_at != PROGRAM_HIGH;

    // Reads: every read visits a counter; its total is used if the address names it.
    reg reading, high_half, counter_read, read_error;
    reg [9:0] read_at;
    wire grant;
    wire [47:0] count;
    wire is_counter = ar_addr[11:8] == COUNTER_PAGE && !ar_addr[7] && ar_addr[6:3] != 4'd15;
    wire read = ar_valid && ar_ready;

    assign ar_ready = !reading && !r_valid && grant;
    assign r_resp = {read_error, 1'b0};

    // Only while running, so that a stopped accelerator keeps its counts.
    wire [14:0] events = {event_wait_vector, event_wait_matrix, event_wait_store, event_wait_load, event_write_beat,
                          event_read_beat, event_store_busy, event_load_busy, event_vector_busy, event_drain_stall,
                          event_operand_stall, event_matrix_busy, event_mac, event_issue, 1'b1} & {15{running}};

    control_counters counters (
        .clk(clk), .rst_n(rst_n), .clear(begin_run), .events(events),
        .read(ar_valid && !reading && !r_valid && is_counter), .grant(grant), .index(ar_addr[6:3]), .value(count)
    );

    reg [31:0] register;
    reg defined;
    always @* begin
        defined = 1'b1;
        case (read_at)
            CONTROL: register = {23'd0, irq_enable, 8'd0};
            STATUS: register = {25'd0, fault, 2'd0, done, running};
            PROGRAM_LOW: register = address[31:0];
            PROGRAM_HIGH: register = {24'd0, address[39:32]};
            PC: register = pc;
            VERSION: register = 32'h524c_0001;
            CONFIG: register = {8'd0, WIDTH[7:0], DOT[7:0], TILE[7:0]};
            default: begin
                register = 32'd0;
                defined = 1'b0;
            end
        endcase
    end

    always @(posedge clk) begin
        if (!rst_n) begin
            reading <= 1'b0;
            r_valid <= 1'b0;
        end else begin
            reading <= read;
            r_valid <= reading || (r_valid && !r_ready);
        end
    end

    always @(posedge clk) begin
        if (read) begin
            counter_read <= is_counter;
            high_half <= ar_addr[2];
            read_at <= ar_addr[11:2];
        end
        if (reading) begin
            r_data <= !counter_read ? register : high_half ? {16'd0, count[47:32]} : count[31:0];
            read_error <= !counter_read && !defined;
        end
    end

    wire unused_inputs = &{1'b0, aw_addr[1:0], ar_addr[1:0], w_strb, event_running, WIDTH, DOT, TILE};
endmodule
