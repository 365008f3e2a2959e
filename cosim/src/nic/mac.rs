//! The Ethernet MAC: line rate, padding, preamble, gap and frame check sequence.
//!
//! A frame on the channel is stamped with the arrival of its last bit and carries no FCS
//! (the MAC judges it before the channel). What the FCS, the preamble and the gap cost is
//! accounted here (IEEE 802.3 §4.4.2).

use super::bits::{BeatData, MAX_BUS_BYTES};
use bytes::Bytes;
use hallux_channel::ethernet::{self, FCS_BYTES, GAP_BYTES, PREAMBLE_BYTES};
use hallux_channel::{LineRate, Message, Time};
use std::collections::VecDeque;

/// Smallest frame without FCS; shorter ones are padded with zeros.
const MINIMUM: usize = ethernet::MIN_FRAME_BYTES as usize;

/// The port's rate and buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MacParameters {
    /// Line rate.
    pub rate: LineRate,
    /// Bytes that the transmitter buffers before it holds up the NIC.
    pub transmit_buffer: u64,
}

/// The contracts' rate.
const HUNDRED_GIGABIT: LineRate = match LineRate::from_bps(100_000_000_000) {
    Some(rate) => rate,
    None => unreachable!(),
};

impl Default for MacParameters {
    fn default() -> Self {
        Self {
            rate: HUNDRED_GIGABIT,
            transmit_buffer: 512,
        }
    }
}

/// One beat of a frame; the fields of `channels::Beat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameBeat {
    /// Frame bytes, justified to byte 0; bytes past `bytes` are zero.
    pub data: BeatData,
    /// Valid bytes, 1 to those of the bus.
    pub bytes: usize,
    /// Last beat of the frame.
    pub last: bool,
}

impl FrameBeat {
    /// One bit a valid byte.
    pub fn keep(&self) -> u128 {
        if self.bytes >= MAX_BUS_BYTES {
            u128::MAX
        } else {
            (1 << self.bytes) - 1
        }
    }
}

/// The NIC broke a rule of the stream `eth_tx`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No beat was offered although a frame is open and the MAC is ready.
    #[error("port `eth_tx` pauses after {bytes} bytes of a frame; a frame must not have gaps")]
    Gap {
        /// Bytes of the frame so far.
        bytes: usize,
    },
    /// `keep` has holes, or a beat that is not the last is not full.
    #[error(
        "port `eth_tx` offers keep {keep:#018x} with last = {last} after {bytes} bytes; \
             only the last beat may be partial, and it must be contiguous from byte 0"
    )]
    Keep {
        /// The byte enables.
        keep: u128,
        /// The flag.
        last: bool,
        /// Bytes of the frame so far.
        bytes: usize,
    },
    /// A frame that no network takes.
    #[error(
        "port `eth_tx` sends a frame of {bytes} bytes or more; the limit is {} bytes",
        Message::MAX_PAYLOAD
    )]
    Long {
        /// Bytes of the frame so far.
        bytes: usize,
    },
}

/// Frames and bytes of one direction, without preamble, FCS and gap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// Frames.
    pub frames: u64,
    /// Bytes of the frames.
    pub bytes: u64,
}

impl Volume {
    fn add(&mut self, bytes: usize) {
        self.frames += 1;
        self.bytes += bytes as u64;
    }
}

/// The MAC of one port.
#[derive(Debug)]
pub struct Mac {
    parameters: MacParameters,
    /// Bytes of the data bus.
    bus_bytes: usize,
    /// Time that a full transmit buffer takes on the wire.
    buffer: Time,
    received: VecDeque<(Time, Bytes)>,
    /// Bytes of the first received frame that the NIC has got.
    delivered: usize,
    /// Bytes of the frame whose last beat went to the NIC last.
    last_received: usize,
    /// Until when the receive side is busy with the frame before.
    receive_free: Time,
    /// The frame that the NIC is sending, and until when its bytes keep the wire busy.
    open: Vec<u8>,
    busy_until: Time,
    outgoing: VecDeque<(Time, Message)>,
    rx: Volume,
    tx: Volume,
}

impl Mac {
    /// A MAC at rest, beside a data bus of `bus_bytes` bytes, at most [`MAX_BUS_BYTES`].
    pub fn new(parameters: MacParameters, bus_bytes: usize) -> Self {
        Self {
            parameters,
            bus_bytes,
            buffer: parameters.rate.span(parameters.transmit_buffer),
            received: VecDeque::new(),
            delivered: 0,
            last_received: 0,
            receive_free: Time::ZERO,
            open: Vec::new(),
            busy_until: Time::ZERO,
            outgoing: VecDeque::new(),
            rx: Volume::default(),
            tx: Volume::default(),
        }
    }

