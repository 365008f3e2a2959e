//! Registers: the host's register file (BAR 0), command staging, counters.
//!
//! ```text
//!          ┌──────┐ head   ┌─────┐──► enabled, mac, slow_base, slow_log2
//!  s ─────►│ FIFO ├───┬───►│ act │──► m_fetch, m_notify   context registers
//!          └──────┘   │    │     │──► m_table             flow-table entries
//!                     ▼    │     │──► m_connection, m_cmd state commands
//!                ┌────────┐│     │──► m_up                read completions
//!                │ shadow ├►     │
//!                │  RAM   │◄──┐  │
//!                └────────┘   └──┘      pulses ──► counters ──latch──► window
//! ```
//!
//! Accesses are executed in order, each in two cycles: the first reads the register's
//! last value from `shadow`, the second acts, while the first of the next access may begin: not of
//! one whose register is being written. A write whose consumer is busy (a command
//! in progress, a context write not yet taken) waits there; only `s.ready` feels it.
//!
//! A write covers 64 bits or either half; the other half keeps its value. Registers whose
//! write is an action (COUNTER_LATCH, COMMAND, TABLE_COMMIT, INTERRUPT_ARM and the two
//! ring indices of a context) act when the lower half is written. Registers read back
//! what was written, the write-only COUNTER_LATCH, COMMAND and TABLE_COMMIT and all
//! unknown addresses read 0.
//!
//! OPEN: the connection's slice is handed to post before the event enters the arbiter.
//!
//! After reset `Clear` wipes `shadow`, one word a cycle. Initiation interval: a cycle an
//! access, 2 for the same register again. Latency from a read to its completion at `m_up`: 3 cycles.

mod counters;
mod map;

use crate::channels::{
    Connection, ConnectionWrite, ContextWrite, Event, KIND_CMD, Mmio, RECORD_BITS, Sack,
    TableEntry, TableWrite, UP_COMPLETION, Up,
};
use crate::interface::{
    COMMAND_WORDS, FEATURE_PUSH, FEATURE_SACK_RECOVERY, FEATURES_SHIFT, ID_MAGIC, Opcode, VERSION,
    context, register,
};
use counters::Counters;
use hallux_hdl::prelude::*;
use map::{Region, SHADOW_WORDS, region, shadow};

/// Accesses that may wait.
const WAITING: usize = 16;
/// What the design point is, as far as software can ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Contexts, the control plane's included; at most 32.
    pub contexts: u64,
    /// Flow ids.
    pub connections: u64,
    /// Buckets of each of the two flow tables.
    pub buckets: u64,
    /// Beats of the frame buffer.
    pub frame_buffer_beats: u64,
    /// Read tags of the payload reader.
    pub payload_tags: u64,
    /// Bits of the data bus.
    pub bus_bits: u64,
    /// Connections' states are kept in host memory.
    pub states_in_host: bool,
    /// Connections may have rates.
    pub paces: bool,
    /// Intervals that a connection holds out of order.
    pub intervals: u64,
    /// Recovery by SACK.
    pub sack_recovery: bool,
    /// Descriptors can be pushed.
    pub push: bool,
}

impl Identity {
    /// Value of [`register::CAPABILITIES`].
    pub const fn capabilities(&self) -> u64 {
        let recovery = if self.sack_recovery {
            FEATURE_SACK_RECOVERY
        } else {
            0
        };
        let push = if self.push { FEATURE_PUSH } else { 0 };
        let features = self.intervals | recovery | push;
        VERSION | self.contexts << 16 | features << FEATURES_SHIFT | self.connections << 32
    }

    /// Value of [`register::PARAMETERS`].
    pub const fn parameters(&self) -> u64 {
        self.buckets
            | self.frame_buffer_beats << 16
            | self.payload_tags << 32
            | self.bus_bits << 48
            | (self.paces as u64) << 62
            | (self.states_in_host as u64) << 63
    }
}

