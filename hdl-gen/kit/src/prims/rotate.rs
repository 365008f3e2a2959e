//! Moving the bytes of a 512-bit beat.

use crate::prelude::*;

/// Rotates right by whole bytes: byte `bytes` of `data` becomes byte 0.
///
/// Six levels of multiplexers.
#[hdl_fn]
pub fn rotate_right_512(data: Bits<512>, bytes: Bits<6>) -> Bits<512> {
    let by_1 = if bytes.get_bit(0) {
        cat::<8, 504, 512>(data.get_bits::<8>(0), data.get_bits::<504>(8))
    } else {
        data
    };
    let by_2 = if bytes.get_bit(1) {
        cat::<16, 496, 512>(by_1.get_bits::<16>(0), by_1.get_bits::<496>(16))
    } else {
        by_1
    };
    let by_4 = if bytes.get_bit(2) {
        cat::<32, 480, 512>(by_2.get_bits::<32>(0), by_2.get_bits::<480>(32))
    } else {
        by_2
    };
    let by_8 = if bytes.get_bit(3) {
        cat::<64, 448, 512>(by_4.get_bits::<64>(0), by_4.get_bits::<448>(64))
    } else {
        by_4
    };
    let by_16 = if bytes.get_bit(4) {
        cat::<128, 384, 512>(by_8.get_bits::<128>(0), by_8.get_bits::<384>(128))
    } else {
        by_8
    };
    if bytes.get_bit(5) {
        cat::<256, 256, 512>(by_16.get_bits::<256>(0), by_16.get_bits::<256>(256))
    } else {
        by_16
    }
}

/// Rotates left by whole bytes: byte 0 of `data` becomes byte `bytes`.
#[hdl_fn]
pub fn rotate_left_512(data: Bits<512>, bytes: Bits<6>) -> Bits<512> {
    rotate_right_512(data, bits::<6>(0) - bytes)
}

/// [`rotate_right_512`] with a register behind it.
///
/// Latency 1 cycle, initiation interval 1.
#[derive(LogicBlock, Default)]
pub struct ByteRotator512 {
    /// Clock, rising edge.
    pub clk: Signal<In, Clock>,
    /// The register takes the rotated beat; otherwise it holds.
    pub enable: Signal<In, Bit>,
    /// The beat, byte 0 in bits 7 to 0.
    pub data: Signal<In, Bits<512>>,
    /// Which byte becomes byte 0.
    pub bytes: Signal<In, Bits<6>>,
    /// The rotated beat, one cycle later.
    pub rotated: Signal<Out, Bits<512>>,
    held: DFF<Bits<512>>,
}

impl Logic for ByteRotator512 {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, held);
        if self.enable.val() {
            self.held.d.next = rotate_right_512(self.data.val(), self.bytes.val());
        }
        self.rotated.next = self.held.q.val();
    }
}
