//! The state of one connection.

use super::{RingPosition, SeqNumber};
use hallux_toe::interface::OpenWords;

/// Most intervals that any design point holds out of order for a connection.
pub const MAX_INTERVALS: usize = 4;

/// Bytes that arrived out of order, here or at the peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interval {
    /// First sequence number.
    pub start: SeqNumber,
    /// Bytes; 0 = none.
    pub len: u32,
}

/// What the protocol stage remembers of one flow id. A closed flow id is all zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The flow id is in use.
    pub open: bool,
    /// Generation of the flow id, chosen by the control plane at OPEN.
    pub generation: u8,
    /// Passive open that no acceptable segment has confirmed yet: nothing leaves.
    pub opening: bool,

    /// SND.UNA, the oldest unacknowledged sequence number.
    pub snd_una: SeqNumber,
    /// SND.NXT, the next sequence number to send; a rewind sets it back to SND.UNA.
    pub snd_nxt: SeqNumber,
    /// SND.MAX, one past the highest sequence number ever sent.
    pub snd_max: SeqNumber,
    /// Transmit-ring position of SND.NXT.
    pub tx_pos: RingPosition,
    /// Bytes released by the application from SND.NXT on.
    pub tx_avail: u32,
    /// SND.WND, the peer's window in bytes, counted from SND.UNA.
    pub snd_wnd: u32,
    /// SND.WL1, SEG.SEQ of the last window update. SND.WL2 is not kept: it never exceeds
    /// SND.UNA, and an ACK before SND.UNA updates nothing, so its test always holds.
    pub snd_wl1: SeqNumber,

    /// RCV.NXT, the next sequence number expected.
    pub rcv_nxt: SeqNumber,
    /// Receive-ring position of RCV.NXT.
    pub rx_pos: RingPosition,
    /// Free bytes of the receive ring from RCV.NXT on.
    pub rx_avail: u32,
    /// The highest right edge that was advertised and that the ring backs.
    pub rcv_adv: SeqNumber,
    /// Intervals held out of order, the one that grew last first: no two touch each other.
    pub held: [Interval; MAX_INTERVALS],
    /// How many the design point has room for.
    pub intervals: u8,
    /// The peer's FIN stands behind the last of them.
    pub fin_held: bool,

    /// TS.Recent (RFC 7323 §4.3).
    pub ts_recent: u32,
    /// Last.ACK.sent (RFC 7323 §4.3), but for window updates.
    pub last_ack_sent: SeqNumber,
    /// Duplicate ACKs in a row, 0 to 2; the third rewinds.
    pub dupacks: u8,
    /// A rewind has not been acknowledged up to `recover` yet.
    pub recovering: bool,
    /// SND.MAX when the last recovery began.
    pub recover: SeqNumber,
    /// Intervals behind SND.UNA that the peer has reported: no two touch each other.
    pub sacked: [Interval; MAX_INTERVALS],
    /// The recovery sends only what lies before the highest of them, and SND.NXT was not set
    /// back (RFC 6675).
    pub sack_recovery: bool,
    /// HighRxt: the recovery has sent again what lies before it.
    pub high_rxt: SeqNumber,
    /// The last released byte stands for our FIN.
    pub tx_fin: bool,
    /// The peer's FIN was taken.
    pub rx_fin: bool,

    /// Shift of windows received.
    pub send_shift: u8,
    /// Shift of windows sent.
    pub receive_shift: u8,
    /// Largest payload of a sent segment.
    pub mss: u16,
    /// Timestamps negotiated.
    pub ts_on: bool,
    /// Timestamp offset of the flow.
    pub ts_offset: u32,
    /// ECN negotiated.
    pub ecn: bool,
    /// Acknowledgements are delayed.
    pub delayed_acks: bool,
    /// SACK negotiated (RFC 2018), and the design point has something of it.
    pub sack: bool,
    /// The design point keeps what the peer reports.
    pub scoreboard: bool,
    /// The last segment with text was marked Congestion Experienced (DCTCP.CE of RFC 8257).
    pub congestion_experienced: bool,
    /// log2 of the receive ring's bytes.
    pub rx_log2: u8,
    /// log2 of the transmit ring's bytes.
    pub tx_log2: u8,
}

/// What OPEN installs; the protocol stage's part of [`OpenWords`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Open {
    /// First sequence number to send.
    pub snd_nxt: SeqNumber,
    /// First sequence number to receive.
    pub rcv_nxt: SeqNumber,
    /// The peer's window in bytes.
    pub window: u32,
    /// TS.Recent.
    pub ts_recent: u32,
    /// Timestamp offset of the flow.
    pub ts_offset: u32,
    /// Intervals that the design point holds out of order.
    pub intervals: u8,
    /// The design point recovers by SACK.
    pub scoreboard: bool,
    /// Word 0 of [`OpenWords::encode`]: MSS, shifts, options and ring sizes.
    pub options: u64,
}

