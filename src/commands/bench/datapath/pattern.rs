//! The bytes that flow: a function of stream and position, so that both ends can write
//! and verify any part of a stream without keeping it.

/// One direction of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern(u64);

impl Pattern {
    /// The stream of connection `number`.
    pub fn of(number: u64) -> Self {
        Self(number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn word(self, index: u64) -> [u8; 8] {
        let x = (index ^ self.0).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (x ^ x >> 29).to_le_bytes()
    }

    /// Writes the bytes from `position` on.
    pub fn write(self, position: u64, bytes: &mut [u8]) {
        self.each(position, bytes.len(), |at, piece| {
            bytes[at..at + piece.len()].copy_from_slice(piece);
        });
    }

    /// How many of the bytes from `position` on are wrong.
    pub fn wrong(self, position: u64, bytes: &[u8]) -> u64 {
        let mut wrong = 0;
        self.each(position, bytes.len(), |at, piece| {
            let got = &bytes[at..at + piece.len()];
            if got != piece {
                wrong += got.iter().zip(piece).filter(|(a, b)| a != b).count() as u64;
            }
        });
        wrong
    }

    fn each(self, position: u64, length: usize, mut visit: impl FnMut(usize, &[u8])) {
        let mut done = 0;
        while done < length {
            let at = position + done as u64;
            let skip = (at % 8) as usize;
            let count = (8 - skip).min(length - done);
            visit(done, &self.word(at / 8)[skip..skip + count]);
            done += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_part_of_a_stream_is_verified() {
        let mut bytes = [0; 100];
        Pattern::of(3).write(1_000, &mut bytes);
        assert_eq!(Pattern::of(3).wrong(1_013, &bytes[13..77]), 0);
        assert!(Pattern::of(4).wrong(1_000, &bytes) > 90);
        assert!(Pattern::of(3).wrong(1_001, &bytes) > 90);
        bytes[50] ^= 1;
        assert_eq!(Pattern::of(3).wrong(1_000, &bytes), 1);
    }
}