/// What the stage does in this cycle.
#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
pub enum State {
    /// Wiping `shadow` after reset.
    Clear,
    /// No access is being executed.
    Look,
    /// Executing the access.
    Act,
    /// Waiting until post has taken the connection of an OPEN.
    Command,
}

/// The register file.
#[derive(LogicBlock, Default)]
pub struct Registers {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset, active high.
    pub rst: Signal<In, Bit>,
    /// Accesses of the host.
    pub s: StreamSink<Mmio>,
    /// Completions of reads.
    pub m_up: StreamSource<Up<RECORD_BITS>>,
    /// Context registers of fetch.
    pub m_fetch: StreamSource<ContextWrite>,
    /// Context registers of notify.
    pub m_notify: StreamSource<ContextWrite>,
    /// Flow-table entries.
    pub m_table: StreamSource<TableWrite>,
    /// Connection slices of post.
    pub m_connection: StreamSource<ConnectionWrite>,
    /// State commands.
    pub m_cmd: StreamSource<Event>,
    /// Nothing is in flight in the NIC.
    pub drained: Signal<In, Bit>,
    /// Time in ns.
    pub now: Signal<In, Bits<64>>,
    /// Bit `i`: counter `i` of `interface::COUNTERS` counts one.
    pub pulses: Signal<In, Bits<20>>,
    /// Intake from the wire is enabled.
    pub enabled: Signal<Out, Bit>,
    /// Station address, first octet in bits 47..40.
    pub mac: Signal<Out, Bits<48>>,
    /// Bus address of the slow-path slots.
    pub slow_base: Signal<Out, Bits<64>>,
    /// log2 of the number of slow-path slots: of context 0's notification ring.
    pub slow_log2: Signal<Out, Bits<5>>,
    /// With states in host memory: their bus address.
    pub state_base: Vec<Signal<Out, Bits<64>>>,
    /// With pacing: word 9 of the last command that was started.
    pub rate: Vec<Signal<Out, Bits<64>>>,
    /// No access is held.
    pub idle: Signal<Out, Bit>,
    waiting: Fifo<Mmio>,
    state: DFF<State>,
    /// The access in `Act`, where it leads, where its register is remembered, and which stages it
    /// is for.
    acting: DFF<Mmio>,
    target: DFF<Region>,
    place: DFF<Bits<10>>,
    for_fetch: DFF<Bit>,
    for_notify: DFF<Bit>,
    for_table: DFF<Bit>,
    for_command: DFF<Bit>,
    opens: DFF<Bit>,
    clear: DFF<Bits<10>>,
    shadow: Ram<Bits<64>, 10>,
    control: DFF<Bit>,
    station: DFF<Bits<48>>,
    slots: DFF<Bits<64>>,
    slots_log2: DFF<Bits<5>>,
    states: Vec<DFF<Bits<64>>>,
    rates: Vec<DFF<Bits<64>>>,
    /// Staged command, word `i` in bits 64 i + 63 .. 64 i.
    stage: DFF<Bits<640>>,
    /// Staged flow-table entry: addresses below, ports above.
    entry: DFF<Bits<128>>,
    /// Running number of commands.
    tickets: DFF<Bits<22>>,
    fetch: StreamRegister<ContextWrite>,
    notify: StreamRegister<ContextWrite>,
    lookup: StreamRegister<TableWrite>,
    connection: StreamRegister<ConnectionWrite>,
    started: StreamRegister<Event>,
    completion: StreamRegister<Completed>,
    counters: Counters,
    _identity: Identity,
}

/// A completed read.
#[derive(Copy, Clone, Default, Debug, PartialEq, LogicStruct)]
pub struct Completed {
    /// Tag of the read.
    pub tag: Bits<8>,
    /// Value.
    pub value: Bits<64>,
}