    /// Frames handed to the NIC.
    pub fn received(&self) -> Volume {
        self.rx
    }

    /// Frames sent by the NIC, padding included.
    pub fn sent(&self) -> Volume {
        self.tx
    }

    /// The last bit of `frame` arrives at `at`. Its first beat is there at once, the
    /// others follow at line rate. An empty frame is nothing.
    pub fn receive(&mut self, at: Time, frame: Bytes) {
        if frame.is_empty() {
            return;
        }
        let start = at.max(self.receive_free);
        self.receive_free = start + self.parameters.rate.span(ethernet::wire_bytes(frame.len()));
        self.rx.add(frame.len());
        self.received.push_back((start, frame));
    }

    /// Bytes of the frame whose last beat went to the NIC last.
    pub fn last_received(&self) -> usize {
        self.last_received
    }

    /// When the next beat can go to the NIC.
    pub fn next_due(&self) -> Time {
        match self.received.front() {
            Some((start, _)) => *start + self.parameters.rate.span(self.delivered as u64),
            None => Time::NEVER,
        }
    }

    /// The beat that the NIC gets at the edge `now`.
    pub fn beat(&mut self, now: Time) -> Option<FrameBeat> {
        if self.next_due() > now {
            return None;
        }
        let (_, frame) = self.received.front()?;
        let piece = &frame[self.delivered..frame.len().min(self.delivered + self.bus_bytes)];
        let mut beat = FrameBeat {
            data: [0; MAX_BUS_BYTES],
            bytes: piece.len(),
            last: false,
        };
        beat.data[..piece.len()].copy_from_slice(piece);
        self.delivered += piece.len();
        beat.last = self.delivered == frame.len();
        if beat.last {
            self.last_received = self.delivered;
            self.delivered = 0;
            self.received.pop_front();
        }
        Some(beat)
    }

    /// The transmit buffer takes a beat at the edge `now`.
    pub fn ready(&self, now: Time) -> bool {
        self.busy_until <= now + self.buffer
    }

    /// The NIC offers `beat` (data, keep, last) or nothing at the edge `now`, at which
    /// the MAC was ready.
    ///
    /// # Errors
    /// A gap inside a frame, or byte enables with holes.
    pub fn accept(
        &mut self,
        now: Time,
        beat: Option<(&BeatData, u128, bool)>,
    ) -> Result<(), Error> {
        let sent = self.open.len();
        let Some((data, keep, last)) = beat else {
            return if sent == 0 {
                Ok(())
            } else {
                Err(Error::Gap { bytes: sent })
            };
        };
        let count = keep.trailing_ones() as usize;
        let contiguous =
            keep.count_ones() as usize == count && count > 0 && count <= self.bus_bytes;
        if !contiguous || (!last && count != self.bus_bytes) {
            return Err(Error::Keep {
                keep,
                last,
                bytes: sent,
            });
        }
        if sent == 0 {
            self.busy_until = self.busy_until.max(now) + self.parameters.rate.span(PREAMBLE_BYTES);
        }
        self.open.extend_from_slice(&data[..count]);
        if self.open.len() > Message::MAX_PAYLOAD {
            return Err(Error::Long {
                bytes: self.open.len(),
            });
        }
        self.busy_until = self.busy_until.max(now) + self.parameters.rate.span(count as u64);
        if last {
            let padding = MINIMUM.saturating_sub(self.open.len());
            self.open.resize(self.open.len() + padding, 0);
            self.busy_until += self.parameters.rate.span(padding as u64 + FCS_BYTES);
            self.tx.add(self.open.len());
            // Copied to its size, so that the buffer need not grow anew for every frame.
            let frame = Bytes::copy_from_slice(&self.open);
            self.open.clear();
            self.outgoing
                .push_back((self.busy_until, Message::Frame(frame)));
            self.busy_until += self.parameters.rate.span(GAP_BYTES);
        }
        Ok(())
    }

    /// The NIC is reset: the frame that it was sending ends with a wrong FCS and goes nowhere,
    /// and the rest of the one that it was getting is lost.
    pub fn reset(&mut self) {
        self.open.clear();
        if std::mem::take(&mut self.delivered) > 0 {
            self.received.pop_front();
        }
    }

