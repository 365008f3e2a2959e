// A hand-written NIC top for tests of the adapter: no TCP, all ports.
//
// * A frame from the wire goes back to the wire.
// * A write to register 8 n is kept; a read returns it. Register 0x100 + 64 k: a write
//   reads as many bytes as its value says from bus address 0x1000 k; what comes back is
//   written to 0x10_0000, 0x10_0040, … in the order of arrival, and the last beat of a
//   request is followed by MSI-X vector 5.
// * A write to register 0x80 sets a timer: at that time in ns MSI-X vector 9 is sent.
// * A write to register 0x88 turns a rule into a broken one: bit 0 lets state change while
//   quiescent, bit 1 stops the upstream stage for good, bit 2 makes every read cross a page.
`default_nettype none
module loopback (
    input  wire         clk,
    input  wire         rst,
    input  wire [576:0] eth_rx_data,
    input  wire         eth_rx_valid,
    output wire         eth_rx_ready,
    output wire [576:0] eth_tx_data,
    output wire         eth_tx_valid,
    input  wire         eth_tx_ready,
    input  wire [107:0] mmio_data,
    input  wire         mmio_valid,
    output wire         mmio_ready,
    output wire [607:0] up_data,
    output wire         up_valid,
    input  wire         up_ready,
    input  wire [542:0] dma_cpl_data,
    input  wire         dma_cpl_valid,
    output wire         dma_cpl_ready,
    input  wire [63:0]  now,
    output reg          quiescent,
    output reg  [63:0]  wake_at,
    output wire         drop_valid,
    output wire [3:0]   drop_reason,
    output wire [41:0]  probe_wire,
    output wire [41:0]  probe_upstream
);
    // A queue of beats from the wire, whole frames only: the wire is slower than the bus.
    reg [576:0] frames [0:255];
    reg [7:0] frame_head, frame_tail, frame_whole;
    // A queue of requests.
    reg [607:0] requests [0:255];
    reg [7:0] request_head, request_tail;
    reg [63:0] registers [0:15];
    reg [63:0] timer;
    reg [63:0] time_now;
    reg [31:0] place;
    reg [7:0] ticking;

    assign eth_rx_ready = 1'b1;
    assign dma_cpl_ready = 1'b1;
    assign eth_tx_valid = frame_head != frame_whole;
    assign eth_tx_data = frames[frame_head];
    assign up_valid = request_head != request_tail && !registers[1][1];
    assign up_data = requests[request_head];
    wire full = request_tail - request_head > 8'd200;
    assign mmio_ready = !full;
    assign drop_valid = 1'b0;
    assign drop_reason = 4'd0;
    wire up_offered = request_head != request_tail;
    assign probe_wire = {16'd0, 16'd0, frame_whole, 1'b0, eth_rx_valid & eth_rx_data[576]};
    assign probe_upstream = {16'd0, 16'd0, request_head, up_offered & !(up_valid & up_ready), up_valid & up_ready};

    wire         write = mmio_data[3];
    wire [23:0]  address = mmio_data[27:4];
    wire [63:0]  value = mmio_data[91:28];
    wire [7:0]   mmio_tag = mmio_data[107:100];
    wire         take = mmio_valid & mmio_ready;
    wire         ring = timer != 64'hffff_ffff_ffff_ffff && time_now >= timer;
    wire [63:0]  page_end = registers[1][2] ? 64'hff0 : 64'h0;

    reg [7:0] tail;
    always_ff @(posedge clk) begin
        time_now <= now;
        tail = request_tail;
        if (eth_rx_valid) begin
            frames[frame_tail] <= eth_rx_data;
            frame_tail <= frame_tail + 8'd1;
            if (eth_rx_data[576]) frame_whole <= frame_tail + 8'd1;
        end
        if (eth_tx_valid & eth_tx_ready) frame_head <= frame_head + 8'd1;
        if (up_valid & up_ready) request_head <= request_head + 8'd1;
        if (take & !write) begin
            requests[tail] <= {1'b1, 448'd0, registers[address[6:3]], 8'd0, mmio_tag, 13'd8, 64'd0, 2'd2};
            tail = tail + 8'd1;
        end
        if (take & write & address < 24'h80) registers[address[6:3]] <= value;
        if (take & write & address == 24'h80) timer <= value;
        if (take & write & address == 24'h88) registers[1] <= value;
        if (take & write & address >= 24'h100) begin
            requests[tail] <= {1'b1, 512'd0, 8'd0, address[13:6] - 8'd4, value[12:0],
                               {44'd0, address[13:6] - 8'd4, 12'd0} + page_end, 2'd3};
            tail = tail + 8'd1;
        end
        if (dma_cpl_valid) begin
            requests[tail] <= {1'b1, dma_cpl_data[532:21], 8'd0, 8'd0, 5'd0, dma_cpl_data[540:533],
                               {32'd0, place}, 2'd0};
            tail = tail + 8'd1;
            place <= place + 32'd64;
            if (dma_cpl_data[541]) begin
                requests[tail] <= {1'b1, 512'd0, 8'd5, 8'd0, 13'd0, 64'd0, 2'd1};
                tail = tail + 8'd1;
            end
        end
        if (ring) begin
            requests[tail] <= {1'b1, 512'd0, 8'd9, 8'd0, 13'd0, 64'd0, 2'd1};
            tail = tail + 8'd1;
            timer <= 64'hffff_ffff_ffff_ffff;
        end
        request_tail <= tail;
        quiescent <= frame_head == frame_whole && frame_whole == frame_tail && !up_offered && tail == request_tail
                     && !eth_rx_valid && !mmio_valid && !dma_cpl_valid && !ring;
        wake_at <= timer;
        if (registers[1][0]) ticking <= ticking + 8'd1;
        if (rst) begin
            frame_head <= 8'd0;
            frame_tail <= 8'd0;
            frame_whole <= 8'd0;
            request_head <= 8'd0;
            request_tail <= 8'd0;
            timer <= 64'hffff_ffff_ffff_ffff;
            place <= 32'h0010_0000;
            ticking <= 8'd0;
            registers[1] <= 64'd0;
        end
    end
endmodule
`default_nettype wire