impl Registers {
    /// The register file of a design point.
    pub fn new(identity: Identity) -> Self {
        let cached = usize::from(identity.states_in_host);
        let paced = usize::from(identity.paces);
        Self {
            state_base: (0..cached).map(|_| Signal::default()).collect(),
            states: (0..cached).map(|_| DFF::default()).collect(),
            rate: (0..paced).map(|_| Signal::default()).collect(),
            rates: (0..paced).map(|_| DFF::default()).collect(),
            waiting: Fifo::new(WAITING).with_output(FifoOutput::Forward),
            shadow: Ram::new(SHADOW_WORDS),
            counters: Counters::new(),
            _identity: identity,
            ..Self::default()
        }
    }
}

impl Logic for Registers {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(
            self,
            clk,
            state,
            acting,
            target,
            place,
            for_fetch,
            for_notify,
            for_table,
            for_command,
            opens,
            clear,
            control,
            station,
            slots,
            slots_log2,
            stage,
            entry,
            tickets
        );
        self.waiting.clk.next = self.clk.val();
        self.waiting.rst.next = self.rst.val();
        self.shadow.clk.next = self.clk.val();
        self.fetch.clk.next = self.clk.val();
        self.fetch.rst.next = self.rst.val();
        self.notify.clk.next = self.clk.val();
        self.notify.rst.next = self.rst.val();
        self.lookup.clk.next = self.clk.val();
        self.lookup.rst.next = self.rst.val();
        self.connection.clk.next = self.clk.val();
        self.connection.rst.next = self.rst.val();
        self.started.clk.next = self.clk.val();
        self.started.rst.next = self.rst.val();
        self.completion.clk.next = self.clk.val();
        self.completion.rst.next = self.rst.val();

        self.counters.clk.next = self.clk.val();
        self.counters.rst.next = self.rst.val();
        self.counters.pulses.next = self.pulses.val();

        self.waiting.s.data.next = self.s.data.val();
        self.waiting.s.valid.next = self.s.valid.val();
        self.s.ready.next = self.waiting.s.ready.val();

        // Where the oldest access leads. Context 0's page follows the page of the global registers.
        let head = self.waiting.m.data.val();
        let found = region(head.address, self._identity.contexts);
        let aim = if head.bar.any() {
            Region::Nothing
        } else {
            found
        };
        let head_page = head.address.get_bits::<6>(12) - bits::<6>(1);
        let head_register = head.address.get_bits::<4>(3);
        let head_place = shadow(aim, head_page.get_bits::<5>(0), head_register);

        // The access that is executed, and its register's last value.
        let access = self.acting.q.val();
        let word = access.address.get_bits::<9>(3);
        let page = access.address.get_bits::<6>(12) - bits::<6>(1);
        let register = word.get_bits::<4>(0);
        let place = self.place.q.val();
        let last = self.shadow.read_data.val();
        let low = access.strobe.get_bit(0);
        let high = access.strobe.get_bit(4);
        let value = cat::<32, 32, 64>(
            if high {
                access.data.get_bits::<32>(32)
            } else {
                last.get_bits::<32>(32)
            },
            if low {
                access.data.get_bits::<32>(0)
            } else {
                last.get_bits::<32>(0)
            },
        );

        // Act.
        let write = access.write;
        let opcode = access.data.get_bits::<8>(24);
        let open = opcode == bits::<8>(Opcode::Open as u64);
        let set = opcode == bits::<8>(Opcode::Set as u64);
        let target = self.target.q.val();
        let in_page = target == Region::Page;
        let for_fetch = self.for_fetch.q.val();
        let for_notify = self.for_notify.q.val();
        let for_table = self.for_table.q.val();
        let for_command = self.for_command.q.val();
        let ready = (!for_fetch | self.fetch.s.ready.val())
            & (!for_notify | self.notify.s.ready.val())
            & (!for_table | self.lookup.s.ready.val())
            & (!(for_command & self.opens.q.val()) | self.connection.s.ready.val())
            & (write | self.completion.s.ready.val());
        let act = (self.state.q.val() == State::Act) & ready;

