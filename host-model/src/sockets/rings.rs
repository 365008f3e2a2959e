//! The two rings of a connection: what libTOE and the NIC share of a stream of bytes.
//!
//! ```text
//!  receive ring                               transmit ring
//!  ──┬──────────────┬───────────┬──          ──┬───────────────┬─────────────┬──
//!    │ unreported   │ available │ free          │ released      │ unreleased  │ free
//!  ──┴──────────────┴───────────┴──          ──┴───────────────┴─────────────┴──
//!     read by the    announced by               the NIC sends,   written by the
//!     application    the NIC                    awaits ACKs      application
//! ```

use crate::memory::Memory;

/// Where a ring lies and how far it has moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    base: u64,
    log2: u8,
}

impl Span {
    fn size(self) -> u32 {
        1 << self.log2
    }

    /// Calls `copy` with address, start and end (of the caller's buffer) for each of the
    /// at most two pieces of `count` bytes from the free-running position `position`.
    fn pieces(self, position: u32, count: usize, mut copy: impl FnMut(u64, usize, usize)) {
        let offset = position & (self.size() - 1);
        let first = count.min((self.size() - offset) as usize);
        copy(self.base + u64::from(offset), 0, first);
        if first < count {
            copy(self.base, first, count);
        }
    }
}

/// The NIC announced or acknowledged more than the ring can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record bumps a ring by {bump} bytes, but at most {possible} are possible")]
pub struct ImpossibleBump {
    /// Bytes of the record.
    pub bump: u32,
    /// Bytes that can be.
    pub possible: u32,
}

/// The receive ring: the NIC fills it, the application drains it.
#[derive(Clone, Debug)]
pub struct ReceiveRing {
    span: Span,
    /// Free-running position of the next byte for the application.
    head: u32,
    available: u32,
    unreported: u32,
}

impl ReceiveRing {
    /// An empty ring of 2^`log2` bytes at bus address `base`.
    pub fn new(base: u64, log2: u8) -> Self {
        Self {
            span: Span { base, log2 },
            head: 0,
            available: 0,
            unreported: 0,
        }
    }

    /// Bus address of the ring.
    pub fn base(&self) -> u64 {
        self.span.base
    }

    /// Bytes of the ring.
    pub fn size(&self) -> u32 {
        self.span.size()
    }

    /// Bytes that the application can read.
    pub fn available(&self) -> u32 {
        self.available
    }

    /// Bytes announced so far, modulo 2^32.
    pub fn announced(&self) -> u32 {
        self.head.wrapping_add(self.available)
    }

    /// Bytes the NIC may still fill, as far as it knows.
    pub fn window(&self) -> u32 {
        self.size() - self.available - self.unreported
    }

    /// The NIC announced `bump` more bytes.
    ///
    /// # Errors
    ///
    /// If there was no room for them; nothing changes then.
    pub fn announce(&mut self, bump: u32) -> Result<(), ImpossibleBump> {
        let possible = self.window();
        if bump > possible {
            return Err(ImpossibleBump { bump, possible });
        }
        self.available += bump;
        Ok(())
    }

    /// Copies what there is and fits into `buffer`; returns the count of bytes.
    pub fn read(&mut self, memory: &Memory, buffer: &mut [u8]) -> usize {
        let count = buffer.len().min(self.available as usize);
        self.span.pieces(self.head, count, |address, from, to| {
            memory.read(address, &mut buffer[from..to]);
        });
        self.consume(count as u32);
        count
    }

    /// Throws away all that is available.
    pub fn discard(&mut self) {
        self.consume(self.available);
    }

    /// Consumed bytes are worth a descriptor of their own: more than a quarter of the
    /// ring. Then a window that the application keeps drained is never below three
    /// quarters, and a bulk transfer costs few descriptors.
    pub fn is_report_due(&self) -> bool {
        self.unreported > self.size() / 4
    }

    /// Takes the count of consumed bytes that the NIC does not know of.
    pub fn report(&mut self) -> u32 {
        std::mem::take(&mut self.unreported)
    }

    fn consume(&mut self, count: u32) {
        self.head = self.head.wrapping_add(count);
        self.available -= count;
        self.unreported += count;
    }
}

/// The end of the outgoing stream. It takes one byte of the ring, which stands for FIN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Finish {
    /// More may be written.
    #[default]
    Open,
    /// Asked for; its byte has no place yet.
    Wanted,
    /// Its byte was released.
    Released,
}

