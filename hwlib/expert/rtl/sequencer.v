// sequencer: fetches the program, checks each instruction, and issues it to its engine when its waits are met.
// Latency: five cycles from an instruction's last beat to its issue. Throughput: one instruction a cycle once fetched.
// A run ends (finish) after END, when everything issued has retired, or after a fault; in both cases
// once no fetch is outstanding.
module sequencer #(
    parameter AXI_BYTES = 8,
    parameter QUEUE = 4,
    parameter WORDS = 256,
    parameter D = 4
) (
    input  wire                   clk,
    input  wire                   rst_n,
    input  wire                   start_valid,
    input  wire [39:0]            start_addr,
    output reg                    finish_valid,
    output wire [2:0]             finish_fault,
    output wire [31:0]            finish_pc,
    output wire                   ar_valid,
    input  wire                   ar_ready,
    output wire [39:0]            ar_addr,
    output wire [7:0]             ar_len,
    input  wire                   r_valid,
    output wire                   r_ready,
    input  wire [8*AXI_BYTES-1:0] r_data,
    input  wire [1:0]             r_resp,
    input  wire                   r_last,
    output wire                   load_valid,
    input  wire                   load_ready,
    output wire [255:0]           load_instr,
    output wire                   store_valid,
    input  wire                   store_ready,
    output wire [255:0]           store_instr,
    output wire                   matrix_valid,
    input  wire                   matrix_ready,
    output wire [255:0]           matrix_instr,
    output wire                   vector_valid,
    input  wire                   vector_ready,
    output wire [255:0]           vector_instr,
    input  wire                   retire_load,
    input  wire                   retire_store,
    input  wire                   retire_matrix,
    input  wire                   retire_vector,
    input  wire                   fault_valid,
    input  wire [2:0]             fault_code,
    output wire                   perf_running,
    output wire                   perf_issue,
    output wire                   perf_wait_load,
    output wire                   perf_wait_store,
    output wire                   perf_wait_matrix,
    output wire                   perf_wait_vector
);
    localparam PENDING_BITS = 10;
    localparam [2:0] NONE = 3'd0, AXI_READ = 3'd4;

    reg running, ending, failed;
    reg pushed; // an instruction went to a queue in the cycle before: it counts as pending now
    reg [2:0] code;
    reg [31:0] pc;
    reg [PENDING_BITS-1:0] pending;
    reg [15:0] retired_load, retired_store, retired_matrix, retired_vector;

    wire fetched, fetch_error, fetch_idle;
    wire [255:0] instr;
    wire [3:0] engine, full;
    wire is_end;
    wire [2:0] defect;

    wire stop = !running || ending || failed;
    wire wrong = fetch_error || defect != NONE;
    wire decode = fetched && !stop && (wrong || is_end || (engine & full) == 4'd0);
    wire [3:0] push = decode && !wrong ? engine : 4'd0;
    wire idle = pending == {PENDING_BITS{1'b0}} && !pushed;
    wire done = running && fetch_idle && (failed || (ending && idle));

    assign r_ready = 1'b1;
    assign finish_fault = code;
    assign finish_pc = pc;
    assign perf_running = running;
    assign perf_issue = decode;

    sequencer_fetch #(.AXI_BYTES(AXI_BYTES)) fetch (
        .clk(clk), .rst_n(rst_n), .start(start_valid), .start_addr(start_addr[39:5]), .stop(stop), .idle(fetch_idle),
        .ar_valid(ar_valid), .ar_ready(ar_ready), .ar_addr(ar_addr), .ar_len(ar_len),
        .r_valid(r_valid), .r_data(r_data), .r_error(r_resp != 2'b00),
        .out_valid(fetched), .out_ready(decode), .out_instr(instr), .out_error(fetch_error)
    );

    sequencer_check #(.WORDS(WORDS), .D(D)) check (.instr(instr), .engine(engine), .is_end(is_end), .defect(defect));

    wire load_head, store_head, matrix_head, vector_head;
    assign load_valid = load_head && !failed;
    assign store_valid = store_head && !failed;
    assign matrix_valid = matrix_head && !failed;
    assign vector_valid = vector_head && !failed;
    wire flush = start_valid || failed;

    sequencer_queue #(.QUEUE(QUEUE)) load_queue (
        .clk(clk), .rst_n(rst_n), .flush(flush), .push(push[0]), .push_instr(instr), .full(full[0]),
        .retired_load(retired_load), .retired_store(retired_store), .retired_matrix(retired_matrix),
        .retired_vector(retired_vector), .valid(load_head), .ready(load_ready), .instr(load_instr),
        .waiting(perf_wait_load)
    );
    sequencer_queue #(.QUEUE(QUEUE)) store_queue (
        .clk(clk), .rst_n(rst_n), .flush(flush), .push(push[1]), .push_instr(instr), .full(full[1]),
        .retired_load(retired_load), .retired_store(retired_store), .retired_matrix(retired_matrix),
        .retired_vector(retired_vector), .valid(store_head), .ready(store_ready), .instr(store_instr),
        .waiting(perf_wait_store)
    );
    sequencer_queue #(.QUEUE(QUEUE)) matrix_queue (
        .clk(clk), .rst_n(rst_n), .flush(flush), .push(push[2]), .push_instr(instr), .full(full[2]),
        .retired_load(retired_load), .retired_store(retired_store), .retired_matrix(retired_matrix),
        .retired_vector(retired_vector), .valid(matrix_head), .ready(matrix_ready), .instr(matrix_instr),
        .waiting(perf_wait_matrix)
    );
    sequencer_queue #(.QUEUE(QUEUE)) vector_queue (
        .clk(clk), .rst_n(rst_n), .flush(flush), .push(push[3]), .push_instr(instr), .full(full[3]),
        .retired_load(retired_load), .retired_store(retired_store), .retired_matrix(retired_matrix),
        .retired_vector(retired_vector), .valid(vector_head), .ready(vector_ready), .instr(vector_instr),
        .waiting(perf_wait_vector)
    );

    wire [2:0] leaving = {2'd0, retire_load} + {2'd0, retire_store} + {2'd0, retire_matrix} + {2'd0, retire_vector};

    always @(posedge clk) begin
        if (!rst_n) begin
            running <= 1'b0;
            ending <= 1'b0;
            failed <= 1'b0;
            finish_valid <= 1'b0;
        end else begin
            finish_valid <= done;
            if (start_valid)
                running <= 1'b1;
            else if (done)
                running <= 1'b0;
            if (start_valid || done)
                failed <= 1'b0;
            else if (running && (fault_valid || (decode && wrong)))
                failed <= 1'b1;
            if (start_valid || done)
                ending <= 1'b0;
            else if (decode && is_end && !wrong)
                ending <= 1'b1;
        end
    end

    always @(posedge clk) begin
        if (start_valid) begin
            code <= NONE;
            pc <= 32'hffff_ffff;
            pending <= {PENDING_BITS{1'b0}};
            pushed <= 1'b0;
            retired_load <= 16'd0;
            retired_store <= 16'd0;
            retired_matrix <= 16'd0;
            retired_vector <= 16'd0;
        end else begin
            if (running && !failed && fault_valid)
                code <= fault_code;
            else if (decode && wrong)
                code <= fetch_error ? AXI_READ : defect;
            if (decode)
                pc <= pc + 1'b1;
            pushed <= |push;
            pending <= pending + {{(PENDING_BITS-1){1'b0}}, pushed} - {{(PENDING_BITS-3){1'b0}}, leaving};
            retired_load <= retired_load + {15'd0, retire_load};
            retired_store <= retired_store + {15'd0, retire_store};
            retired_matrix <= retired_matrix + {15'd0, retire_matrix};
            retired_vector <= retired_vector + {15'd0, retire_vector};
        end
    end

    wire unused_inputs = &{1'b0, r_last, start_addr[4:0]};
endmodule
