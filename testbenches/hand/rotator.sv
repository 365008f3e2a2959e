// Rotates a 64-byte beat right by whole bytes; one register with an enable.
module rotator (
    input  wire          clk,
    input  wire          enable,
    input  wire  [511:0] data,
    input  wire  [5:0]   bytes,
    output logic [511:0] rotated
);
    logic [511:0] turned;

    // A level of multiplexers for each bit of the distance.
    always_comb begin
        turned = data;
        for (int level = 0; level < 6; level++) begin
            if (bytes[level]) begin
                turned = (turned >> (8 << level)) | (turned << (512 - (8 << level)));
            end
        end
    end

    always_ff @(posedge clk) begin
        if (enable) begin
            rotated <= turned;
        end
    end
endmodule
