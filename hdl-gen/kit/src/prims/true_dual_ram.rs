//! Block memory with two ports that both read and write.
//!
//! ```text
//!              ┌───────────────┐
//!  a.enable ──►│               │◄── b.enable
//!  a.write ───►│    memory     │◄── b.write
//!  a.address ─►│               │◄── b.address
//!  a.write_data►               │◄── b.write_data
//!  a.read_data◄│               ├──► b.read_data
//!              └───────────────┘
//! ```
//!
//! Read latency 1, initiation interval 1 on each port. A port without `enable` keeps its
//! `read_data` and changes nothing.
//!
//! | in the same cycle | result |
//! |---|---|
//! | a port writes | its `read_data` is the word as it was |
//! | one port reads the word that the other writes | `read_data` is undefined |
//! | both ports write one word | forbidden: the simulation stops |
//!
//! The undefined case is what block RAM of the supported families promises, which is
//! nothing, and the RTL says so: a defined value would cost registers, or the block RAM.
//! The Rust model reads the old word.

use super::{address_of, index_bits, range};
use crate::elaborate::primitive;
use crate::ir::Primitive;
use crate::manifest::Memory;
use hallux_hdl_macros::{LogicBlock, LogicInterface};
use rust_hdl_core::prelude::{Bit, Bits, Clock, In, Logic, Out, Signal, Synth, Verilog};

/// One port of a [`TrueDualRam`].
#[derive(Clone, Debug, LogicInterface)]
pub struct RamPort<T: Synth, const A: usize> {
    /// The port is used in this cycle.
    pub enable: Signal<In, Bit>,
    /// It writes too.
    pub write: Signal<In, Bit>,
    /// Which word.
    pub address: Signal<In, Bits<A>>,
    /// What to write.
    pub write_data: Signal<In, T>,
    /// The word at `address` of the last cycle with `enable`.
    pub read_data: Signal<Out, T>,
}

impl<T: Synth, const A: usize> Default for RamPort<T, A> {
    fn default() -> Self {
        Self {
            enable: Signal::default(),
            write: Signal::default(),
            address: Signal::default(),
            write_data: Signal::default(),
            read_data: Signal::default(),
        }
    }
}

/// True dual-port memory of `T`, addressed by `A` bits. See the [module](self).
#[derive(Clone, Debug, LogicBlock)]
pub struct TrueDualRam<T: Synth, const A: usize> {
    /// Clock of both ports, rising edge.
    pub clk: Signal<In, Clock>,
    /// First port.
    pub a: RamPort<T, A>,
    /// Second port.
    pub b: RamPort<T, A>,
    _words: Vec<T>,
}

impl<T: Synth, const A: usize> TrueDualRam<T, A> {
    /// A memory of `words` words with undefined contents.
    ///
    /// # Panics
    /// If `A` bits cannot address the words, or there are fewer than 2.
    pub fn new(words: usize) -> Self {
        assert!(
            words >= 2 && index_bits(words) <= A,
            "a memory with {A} address bits holds 2 to 2^{A} words, not {words}"
        );
        Self {
            clk: Signal::default(),
            a: RamPort::default(),
            b: RamPort::default(),
            _words: vec![T::default(); words],
        }
    }
}

impl<T: Synth, const A: usize> Default for TrueDualRam<T, A> {
    /// A memory of 2 words: a placeholder for `..Default::default()`.
    fn default() -> Self {
        Self::new(2)
    }
}

impl<T: Synth, const A: usize> Logic for TrueDualRam<T, A> {
    fn update(&mut self) {
        if !self.clk.pos_edge() {
            return;
        }
        for port in [&mut self.a, &mut self.b] {
            if port.enable.val() {
                let word = self._words.get(port.address.val().index());
                port.read_data.next = word.copied().unwrap_or_default();
            }
        }
        for port in [&self.a, &self.b] {
            if port.enable.val()
                && port.write.val()
                && let Some(word) = self._words.get_mut(port.address.val().index())
            {
                *word = port.write_data.val();
            }
        }
    }

    fn connect(&mut self) {
        self.a.read_data.connect();
        self.b.read_data.connect();
    }

    fn hdl(&self) -> Verilog {
        let (width, words) = (T::BITS, self._words.len());
        let (data, last) = (range(width), words - 1);
        let mut text = format!("    logic {data}memory [0:{last}];\n");
        text += "    wire meet = a_enable & b_enable & (a_address == b_address);\n";
        for (port, other) in [("a", "b"), ("b", "a")] {
            let at = address_of(&format!("{port}_address"), words, A);
            text += &format!(
                "
    always @(posedge clk) begin
        if ({port}_enable) begin
            if ({port}_write) begin
                memory[{at}] <= {port}_write_data;
            end
            {port}_read_data <= memory[{at}];
            if (meet & {other}_write) begin
                {port}_read_data <= 'x;
            end
        end
    end
"
            );
        }
        text += "
`ifndef SYNTHESIS
    always_ff @(posedge clk) begin
        if (meet & a_write & b_write) begin
            $fatal(1, \"both ports of a memory write one word\");
        end
    end
`endif
";
        primitive(Primitive {
            rust_type: std::any::type_name::<Self>(),
            module: format!("true_dual_ram_{width}x{words}"),
            summary: vec![
                format!("Memory of {words} words of {width} bits, two ports that read or write."),
                "Data one cycle after the address; a port that writes reads the word as it was."
                    .to_string(),
            ],
            text,
            parameters: Vec::new(),
            memories: vec![Memory {
                name: "memory".to_string(),
                words: words as u32,
                bits: width as u32,
                read_latency: 1,
            }],
            combinational: Vec::new(),
        })
    }
}
