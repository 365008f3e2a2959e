//! First-in first-out queue.
//!
//! ```text
//!              ┌────────┐   ┌──────────┐   ┌──────────┐
//!   s ────────►│ memory ├──►│ register ├──►│ register ├────► m
//!              └────────┘   └──────────┘   └──────────┘
//!                level, almost_full
//! ```
//!
//! The word at the head stands on `m` without being asked for. Initiation interval 1; no
//! output depends on an input in the same cycle, and `s_ready` and `almost_full` are flip-flops.
//!
//! | output | latency | what synthesis makes of it |
//! |---|---|---|
//! | `Memory` | 1 | distributed RAM that drives `m_data` |
//! | `Forward` | 1 | distributed RAM and a register, which a word enters at once when none is before it |
//! | `Read` | 2 | block RAM where the queue is large: the register is its read port |
//! | `Registered` | 3 | block RAM with its output register, for the fastest clocks |

use super::{index_bits, range};
use crate::elaborate::primitive;
use crate::ir::Primitive;
use crate::manifest::Memory;
use crate::stream::{StreamSink, StreamSource};
use hallux_hdl_macros::LogicBlock;
use rust_hdl_core::prelude::{Bit, Bits, Clock, In, Logic, Out, Signal, Synth, Verilog, bits};
use std::collections::VecDeque;

/// What stands between the memory of a [`Fifo`] and its output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FifoOutput {
    /// Nothing.
    Memory,
    /// A register, and a way around the memory for the word that finds the queue empty.
    /// Not for a block RAM, whose read register has one source.
    Forward,
    /// The read register of the memory.
    #[default]
    Read,
    /// The read register and one more.
    Registered,
}

/// A queue with ready/valid on both sides. See the [module](self).
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
    /// Words in the queue, the one on `m` included; 65535 also with 65536 of them.
    pub level: Signal<Out, Bits<16>>,
    /// Free words do not exceed the margin.
    pub almost_full: Signal<Out, Bit>,
    _depth: usize,
    _margin: usize,
    _output: FifoOutput,
    _memory: VecDeque<T>,
    /// The word between memory and output of [`FifoOutput::Registered`].
    _between: Option<T>,
}

impl<T: Synth> Fifo<T> {
    /// A queue of `depth` words.
    ///
    /// # Panics
    /// If `depth` is not 2 to 65536.
    pub fn new(depth: usize) -> Self {
        assert!(
            (2..=65536).contains(&depth),
            "a queue holds 2 to 65536 words, not {depth}"
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
            _output: FifoOutput::default(),
            _memory: VecDeque::new(),
            _between: None,
        }
    }

    /// Raises `almost_full` when at most `margin` words are free. Without it,
    /// `almost_full` means full.
    pub fn with_almost_full(mut self, margin: usize) -> Self {
        self._margin = margin;
        self
    }

    /// Chooses what stands before the output.
    ///
    /// # Panics
    /// If that would leave no word for the memory: `Registered` needs a depth of 3.
    pub fn with_output(mut self, output: FifoOutput) -> Self {
        self._output = output;
        assert!(
            self._depth > self.registers(),
            "a queue of {} words has no place for two registers behind its memory",
            self._depth
        );
        self
    }

