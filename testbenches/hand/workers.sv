// Eight workers of different duration; their results leave in the order of the work.
module turn (
    input  wire        clk,
    input  wire        rst,
    input  wire  [7:0] ask,
    input  wire        used,
    output logic [7:0] grant
);
    logic [7:0] later;
    wire  [7:0] above = ask & later;
    wire  [7:0] pool  = above != 8'd0 ? above : ask;

    assign grant = pool & (~pool + 8'd1);

    always_ff @(posedge clk) begin
        if (used && ask != 8'd0) begin
            later <= ~((grant - 8'd1) | grant);
        end
        if (rst) begin
            later <= 8'd0;
        end
    end
endmodule

module worker (
    input  wire         clk,
    input  wire         rst,
    input  wire         start,
    input  wire  [3:0]  tag,
    input  wire  [63:0] data,
    input  wire         take,
    output logic        idle,
    output logic        done,
    output logic [3:0]  result_tag,
    output logic [63:0] result
);
    typedef enum logic [1:0] {IDLE, BUSY, DONE} phase_t;
    phase_t     phase;
    logic [2:0] rounds;

    assign idle = phase == IDLE;
    assign done = phase == DONE;

    always_ff @(posedge clk) begin
        case (phase)
            IDLE: begin
                if (start) begin
                    result_tag <= tag;
                    result     <= data;
                    rounds     <= data[2:0];
                    phase      <= BUSY;
                end
            end
            BUSY: begin
                result <= {result[46:0], result[63:47]} ^ (result + 64'hd1b5_4a32_d192_ed03);
                rounds <= rounds - 3'd1;
                if (rounds == 3'd0) begin
                    phase <= DONE;
                end
            end
            default: begin
                if (take) begin
                    phase <= IDLE;
                end
            end
        endcase
        if (rst) begin
            phase <= IDLE;
        end
    end
endmodule

module workers (
    input  wire         clk,
    input  wire         rst,
    input  wire  [63:0] s_data,
    input  wire         s_valid,
    output logic        s_ready,
    output logic [63:0] m_data,
    output logic        m_valid,
    input  wire         m_ready
);
    logic [7:0]  idle, done, chosen, collected;
    logic [3:0]  tags [8];
    logic [63:0] results [8];

    logic [63:0] slots [16];
    logic [15:0] full;
    logic [3:0]  head, tail;
    logic [4:0]  open;

    assign s_ready = idle != 8'd0 && !open[4];
    wire fire = s_valid && s_ready;

    turn dispatch (.clk, .rst, .ask(idle), .used(fire), .grant(chosen));
    turn collect  (.clk, .rst, .ask(done), .used(1'b1), .grant(collected));

    for (genvar i = 0; i < 8; i++) begin : lane
        worker work (
            .clk, .rst,
            .start(fire && chosen[i]), .tag(tail), .data(s_data), .take(collected[i]),
            .idle(idle[i]), .done(done[i]), .result_tag(tags[i]), .result(results[i])
        );
    end

    logic [3:0]  tag;
    logic [63:0] result;
    always_comb begin
        tag    = 4'd0;
        result = 64'd0;
        for (int i = 0; i < 8; i++) begin
            if (collected[i]) begin
                tag    = tags[i];
                result = results[i];
            end
        end
    end

    wire arrives = done != 8'd0;
    wire leaves  = m_valid && m_ready;

    assign m_data  = slots[head];
    assign m_valid = full[head];

    always_ff @(posedge clk) begin
        if (arrives) begin
            slots[tag] <= result;
            full[tag]  <= 1'b1;
        end
        if (leaves) begin
            full[head] <= 1'b0;
            head       <= head + 4'd1;
        end
        if (fire) begin
            tail <= tail + 4'd1;
        end
        open <= open + 5'(fire) - 5'(leaves);
        if (rst) begin
            full <= 16'd0;
            head <= 4'd0;
            tail <= 4'd0;
            open <= 5'd0;
        end
    end
endmodule