/// The transmit ring: the application fills it, the NIC drains it by acknowledgements.
#[derive(Clone, Debug)]
pub struct TransmitRing {
    span: Span,
    /// Free-running position of the next byte from the application.
    tail: u32,
    /// Bytes written and not acknowledged, the FIN's included.
    used: u32,
    /// Of these, what the NIC was not told of.
    unreleased: u32,
    /// The most bytes that are released and not acknowledged.
    limit: u32,
    /// Less than so many are released only if that is all there is.
    segment: u32,
    finish: Finish,
}

impl TransmitRing {
    /// An empty ring of 2^`log2` bytes at bus address `base`.
    pub fn new(base: u64, log2: u8) -> Self {
        let span = Span { base, log2 };
        Self {
            span,
            tail: 0,
            used: 0,
            unreleased: 0,
            limit: u32::MAX,
            segment: 0,
            finish: Finish::Open,
        }
    }

    /// From now on at most `limit` bytes are released and not acknowledged, but always one
    /// segment of `segment` bytes; of more than that only whole segments are released.
    pub fn limit(&mut self, limit: u32, segment: u32) {
        self.limit = limit.max(segment);
        self.segment = segment;
    }

    /// What the limit lets go now.
    fn releasable(&self) -> u32 {
        let room = self.limit.saturating_sub(self.outstanding());
        if self.unreleased <= room {
            self.unreleased
        } else {
            room - room.checked_rem(self.segment).unwrap_or(0)
        }
    }

    /// The limit holds something back.
    pub fn is_held_back(&self) -> bool {
        self.releasable() < self.unreleased
    }

    /// Bus address of the ring.
    pub fn base(&self) -> u64 {
        self.span.base
    }

    /// Bytes of the ring.
    pub fn size(&self) -> u32 {
        self.span.size()
    }

    /// Bytes that can be written.
    pub fn free(&self) -> u32 {
        self.size() - self.used
    }

    /// Copies what fits of `bytes`; returns the count, 0 also after
    /// [`finish`](Self::finish).
    pub fn write(&mut self, memory: &mut Memory, bytes: &[u8]) -> usize {
        if self.is_finished() {
            return 0;
        }
        let count = bytes.len().min(self.free() as usize);
        self.span.pieces(self.tail, count, |address, from, to| {
            memory.write(address, &bytes[from..to]);
        });
        self.append(count as u32);
        count
    }

    /// Nothing more will be written.
    pub fn finish(&mut self) {
        if self.finish == Finish::Open {
            self.finish = Finish::Wanted;
        }
    }

    /// True after [`finish`](Self::finish).
    pub fn is_finished(&self) -> bool {
        self.finish != Finish::Open
    }

    /// True if there is something to release.
    pub fn is_release_due(&self) -> bool {
        self.releasable() > 0 || self.finishes()
    }

    /// Bus address of what is not released, if it is at most `most` bytes without FIN that
    /// the ring's end does not part; `None` if there is nothing.
    pub fn small_release(&self, most: u32) -> Option<u64> {
        let withheld = self.is_held_back();
        if self.unreleased == 0 || self.unreleased > most || withheld || self.finishes() {
            return None;
        }
        let begin = self.tail.wrapping_sub(self.unreleased) & (self.size() - 1);
        let whole = self.size() - begin >= self.unreleased;
        whole.then(|| self.span.base + u64::from(begin))
    }

    /// Takes what the NIC is to be told: the count of released bytes, and whether the last
    /// of them stands for FIN. If the ring is full the FIN waits for room.
    pub fn release(&mut self) -> (u32, bool) {
        let mut count = self.releasable();
        let finish = self.finishes();
        if finish {
            self.append(1);
            self.finish = Finish::Released;
            count += 1;
        }
        self.unreleased -= count;
        (count, finish)
    }

    /// The FIN's byte has a place, and everything before it may go.
    fn finishes(&self) -> bool {
        self.finish == Finish::Wanted && self.free() > 0 && !self.is_held_back()
    }

    /// The NIC reported `bump` acknowledged bytes.
    ///
    /// # Errors
    ///
    /// If fewer were released; nothing changes then.
    pub fn acknowledge(&mut self, bump: u32) -> Result<(), ImpossibleBump> {
        let possible = self.outstanding();
        if bump > possible {
            return Err(ImpossibleBump { bump, possible });
        }
        self.used -= bump;
        Ok(())
    }

    /// Bytes acknowledged so far, modulo 2^32, the FIN's included.
    pub fn acknowledged(&self) -> u32 {
        self.tail.wrapping_sub(self.used)
    }

    /// Bytes released and not acknowledged.
    pub fn outstanding(&self) -> u32 {
        self.used - self.unreleased
    }

