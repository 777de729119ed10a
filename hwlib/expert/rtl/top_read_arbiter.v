// top_read_arbiter: the AXI read channels shared by program fetch (id 0, first) and data (id 1).
// Combinational but for one bit that keeps a stalled address in place, and the count of data bursts outstanding.
// stop keeps back data addresses not yet offered; busy: a data burst is offered or outstanding.
module top_read_arbiter (
    input  wire        clk,
    input  wire        rst_n,
    input  wire        stop,
    output wire        busy,
    input  wire        fetch_ar_valid,
    output wire        fetch_ar_ready,
    input  wire [39:0] fetch_ar_addr,
    input  wire [7:0]  fetch_ar_len,
    output wire        fetch_r_valid,
    input  wire        fetch_r_ready,
    input  wire        data_ar_valid,
    output wire        data_ar_ready,
    input  wire [39:0] data_ar_addr,
    input  wire [7:0]  data_ar_len,
    output wire        data_r_valid,
    input  wire        data_r_ready,
    output wire        ar_valid,
    input  wire        ar_ready,
    output wire        ar_id,
    output wire [39:0] ar_addr,
    output wire [7:0]  ar_len,
    input  wire        r_valid,
    output wire        r_ready,
    input  wire        r_id,
    input  wire        r_last
);
    localparam COUNT_BITS = 10;

    reg data_held;
    reg [COUNT_BITS-1:0] outstanding;

    wire data_offer = data_ar_valid && (data_held || (!stop && !fetch_ar_valid));

    assign ar_id = data_offer;
    assign ar_valid = data_offer || fetch_ar_valid;
    assign ar_addr = data_offer ? data_ar_addr : fetch_ar_addr;
    assign ar_len = data_offer ? data_ar_len : fetch_ar_len;
    assign data_ar_ready = data_offer && ar_ready;
    assign fetch_ar_ready = !data_offer && ar_ready;

    assign fetch_r_valid = r_valid && !r_id;
    assign data_r_valid = r_valid && r_id;
    assign r_ready = r_id ? data_r_ready : fetch_r_ready;
    assign busy = data_held || outstanding != {COUNT_BITS{1'b0}};

    wire begun = data_offer && ar_ready;
    wire ended = data_r_valid && data_r_ready && r_last;

    always @(posedge clk) begin
        if (!rst_n) begin
            data_held <= 1'b0;
            outstanding <= {COUNT_BITS{1'b0}};
        end else begin
            data_held <= data_offer && !ar_ready;
            outstanding <= outstanding + {{(COUNT_BITS-1){1'b0}}, begun} - {{(COUNT_BITS-1){1'b0}}, ended};
        end
    end
endmodule