impl From<&OpenWords> for Open {
    fn from(words: &OpenWords) -> Self {
        Self {
            snd_nxt: SeqNumber(words.snd_nxt),
            rcv_nxt: SeqNumber(words.rcv_nxt),
            window: words.window,
            ts_recent: words.ts_recent,
            ts_offset: words.ts_offset,
            intervals: 1,
            scoreboard: false,
            options: words.encode()[0],
        }
    }
}

/// Bits of an MSS: the length of a segment is a 14-bit field.
const MSS_MASK: u16 = (1 << 14) - 1;

impl State {
    /// A freshly opened connection.
    pub fn open(generation: u8, open: &Open) -> Self {
        let mut words = [0; hallux_toe::interface::COMMAND_WORDS];
        words[0] = open.options;
        let options = OpenWords::decode(&words);
        let mut state = Self {
            open: true,
            generation,
            opening: options.opening,
            snd_una: open.snd_nxt,
            snd_nxt: open.snd_nxt,
            snd_max: open.snd_nxt,
            snd_wnd: open.window,
            // The control plane saw a segment that ended just before RCV.NXT.
            snd_wl1: open.rcv_nxt - 1,
            rcv_nxt: open.rcv_nxt,
            ts_recent: open.ts_recent,
            last_ack_sent: open.rcv_nxt,
            send_shift: options.send_shift,
            receive_shift: options.receive_shift,
            mss: options.mss & MSS_MASK,
            ts_on: options.timestamps,
            ts_offset: open.ts_offset,
            ecn: options.ecn,
            delayed_acks: options.delayed_acks,
            sack: options.sack && (open.intervals > 1 || open.scoreboard),
            scoreboard: open.scoreboard,
            intervals: open.intervals,
            rx_log2: options.rx_log2,
            tx_log2: options.tx_log2,
            ..Self::default()
        };
        state.rx_avail = state.rx_ring();
        // The SYN's window field is never scaled (RFC 7323 §2.2).
        state.rcv_adv = state.rcv_nxt + state.advertisable().min(0xffff);
        state
    }

    /// Bytes of the receive ring.
    pub const fn rx_ring(&self) -> u32 {
        1 << self.rx_log2
    }

    /// Bytes of the transmit ring.
    pub const fn tx_ring(&self) -> u32 {
        1 << self.tx_log2
    }

    /// The flow id is open in this generation.
    pub const fn accepts(&self, generation: u8) -> bool {
        self.open && self.generation == generation
    }

    /// Bytes from SND.UNA to SND.NXT.
    pub fn in_flight(&self) -> u32 {
        self.snd_nxt - self.snd_una
    }

    /// Bytes that may be sent now: released, and inside the peer's window. A peer that
    /// shrinks its window below what is in flight leaves none.
    pub fn usable(&self) -> u32 {
        if self.opening {
            return 0;
        }
        self.tx_avail
            .min(self.snd_wnd.saturating_sub(self.in_flight()))
    }

    /// Free bytes of the receive ring less one unit of the window scale (minus 1). A window
    /// rounded up to that unit, as [`window`](Self::window) does, so stays inside the ring.
    pub const fn advertisable(&self) -> u32 {
        self.rx_avail.saturating_sub((1 << self.receive_shift) - 1)
    }

    /// Bytes from RCV.NXT to the advertised right edge.
    pub fn advertised(&self) -> u32 {
        if self.rcv_adv.precedes(self.rcv_nxt) {
            0
        } else {
            self.rcv_adv - self.rcv_nxt
        }
    }

    /// The window field to send: the free ring rounded down to the scale's unit, or up
    /// where that would retract the advertised right edge (RFC 7323 §2.4).
    pub fn window(&self) -> u16 {
        let floor = self.advertisable() >> self.receive_shift;
        let retracts = (floor << self.receive_shift) < self.advertised();
        (floor + u32::from(retracts)).min(0xffff) as u16
    }

    /// The intervals held out of order.
    pub fn held(&self) -> impl Iterator<Item = &Interval> {
        self.held.iter().filter(|interval| interval.len > 0)
    }

    /// The acknowledgement of a segment waits.
    pub fn owes_ack(&self) -> bool {
        self.last_ack_sent != self.rcv_nxt
    }

    /// Goes back to SND.UNA: what is in flight is to be sent again.
    pub(super) fn rewind(&mut self) {
        let in_flight = self.in_flight();
        self.snd_nxt = self.snd_una;
        self.tx_pos = self.tx_pos - in_flight;
        self.tx_avail += in_flight;
        self.dupacks = 0;
        self.recovering = true;
        self.recover = self.snd_max;
        // The peer may have dropped what it reported (RFC 2018 §8).
        self.sack_recovery = false;
        self.sacked = Default::default();
    }
}
