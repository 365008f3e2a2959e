//! Twin of `hand/parser.sv`: the fields of a header in one beat.

use hallux_hdl::prelude::*;

/// What stands in the headers.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Header {
    /// Destination address.
    pub local_ip: Bits<32>,
    /// Source address.
    pub remote_ip: Bits<32>,
    /// Destination port.
    pub local_port: Bits<16>,
    /// Source port.
    pub remote_port: Bits<16>,
    /// Sequence number.
    pub seq: Bits<32>,
    /// Acknowledgment number.
    pub ack: Bits<32>,
    /// Window, not scaled.
    pub window: Bits<16>,
    /// Flags.
    pub flags: Bits<8>,
    /// TSval.
    pub ts_val: Bits<32>,
    /// TSecr.
    pub ts_ecr: Bits<32>,
    /// The time stamps stand where senders put them.
    pub has_timestamps: Bit,
    /// Byte at which the payload begins.
    pub payload_at: Bits<7>,
    /// Bytes of payload.
    pub payload_len: Bits<16>,
    /// IPv4 and TCP, with headers long enough.
    pub good: Bit,
}

/// Takes the fields of an Ethernet, IPv4 and TCP header apart. Latency 1 cycle.
#[derive(LogicBlock, Default)]
pub struct Parser {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset.
    pub rst: Signal<In, Bit>,
    /// A beat, byte 0 in bits 7..0.
    pub data: Signal<In, Bits<512>>,
    /// It is the first of a frame.
    pub first: Signal<In, Bit>,
    /// There is a beat.
    pub valid: Signal<In, Bit>,
    /// The fields of the last first beat.
    pub header: Signal<Out, Header>,
    /// They are new.
    pub header_valid: Signal<Out, Bit>,
    held: DFF<Header>,
    held_valid: DFF<Bit>,
}

/// 16 bits in network order from byte `at` on.
#[hdl_fn]
fn net16<const N: usize>(data: Bits<N>, at: usize) -> Bits<16> {
    cat::<8, 8, 16>(data.get_bits::<8>(8 * at), data.get_bits::<8>(8 * at + 8))
}

/// 32 bits in network order from byte `at` on.
#[hdl_fn]
fn net32<const N: usize>(data: Bits<N>, at: usize) -> Bits<32> {
    cat::<16, 16, 32>(net16::<N>(data, at), net16::<N>(data, at + 2))
}

impl Logic for Parser {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, held, held_valid);
        let data = self.data.val();
        let ip_words = data.get_bits::<4>(112);
        let tcp_at = bits::<7>(14) + cat::<5, 2, 7>(bit_cast::<5, 4>(ip_words), bits::<2>(0));
        let tcp = bit_cast::<256, 512>(data >> cat::<7, 3, 10>(tcp_at, bits::<3>(0)));
        let tcp_words = tcp.get_bits::<4>(100);
        let ip_bytes = cat::<14, 2, 16>(bit_cast::<14, 4>(ip_words), bits::<2>(0));
        let tcp_bytes = cat::<14, 2, 16>(bit_cast::<14, 4>(tcp_words), bits::<2>(0));
        if self.valid.val() & self.first.val() {
            self.held.d.next = Header {
                local_ip: net32::<512>(data, 30),
                remote_ip: net32::<512>(data, 26),
                local_port: net16::<256>(tcp, 2),
                remote_port: net16::<256>(tcp, 0),
                seq: net32::<256>(tcp, 4),
                ack: net32::<256>(tcp, 8),
                window: net16::<256>(tcp, 14),
                flags: tcp.get_bits::<8>(104),
                ts_val: net32::<256>(tcp, 24),
                ts_ecr: net32::<256>(tcp, 28),
                has_timestamps: (tcp_words >= 8) & (net32::<256>(tcp, 20) == 0x0101_080a),
                payload_at: tcp_at + cat::<5, 2, 7>(bit_cast::<5, 4>(tcp_words), bits::<2>(0)),
                payload_len: net16::<512>(data, 16) - ip_bytes - tcp_bytes,
                good: (net16::<512>(data, 12) == 0x0800)
                    & (data.get_bits::<4>(116) == 4)
                    & (data.get_bits::<8>(184) == 6)
                    & (ip_words >= 5)
                    & (tcp_words >= 5),
            };
        }
        self.held_valid.d.next = self.valid.val() & self.first.val() & !self.rst.val();
        self.header.next = self.held.q.val();
        self.header_valid.next = self.held_valid.q.val();
    }
}
