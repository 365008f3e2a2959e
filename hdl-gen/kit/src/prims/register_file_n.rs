//! Small memory with one write port and several read ports.
//!
//! ```text
//!                    ┌─────────────┐
//!  write_enable ────►│             ├──► read[0].data   ◄── read[0].address
//!  write_address ───►│ words, one  ├──► read[1].data   ◄── read[1].address
//!  write_data ──────►│ copy a port │         …
//!                    └─────────────┘
//! ```
//!
//! Read latency 0: data follow the address in the same cycle. Reading the word that is
//! written in the same cycle gives the **old** word. Synthesis uses distributed RAM, one
//! copy a read port; for more than about 64 words use [`super::Ram`].

use super::{address_of, index_bits, range};
use crate::elaborate::primitive;
use crate::ir::Primitive;
use crate::manifest::Memory;
use hallux_hdl_macros::{LogicBlock, LogicInterface};
use rust_hdl_core::prelude::{Bit, Bits, Clock, In, Logic, Out, Signal, Synth, Verilog};

/// Most read ports of a [`RegisterFileN`].
const MOST_READERS: usize = 16;

/// One read port of a [`RegisterFileN`].
#[derive(Clone, Debug, LogicInterface)]
pub struct ReadPort<T: Synth, const A: usize> {
    /// Which word.
    pub address: Signal<In, Bits<A>>,
    /// The word, in the same cycle.
    pub data: Signal<Out, T>,
}

impl<T: Synth, const A: usize> Default for ReadPort<T, A> {
    fn default() -> Self {
        Self {
            address: Signal::default(),
            data: Signal::default(),
        }
    }
}

/// Words of `T`, addressed by `A` bits, with several read ports. See the [module](self).
#[derive(Clone, Debug, LogicBlock)]
pub struct RegisterFileN<T: Synth, const A: usize> {
    /// Clock, rising edge.
    pub clk: Signal<In, Clock>,
    /// Writes `write_data` to `write_address`.
    pub write_enable: Signal<In, Bit>,
    /// Where to write.
    pub write_address: Signal<In, Bits<A>>,
    /// What to write.
    pub write_data: Signal<In, T>,
    /// The read ports.
    pub read: Vec<ReadPort<T, A>>,
    _words: Vec<T>,
}

impl<T: Synth, const A: usize> RegisterFileN<T, A> {
    /// A register file of `words` words with undefined contents and `readers` read ports.
    ///
    /// # Panics
    /// If `words` is not 2 to 2 to the power of `A`, or `readers` not 1 to 16.
    pub fn new(words: usize, readers: usize) -> Self {
        assert!(
            words >= 2 && index_bits(words) <= A,
            "a register file with {A} address bits holds 2 to 2^{A} words, not {words}"
        );
        assert!(
            (1..=MOST_READERS).contains(&readers),
            "a register file has 1 to {MOST_READERS} read ports, not {readers}"
        );
        Self {
            clk: Signal::default(),
            write_enable: Signal::default(),
            write_address: Signal::default(),
            write_data: Signal::default(),
            read: vec![ReadPort::default(); readers],
            _words: vec![T::default(); words],
        }
    }
}

impl<T: Synth, const A: usize> Default for RegisterFileN<T, A> {
    /// Two words and one read port: a placeholder for `..Default::default()`.
    fn default() -> Self {
        Self::new(2, 1)
    }
}

impl<T: Synth, const A: usize> Logic for RegisterFileN<T, A> {
    fn update(&mut self) {
        if self.clk.pos_edge()
            && self.write_enable.val()
            && let Some(word) = self._words.get_mut(self.write_address.val().index())
        {
            *word = self.write_data.val();
        }
        for port in &mut self.read {
            let word = self._words.get(port.address.val().index());
            port.data.next = word.copied().unwrap_or_default();
        }
    }

    fn connect(&mut self) {
        for port in &mut self.read {
            port.data.connect();
        }
    }

    fn hdl(&self) -> Verilog {
        let (width, words, readers) = (T::BITS, self._words.len(), self.read.len());
        let used = index_bits(words);
        let at = |name: &str| address_of(name, words, A);
        let mut text = format!("    logic {}memory [0:{}];\n\n", range(width), words - 1);
        for reader in 0..readers {
            let address = at(&format!("read_{reader}_address"));
            text += &format!("    assign read_{reader}_data = memory[{address}];\n");
        }
        let write = at("write_address");
        text += &format!(
            "
    always_ff @(posedge clk) begin
        if (write_enable) begin
            memory[{write}] <= write_data;
        end
    end
"
        );
        if used < A {
            let high = A - 1;
            let reads: String = (0..readers)
                .map(|reader| format!(", read_{reader}_address[{high}:{used}]"))
                .collect();
            text += &format!(
                "
    // The memory is smaller than its address space.
    wire unused_ok = &{{1'b0, write_address[{high}:{used}]{reads}}};
"
            );
        }
        primitive(Primitive {
            rust_type: std::any::type_name::<Self>(),
            module: format!("register_file_{width}x{words}_{readers}"),
            summary: vec![
                format!("{words} words of {width} bits, {readers} ports read in the same cycle."),
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
            combinational: (0..readers)
                .map(|reader| {
                    (
                        format!("read_{reader}_data"),
                        format!("read_{reader}_address"),
                    )
                })
                .collect(),
        })
    }
}
