//! Simple dual-port memory: one port writes, the other reads.
//!
//! ```text
//!  write_enable  ─►┌────────────────┐
//!  write_address ─►│ words × bits   │
//!  write_data    ─►│ memory         ├─► read_data   one cycle behind read_address
//!  read_address  ─►└────────────────┘
//! ```
//!
//! Read latency 1 cycle, initiation interval 1. A read of the word that is written at
//! the same clock edge returns the *old* contents; a reader that needs the new ones
//! forwards them. Contents are unknown until written, also after a reset. Synthesis
//! infers block RAM where the size is worth one.

use crate::elaborate::primitive;
use crate::ir::Primitive;
use crate::manifest::Memory;
use hallux_hdl_macros::LogicBlock;
use rust_hdl_core::prelude::{Bit, Bits, Clock, In, Logic, Out, Signal, Synth, Verilog};

/// Simple dual-port memory of words `T`, with addresses of `A` bits; the number of
/// words is a run-time value, at most 2 to the power of `A`. See the [module](self).
#[derive(Clone, Debug, LogicBlock)]
pub struct Ram<T: Synth, const A: usize> {
    /// Clock of both ports.
    pub clk: Signal<In, Clock>,
    /// Write `write_data` at `write_address` at this edge.
    pub write_enable: Signal<In, Bit>,
    /// Word to write.
    pub write_address: Signal<In, Bits<A>>,
    /// New contents.
    pub write_data: Signal<In, T>,
    /// Word to read.
    pub read_address: Signal<In, Bits<A>>,
    /// Contents of the word addressed one cycle earlier.
    pub read_data: Signal<Out, T>,
    _contents: Vec<T>,
}

impl<T: Synth, const A: usize> Ram<T, A> {
    /// A memory of `words` words.
    ///
    /// # Panics
    /// When `words` is below 2 or an address of `A` bits cannot reach them all: a
    /// mistake in the generator, not in its input.
    pub fn new(words: usize) -> Self {
        assert!(words >= 2, "a memory has at least 2 words, not {words}");
        assert!(
            A >= address_bits(words),
            "{A} address bits cannot reach {words} words"
        );
        Self {
            clk: Signal::default(),
            write_enable: Signal::default(),
            write_address: Signal::default(),
            write_data: Signal::default(),
            read_address: Signal::default(),
            read_data: Signal::default(),
            _contents: vec![T::default(); words],
        }
    }

    /// Number of words.
    pub fn words(&self) -> usize {
        self._contents.len()
    }
}

impl<T: Synth, const A: usize> Default for Ram<T, A> {
    /// A memory of 2 words: a placeholder for `..Default::default()`.
    fn default() -> Self {
        Self::new(2)
    }
}

/// Bits of an address that reaches `words` words, at least 1.
pub(super) fn address_bits(words: usize) -> usize {
    (usize::BITS - (words.max(2) - 1).leading_zeros()) as usize
}

impl<T: Synth, const A: usize> Logic for Ram<T, A> {
    fn update(&mut self) {
        if self.clk.pos_edge() {
            let words = self._contents.len();
            let read = self.read_address.val().to_u64() as usize;
            if read < words {
                self.read_data.next = self._contents[read];
            }
            let write = self.write_address.val().to_u64() as usize;
            if self.write_enable.val() && write < words {
                self._contents[write] = self.write_data.val();
            }
        }
    }

    fn connect(&mut self) {
        self.read_data.connect();
    }

    fn hdl(&self) -> Verilog {
        let (words, width, used) = (self.words(), T::BITS, address_bits(self.words()));
        let slice = |name: &str| match (A == used, used) {
            (true, _) => name.to_string(),
            (false, 1) => format!("{name}[0]"),
            (false, _) => format!("{name}[{}:0]", used - 1),
        };
        let unused = if A == used {
            String::new()
        } else {
            let upper = |name: &str| format!("{name}[{}:{used}]", A - 1);
            format!(
                "    // Address bits beyond {words} words are not used.\n    \
                 wire unused = &{{1'b0, {}, {}}};\n",
                upper("write_address"),
                upper("read_address")
            )
        };
        let range = if width == 1 {
            String::new()
        } else {
            format!("[{}:0] ", width - 1)
        };
        let text = format!(
            "    logic {range}memory [0:{}];\n{unused}\n    \
             always_ff @(posedge clk) begin\n        \
             if (write_enable) memory[{}] <= write_data;\n        \
             read_data <= memory[{}];\n    \
             end\n",
            words - 1,
            slice("write_address"),
            slice("read_address"),
        );
        primitive(Primitive {
            rust_type: std::any::type_name::<Self>(),
            module: format!("ram_{width}x{words}_{A}"),
            summary: vec![
                format!("Simple dual-port memory, {words} words of {width} bits."),
                "Read latency 1 cycle; a read of the word being written returns its old contents."
                    .into(),
            ],
            text,
            memories: vec![Memory {
                name: "memory".into(),
                words: words as u32,
                bits: width as u32,
                read_latency: 1,
            }],
            combinational: vec![],
        })
    }
}