    /// Words that stand behind the memory.
    fn registers(&self) -> usize {
        match self._output {
            FifoOutput::Memory => 0,
            FifoOutput::Forward | FifoOutput::Read => 1,
            FifoOutput::Registered => 2,
        }
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
            let pop = self.m.valid.val() && self.m.ready.val();
            let free = !self.m.valid.val() || pop;
            let mut stores = push;
            match self._output {
                FifoOutput::Memory => {
                    if pop {
                        self._memory.pop_front();
                    }
                    if push {
                        self._memory.push_back(self.s.data.val());
                    }
                    stores = false;
                    self.show(self._memory.front().copied());
                }
                FifoOutput::Forward => {
                    if free {
                        let head = self._memory.pop_front();
                        stores &= head.is_some();
                        self.show(head.or_else(|| push.then(|| self.s.data.val())));
                    }
                }
                FifoOutput::Read => {
                    if free {
                        let head = self._memory.pop_front();
                        self.show(head);
                    }
                }
                FifoOutput::Registered => {
                    if free {
                        let word = self._between.take();
                        self.show(word);
                    }
                    if self._between.is_none() {
                        self._between = self._memory.pop_front();
                    }
                }
            }
            if stores {
                self._memory.push_back(self.s.data.val());
            }
            if self.rst.val() {
                self._memory.clear();
                self._between = None;
                self.m.valid.next = false;
            }
        }
        let shown = self._output != FifoOutput::Memory && self.m.valid.val();
        let level = self._memory.len() + usize::from(self._between.is_some()) + usize::from(shown);
        self.level.next = bits(level.min(65535) as u64);
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
        let words = depth - self.registers();
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
        let full_next = depth - 1;
        // Whether there is room is worked out as words move: who asks for it has all of a clock left.
        let nearly = match (margin, threshold) {
            (0, _) => Nearly {
                assign: "!s_ready",
                ..Nearly::default()
            },
            (_, 0) => Nearly {
                assign: "1'b1",
                ..Nearly::default()
            },
            _ => Nearly {
                assign: "",
                rise: format!(
                    "            if (occupied == {count}'d{}) begin
                almost_full <= 1'b1;
            end
",
                    threshold - 1
                ),
                fall: format!(
                    "            if (occupied == {count}'d{threshold}) begin
                almost_full <= 1'b0;
            end
"
                ),
                reset: "            almost_full <= 1'b0;\n",
            },
        };
        let almost_full = match nearly.assign {
            "" => String::new(),
            value => format!("    assign almost_full = {value};\n"),
        };
        let level = match count {
            17 => "occupied[16] ? 16'hffff : occupied[15:0]".to_string(),
            16 => "occupied".to_string(),
            _ => format!("{{{}'d0, occupied}}", 16 - count),
        };
        let output = self.output_text(count - 1);
        let text = format!(
            "    logic {data}memory [0:{last}];
    logic {pointer}write_at;
    logic {pointer}read_at;
    logic {number}occupied;
{declared}
    wire push = s_valid & s_ready;
    wire pop = m_valid & m_ready;
{wires}
    assign level = {level};
{almost_full}{assigns}
    always_ff @(posedge clk) begin
        if (push) begin
            memory[write_at] <= s_data;
        end
{data_moves}    end

    always_ff @(posedge clk) begin
        if ({store}) begin
            write_at <= {next_write};
        end
        if ({fetch}) begin
            read_at <= {next_read};
        end
{valid_moves}        if (push & !pop) begin
            occupied <= occupied + {count}'d1;
            s_ready <= occupied != {count}'d{full_next};
{rise}        end else if (pop & !push) begin
            occupied <= occupied - {count}'d1;
            s_ready <= 1'b1;
{fall}        end
        if (rst) begin
            write_at <= {address}'d0;
            read_at <= {address}'d0;
            occupied <= {count}'d0;
            s_ready <= 1'b1;
{reset}{resets}        end
    end
",
            declared = match self._output {
                FifoOutput::Registered => format!("    logic {data}head;\n    logic head_valid;\n"),
                _ => String::new(),
            },
            rise = nearly.rise,
            fall = nearly.fall,
            reset = nearly.reset,
            wires = output.wires,
            assigns = output.assigns,
            data_moves = output.data_moves,
            valid_moves = output.valid_moves,
            resets = output.resets,
            store = output.store,
            fetch = output.fetch,
        );
        let margin = match margin {
            0 => String::new(),
            _ => format!("_margin_{margin}"),
        };
        let (suffix, latency) = match self._output {
            FifoOutput::Memory => ("_direct", 1),
            FifoOutput::Forward => ("_forward", 1),
            FifoOutput::Read => ("", 2),
            FifoOutput::Registered => ("_registered", 3),
        };
        let plural = if latency == 1 { "" } else { "s" };
        primitive(Primitive {
            rust_type: std::any::type_name::<Self>(),
            module: format!("fifo_{width}x{depth}{suffix}{margin}"),
            summary: vec![format!(
                "Queue of {depth} words of {width} bits; latency {latency} cycle{plural}, one word a cycle."
            )],
            text,
            parameters: Vec::new(),
            memories: vec![Memory {
                name: "memory".to_string(),
                words: words as u32,
                bits: width as u32,
                read_latency: self.registers() as u32,
            }],
            combinational: Vec::new(),
        })
    }
}

