//! Bit fields of packed vectors, least significant bit first in little-endian bytes.

/// Bytes of one beat of the widest data bus that is built.
pub const MAX_BUS_BYTES: usize = 128;

/// One beat of data; what lies behind the bytes of a narrower bus is zero.
pub type BeatData = [u8; MAX_BUS_BYTES];

/// Bytes that hold 64 bits at any bit of the first: one load and one shift.
const WINDOW: usize = 16;

/// The window that begins at byte `first`; past the end zeros.
#[inline]
fn load(bytes: &[u8], first: usize) -> u128 {
    if let Some(window) = bytes[first..].first_chunk::<WINDOW>() {
        return u128::from_le_bytes(*window);
    }
    let mut window = [0; WINDOW];
    window[..bytes.len() - first].copy_from_slice(&bytes[first..]);
    u128::from_le_bytes(window)
}

/// Writes the window that begins at byte `first`, as far as there are bytes.
#[inline]
fn store(bytes: &mut [u8], first: usize, value: u128) {
    if let Some(window) = bytes[first..].first_chunk_mut::<WINDOW>() {
        *window = value.to_le_bytes();
        return;
    }
    let available = bytes.len() - first;
    bytes[first..].copy_from_slice(&value.to_le_bytes()[..available]);
}

/// Reads `width` (at most 64) bits at bit `offset`.
#[inline]
pub fn get(bytes: &[u8], offset: usize, width: usize) -> u64 {
    debug_assert!(width <= 64);
    let value = (load(bytes, offset / 8) >> (offset % 8)) as u64;
    if width == 64 {
        value
    } else {
        value & ((1 << width) - 1)
    }
}

/// Writes the low `width` (at most 64) bits of `value` at bit `offset`.
#[inline]
pub fn set(bytes: &mut [u8], offset: usize, width: usize, value: u64) {
    debug_assert!(width <= 64);
    let (first, shift) = (offset / 8, offset % 8);
    let mask = ((1_u128 << width) - 1) << shift;
    let word = load(bytes, first) & !mask | (u128::from(value) << shift) & mask;
    store(bytes, first, word);
}

/// Reads one beat of `count` bytes, a multiple of 8, at bit `offset`.
#[inline]
pub fn get_data(bytes: &[u8], offset: usize, count: usize) -> BeatData {
    let mut data = [0; MAX_BUS_BYTES];
    if offset.is_multiple_of(8) {
        data[..count].copy_from_slice(&bytes[offset / 8..offset / 8 + count]);
        return data;
    }
    for (word, chunk) in data[..count].as_chunks_mut::<8>().0.iter_mut().enumerate() {
        *chunk = get(bytes, offset + 64 * word, 64).to_le_bytes();
    }
    data
}

/// Writes one beat of data, a multiple of 8 bytes, at bit `offset`.
#[inline]
pub fn set_data(bytes: &mut [u8], offset: usize, data: &[u8]) {
    if offset.is_multiple_of(8) {
        bytes[offset / 8..offset / 8 + data.len()].copy_from_slice(data);
        return;
    }
    // Whole words are stored without being read back: a load that straddles two recent
    // stores would wait for both.
    let (first, shift) = (offset / 8, offset % 8);
    let kept = (1_u8 << shift) - 1;
    let end = first + data.len();
    let mut carry = u64::from(bytes[first] & kept);
    let words = bytes[first..end].as_chunks_mut::<8>().0.iter_mut();
    for (word, chunk) in words.zip(data.as_chunks::<8>().0) {
        let value = u64::from_le_bytes(*chunk);
        *word = (value << shift | carry).to_le_bytes();
        carry = value >> (64 - shift);
    }
    bytes[end] = bytes[end] & !kept | carry as u8;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_written_field_is_read_back_and_its_neighbours_stay(
            fill: u8, offset in 0_usize..100, width in 1_usize..=64, value: u64,
        ) {
            let mut bytes = [fill; 21];
            set(&mut bytes, offset, width, value);
            let mask = if width == 64 { u64::MAX } else { (1 << width) - 1 };
            prop_assert_eq!(get(&bytes, offset, width), value & mask);
            for bit in (0..offset).chain(offset + width..21 * 8) {
                prop_assert_eq!(get(&bytes, bit, 1), u64::from(fill >> (bit % 8) & 1), "bit {}", bit);
            }
        }
    }

    #[test]
    fn a_beat_lies_at_any_bit() {
        for count in [32, 64, 128] {
            let mut data = [0; MAX_BUS_BYTES];
            for (i, byte) in data[..count].iter_mut().enumerate() {
                *byte = (i * 3 + 1) as u8;
            }
            for offset in [95, 96] {
                let mut bytes = [0xff; 144];
                set_data(&mut bytes, offset, &data[..count]);
                assert_eq!(get_data(&bytes, offset, count), data);
                let beside = [offset - 1, offset + 8 * count];
                assert_eq!(beside.map(|bit| get(&bytes, bit, 1)), [1, 1]);
            }
        }
    }
}
