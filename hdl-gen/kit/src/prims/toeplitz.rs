//! Toeplitz hash of a fixed-width key in one step, as receive-side scaling uses it.
//!
//! ```text
//!            ┌────────────────────┐
//!  key ─────►│ 32 XOR trees       ├─► hash
//!            └────────────────────┘
//! ```
//!
//! Every set bit of the key adds, over GF(2), 32 bits of the secret from that bit's place
//! on. Octet 0 of the key, in bits 7..0, comes first, its most significant bit first: an
//! IPv4 flow is source address, destination address, source port, destination port as they
//! stand in the packet. Latency 0, initiation interval 1: register it in the surrounding
//! stage.

use super::linear::xor_trees;
use crate::elaborate::primitive;
use crate::ir::Primitive;
use hallux_hdl_macros::LogicBlock;
use rust_hdl_core::prelude::{Bits, In, Logic, Out, Signal, Verilog, bits};

/// The secret that most drivers program when they are not told otherwise; the published
/// test vectors use it.
pub const TOEPLITZ_SECRET: [u8; 40] = [
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0,
    0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c,
    0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
];

/// Toeplitz hash of a key of `N` bits, a multiple of 8. See the [module](self).
#[derive(Clone, Debug, LogicBlock)]
pub struct Toeplitz<const N: usize> {
    /// The key.
    pub key: Signal<In, Bits<N>>,
    /// Its hash.
    pub hash: Signal<Out, Bits<32>>,
    _secret: Vec<u8>,
}

impl<const N: usize> Toeplitz<N> {
    /// The hash under `secret`, which has at least four octets more than the key.
    ///
    /// # Panics
    /// If `N` is not a multiple of 8, or the secret is too short.
    pub fn new(secret: &[u8]) -> Self {
        assert!(
            N > 0 && N.is_multiple_of(8),
            "a Toeplitz hash is over whole octets, not {N} bits"
        );
        assert!(
            secret.len() >= N / 8 + 4,
            "a key of {N} bits needs a secret of {} octets, not {}",
            N / 8 + 4,
            secret.len()
        );
        Self {
            key: Signal::default(),
            hash: Signal::default(),
            _secret: secret.to_vec(),
        }
    }

    /// 32 bits of the secret from bit `place` on, most significant first.
    fn window(&self, place: usize) -> u32 {
        (place..place + 32).fold(0, |window, at| {
            window << 1 | u32::from(self._secret[at / 8] >> (7 - at % 8) & 1)
        })
    }

    /// What bit `bit` of the key adds.
    fn column(&self, bit: usize) -> u32 {
        self.window(bit / 8 * 8 + 7 - bit % 8)
    }
}

impl<const N: usize> Default for Toeplitz<N> {
    /// The hash under [`TOEPLITZ_SECRET`].
    fn default() -> Self {
        Self::new(&TOEPLITZ_SECRET)
    }
}

impl<const N: usize> Logic for Toeplitz<N> {
    fn update(&mut self) {
        let key = self.key.val();
        let set = (0..N).filter(|bit| key.get_bit(*bit));
        let hash = set.fold(0, |hash, bit| hash ^ self.column(bit));
        self.hash.next = bits(u64::from(hash));
    }

    fn connect(&mut self) {
        self.hash.connect();
    }

    fn hdl(&self) -> Verilog {
        primitive(Primitive {
            rust_type: std::any::type_name::<Self>(),
            module: format!("toeplitz_{N}"),
            summary: vec![
                format!("Toeplitz hash of a {N}-bit key."),
                "Combinational: each bit is the parity of a selection of key bits.".into(),
            ],
            text: xor_trees("hash", 32, "key", N, 0, |bit| u64::from(self.column(bit))),
            parameters: Vec::new(),
            memories: vec![],
            combinational: vec![("hash".into(), "key".into())],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "a key of 96 bits needs a secret of 16 octets, not 12")]
    fn the_secret_is_long_enough() {
        Toeplitz::<96>::new(&[0; 12]);
    }
}
