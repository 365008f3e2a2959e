// Sum of the big-endian 16-bit words of a 64-byte beat; two pipeline stages.
module checksum (
    input  wire          clk,
    input  wire  [511:0] data,
    input  wire  [63:0]  keep,
    output logic [20:0]  sum
);
    function automatic logic [15:0] word(input int n);
        word = {keep[2*n]     ? data[16*n +: 8]     : 8'h00,
                keep[2*n + 1] ? data[16*n + 8 +: 8] : 8'h00};
    endfunction

    logic [17:0] quad [8];
    logic [20:0] total;

    always_ff @(posedge clk) begin
        for (int i = 0; i < 8; i++) begin
            quad[i] <= (18'(word(4*i)) + 18'(word(4*i + 1)))
                     + (18'(word(4*i + 2)) + 18'(word(4*i + 3)));
        end
        total <= ((21'(quad[0]) + 21'(quad[1])) + (21'(quad[2]) + 21'(quad[3])))
               + ((21'(quad[4]) + 21'(quad[5])) + (21'(quad[6]) + 21'(quad[7])));
    end

    assign sum = total;
endmodule
