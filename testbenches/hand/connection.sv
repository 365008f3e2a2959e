// TCP receive step on connection state in block RAM, one segment a clock, also for one
// connection: two results that are not yet readable are forwarded.
module connection (
    input  wire          clk,
    input  wire          rst,
    input  wire  [106:0] s_data,
    input  wire          s_valid,
    input  wire          setup_enable,
    input  wire  [9:0]   setup_flow,
    input  wire  [228:0] setup_state,
    output logic [77:0]  verdict,
    output logic         verdict_valid
);
    typedef struct packed {
        logic        has_ack;
        logic [15:0] window;
        logic [15:0] len;
        logic [31:0] ack;
        logic [31:0] seq;
        logic [9:0]  flow;
    } segment_t;

    typedef struct packed {
        logic [3:0]  dup_acks;
        logic        gap;
        logic [31:0] ooo_end;
        logic [31:0] ooo_start;
        logic [31:0] snd_wnd;
        logic [31:0] snd_nxt;
        logic [31:0] snd_una;
        logic [31:0] rcv_wnd;
        logic [31:0] rcv_nxt;
    } state_t;

    typedef struct packed {
        logic        retransmit;
        logic        dropped;
        logic        stored;
        logic        in_order;
        logic [31:0] acked;
        logic [31:0] delivered;
        logic [9:0]  flow;
    } verdict_t;

    logic [228:0] memory [1024];
    state_t   fetched, state, next, done, older;
    segment_t segment;
    verdict_t result, shown;
    logic     busy, done_valid, older_valid;
    logic [9:0] older_flow;

    wire segment_t incoming = s_data;

    // Memory: set-up has the write port when it asks for it.
    always_ff @(posedge clk) begin
        if (setup_enable || done_valid) begin
            memory[setup_enable ? setup_flow : shown.flow] <= setup_enable ? setup_state : done;
        end
        fetched <= memory[incoming.flow];
    end

    always_comb begin
        if (done_valid && shown.flow == segment.flow) begin
            state = done;
        end else if (older_valid && older_flow == segment.flow) begin
            state = older;
        end else begin
            state = fetched;
        end
    end

    wire [31:0] stop   = segment.seq + 32'(segment.len);
    wire [31:0] ahead  = segment.seq - state.rcv_nxt;
    wire [31:0] reach  = stop - state.rcv_nxt;
    wire [31:0] to_gap = state.ooo_start - stop;
    wire [31:0] to_end = state.ooo_end - stop;
    wire [31:0] newly  = segment.ack - state.snd_una;
    wire [31:0] flight = state.snd_nxt - state.snd_una;
    wire        data   = segment.len != 16'd0;
    wire        fits   = reach <= state.rcv_wnd;
    wire        fresh  = !reach[31] && reach != 32'd0;
    wire        starts = ahead[31] || ahead == 32'd0;
    wire        closes = state.gap && (to_gap[31] || to_gap == 32'd0);
    wire [31:0] upto   = (closes && !to_end[31]) ? state.ooo_end : stop;

    always_comb begin
        next = state;
        result = '0;
        result.flow = segment.flow;
        if (data && fits && fresh && starts) begin
            result.in_order  = 1'b1;
            result.delivered = upto - state.rcv_nxt;
            next.rcv_nxt     = upto;
            next.rcv_wnd     = state.rcv_wnd - (upto - state.rcv_nxt);
            if (closes) begin
                next.gap = 1'b0;
            end
        end else if (data && fits && !starts) begin
            if (!state.gap) begin
                result.stored  = 1'b1;
                next.gap       = 1'b1;
                next.ooo_start = segment.seq;
                next.ooo_end   = stop;
            end else if (segment.seq == state.ooo_end) begin
                result.stored = 1'b1;
                next.ooo_end  = stop;
            end else if (stop == state.ooo_start) begin
                result.stored  = 1'b1;
                next.ooo_start = segment.seq;
            end else begin
                result.dropped = 1'b1;
            end
        end else if (data) begin
            result.dropped = 1'b1;
        end
        if (segment.has_ack && newly <= flight) begin
            next.snd_wnd = 32'(segment.window);
            if (newly != 32'd0) begin
                result.acked  = newly;
                next.snd_una  = segment.ack;
                next.dup_acks = 4'd0;
            end else if (!data && flight != 32'd0 && state.snd_wnd == 32'(segment.window)) begin
                result.retransmit = state.dup_acks == 4'd2;
                if (state.dup_acks != 4'd15) begin
                    next.dup_acks = state.dup_acks + 4'd1;
                end
            end
        end
    end

    always_ff @(posedge clk) begin
        segment     <= incoming;
        busy        <= s_valid && !rst;
        done        <= next;
        shown       <= result;
        done_valid  <= busy && !rst;
        older       <= done;
        older_flow  <= shown.flow;
        older_valid <= done_valid && !rst;
    end

    assign verdict       = shown;
    assign verdict_valid = done_valid;
endmodule
