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

/// A mask of the first `count` bytes of a beat, 0 to 64.
#[hdl_fn]
pub fn first_bytes(count: Bits<7>) -> Bits<64> {
    let ones = !bits::<64>(0);
    if count.get_bit(6) {
        ones
    } else {
        !(ones << count.get_bits::<6>(0))
    }
}

/// The number of bytes that `keep` covers, a contiguous mask from bit 0: 0 to 64.
#[hdl_fn]
pub fn count_bytes(keep: Bits<64>) -> Bits<7> {
    let b5 = keep.get_bit(31);
    let k5 = if b5 {
        keep.get_bits::<32>(32)
    } else {
        keep.get_bits::<32>(0)
    };
    let b4 = k5.get_bit(15);
    let k4 = if b4 {
        k5.get_bits::<16>(16)
    } else {
        k5.get_bits::<16>(0)
    };
    let b3 = k4.get_bit(7);
    let k3 = if b3 {
        k4.get_bits::<8>(8)
    } else {
        k4.get_bits::<8>(0)
    };
    let b2 = k3.get_bit(3);
    let k2 = if b2 {
        k3.get_bits::<4>(4)
    } else {
        k3.get_bits::<4>(0)
    };
    let b1 = k2.get_bit(1);
    let k1 = if b1 {
        k2.get_bits::<2>(2)
    } else {
        k2.get_bits::<2>(0)
    };
    let low = cat::<1, 1, 2>(bit(b1), k1.get_bits::<1>(0));
    let middle = cat::<1, 1, 2>(bit(b3), bit(b2));
    let high = cat::<1, 1, 2>(bit(b5), bit(b4));
    let count = cat::<4, 2, 6>(cat::<2, 2, 4>(high, middle), low);
    if keep.get_bit(63) {
        bits::<7>(64)
    } else {
        bit_cast::<7, 6>(count)
    }
}

/// A mask of the bits of the first `count` bytes of a beat, 0 to 64.
#[hdl_fn]
pub fn first_bits(count: Bits<7>) -> Bits<512> {
    !(!bits::<512>(0) << cat::<7, 3, 10>(count, bits::<3>(0)))
}

/// A mask of bytes as a mask of bits.
#[hdl_fn]
pub fn spread(mask: Bits<64>) -> Bits<512> {
    let mut wide = bits::<512>(0);
    for i in 0..64 {
        let byte = if mask.get_bit(i) {
            bits::<8>(0xff)
        } else {
            bits::<8>(0)
        };
        wide.set_bits(8 * i, byte);
    }
    wide
}
