//! What a transaction-layer packet costs on the wire.
//!
//! PCI Express Base Specification 4.0: §2.2 (headers), §3.6 (sequence number and LCRC),
//! §4.2 (framing and encoding).

use hallux_channel::Time;

/// Generation of the link: transfer rate and line encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Generation {
    /// 2.5 GT/s, 8b/10b.
    Gen1,
    /// 5 GT/s, 8b/10b.
    Gen2,
    /// 8 GT/s, 128b/130b.
    Gen3,
    /// 16 GT/s, 128b/130b.
    Gen4,
    /// 32 GT/s, 128b/130b.
    Gen5,
}

impl Generation {
    /// The generation of this number, 1 to 5.
    pub fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Gen1,
            2 => Self::Gen2,
            3 => Self::Gen3,
            4 => Self::Gen4,
            5 => Self::Gen5,
            _ => return None,
        })
    }

    /// Megatransfers a second on each lane.
    const fn megatransfers(self) -> u64 {
        match self {
            Self::Gen1 => 2_500,
            Self::Gen2 => 5_000,
            Self::Gen3 => 8_000,
            Self::Gen4 => 16_000,
            Self::Gen5 => 32_000,
        }
    }

    /// Payload bits and line bits of the encoding.
    const fn encoding(self) -> (u64, u64) {
        match self {
            Self::Gen1 | Self::Gen2 => (8, 10),
            _ => (128, 130),
        }
    }
}

/// Bytes around header and data of every packet. Up to Gen2: STP 1, sequence number 2,
/// LCRC 4, END 1; later: STP token with sequence number 4, LCRC 4.
const FRAMING: u64 = 8;
/// A header of three double words: completions, memory requests below 4 GiB.
const HEADER_3DW: u64 = 12;
/// A header of four double words: memory requests at or above 4 GiB.
const HEADER_4DW: u64 = 16;

/// Time that `bytes` take on a link, in ps, rounded up. `efficiency` is the share of the
/// link, in thousandths, that acknowledgements, credit updates and skip sets leave.
pub(super) fn wire_time(generation: Generation, lanes: u8, efficiency: u64, bytes: u64) -> Time {
    let (payload, line) = generation.encoding();
    // bits · 10^6 / (MT/s · lanes) = ps
    let numerator = bytes * 8 * line * 1_000_000 * 1_000;
    let denominator = payload * generation.megatransfers() * u64::from(lanes) * efficiency;
    Time::from_ps(numerator.div_ceil(denominator))
}

fn header(address: u64) -> u64 {
    if address >> 32 == 0 {
        HEADER_3DW
    } else {
        HEADER_4DW
    }
}

/// Bytes of `length` data bytes at `address`, in whole double words.
fn data(address: u64, length: u64) -> u64 {
    (address % 4 + length).next_multiple_of(4)
}

/// Wire bytes of a memory write.
pub(super) fn memory_write(address: u64, length: u64) -> u64 {
    FRAMING + header(address) + data(address, length)
}

/// Wire bytes of a memory read request.
pub(super) fn memory_read(address: u64) -> u64 {
    FRAMING + header(address)
}

/// Wire bytes of a completion with `length` data bytes from `address`.
pub(super) fn completion(address: u64, length: u64) -> u64 {
    FRAMING + HEADER_3DW + data(address, length)
}

/// Wire bytes of an MSI-X message: a write of one double word below 4 GiB.
pub(super) fn msix() -> u64 {
    memory_write(0xfee0_0000, 4)
}

/// Flow-control units of `length` data bytes: 16 bytes each (§2.6.1).
pub(super) fn data_credits(address: u64, length: u64) -> u32 {
    u32::try_from(data(address, length).div_ceil(16)).unwrap_or(u32::MAX)
}

/// Bytes of the next completion of a read that still wants `length` bytes from
/// `address`. Every completion but the last ends on the completion boundary, and carries
/// as much as the maximum payload allows (§2.3.1.1).
pub(super) fn completion_length(address: u64, length: u64, payload: u64, boundary: u64) -> u64 {
    let end = (address + payload) / boundary * boundary;
    length.min(end - address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gen4_x16_link_carries_31_gigabytes_a_second() {
        assert_eq!(
            wire_time(Generation::Gen4, 16, 1000, 31_508),
            Time::from_ps(1_000_010)
        );
        assert_eq!(wire_time(Generation::Gen1, 1, 1000, 1), Time::from_ps(4000));
    }

    #[test]
    fn packets_cost_header_framing_and_whole_double_words() {
        assert_eq!(memory_write(1 << 40, 64), 88);
        assert_eq!(memory_write(0x1000, 64), 84);
        assert_eq!(memory_write((1 << 40) + 3, 2), 8 + 16 + 8);
        assert_eq!(memory_read(1 << 40), 24);
        assert_eq!(completion(0, 8), 28);
        assert_eq!(msix(), 24);
        assert_eq!(data_credits(0, 17), 2);
    }

    #[test]
    fn completions_are_cut_at_the_boundary() {
        // 512 bytes from 0x10: 240 up to 0x100, then 256, then the last 16.
        let mut address = 0x10;
        let mut left = 512;
        let mut cuts = vec![];
        while left > 0 {
            let n = completion_length(address, left, 256, 64);
            cuts.push(n);
            address += n;
            left -= n;
        }
        assert_eq!(cuts, [240, 256, 16]);
    }
}
