//! Pages: the host's way to the registers of the modules.
//!
//! ```text
//!          ┌─► below MODULES ──────────────────► m (register file)
//!  s ──────┤                 ┌───────┐
//!          └─► MODULES.. ───►│ queue ├─► access[i] ─► module i
//!                            └───────┘               │
//!             m_up ◄── completion ◄── answer[i] ◄────┘
//! ```
//!
//! Accesses to modules are executed in order: a write in 2 clocks, a read in
//! [`ANSWER_CLOCKS`] and one, so that a module may look into a memory for its answer. An
//! access whose page has no module, or which is no whole write, does nothing; a read gives 0.

use super::port::{ANSWER_CLOCKS, Access};
use crate::channels::{Mmio, RECORD_BITS, UP_COMPLETION, Up};
use crate::interface::modules::{MAX_MODULES, MODULE_STRIDE, MODULES};
use hallux_hdl::prelude::*;

/// Accesses that may wait.
const WAITING: usize = 16;

/// Where the pages begin is a power of two, so any higher bit of an address tells that it is one
/// of theirs.
const MODULES_LOG2: u64 = MODULES.trailing_zeros() as u64;
const _: () = assert!(MODULES.is_power_of_two());

/// See the [module](self).
#[derive(LogicBlock)]
pub struct Pages {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset.
    pub rst: Signal<In, Bit>,
    /// Accesses of the host.
    pub s: StreamSink<Mmio>,
    /// Those that concern no module.
    pub m: StreamSource<Mmio>,
    /// Completions of reads of modules.
    pub m_up: StreamSource<Up<RECORD_BITS>>,
    /// To each module.
    pub access: Vec<Signal<Out, Access>>,
    /// From each module.
    pub answer: Vec<Signal<In, Bits<64>>>,
    /// Nothing is held.
    pub idle: Signal<Out, Bit>,
    waiting: Fifo<Mmio>,
    /// Clocks that the oldest access has been looked at.
    looked: DFF<Bits<3>>,
    completion: StreamRegister<Up<RECORD_BITS>>,
    _ids: Vec<u64>,
}

impl Pages {
    /// Pages of modules with these values of `MODULE_ID`, at most [`MAX_MODULES`].
    pub fn new(ids: Vec<u64>) -> Self {
        assert!(ids.len() <= MAX_MODULES, "{} modules", ids.len());
        Self {
            clk: Default::default(),
            rst: Default::default(),
            s: Default::default(),
            m: Default::default(),
            m_up: Default::default(),
            access: ids.iter().map(|_| Default::default()).collect(),
            answer: ids.iter().map(|_| Default::default()).collect(),
            idle: Default::default(),
            waiting: Fifo::new(WAITING).with_output(FifoOutput::Forward),
            looked: Default::default(),
            completion: Default::default(),
            _ids: ids,
        }
    }
}

impl Logic for Pages {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, looked);
        self.waiting.clk.next = self.clk.val();
        self.waiting.rst.next = self.rst.val();
        self.completion.clk.next = self.clk.val();
        self.completion.rst.next = self.rst.val();

        // Everything from the first page on belongs to modules.
        let arriving = self.s.data.val();
        let ours = !arriving.bar.any() & (arriving.address >> MODULES_LOG2).any();
        self.m.data.next = arriving;
        self.m.valid.next = self.s.valid.val() & !ours;
        self.waiting.s.data.next = arriving;
        self.waiting.s.valid.next = self.s.valid.val() & ours;
        self.s.ready.next = if ours {
            self.waiting.s.ready.val()
        } else {
            self.m.ready.val()
        };

        let oldest = self.waiting.m.data.val();
        let waits = self.waiting.m.valid.val();
        let page = (oldest.address - bits::<24>(MODULES)) >> MODULE_STRIDE.trailing_zeros() as u64;
        let word = oldest.address.get_bits::<9>(3);
        let whole = oldest.strobe.all();
        let looked = self.looked.q.val();
        let fires = waits & (looked == bits::<3>(1)) & oldest.write & whole;
        let mut answer = bits::<64>(0);
        for i in 0..self._ids.len() {
            let here = page == bits::<24>(i as u64);
            self.access[i].next = Access {
                write: fires & here,
                word,
                data: oldest.data,
            };
            if here {
                answer = if word.any() {
                    self.answer[i].val()
                } else {
                    bits::<64>(self._ids[i])
                };
            }
        }
        let written = waits & oldest.write & (looked == bits::<3>(1));
        let read = waits & !oldest.write & (looked == bits::<3>(ANSWER_CLOCKS));
        let ends = written | (read & self.completion.s.ready.val());
        self.waiting.m.ready.next = ends;
        if waits & !read {
            self.looked.d.next = looked + bits::<3>(1);
        }
        if ends {
            self.looked.d.next = bits::<3>(0);
        }
        self.completion.s.valid.next = read;
        self.completion.s.data.next = Up::<RECORD_BITS> {
            kind: bits::<2>(UP_COMPLETION),
            address: bits::<64>(0),
            bytes: bits::<13>(8),
            tag: oldest.tag,
            vector: bits::<8>(0),
            data: bit_cast::<RECORD_BITS, 64>(answer),
            last: true,
        };
        StreamSource::<Up<RECORD_BITS>>::link(&mut self.m_up, &mut self.completion.m);
        self.idle.next = !self.waiting.level.val().any() & !self.completion.m.valid.val();
        if self.rst.val() {
            self.looked.d.next = bits::<3>(0);
        }
    }
}
