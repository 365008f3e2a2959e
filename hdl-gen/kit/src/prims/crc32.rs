//! CRC-32 of a fixed-width key in one step.
//!
//! ```text
//!            ┌────────────────────┐
//!  key ─────►│ 32 XOR trees       ├─► crc
//!            └────────────────────┘
//! ```
//!
//! A CRC is linear over GF(2): each result bit is the parity of a fixed selection of
//! key bits, up to a constant. The selections are computed when the design is
//! generated. Combinational; register it in the surrounding stage.

use crate::elaborate::primitive;
use crate::ir::Primitive;
use hallux_hdl_macros::LogicBlock;
use num_bigint::BigUint;
use rust_hdl_core::prelude::{Bits, In, Logic, Out, Signal, Verilog, bits};

/// Reflected CRC-32 with initial value and final XOR of all ones over a key of `N` bits,
/// a multiple of 8. Octet 0 of the key is in bits 7..0. See the [module](self).
#[derive(Clone, Debug, LogicBlock)]
pub struct Crc32<const N: usize> {
    /// The key.
    pub key: Signal<In, Bits<N>>,
    /// Its CRC.
    pub crc: Signal<Out, Bits<32>>,
    _polynomial: u32,
}

impl<const N: usize> Crc32<N> {
    /// The CRC of the given polynomial in reflected notation: `0xedb8_8320` for IEEE
    /// 802.3, `0x82f6_3b78` for Castagnoli.
    pub fn new(polynomial: u32) -> Self {
        Self {
            key: Signal::default(),
            crc: Signal::default(),
            _polynomial: polynomial,
        }
    }

    fn of(&self, octets: &[u8]) -> u32 {
        !octets.iter().fold(!0u32, |mut crc, &octet| {
            crc ^= u32::from(octet);
            for _ in 0..8 {
                let feedback = if crc & 1 == 1 { self._polynomial } else { 0 };
                crc = crc >> 1 ^ feedback;
            }
            crc
        })
    }
}

impl<const N: usize> Default for Crc32<N> {
    /// The CRC of IEEE 802.3.
    fn default() -> Self {
        Self::new(0xedb8_8320)
    }
}

impl<const N: usize> Logic for Crc32<N> {
    fn update(&mut self) {
        let mut octets = BigUint::from(self.key.val()).to_bytes_le();
        octets.resize(N / 8, 0);
        self.crc.next = bits(u64::from(self.of(&octets)));
    }

    fn connect(&mut self) {
        self.crc.connect();
    }

    fn hdl(&self) -> Verilog {
        let zero = self.of(&vec![0; N / 8]);
        let columns: Vec<u32> = (0..N)
            .map(|bit| {
                let mut octets = vec![0; N / 8];
                octets[bit / 8] = 1 << (bit % 8);
                self.of(&octets) ^ zero
            })
            .collect();
        let mut text = String::new();
        for row in 0..32 {
            let mask = columns
                .iter()
                .enumerate()
                .filter(|(_, column)| *column >> row & 1 == 1)
                .fold(BigUint::default(), |mask, (bit, _)| {
                    mask | BigUint::from(1u8) << bit
                });
            let constant = zero >> row & 1;
            text += &format!("    assign crc[{row}] = (^(key & {N}'h{mask:x})) ^ 1'b{constant};\n");
        }
        primitive(Primitive {
            rust_type: std::any::type_name::<Self>(),
            module: format!("crc32_{:x}_{N}", self._polynomial),
            summary: vec![
                format!(
                    "CRC-32 of a {N}-bit key, reflected polynomial {:#x}.",
                    self._polynomial
                ),
                "Combinational: each bit is the parity of a selection of key bits.".into(),
            ],
            text,
            memories: vec![],
            combinational: vec![("crc".into(), "key".into())],
        })
    }
}
