//! Octets of a beat: network byte order and masks.
//!
//! Byte 0 of a frame is the least significant of a beat, so a multi-byte field in network
//! order stands in a beat with its octets reversed.

use hallux_hdl::prelude::*;

/// Reverses the octets of a 16-bit field.
#[hdl_fn]
pub fn network16(x: Bits<16>) -> Bits<16> {
    cat::<8, 8, 16>(x.get_bits::<8>(0), x.get_bits::<8>(8))
}

/// Reverses the octets of a 32-bit field.
#[hdl_fn]
pub fn network32(x: Bits<32>) -> Bits<32> {
    let high = network16(x.get_bits::<16>(0));
    let low = network16(x.get_bits::<16>(16));
    cat::<16, 16, 32>(high, low)
}

/// Reverses the octets of a 48-bit field.
#[hdl_fn]
pub fn network48(x: Bits<48>) -> Bits<48> {
    let high = network32(x.get_bits::<32>(0));
    let low = network16(x.get_bits::<16>(32));
    cat::<32, 16, 48>(high, low)
}

/// A mask of the first `count` of `K` bytes.
#[hdl_fn]
pub fn first_bytes<const K: usize>(count: Bits<8>) -> Bits<K> {
    !(!bits::<K>(0) << count)
}

/// The number of bytes that `keep` covers, a contiguous mask from bit 0: 0 to `K`, a power
/// of two.
#[hdl_fn]
pub fn count_bytes<const K: usize>(keep: Bits<K>) -> Bits<8> {
    let mut rest = keep;
    let mut count = bits::<8>(0);
    for level in (0..K.trailing_zeros() as usize).rev() {
        let half = 1usize << level;
        if rest.get_bit(half - 1) {
            rest = rest >> half as u64;
            count = count | bits::<8>(half as u64);
        }
    }
    if keep.get_bit(K - 1) {
        bits::<8>(K as u64)
    } else {
        count
    }
}

/// A mask of the bits of the first `count` bytes of a beat of `N` bits.
#[hdl_fn]
pub fn first_bits<const N: usize>(count: Bits<8>) -> Bits<N> {
    !(!bits::<N>(0) << cat::<8, 3, 11>(count, bits::<3>(0)))
}

/// A mask of bytes as a mask of bits.
#[hdl_fn]
pub fn spread<const N: usize, const K: usize>(mask: Bits<K>) -> Bits<N> {
    let mut wide = bits::<N>(0);
    for i in 0..K {
        let byte = if mask.get_bit(i) {
            bits::<8>(0xff)
        } else {
            bits::<8>(0)
        };
        wide.set_bits(8 * i, byte);
    }
    wide
}