        // A command stays until its event has left.
        let start = (self.state.q.val() == State::Command)
            & self.started.s.ready.val()
            & !self.connection.m.valid.val();
        let remembered = in_page
            | (target == Region::Stage)
            | (target == Region::Table)
            | (target == Region::Global);

        // Look: what the oldest access asks for, while its register's last value is read.
        let free = (self.state.q.val() == State::Look)
            | (((act & !for_command) | start) & !(write & remembered & (place == head_place)));
        self.waiting.m.ready.next = free;
        let next = free & self.waiting.m.valid.val();
        self.shadow.read_address.next = if free { head_place } else { place };
        let is_tail = head_register == bits::<4>(context::DESCRIPTOR_TAIL / 8);
        let is_head = head_register == bits::<4>(context::RECORD_HEAD / 8);
        let is_arm = head_register == bits::<4>(context::INTERRUPT_ARM / 8);
        let is_enable = head_register == bits::<4>(context::ENABLE / 8);
        let head_low = head.strobe.get_bit(0);
        let page_write =
            head.write & (aim == Region::Page) & (head_low | !(is_tail | is_head | is_arm));
        if next {
            self.acting.d.next = head;
            self.target.d.next = aim;
            self.place.d.next = head_place;
            self.for_fetch.d.next = page_write
                & (is_enable
                    | is_tail
                    | (head_register == bits::<4>(context::DESCRIPTOR_BASE / 8))
                    | (head_register == bits::<4>(context::DESCRIPTOR_LOG2 / 8))
                    | (head_register == bits::<4>(context::CONSUMED_ADDRESS / 8)));
            self.for_notify.d.next = page_write
                & (is_enable
                    | is_head
                    | is_arm
                    | (head_register == bits::<4>(context::INTERRUPT_INTERVAL / 8))
                    | (head_register == bits::<4>(context::RECORD_BASE / 8))
                    | (head_register == bits::<4>(context::RECORD_LOG2 / 8)));
            self.for_table.d.next = head.write & (aim == Region::Commit) & head_low;
            self.for_command.d.next = head.write & (aim == Region::Command) & head_low;
            self.opens.d.next = head.data.get_bits::<8>(24) == bits::<8>(Opcode::Open as u64);
        }
        let onward = if next { State::Act } else { State::Look };

        match self.state.q.val() {
            State::Clear => {
                self.clear.d.next = self.clear.q.val() + bits::<10>(1);
                if self.clear.q.val().all() {
                    self.state.d.next = State::Look;
                }
            }
            State::Look => {
                self.state.d.next = onward;
            }
            State::Act => {
                if ready {
                    self.state.d.next = if for_command { State::Command } else { onward };
                }
            }
            State::Command => {
                if start {
                    self.state.d.next = onward;
                }
            }
        }

        let clearing = self.state.q.val() == State::Clear;
        self.shadow.write_enable.next = clearing | (act & write & remembered);
        self.shadow.write_address.next = if clearing { self.clear.q.val() } else { place };
        self.shadow.write_data.next = if clearing { bits::<64>(0) } else { value };

        // Global registers.
        let in_global = act & write & (target == Region::Global);
        if in_global & (register == bits::<4>(register::CONTROL / 8)) {
            self.control.d.next = value.get_bit(0);
        }
        if in_global & (register == bits::<4>(register::MAC / 8)) {
            self.station.d.next = value.get_bits::<48>(0);
        }
        if in_global & (register == bits::<4>(register::SLOW_BASE / 8)) {
            self.slots.d.next = value;
        }
        self.counters.latch.next =
            in_global & low & (register == bits::<4>(register::COUNTER_LATCH / 8));
        self.counters.select.next = word.get_bits::<5>(0);
        self.enabled.next = self.control.q.val();
        self.mac.next = self.station.q.val();
        self.slow_base.next = self.slots.q.val();
        for i in 0..self.states.len() {
            dff_setup!(self, clk, states[i]);
            self.state_base[i].next = self.states[i].q.val();
            if in_global & (register == bits::<4>(register::STATE_BASE / 8)) {
                self.states[i].d.next = value;
            }
        }
        self.slow_log2.next = self.slots_log2.q.val();

