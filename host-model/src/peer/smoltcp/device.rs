//! The network device that smoltcp drives.

use std::collections::VecDeque;

use ::smoltcp::phy::{self, DeviceCapabilities, Medium};
use ::smoltcp::time::Instant;
use bytes::Bytes;
use hallux_channel::{Counter, LineRate, Time, Transmitter};

/// Frames that are queued ahead of the line before smoltcp is asked for more,
/// like the descriptors of a small transmit ring.
const TRANSMIT_RING: usize = 64;
/// Ethernet header, in bytes.
const HEADER_BYTES: usize = 14;

/// Tag protocol identifier of a customer VLAN (IEEE 802.1Q).
const TPID: u16 = 0x8100;
/// Bytes in front of a tag: the two addresses.
const TAG_OFFSET: usize = 12;

/// A frame of VLAN `vlan` without its tag; nothing of any other frame.
fn untagged(frame: &[u8], vlan: u16) -> Option<Bytes> {
    let (addresses, rest) = frame.split_at_checked(TAG_OFFSET)?;
    let (tag, rest) = rest.split_first_chunk::<4>()?;
    let [a, b, c, d] = *tag;
    let ours = u16::from_be_bytes([a, b]) == TPID && u16::from_be_bytes([c, d]) & 0xfff == vlan;
    ours.then(|| [addresses, rest].concat().into())
}

/// Receive queue and transmit ring.
pub(super) struct Device {
    mtu: usize,
    /// VLAN of the tags on the wire (IEEE 802.1Q), none without.
    vlan: Option<u16>,
    line: Transmitter,
    now: Time,
    received: VecDeque<Bytes>,
    sent: VecDeque<(Time, Bytes)>,
    /// Frames handed over since the line was last idle.
    in_ring: usize,
    rx_frames: u64,
    rx_bytes: u64,
    tx_frames: u64,
    tx_bytes: u64,
}

impl Device {
    pub(super) fn new(mtu: usize, vlan: Option<u16>, rate: LineRate) -> Self {
        Device {
            mtu,
            vlan,
            line: Transmitter::new(rate),
            now: Time::ZERO,
            received: VecDeque::new(),
            sent: VecDeque::new(),
            in_ring: 0,
            rx_frames: 0,
            rx_bytes: 0,
            tx_frames: 0,
            tx_bytes: 0,
        }
    }

    pub(super) fn receive_frame(&mut self, frame: Bytes) {
        self.rx_frames += 1;
        self.rx_bytes += frame.len() as u64;
        match self.vlan {
            None => self.received.push_back(frame),
            Some(vlan) => self.received.extend(untagged(&frame, vlan)),
        }
    }

    /// The next frame to leave, with the time of its last bit.
    pub(super) fn take_sent(&mut self) -> Option<(Time, Bytes)> {
        self.sent.pop_front()
    }

    pub(super) fn set_now(&mut self, now: Time) {
        self.now = now;
        if self.line.free_at() <= now {
            self.in_ring = 0;
        }
    }

    /// When to ask smoltcp for more, if now is too early.
    pub(super) fn full_until(&self) -> Option<Time> {
        (self.in_ring >= TRANSMIT_RING).then(|| self.line.free_at())
    }

    pub(super) fn counters(&self) -> Vec<Counter> {
        vec![
            Counter::new("rx_frames", self.rx_frames),
            Counter::new("rx_bytes", self.rx_bytes),
            Counter::new("tx_frames", self.tx_frames),
            Counter::new("tx_bytes", self.tx_bytes),
        ]
    }

    fn send(&mut self, mut frame: Vec<u8>) {
        if let Some(vlan) = self.vlan {
            let [a, b] = TPID.to_be_bytes();
            let [c, d] = vlan.to_be_bytes();
            frame.splice(TAG_OFFSET..TAG_OFFSET, [a, b, c, d]);
        }
        self.in_ring += 1;
        self.tx_frames += 1;
        self.tx_bytes += frame.len() as u64;
        let at = self.line.transmit(self.now, frame.len());
        self.sent.push_back((at, frame.into()));
    }
}

impl phy::Device for Device {
    type RxToken<'a> = RxToken;
    type TxToken<'a> = TxToken<'a>;

    fn receive(&mut self, _: Instant) -> Option<(RxToken, TxToken<'_>)> {
        let frame = self.received.pop_front()?;
        Some((RxToken(frame), TxToken(self)))
    }

    /// Never refused: smoltcp forgets answers and fast retransmissions that
    /// the device does not take, and a connection could wait for ever. The
    /// ring is kept short by not asking for frames instead.
    fn transmit(&mut self, _: Instant) -> Option<TxToken<'_>> {
        Some(TxToken(self))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = self.mtu + HEADER_BYTES;
        capabilities
    }
}

/// A received frame.
pub(super) struct RxToken(Bytes);

impl phy::RxToken for RxToken {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, parse: F) -> R {
        parse(&self.0)
    }
}

/// Room for one frame.
pub(super) struct TxToken<'a>(&'a mut Device);

impl phy::TxToken for TxToken<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, fill: F) -> R {
        let mut frame = vec![0; len];
        let result = fill(&mut frame);
        self.0.send(frame);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_frames_of_the_vlan_are_received() {
        let tagged = |vlan: u16| {
            let [c, d] = vlan.to_be_bytes();
            [&[7; 12][..], &[0x81, 0x00, c, d], &[8, 0, 1, 2]].concat()
        };
        let plain = [&[7; 12][..], &[8, 0, 1, 2]].concat();
        assert_eq!(untagged(&tagged(0xa064), 100), Some(plain.clone().into()));
        assert_eq!(untagged(&tagged(101), 100), None);
        assert_eq!(untagged(&plain, 100), None);
        assert_eq!(untagged(&[0; 9], 100), None);
    }
}
