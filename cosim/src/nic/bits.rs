//! Bit fields of packed vectors, least significant bit first in little-endian bytes.

/// Bytes of one beat of the NIC's data bus.
pub const BUS_BYTES: usize = 64;

/// Reads `width` (at most 64) bits at bit `offset`.
#[inline]
pub fn get(bytes: &[u8], offset: usize, width: usize) -> u64 {
    debug_assert!(width <= 64);
    let (first, shift) = (offset / 8, offset % 8);
    let mut window = [0; 16];
    let available = (bytes.len() - first).min(9);
    window[..available].copy_from_slice(&bytes[first..first + available]);
    let value = (u128::from_le_bytes(window) >> shift) as u64;
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
    let mut window = [0; 16];
    let available = (bytes.len() - first).min(9);
    window[..available].copy_from_slice(&bytes[first..first + available]);
    let mask = ((1_u128 << width) - 1) << shift;
    let word = u128::from_le_bytes(window) & !mask | (u128::from(value) << shift) & mask;
    bytes[first..first + available].copy_from_slice(&word.to_le_bytes()[..available]);
}

/// Reads one beat of data at bit `offset`.
#[inline]
pub fn get_data(bytes: &[u8], offset: usize) -> [u8; BUS_BYTES] {
    let mut data = [0; BUS_BYTES];
    for (word, chunk) in data.chunks_exact_mut(8).enumerate() {
        chunk.copy_from_slice(&get(bytes, offset + 64 * word, 64).to_le_bytes());
    }
    data
}

/// Writes one beat of data at bit `offset`.
#[inline]
pub fn set_data(bytes: &mut [u8], offset: usize, data: &[u8; BUS_BYTES]) {
    for (word, chunk) in data.chunks_exact(8).enumerate() {
        let mut value = [0; 8];
        value.copy_from_slice(chunk);
        set(bytes, offset + 64 * word, 64, u64::from_le_bytes(value));
    }
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
        let data: [u8; BUS_BYTES] = std::array::from_fn(|i| i as u8 * 3 + 1);
        let mut bytes = [0xff; 80];
        set_data(&mut bytes, 95, &data);
        assert_eq!(get_data(&bytes, 95), data);
        assert_eq!((get(&bytes, 94, 1), get(&bytes, 95 + 512, 1)), (1, 1));
    }
}
