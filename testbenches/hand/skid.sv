// Register slice of a 593-bit channel: two words, all outputs from flip-flops.
module skid (
    input  wire          clk,
    input  wire          rst,
    input  wire  [592:0] s_data,
    input  wire          s_valid,
    output logic         s_ready,
    output logic [592:0] m_data,
    output logic         m_valid,
    input  wire          m_ready
);
    logic [592:0] spare;
    logic         spare_valid;

    assign s_ready = !spare_valid;

    wire push = s_valid && s_ready;
    wire move = m_ready || !m_valid;

    always_ff @(posedge clk) begin
        if (move) begin
            m_data      <= spare_valid ? spare : s_data;
            m_valid     <= spare_valid || push;
            spare_valid <= 1'b0;
        end else if (push) begin
            spare       <= s_data;
            spare_valid <= 1'b1;
        end
        if (rst) begin
            m_valid     <= 1'b0;
            spare_valid <= 1'b0;
        end
    end
endmodule
