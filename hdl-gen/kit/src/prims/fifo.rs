//! Synchronous FIFO, first word falls through.
//!
//! ```text
//!             ┌──────────────────────┐
//!  s_data  ──►│ depth × bits memory  ├─► m_data
//!  s_valid ──►│                      ├─► m_valid
//!  s_ready ◄──┤ write ─►   ─► read   │◄─ m_ready
//!             └──────┬────────┬──────┘
//!                  level   almost_full
//! ```
//!
//! A word accepted at one clock edge is offered on `m` in the next cycle: latency 1,
//! initiation interval 1, at every level, full and empty included. The memory is read
//! one cycle ahead, so it infers block RAM; a word that is written into the empty FIFO
//! is forwarded around it. `s_ready` and `m_valid` come from flip-flops alone.

use super::ram::address_bits;
use crate::elaborate::primitive;
use crate::ir::Primitive;
use crate::manifest::Memory;
use crate::stream::{StreamSink, StreamSource};
use hallux_hdl_macros::LogicBlock;
use rust_hdl_core::prelude::{Bit, Bits, Clock, In, Logic, Out, Signal, Synth, Verilog, bits};
use std::collections::VecDeque;

/// FIFO of words `T` with a run-time depth. See the [module](self).
#[derive(Clone, Debug, LogicBlock)]
pub struct Fifo<T: Synth> {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset: empties the FIFO.
    pub rst: Signal<In, Bit>,
    /// Words in.
    pub s: StreamSink<T>,
    /// Words out, oldest first.
    pub m: StreamSource<T>,
    /// Words held, 0 to the depth.
    pub level: Signal<Out, Bits<16>>,
    /// No more than the margin of [`Fifo::with_almost_full`] words are free.
    pub almost_full: Signal<Out, Bit>,
    _depth: usize,
    _margin: usize,
    _words: VecDeque<T>,
}

impl<T: Synth> Fifo<T> {
    /// A FIFO of `depth` words, 2 to 65535.
    ///
    /// # Panics
    /// When the depth is out of range: a mistake in the generator, not in its input.
    pub fn new(depth: usize) -> Self {
        assert!(
            (2..=65535).contains(&depth),
            "a FIFO holds 2 to 65535 words, not {depth}"
        );
        Self {
            clk: Signal::default(),
            rst: Signal::default(),
            s: StreamSink::default(),
            m: StreamSource::default(),
            level: Signal::default(),
            almost_full: Signal::default(),
            _depth: depth,
            _margin: 0,
            _words: VecDeque::new(),
        }
    }

    /// Raises `almost_full` while `margin` or fewer words are free.
    ///
    /// # Panics
    /// When the margin is not below the depth.
    pub fn with_almost_full(mut self, margin: usize) -> Self {
        assert!(
            margin < self._depth,
            "a margin of {margin} in a FIFO of {}",
            self._depth
        );
        self._margin = margin;
        self
    }

    /// Words it can hold.
    pub fn depth(&self) -> usize {
        self._depth
    }
}

impl<T: Synth> Default for Fifo<T> {
    /// A FIFO of 2 words: a placeholder for `..Default::default()`.
    fn default() -> Self {
        Self::new(2)
    }
}

impl<T: Synth> Logic for Fifo<T> {
    fn update(&mut self) {
        if self.clk.pos_edge() {
            let (accept, take) = (
                self.s.valid.val() && self._words.len() < self._depth,
                self.m.ready.val() && !self._words.is_empty(),
            );
            if take {
                self._words.pop_front();
            }
            if accept {
                self._words.push_back(self.s.data.val());
            }
            if self.rst.val() {
                self._words.clear();
            }
        }
        let held = self._words.len();
        if let Some(first) = self._words.front() {
            self.m.data.next = *first;
        }
        self.m.valid.next = held > 0;
        self.s.ready.next = held < self._depth;
        self.level.next = bits(held as u64);
        self.almost_full.next = self._depth - held <= self._margin;
    }

    fn connect(&mut self) {
        self.s.ready.connect();
        self.m.data.connect();
        self.m.valid.connect();
        self.level.connect();
        self.almost_full.connect();
    }

    fn hdl(&self) -> Verilog {
        let (depth, width, margin) = (self._depth, T::BITS, self._margin);
        let a = address_bits(depth);
        let l = address_bits(depth + 1);
        let range = if width == 1 {
            String::new()
        } else {
            format!("[{}:0] ", width - 1)
        };
        let place = if a == 1 {
            String::new()
        } else {
            format!("[{}:0] ", a - 1)
        };
        let count = if l == 1 {
            String::new()
        } else {
            format!("[{}:0] ", l - 1)
        };
        let advance = |pointer: &str| {
            if depth.is_power_of_two() {
                format!("{pointer} + {a}'d1")
            } else {
                format!(
                    "({pointer} == {a}'d{}) ? {a}'d0 : {pointer} + {a}'d1",
                    depth - 1
                )
            }
        };
        let level = if l == 16 {
            "held".to_string()
        } else {
            format!("{{{}'d0, held}}", 16 - l)
        };
        let text = format!(
            "    logic {range}memory [0:{last}];
    logic {place}write_pointer;
    logic {place}read_pointer;
    logic {place}read_next;
    logic {count}held;
    logic {range}read_data;
    logic {range}forward_data;
    logic forward;

    wire accept = s_valid && s_ready;
    wire take = m_valid && m_ready;

    assign s_ready = held != {l}'d{depth};
    assign m_valid = held != {l}'d0;
    assign m_data = forward ? forward_data : read_data;
    assign level = {level};
    assign almost_full = held >= {l}'d{almost};
    assign read_next = take ? ({read_advance}) : read_pointer;

    always_ff @(posedge clk) begin
        if (accept) memory[write_pointer] <= s_data;
        read_data <= memory[read_next];
    end

    always_ff @(posedge clk) begin
        if (accept) forward_data <= s_data;
        forward <= accept && (write_pointer == read_next);
        if (accept) write_pointer <= {write_advance};
        read_pointer <= read_next;
        if (accept != take) held <= accept ? held + {l}'d1 : held - {l}'d1;
        if (rst) begin
            forward <= 1'b0;
            write_pointer <= {a}'d0;
            read_pointer <= {a}'d0;
            held <= {l}'d0;
        end
    end
",
            last = depth - 1,
            almost = depth - margin,
            read_advance = advance("read_pointer"),
            write_advance = advance("write_pointer"),
        );
        let suffix = if margin == 0 {
            String::new()
        } else {
            format!("_m{margin}")
        };
        primitive(Primitive {
            rust_type: std::any::type_name::<Self>(),
            module: format!("fifo_{width}x{depth}{suffix}"),
            summary: vec![
                format!("FIFO, {depth} words of {width} bits, first word falls through."),
                format!("Latency 1 cycle; almost_full while {margin} or fewer words are free."),
            ],
            text,
            memories: vec![Memory {
                name: "memory".into(),
                words: depth as u32,
                bits: width as u32,
                read_latency: 1,
            }],
            combinational: vec![],
        })
    }
}