        // Context registers.
        let context_write = ContextWrite {
            context: bit_cast::<8, 6>(page),
            register: bit_cast::<5, 4>(register),
            value,
        };
        self.fetch.s.data.next = context_write;
        self.fetch.s.valid.next = act & for_fetch;
        self.notify.s.data.next = context_write;
        self.notify.s.valid.next = act & for_notify;
        if act & for_notify & !page.any() & (register == bits::<4>(context::RECORD_LOG2 / 8)) {
            self.slots_log2.d.next = value.get_bits::<5>(0);
        }

        // Flow table.
        if act & write & (target == Region::Table) {
            if register.get_bit(0) {
                self.entry.d.next.set_bits(64, value);
            } else {
                self.entry.d.next.set_bits(0, value);
            }
        }
        let entry = self.entry.q.val();
        self.lookup.s.valid.next = act & for_table;
        self.lookup.s.data.next = TableWrite {
            table: access.data.get_bit(18),
            bucket: access.data.get_bits::<16>(0),
            way: access.data.get_bits::<2>(16),
            entry: TableEntry {
                valid: access.data.get_bit(19),
                flow: entry.get_bits::<16>(96),
                remote_ip: entry.get_bits::<32>(32),
                local_ip: entry.get_bits::<32>(0),
                remote_port: entry.get_bits::<16>(80),
                local_port: entry.get_bits::<16>(64),
            },
        };

        // State commands (`interface::OpenWords`).
        for i in 0..COMMAND_WORDS {
            if act & write & (target == Region::Stage) & (register == bits::<4>(i as u64)) {
                self.stage.d.next.set_bits(64 * i, value);
            }
        }
        let stage = self.stage.q.val();
        self.connection.s.valid.next = act & for_command & self.opens.q.val();
        self.connection.s.data.next = ConnectionWrite {
            flow: access.data.get_bits::<16>(0),
            connection: Connection {
                context: stage.get_bits::<8>(48),
                ecn: stage.get_bit(25),
                rx_log2: stage.get_bits::<5>(32),
                tx_log2: stage.get_bits::<5>(40),
                remote_mac: stage.get_bits::<48>(64),
                local_ip: stage.get_bits::<32>(128),
                remote_ip: stage.get_bits::<32>(160),
                local_port: stage.get_bits::<16>(192),
                remote_port: stage.get_bits::<16>(208),
                rx_base: stage.get_bits::<64>(64 * 6),
                tx_base: stage.get_bits::<64>(64 * 7),
                opaque: stage.get_bits::<64>(64 * 8),
            },
        };
        let mut work = Event {
            kind: bits::<2>(KIND_CMD),
            ticket: cat::<2, 22, 24>(bits::<2>(KIND_CMD), self.tickets.q.val()),
            flow: access.data.get_bits::<16>(0),
            generation: access.data.get_bits::<8>(16),
            class: bits::<2>(0),
            flags: opcode,
            seq: bits::<32>(0),
            ack: bits::<32>(0),
            window: bits::<32>(0),
            ts_val: bits::<32>(0),
            ts_ecr: bits::<32>(0),
            ts_present: false,
            sack: Sack::default(),
            report: false,
            ce: false,
            payload_offset: bits::<8>(0),
            payload_len: bits::<14>(0),
            frame_len: bits::<14>(0),
            address: bits::<64>(0),
        };
        if open | set {
            work.address = stage.get_bits::<64>(0);
            work.window = stage.get_bits::<32>(64 * 5);
        }
        if open {
            work.ack = stage.get_bits::<32>(64 * 4);
            work.seq = stage.get_bits::<32>(64 * 4 + 32);
            work.ts_val = stage.get_bits::<32>(64 * 5 + 32);
            work.ts_ecr = stage.get_bits::<32>(64 * 3 + 32);
        }
        self.started.s.valid.next = start;
        self.started.s.data.next = work;
        for r in 0..self.rates.len() {
            dff_setup!(self, clk, rates[r]);
            self.rate[r].next = self.rates[r].q.val();
            if start {
                self.rates[r].d.next = stage.get_bits::<64>(64 * 9);
            }
        }
        if start {
            self.tickets.d.next = self.tickets.q.val() + bits::<22>(1);
        }

