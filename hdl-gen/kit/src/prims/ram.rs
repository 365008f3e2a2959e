//! Block memory with one write and one read port.
//!
//! ```text
//!                    ┌────────────┐
//!  write_enable ────►│            │◄── read_address
//!  write_address ───►│   memory   │◄── read_enable (`RamWithEnable`)
//!  write_data ──────►│            ├──► read_data
//!                    └────────────┘
//! ```
//!
//! Read latency 1, initiation interval 1 on each port. Reading the word that is written in
//! the same cycle gives the **old** word. Synthesis uses block RAM.

use super::{address_of, index_bits, range};
use crate::elaborate::primitive;
use crate::ir::Primitive;
use crate::manifest::Memory;
use hallux_hdl_macros::LogicBlock;
use rust_hdl_core::prelude::{Bit, Bits, Clock, In, Logic, Out, Signal, Synth, Verilog};

/// Simple dual-port memory of `T`, addressed by `A` bits.
///
/// `read_data` follows `read_address` one cycle later. Reading the word that is
/// written in the same cycle gives the **old** word. Addresses from `words` on
/// must not be used.
#[derive(Clone, Debug, LogicBlock)]
pub struct Ram<T: Synth, const A: usize> {
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
    /// The word at `read_address` of the cycle before.
    pub read_data: Signal<Out, T>,
    _cells: Cells<T>,
}

/// As [`Ram`], with `read_enable`: while it is low, `read_data` keeps its value.
#[derive(Clone, Debug, LogicBlock)]
pub struct RamWithEnable<T: Synth, const A: usize> {
    /// Clock, rising edge.
    pub clk: Signal<In, Clock>,
    /// Writes `write_data` to `write_address`.
    pub write_enable: Signal<In, Bit>,
    /// Where to write.
    pub write_address: Signal<In, Bits<A>>,
    /// What to write.
    pub write_data: Signal<In, T>,
    /// Reads; otherwise `read_data` stays.
    pub read_enable: Signal<In, Bit>,
    /// Where to read.
    pub read_address: Signal<In, Bits<A>>,
    /// The word at `read_address` of the last cycle with `read_enable`.
    pub read_data: Signal<Out, T>,
    _cells: Cells<T>,
}

/// The words and how they start.
#[derive(Clone, Debug)]
struct Cells<T> {
    words: Vec<T>,
    zeroed: bool,
}

impl<T: Synth> Cells<T> {
    fn new(words: usize, address_bits: usize, zeroed: bool) -> Self {
        assert!(
            words >= 2 && index_bits(words) <= address_bits,
            "a memory with {address_bits} address bits holds 2 to 2^{address_bits} words, not {words}"
        );
        Self {
            words: vec![T::default(); words],
            zeroed,
        }
    }

    fn read<const A: usize>(&self, address: Bits<A>) -> T {
        let word = self.words.get(address.index());
        word.copied().unwrap_or_default()
    }

    fn write<const A: usize>(&mut self, address: Bits<A>, data: T) {
        if let Some(word) = self.words.get_mut(address.index()) {
            *word = data;
        }
    }