    /// No frame is open.
    pub fn is_idle(&self) -> bool {
        self.open.is_empty()
    }

    /// What is to be sent: when its last bit leaves, and the frame.
    pub fn take_outgoing(&mut self) -> Option<(Time, Message)> {
        self.outgoing.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ns(ns: u64) -> Time {
        Time::from_ns(ns)
    }

    #[test]
    fn received_beats_are_paced_at_line_rate() {
        let mut mac = Mac::new(MacParameters::default(), 64);
        mac.receive(ns(100), vec![7; 130].into());
        mac.receive(ns(100), vec![9; 60].into());
        assert_eq!(mac.beat(ns(99)), None);
        let mut seen = vec![];
        for edge in (100..140).step_by(4) {
            if let Some(beat) = mac.beat(ns(edge)) {
                seen.push((edge, beat.bytes, beat.last));
            }
        }
        // 64 bytes take 5.12 ns; the second frame starts 154 byte times after the first.
        assert_eq!(
            seen,
            [
                (100, 64, false),
                (108, 64, false),
                (112, 2, true),
                (116, 60, true)
            ]
        );
        assert_eq!(mac.next_due(), Time::NEVER);
    }

    #[test]
    fn a_frame_is_padded_and_stamped_when_its_last_bit_leaves() {
        let mut mac = Mac::new(MacParameters::default(), 64);
        let data = [3; MAX_BUS_BYTES];
        mac.accept(ns(8), Some((&data, (1 << 54) - 1, true)))
            .unwrap();
        mac.accept(ns(12), Some((&data, u64::MAX.into(), true)))
            .unwrap();
        let (first, message) = mac.take_outgoing().unwrap();
        assert_eq!(first, ns(8) + Time::from_ps((8 + 60 + 4) * 80));
        assert_eq!(message.payload().len(), 60);
        assert_eq!(message.payload()[54..], [0; 6]);
        let (second, _) = mac.take_outgoing().unwrap();
        assert_eq!(second, first + Time::from_ps((12 + 8 + 64 + 4) * 80));
        assert_eq!(
            mac.sent(),
            Volume {
                frames: 2,
                bytes: 124
            }
        );
    }

    #[test]
    fn the_buffer_holds_the_nic_to_line_rate() {
        let mut mac = Mac::new(MacParameters::default(), 64);
        let data = [3; MAX_BUS_BYTES];
        let mut taken = 0;
        for edge in 0..25_000 {
            let now = ns(edge * 4);
            if mac.ready(now) {
                mac.accept(now, Some((&data, u64::MAX.into(), taken % 23 == 22)))
                    .unwrap();
                taken += 1;
            }
        }
        // 1472-byte frames take 1496 byte times: 12.5 bytes a ns for 100 us.
        let frames = taken / 23;
        assert!((835..=837).contains(&frames), "{frames}");
    }

    #[test]
    fn a_reset_ends_what_was_under_way_in_both_directions() {
        let mut mac = Mac::new(MacParameters::default(), 64);
        mac.receive(ns(0), vec![7; 130].into());
        mac.receive(ns(0), vec![9; 60].into());
        assert_eq!(mac.beat(ns(0)).map(|beat| beat.bytes), Some(64));
        let data = [3; MAX_BUS_BYTES];
        mac.accept(ns(0), Some((&data, u64::MAX.into(), false)))
            .unwrap();
        mac.reset();
        assert_eq!(mac.accept(ns(4), None), Ok(()));
        let next = mac.beat(ns(100)).unwrap();
        assert_eq!((next.data[0], next.bytes, next.last), (9, 60, true));
        assert_eq!(mac.take_outgoing(), None);
    }

    #[test]
    fn gaps_and_holes_are_errors() {
        let mut mac = Mac::new(MacParameters::default(), 64);
        let data = [0; MAX_BUS_BYTES];
        assert_eq!(mac.accept(ns(0), None), Ok(()));
        mac.accept(ns(0), Some((&data, u64::MAX.into(), false)))
            .unwrap();
        assert_eq!(mac.accept(ns(4), None), Err(Error::Gap { bytes: 64 }));
        assert!(matches!(
            mac.accept(ns(4), Some((&data, 5, true))),
            Err(Error::Keep { keep: 5, .. })
        ));
        assert!(matches!(
            mac.accept(ns(4), Some((&data, 1, false))),
            Err(Error::Keep { .. })
        ));
    }
}