    /// True if the peer acknowledged our FIN.
    pub fn is_finish_acknowledged(&self) -> bool {
        self.finish == Finish::Released && self.used == 0
    }

    fn append(&mut self, count: u32) {
        self.tail = self.tail.wrapping_add(count);
        self.used += count;
        self.unreleased += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MEMORY_BASE;

    #[test]
    fn bytes_survive_the_wrap_of_the_receive_ring() {
        let mut memory = Memory::new(MEMORY_BASE, 1 << 16);
        let mut ring = ReceiveRing::new(MEMORY_BASE, 4);
        memory.write(MEMORY_BASE, b"0123456789abcdef");
        ring.announce(12).unwrap();
        let mut buffer = [0; 10];
        assert_eq!(ring.read(&memory, &mut buffer), 10);
        assert_eq!(&buffer, b"0123456789");
        assert!(ring.is_report_due());
        assert_eq!((ring.report(), ring.report()), (10, 0));
        memory.write(MEMORY_BASE, b"ABCDEFGHIJ");
        ring.announce(14).unwrap();
        assert_eq!(
            ring.announce(1),
            Err(ImpossibleBump {
                bump: 1,
                possible: 0
            })
        );
        let mut buffer = [0; 32];
        assert_eq!(ring.read(&memory, &mut buffer), 16);
        assert_eq!(&buffer[..16], b"abcdefABCDEFGHIJ");
        assert_eq!(ring.announced(), 26);
    }

    #[test]
    fn a_report_waits_for_a_quarter_of_the_ring() {
        let mut memory = Memory::new(MEMORY_BASE, 1 << 16);
        memory.write(MEMORY_BASE, &[1; 16]);
        let mut ring = ReceiveRing::new(MEMORY_BASE, 4);
        ring.announce(16).unwrap();
        ring.read(&memory, &mut [0; 4]);
        assert!(!ring.is_report_due());
        ring.read(&memory, &mut [0; 1]);
        assert!(ring.is_report_due());
    }

    #[test]
    fn a_limit_holds_back_all_but_whole_segments_and_the_fin() {
        let mut memory = Memory::new(MEMORY_BASE, 1 << 16);
        let mut ring = TransmitRing::new(MEMORY_BASE, 5);
        ring.limit(11, 5);
        ring.write(&mut memory, &[7; 23]);
        ring.finish();
        assert_eq!(ring.release(), (10, false));
        assert!(ring.is_held_back() && !ring.is_release_due());
        ring.acknowledge(3).unwrap();
        assert!(!ring.is_release_due(), "4 bytes of room are no segment");
        ring.acknowledge(1).unwrap();
        assert_eq!(ring.release(), (5, false));
        ring.acknowledge(8).unwrap();
        assert_eq!(ring.release(), (9, true), "the rest, and the FIN");
        ring.acknowledge(12).unwrap();
        assert!(ring.is_finish_acknowledged());
        // Never less than a segment.
        ring.limit(0, 5);
        assert!(!ring.is_held_back());
    }

    #[test]
    fn a_full_transmit_ring_postpones_the_fin() {
        let mut memory = Memory::new(MEMORY_BASE, 1 << 16);
        let mut ring = TransmitRing::new(MEMORY_BASE, 4);
        assert_eq!(ring.write(&mut memory, &[7; 20]), 16);
        ring.finish();
        assert_eq!(ring.write(&mut memory, &[7]), 0);
        assert_eq!(ring.release(), (16, false));
        assert!(!ring.is_release_due());
        assert_eq!(
            ring.acknowledge(17),
            Err(ImpossibleBump {
                bump: 17,
                possible: 16
            })
        );
        ring.acknowledge(5).unwrap();
        assert!(ring.is_release_due());
        assert_eq!(ring.release(), (1, true));
        assert_eq!(ring.release(), (0, false));
        assert_eq!(ring.outstanding(), 12);
        ring.acknowledge(12).unwrap();
        assert!(ring.is_finish_acknowledged());
    }

    #[test]
    fn bytes_survive_the_wrap_of_the_transmit_ring() {
        let mut memory = Memory::new(MEMORY_BASE, 1 << 16);
        let mut ring = TransmitRing::new(MEMORY_BASE, 4);
        assert_eq!(ring.write(&mut memory, b"0123456789"), 10);
        assert_eq!(ring.release(), (10, false));
        ring.acknowledge(10).unwrap();
        assert_eq!(ring.write(&mut memory, b"abcdefghij"), 10);
        let mut bytes = [0; 16];
        memory.read(MEMORY_BASE, &mut bytes);
        assert_eq!(&bytes, b"ghij456789abcdef");
    }
}