    fn verilog(&self, rust_type: &'static str, address_bits: usize, enable: bool) -> Verilog {
        let (width, words) = (T::BITS, self.words.len());
        let used = index_bits(words);
        let data = range(width);
        let last = words - 1;
        let at = |name: &str| address_of(name, words, address_bits);
        let (write, read) = (at("write_address"), at("read_address"));
        let mut text = format!("    logic {data}memory [0:{last}];\n\n");
        if self.zeroed {
            text += &format!(
                "    initial begin
        for (int unsigned i = 0; i < {words}; i++) begin
            memory[i] = {width}'d0;
        end
    end

"
            );
        }
        let fetch = if enable {
            format!(
                "        if (read_enable) begin
            read_data <= memory[{read}];
        end
"
            )
        } else {
            format!("        read_data <= memory[{read}];\n")
        };
        text += &format!(
            "    always_ff @(posedge clk) begin
        if (write_enable) begin
            memory[{write}] <= write_data;
        end
{fetch}    end
"
        );
        if used < address_bits {
            let high = address_bits - 1;
            text += &format!(
                "
    // The memory is smaller than its address space.
    wire unused_ok = &{{1'b0, write_address[{high}:{used}], read_address[{high}:{used}]}};
"
            );
        }
        let (enable, zeroed) = (
            if enable { "_enable" } else { "" },
            if self.zeroed { "_zeroed" } else { "" },
        );
        primitive(Primitive {
            rust_type,
            module: format!("ram_{width}x{words}{enable}{zeroed}"),
            summary: vec![
                format!("Memory of {words} words of {width} bits, one write and one read port."),
                "Data one cycle after the address; a word written in the same cycle reads as \
                 it was before."
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

impl<T: Synth, const A: usize> Ram<T, A> {
    /// A memory of `words` words with undefined contents.
    ///
    /// # Panics
    /// If `A` bits cannot address the words, or there are fewer than 2.
    pub fn new(words: usize) -> Self {
        Self::with(words, false)
    }

    /// A memory of `words` words that are zero at the start.
    ///
    /// # Panics
    /// As [`Ram::new`].
    pub fn zeroed(words: usize) -> Self {
        Self::with(words, true)
    }

    fn with(words: usize, zeroed: bool) -> Self {
        Self {
            clk: Signal::default(),
            write_enable: Signal::default(),
            write_address: Signal::default(),
            write_data: Signal::default(),
            read_address: Signal::default(),
            read_data: Signal::default(),
            _cells: Cells::new(words, A, zeroed),
        }
    }
}

impl<T: Synth, const A: usize> RamWithEnable<T, A> {
    /// A memory of `words` words with undefined contents.
    ///
    /// # Panics
    /// If `A` bits cannot address the words, or there are fewer than 2.
    pub fn new(words: usize) -> Self {
        Self::with(words, false)
    }

    /// A memory of `words` words that are zero at the start.
    ///
    /// # Panics
    /// As [`RamWithEnable::new`].
    pub fn zeroed(words: usize) -> Self {
        Self::with(words, true)
    }

    fn with(words: usize, zeroed: bool) -> Self {
        Self {
            clk: Signal::default(),
            write_enable: Signal::default(),
            write_address: Signal::default(),
            write_data: Signal::default(),
            read_enable: Signal::default(),
            read_address: Signal::default(),
            read_data: Signal::default(),
            _cells: Cells::new(words, A, zeroed),
        }
    }
}

impl<T: Synth, const A: usize> Default for Ram<T, A> {
    /// A memory of 2 words: a placeholder for `..Default::default()`.
    fn default() -> Self {
        Self::new(2)
    }
}

impl<T: Synth, const A: usize> Logic for Ram<T, A> {
    fn update(&mut self) {
        if self.clk.pos_edge() {
            self.read_data.next = self._cells.read(self.read_address.val());
            if self.write_enable.val() {
                self._cells
                    .write(self.write_address.val(), self.write_data.val());
            }
        }
    }

    fn connect(&mut self) {
        self.read_data.connect();
    }

    fn hdl(&self) -> Verilog {
        self._cells.verilog(std::any::type_name::<Self>(), A, false)
    }
}

impl<T: Synth, const A: usize> Default for RamWithEnable<T, A> {
    /// A memory of 2 words: a placeholder for `..Default::default()`.
    fn default() -> Self {
        Self::new(2)
    }
}

impl<T: Synth, const A: usize> Logic for RamWithEnable<T, A> {
    fn update(&mut self) {
        if self.clk.pos_edge() {
            if self.read_enable.val() {
                self.read_data.next = self._cells.read(self.read_address.val());
            }
            if self.write_enable.val() {
                self._cells
                    .write(self.write_address.val(), self.write_data.val());
            }
        }
    }

    fn connect(&mut self) {
        self.read_data.connect();
    }

    fn hdl(&self) -> Verilog {
        self._cells.verilog(std::any::type_name::<Self>(), A, true)
    }
}