/// The parts of the module that make `almost_full`.
#[derive(Default)]
struct Nearly {
    /// What it is where it is not a register.
    assign: &'static str,
    /// What a word in that none leaves for does to it.
    rise: String,
    /// What a word out does.
    fall: String,
    reset: &'static str,
}

/// The parts of the module that depend on [`FifoOutput`].
struct OutputText {
    wires: String,
    assigns: &'static str,
    data_moves: &'static str,
    valid_moves: &'static str,
    resets: &'static str,
    /// The condition under which a word stays in the memory.
    store: &'static str,
    /// The condition under which a word leaves the memory.
    fetch: &'static str,
}

impl<T: Synth> Fifo<T> {
    /// `pad`: bits of the count above the lowest one.
    fn output_text(&self, pad: usize) -> OutputText {
        match self._output {
            FifoOutput::Memory => OutputText {
                wires: String::new(),
                assigns: "    assign m_data = memory[read_at];
    assign m_valid = |occupied;
",
                data_moves: "",
                valid_moves: "",
                resets: "",
                store: "push",
                fetch: "pop",
            },
            FifoOutput::Forward => OutputText {
                wires: format!(
                    "    // Words in memory: all but the one in the output register.
    wire stored = occupied != {{{pad}'d0, m_valid}};
    wire fetch = stored & (!m_valid | m_ready);
    wire forward = push & !stored & (!m_valid | m_ready);
"
                ),
                assigns: "",
                data_moves: "        if (fetch | forward) begin
            m_data <= stored ? memory[read_at] : s_data;
        end
",
                valid_moves: "        if (fetch | forward) begin
            m_valid <= 1'b1;
        end else if (pop) begin
            m_valid <= 1'b0;
        end
",
                resets: "            m_valid <= 1'b0;
",
                store: "push & !forward",
                fetch: "fetch",
            },
            FifoOutput::Read => OutputText {
                wires: format!(
                    "    // Words in memory: all but the one in the output register.
    wire stored = occupied != {{{pad}'d0, m_valid}};
    wire fetch = stored & (!m_valid | m_ready);
"
                ),
                assigns: "",
                data_moves: "        if (fetch) begin
            m_data <= memory[read_at];
        end
",
                valid_moves: "        if (fetch) begin
            m_valid <= 1'b1;
        end else if (pop) begin
            m_valid <= 1'b0;
        end
",
                resets: "            m_valid <= 1'b0;
",
                store: "push",
                fetch: "fetch",
            },
            FifoOutput::Registered => OutputText {
                wires: format!(
                    "    wire shift = head_valid & (!m_valid | m_ready);
    // Words in memory: all but those in the two registers.
    wire stored = occupied != {{{pad}'d0, head_valid}} + {{{pad}'d0, m_valid}};
    wire fetch = stored & (!head_valid | shift);
"
                ),
                assigns: "",
                data_moves: "        if (fetch) begin
            head <= memory[read_at];
        end
        if (shift) begin
            m_data <= head;
        end
",
                valid_moves: "        if (fetch) begin
            head_valid <= 1'b1;
        end else if (shift) begin
            head_valid <= 1'b0;
        end
        if (shift) begin
            m_valid <= 1'b1;
        end else if (pop) begin
            m_valid <= 1'b0;
        end
",
                resets: "            head_valid <= 1'b0;
            m_valid <= 1'b0;
",
                store: "push",
                fetch: "fetch",
            },
        }
    }

    /// Puts a word, or none, on the output.
    fn show(&mut self, word: Option<T>) {
        self.m.valid.next = word.is_some();
        if let Some(word) = word {
            self.m.data.next = word;
        }
    }
}
