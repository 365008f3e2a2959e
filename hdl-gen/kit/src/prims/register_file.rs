//! Small memory that is read in the same cycle.
//!
//! ```text
//!                    ┌────────────┐
//!  write_enable ────►│            │
//!  write_address ───►│   words    │◄── read_address
//!  write_data ──────►│            ├──► read_data
//!                    └────────────┘
//! ```
//!
//! Read latency 0, one write a cycle. Synthesis uses distributed RAM.

use super::{address_of, index_bits, range};
use crate::elaborate::primitive;
use crate::ir::Primitive;
use crate::manifest::Memory;
use hallux_hdl_macros::LogicBlock;
use rust_hdl_core::prelude::{Bit, Bits, Clock, In, Logic, Out, Signal, Synth, Verilog};

/// Words of `T` with one synchronous write port and one combinational read
/// port; synthesis uses distributed RAM. For more than about 64 words use
/// [`super::Ram`].
///
/// Reading the word that is written in the same cycle gives the **old** word.
#[derive(Clone, Debug, LogicBlock)]
pub struct RegisterFile<T: Synth, const A: usize> {
    /// Clock, rising edge.
    pub clk: Signal<In, Clock>,
    /// Writes `write_data` to `write_address`.
    pub write_enable: Signal<In, Bit>,
    /// Where to write.
    pub write_address: Signal<In, Bits<A>>,
    /// What to write.
    pub write_data: Signal<In, T>,
    /// Where to read.
    pub read_address: Signal<In, Bits<A>>,
    /// The word at `read_address`, in the same cycle.
    pub read_data: Signal<Out, T>,
    _words: Vec<T>,
}

impl<T: Synth, const A: usize> RegisterFile<T, A> {
    /// A register file of `words` words with undefined contents.
    ///
    /// # Panics
    /// If `words` is not 2 to 2 to the power of `A`.
    pub fn new(words: usize) -> Self {
        assert!(
            words >= 2 && index_bits(words) <= A,
            "a register file with {A} address bits holds 2 to 2^{A} words, not {words}"
        );
        Self {
            clk: Signal::default(),
            write_enable: Signal::default(),
            write_address: Signal::default(),
            write_data: Signal::default(),
            read_address: Signal::default(),
            read_data: Signal::default(),
            _words: vec![T::default(); words],
        }
    }
}

impl<T: Synth, const A: usize> Default for RegisterFile<T, A> {
    /// A register file of 2 words: a placeholder for `..Default::default()`.
    fn default() -> Self {
        Self::new(2)
    }
}

impl<T: Synth, const A: usize> Logic for RegisterFile<T, A> {
    fn update(&mut self) {
        if self.clk.pos_edge() && self.write_enable.val() {
            let at = self.write_address.val().index();
            if let Some(word) = self._words.get_mut(at) {
                *word = self.write_data.val();
            }
        }
        let word = self._words.get(self.read_address.val().index());
        self.read_data.next = word.copied().unwrap_or_default();
    }

    fn connect(&mut self) {
        self.read_data.connect();
    }

    fn hdl(&self) -> Verilog {
        let (width, words) = (T::BITS, self._words.len());
        let used = index_bits(words);
        let at = |name: &str| address_of(name, words, A);
        let (write, read) = (at("write_address"), at("read_address"));
        let (data, last) = (range(width), words - 1);
        let mut text = format!(
            "    logic {data}memory [0:{last}];

    assign read_data = memory[{read}];

    always_ff @(posedge clk) begin
        if (write_enable) begin
            memory[{write}] <= write_data;
        end
    end
"
        );
        if used < A {
            let high = A - 1;
            text += &format!(
                "
    // The memory is smaller than its address space.
    wire unused_ok = &{{1'b0, write_address[{high}:{used}], read_address[{high}:{used}]}};
"
            );
        }
        primitive(Primitive {
            rust_type: std::any::type_name::<Self>(),
            module: format!("register_file_{width}x{words}"),
            summary: vec![
                format!("{words} words of {width} bits, read in the same cycle."),
                "A word written in the same cycle reads as it was before.".to_string(),
            ],
            text,
            parameters: Vec::new(),
            memories: vec![Memory {
                name: "memory".to_string(),
                words: words as u32,
                bits: width as u32,
                read_latency: 0,
            }],
            combinational: vec![("read_data".to_string(), "read_address".to_string())],
        })
    }
}
