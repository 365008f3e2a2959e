// Fields of an Ethernet, IPv4 and TCP header that stands in the first beat of a frame.
module parser (
    input  wire          clk,
    input  wire          rst,
    input  wire  [511:0] data,
    input  wire          first,
    input  wire          valid,
    output logic [272:0] header,
    output logic         header_valid
);
    typedef struct packed {
        logic        good;
        logic [15:0] payload_len;
        logic [6:0]  payload_at;
        logic        has_timestamps;
        logic [31:0] ts_ecr;
        logic [31:0] ts_val;
        logic [7:0]  flags;
        logic [15:0] window;
        logic [31:0] ack;
        logic [31:0] seq;
        logic [15:0] remote_port;
        logic [15:0] local_port;
        logic [31:0] remote_ip;
        logic [31:0] local_ip;
    } header_t;

    // Network order: the byte with the lower number is the higher one.
    function automatic logic [15:0] net16(input logic [15:0] x);
        net16 = {x[7:0], x[15:8]};
    endfunction
    function automatic logic [31:0] net32(input logic [31:0] x);
        net32 = {x[7:0], x[15:8], x[23:16], x[31:24]};
    endfunction

    wire [3:0]   ip_words  = data[115:112];
    wire [6:0]   tcp_at    = 7'd14 + {1'b0, ip_words, 2'b00};
    // A TCP header with its options: 32 bytes.
    wire [255:0] tcp       = 256'(data >> {tcp_at, 3'b000});
    wire [3:0]   tcp_words = tcp[103:100];

    header_t next;
    always_comb begin
        next.remote_ip      = net32(data[239:208]);
        next.local_ip       = net32(data[271:240]);
        next.remote_port    = net16(tcp[15:0]);
        next.local_port     = net16(tcp[31:16]);
        next.seq            = net32(tcp[63:32]);
        next.ack            = net32(tcp[95:64]);
        next.flags          = tcp[111:104];
        next.window         = net16(tcp[127:112]);
        next.has_timestamps = tcp_words >= 4'd8 && net32(tcp[191:160]) == 32'h0101_080a;
        next.ts_val         = net32(tcp[223:192]);
        next.ts_ecr         = net32(tcp[255:224]);
        next.payload_at     = tcp_at + {1'b0, tcp_words, 2'b00};
        next.payload_len    = net16(data[143:128]) - {10'd0, ip_words, 2'b00}
                            - {10'd0, tcp_words, 2'b00};
        next.good           = net16(data[111:96]) == 16'h0800 && data[119:116] == 4'd4
                            && data[191:184] == 8'd6 && ip_words >= 4'd5 && tcp_words >= 4'd5;
    end

    always_ff @(posedge clk) begin
        if (valid && first) begin
            header <= next;
        end
        header_valid <= valid && first && !rst;
    end
endmodule
