//! First-in first-out queue.

use super::{index_bits, range};
use crate::elaborate::primitive;
use crate::ir::Primitive;
use crate::manifest::Memory;
use crate::stream::{StreamSink, StreamSource};
use hallux_hdl_macros::LogicBlock;
use rust_hdl_core::prelude::{Bit, Bits, Clock, In, Logic, Out, Signal, Synth, Verilog, bits};
use std::collections::VecDeque;

/// A queue of `depth` words with ready/valid on both sides.
///
/// ```text
///              ┌────────┐   ┌──────────┐
///   s ────────►│ memory ├──►│ register ├────────► m
///              └────────┘   └──────────┘
///                level, almost_full
/// ```
///
/// The word at the head stands on `m` without being asked for. Latency from `s`
/// to `m` is 2 cycles, initiation interval 1. No output depends on an input in
/// the same cycle. The output register is the read register of the memory, so
/// that synthesis infers block RAM where the queue is large.
#[derive(Clone, Debug, LogicBlock)]
pub struct Fifo<T: Synth> {
    /// Clock, rising edge.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset, active high: empties the queue.
    pub rst: Signal<In, Bit>,
    /// Words in.
    pub s: StreamSink<T>,
    /// Words out.
    pub m: StreamSource<T>,
    /// Words in the queue, the one on `m` included.
    pub level: Signal<Out, Bits<16>>,
    /// Free words do not exceed the margin.
    pub almost_full: Signal<Out, Bit>,
    _depth: usize,
    _margin: usize,
    _memory: VecDeque<T>,
}

impl<T: Synth> Fifo<T> {
    /// A queue of `depth` words.
    ///
    /// # Panics
    /// If `depth` is not 2 to 65535.
    pub fn new(depth: usize) -> Self {
        assert!(
            (2..=65535).contains(&depth),
            "a queue holds 2 to 65535 words, not {depth}"
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
            _memory: VecDeque::new(),
        }
    }

    /// Raises `almost_full` when at most `margin` words are free. Without it,
    /// `almost_full` means full.
    pub fn with_almost_full(mut self, margin: usize) -> Self {
        self._margin = margin;
        self
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
            let push = self.s.valid.val() && self.s.ready.val();
            let free = !self.m.valid.val() || self.m.ready.val();
            if free {
                let head = self._memory.pop_front();
                self.m.valid.next = head.is_some();
                if let Some(head) = head {
                    self.m.data.next = head;
                }
            }
            if push {
                self._memory.push_back(self.s.data.val());
            }
            if self.rst.val() {
                self._memory.clear();
                self.m.valid.next = false;
            }
        }
        let level = self._memory.len() + usize::from(self.m.valid.val());
        self.level.next = bits(level as u64);
        self.s.ready.next = level < self._depth;
        self.almost_full.next = level + self._margin >= self._depth;
    }

    fn connect(&mut self) {
        self.s.ready.connect();
        self.m.data.connect();
        self.m.valid.connect();
        self.level.connect();
        self.almost_full.connect();
    }

    fn hdl(&self) -> Verilog {
        let (width, depth, margin) = (T::BITS, self._depth, self._margin);
        // The output register holds one of the words.
        let words = depth - 1;
        let (address, count) = (index_bits(words), index_bits(depth + 1));
        let threshold = depth.saturating_sub(margin);
        let last = words - 1;
        let step = |name: &str| {
            if words.is_power_of_two() && words > 1 {
                format!("{name} + {address}'d1")
            } else {
                format!("({name} == {address}'d{last}) ? {address}'d0 : {name} + {address}'d1")
            }
        };
        let (next_write, next_read) = (step("write_at"), step("read_at"));
        let (data, pointer, number) = (range(width), range(address), range(count));
        let nearly = match threshold {
            0 => "1'b1".to_string(),
            _ => format!("occupied >= {count}'d{threshold}"),
        };
        let level = match 16 - count {
            0 => "occupied".to_string(),
            pad => format!("{{{pad}'d0, occupied}}"),
        };
        let text = format!(
            "    logic {data}memory [0:{last}];
    logic {pointer}write_at;
    logic {pointer}read_at;
    logic {number}occupied;

    wire push = s_valid & s_ready;
    wire pop = m_valid & m_ready;
    // Words in memory: all but the one in the output register.
    wire stored = occupied != {{{pad}'d0, m_valid}};
    wire fetch = stored & (!m_valid | m_ready);

    assign s_ready = occupied != {count}'d{depth};
    assign level = {level};
    assign almost_full = {nearly};

    always_ff @(posedge clk) begin
        if (push) begin
            memory[write_at] <= s_data;
        end
        if (fetch) begin
            m_data <= memory[read_at];
        end
    end

    always_ff @(posedge clk) begin
        if (push) begin
            write_at <= {next_write};
        end
        if (fetch) begin
            read_at <= {next_read};
        end
        if (fetch) begin
            m_valid <= 1'b1;
        end else if (pop) begin
            m_valid <= 1'b0;
        end
        if (push & !pop) begin
            occupied <= occupied + {count}'d1;
        end else if (pop & !push) begin
            occupied <= occupied - {count}'d1;
        end
        if (rst) begin
            write_at <= {address}'d0;
            read_at <= {address}'d0;
            occupied <= {count}'d0;
            m_valid <= 1'b0;
        end
    end
",
            pad = count - 1,
        );
        let margin = match margin {
            0 => String::new(),
            _ => format!("_margin_{margin}"),
        };
        primitive(Primitive {
            rust_type: std::any::type_name::<Self>(),
            module: format!("fifo_{width}x{depth}{margin}"),
            summary: vec![format!(
                "Queue of {depth} words of {width} bits; latency 2 cycles, one word a cycle."
            )],
            text,
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
