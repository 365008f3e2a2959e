//! Rings of the host: cutting a range into PCIe requests.

use hallux_hdl::prelude::*;

/// A request stays within a page of this many bytes (PCIe 4.0 §2.2.7).
const PAGE: u64 = 4096;

/// The next request of a range.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Cut {
    /// Bytes.
    pub length: Bits<13>,
    /// It is the range's last.
    pub last: Bit,
    /// It ends with the ring.
    pub wraps: Bit,
}

/// The request at `address`, where `left` bytes of the range are left and `room` bytes of the
/// ring: up to the end of the range, of the ring, of the page, or `max` bytes, a power of
/// two, whichever comes first. The limits are held against each other all at once.
#[hdl_fn]
pub fn cut(address: Bits<64>, left: Bits<14>, room: Bits<25>, max: u64) -> Cut {
    let in_page = address.get_bits::<12>(0);
    let to_page = bits::<13>(PAGE) - bit_cast::<13, 12>(in_page);
    // Less than `max` bytes to the page's end.
    let below = bits::<12>(max - 1);
    let page_ends = (in_page | below).all() & (in_page & below).any();
    let left_in_page = within_page(in_page, left);
    let left_in_request = at_most(left, max);
    let low_room = room.get_bits::<14>(0);
    let left_in_room = room.get_bits::<11>(14).any() | (left <= low_room);
    let room_in_page = within_page(in_page, low_room);
    let room_in_request = at_most(low_room, max);
    let last = left_in_page & left_in_request & left_in_room;
    let wraps = !room.get_bits::<11>(14).any() & room_in_page & room_in_request & !left_in_room;
    let other = if wraps {
        low_room.get_bits::<13>(0)
    } else if page_ends {
        to_page
    } else {
        bits::<13>(max)
    };
    Cut {
        length: if last { left.get_bits::<13>(0) } else { other },
        last,
        wraps,
    }
}

/// Whether so many bytes are no more than `max`, a power of two, in a few gates.
#[hdl_fn]
fn at_most(bytes: Bits<14>, max: u64) -> Bit {
    let parts = bytes >> max.trailing_zeros() as u64;
    let beyond = (bytes & bits::<14>(max - 1)).any();
    !(parts >> 1).any() & !(parts.get_bit(0) & beyond)
}

/// So many bytes from there on do not reach beyond the page. They may end with it: that the
/// sum of two numbers is a multiple of the page shows in every bit by itself, without a carry.
#[hdl_fn]
fn within_page(in_page: Bits<12>, bytes: Bits<14>) -> Bit {
    let rest = bytes.get_bits::<12>(0);
    let end = bit_cast::<13, 12>(in_page) + bit_cast::<13, 12>(rest);
    let beyond = end.get_bit(12);
    let ends = !((in_page ^ rest) ^ ((in_page | rest) << 1)).any();
    let pages = bytes.get_bits::<2>(12);
    if pages == bits::<2>(0) {
        !beyond | ends
    } else {
        (pages == bits::<2>(1)) & !beyond & ends
    }
}

/// The bits of a position that lie within a ring of 2^`log2`: bit i is set where `log2` is
/// above i, a function of no more than the five bits.
#[hdl_fn]
pub fn ring_mask<const W: usize>(log2: Bits<5>) -> Bits<W> {
    let mut mask = bits::<W>(0);
    for i in 0..W {
        let mut above = log2.get_bit(0);
        if (i & 1) == 1 {
            above = false;
        }
        for b in 1..5 {
            if ((i >> b) & 1) == 1 {
                above = above & log2.get_bit(b);
            } else {
                above = above | log2.get_bit(b);
            }
        }
        mask.set_bits(i, bit(above));
    }
    mask
}
