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
//! generated. Latency 0, initiation interval 1: register it in the surrounding stage.

use super::linear::xor_trees;
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
    ///
    /// # Panics
    /// If `N` is not a multiple of 8.
    pub fn new(polynomial: u32) -> Self {
        assert!(
            N > 0 && N.is_multiple_of(8),
            "a CRC is over whole octets, not {N} bits"
        );
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
        let text = xor_trees("crc", 32, "key", N, u64::from(zero), |bit| {
            let mut octets = vec![0; N / 8];
            octets[bit / 8] = 1 << (bit % 8);
            u64::from(self.of(&octets) ^ zero)
        });
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
            parameters: Vec::new(),
            memories: vec![],
            combinational: vec![("crc".into(), "key".into())],
        })
    }
}
