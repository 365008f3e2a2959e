//! Building the segments that leave.

use super::{MAX_SACK_BLOCKS, SackBlock, SeqNumber, State, Transmission};

/// Bits of the TCP flags octet (RFC 9293 §3.1, RFC 3168).
pub mod flags {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset the connection.
    pub const RST: u8 = 0x04;
    /// Push.
    pub const PSH: u8 = 0x08;
    /// The acknowledgement field is significant.
    pub const ACK: u8 = 0x10;
    /// ECN echo.
    pub const ECE: u8 = 0x40;
}

impl State {
    /// SEG.SEQ of a segment without data: SND.MAX, or the right edge of the peer's window
    /// where that is less. Not SND.NXT: after a rewind the peer may be past it, would find
    /// the segment old and ignore its acknowledgement.
    fn ack_seq(&self) -> SeqNumber {
        self.snd_una + (self.snd_max - self.snd_una).min(self.snd_wnd)
    }

    /// Emits a pure acknowledgement with further `flags`.
    pub(super) fn acknowledge(&mut self, flags: u8) -> Transmission {
        self.emit(self.ack_seq(), flags::ACK | flags, 0)
    }

    /// Emits a window update. It acknowledges as well, but the acknowledgement that waits
    /// stays owed: in gates nothing of the state may depend on whether the update leaves.
    pub(super) fn update_window(&mut self) -> Transmission {
        let last_ack_sent = self.last_ack_sent;
        let update = self.acknowledge(self.owed_echo());
        self.last_ack_sent = last_ack_sent;
        update
    }

    /// ECN echo for what waits to be acknowledged: whatever acknowledges it carries the mark.
    pub(super) fn owed_echo(&self) -> u8 {
        if self.owes_ack() && self.congestion_experienced {
            flags::ECE
        } else {
            0
        }
    }

    /// What is held out of order, as a SACK option says it: the interval that grew last first
    /// (RFC 2018 §4). Segments with data have no room for it.
    fn sack_blocks(&self) -> [Option<SackBlock>; MAX_SACK_BLOCKS] {
        let mut held = self.held().map(|held| SackBlock {
            left: held.start,
            right: held.start + held.len,
        });
        std::array::from_fn(|_| held.next().filter(|_| self.sack))
    }

    /// Emits a segment of `length` payload bytes at SND.NXT's ring position, and remembers
    /// what it acknowledges and advertises.
    pub(super) fn emit(&mut self, seq: SeqNumber, flags: u8, length: u16) -> Transmission {
        let window = self.window();
        let bytes = u32::from(window) << self.receive_shift;
        let edge = self.rcv_nxt + bytes.min(self.advertisable());
        let transmission = Transmission {
            seq,
            ack: self.rcv_nxt,
            window,
            flags,
            ts_on: self.ts_on,
            ts_offset: self.ts_offset,
            ts_ecr: self.ts_recent,
            sack: if length == 0 {
                self.sack_blocks()
            } else {
                Default::default()
            },
            length,
            tx_pos: self.tx_pos,
        };
        self.rcv_adv = self.rcv_adv.max(edge);
        self.last_ack_sent = self.rcv_nxt;
        transmission
    }
}