        // Reads.
        let mut answer = bits::<64>(0);
        match target {
            Region::Global => match register.index() {
                0 => {
                    answer = bits::<64>(ID_MAGIC);
                }
                1 => {
                    answer = bits::<64>(self._identity.capabilities());
                }
                2 => {
                    answer = bits::<64>(self._identity.parameters());
                }
                3 => {
                    answer = bit_cast::<64, 1>(bit(self.control.q.val()));
                }
                4 => {
                    answer = bit_cast::<64, 2>(cat::<1, 1, 2>(
                        bit(self.drained.val()),
                        bit(self.control.q.val()),
                    ));
                }
                5 => {
                    answer = bit_cast::<64, 48>(self.station.q.val());
                }
                6 => {
                    answer = self.now.val();
                }
                7 => {
                    answer = self.slots.q.val();
                }
                _ => {}
            },
            Region::Counter => {
                answer = self.counters.value.val();
            }
            Region::Page | Region::Stage | Region::Table => {
                answer = last;
            }
            _ => {}
        }
        self.completion.s.valid.next = act & !write;
        self.completion.s.data.next = Completed {
            tag: access.tag,
            value: answer,
        };

        self.m_fetch.data.next = self.fetch.m.data.val();
        self.m_fetch.valid.next = self.fetch.m.valid.val();
        self.fetch.m.ready.next = self.m_fetch.ready.val();
        self.m_notify.data.next = self.notify.m.data.val();
        self.m_notify.valid.next = self.notify.m.valid.val();
        self.notify.m.ready.next = self.m_notify.ready.val();
        self.m_table.data.next = self.lookup.m.data.val();
        self.m_table.valid.next = self.lookup.m.valid.val();
        self.lookup.m.ready.next = self.m_table.ready.val();
        self.m_connection.data.next = self.connection.m.data.val();
        self.m_connection.valid.next = self.connection.m.valid.val();
        self.connection.m.ready.next = self.m_connection.ready.val();
        self.m_cmd.data.next = self.started.m.data.val();
        self.m_cmd.valid.next = self.started.m.valid.val();
        self.started.m.ready.next = self.m_cmd.ready.val();
        let completed = self.completion.m.data.val();
        self.m_up.valid.next = self.completion.m.valid.val();
        self.completion.m.ready.next = self.m_up.ready.val();
        self.m_up.data.next = Up::<RECORD_BITS> {
            kind: bits::<2>(UP_COMPLETION),
            address: bits::<64>(0),
            bytes: bits::<13>(8),
            tag: completed.tag,
            vector: bits::<8>(0),
            data: bit_cast::<RECORD_BITS, 64>(completed.value),
            last: true,
        };

        self.idle.next = (self.state.q.val() == State::Look)
            & !self.waiting.level.val().any()
            & !self.fetch.m.valid.val()
            & !self.notify.m.valid.val()
            & !self.lookup.m.valid.val()
            & !self.connection.m.valid.val()
            & !self.started.m.valid.val()
            & !self.completion.m.valid.val();

        if self.rst.val() {
            self.state.d.next = State::Clear;
            self.clear.d.next = bits::<10>(0);
            self.control.d.next = false;
            self.station.d.next = bits::<48>(0);
            self.slots.d.next = bits::<64>(0);
            self.slots_log2.d.next = bits::<5>(0);
            self.stage.d.next = bits::<640>(0);
            self.entry.d.next = bits::<128>(0);
            self.tickets.d.next = bits::<22>(0);
        }
    }
}
