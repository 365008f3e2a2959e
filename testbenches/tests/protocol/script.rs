//! Scripts of events for the protocol stage, and what the reference says they cause.

use crate::channel::narrow;
use hallux_hdl::prelude::{Bits, bits};
use hallux_host::reference::{
    Command, Connections, Event, MAX_SACK_BLOCKS, Open, Outcome, Received, SackBlock, SeqNumber,
    State, flags,
};
use hallux_toe::channels::{self, CLASS_DROP, CLASS_FAST, CLASS_SLOW};
use hallux_toe::channels::{KIND_CMD, KIND_HC, KIND_RX, KIND_TX};
use hallux_toe::interface::{KEEPS_WINDOW, OpenWords};
use rand_core::{RngCore, SeedableRng};
use rand_pcg::Pcg64Mcg;
use std::collections::BTreeMap;

/// Byte offset of the payload in every received frame of a script.
pub const PAYLOAD_OFFSET: u16 = 66;

/// One event of a script.
#[derive(Clone, Debug)]
pub struct Item {
    /// Flow id.
    pub flow: u16,
    /// Ticket without its kind.
    pub number: u32,
    /// What happens.
    pub work: Work,
}

/// What the protocol stage is given.
#[derive(Clone, Debug)]
pub enum Work {
    /// An event of a connection.
    Connection(Event),
    /// A frame that concerns no connection (slow path or dropped): class, bytes.
    Frame(u64, u16),
    /// A raw frame of the control plane: bus address, bytes.
    Raw(u64, u16),
}

impl Item {
    fn kind(&self) -> u64 {
        match &self.work {
            Work::Frame(..) | Work::Connection(Event::Receive(_)) => KIND_RX,
            Work::Connection(Event::Transmit | Event::Remind) => KIND_TX,
            Work::Raw(..) | Work::Connection(Event::HostControl { .. }) => KIND_HC,
            Work::Connection(Event::Command { .. }) => KIND_CMD,
        }
    }

    fn ticket(&self) -> Bits<24> {
        narrow((self.kind() << 22) | u64::from(self.number & 0x3f_ffff))
    }

    /// The event as the arbiter sends it.
    pub fn event(&self) -> channels::Event {
        let base = channels::Event {
            kind: narrow(self.kind()),
            ticket: self.ticket(),
            flow: narrow(self.flow),
            ..Default::default()
        };
        match &self.work {
            Work::Frame(class, length) => channels::Event {
                class: narrow(*class),
                frame_len: narrow(*length),
                ..base
            },
            Work::Raw(address, length) => channels::Event {
                class: narrow(CLASS_SLOW),
                address: narrow(*address),
                frame_len: narrow(*length),
                ..base
            },
            Work::Connection(Event::Transmit) => base,
            Work::Connection(Event::Remind) => channels::Event {
                flags: narrow(1u8),
                ..base
            },
            Work::Connection(Event::Receive(r)) => {
                let (ts_val, ts_ecr) = r.timestamps.unwrap_or_default();
                channels::Event {
                    class: narrow(CLASS_FAST),
                    flags: narrow(r.flags),
                    seq: narrow(r.seq.0),
                    ack: narrow(r.ack.0),
                    window: narrow(r.window),
                    ts_val: narrow(ts_val),
                    ts_ecr: narrow(ts_ecr),
                    ts_present: r.timestamps.is_some(),
                    sack: option(&r.sack),
                    ce: r.congestion_experienced,
                    payload_offset: narrow(PAYLOAD_OFFSET),
                    payload_len: narrow(r.payload_len),
                    frame_len: narrow(PAYLOAD_OFFSET + r.payload_len),
                    ..base
                }
            }
            Work::Connection(Event::HostControl {
                generation,
                rx_bump,
                tx_bump,
                finish,
            }) => channels::Event {
                generation: narrow(*generation),
                flags: narrow(*finish),
                seq: narrow(*rx_bump),
                ack: narrow(*tx_bump),
                ..base
            },
            Work::Connection(Event::Command {
                generation,
                command,
            }) => {
                let base = channels::Event {
                    generation: narrow(*generation),
                    flags: narrow(command.opcode()),
                    ..base
                };
                match command {
                    Command::Open(open) => channels::Event {
                        seq: narrow(open.rcv_nxt.0),
                        ack: narrow(open.snd_nxt.0),
                        window: narrow(open.window),
                        ts_val: narrow(open.ts_recent),
                        ts_ecr: narrow(open.ts_offset),
                        address: narrow(open.options),
                        ..base
                    },
                    Command::Set { window, send_shift } => channels::Event {
                        window: narrow(*window),
                        address: narrow(u64::from(*send_shift) << 16),
                        ..base
                    },
                    Command::Pace => channels::Event {
                        window: narrow(1u8),
                        address: narrow(KEEPS_WINDOW),
                        ..base
                    },
                    _ => base,
                }
            }
        }
    }

    /// What the reference makes of the event, as the protocol stage should send it, and
    /// whether it counts as stale.
    pub fn expect(&self, connections: &mut Connections, now: u64) -> (channels::Outcome, bool) {
        let event = self.event();
        let base = channels::Outcome {
            kind: event.kind,
            ticket: event.ticket,
            flow: event.flow,
            class: event.class,
            ..Default::default()
        };
        match &self.work {
            Work::Frame(_, length) => (
                channels::Outcome {
                    frame_len: narrow(*length),
                    ..base
                },
                false,
            ),
            Work::Raw(address, length) => (
                channels::Outcome {
                    send: true,
                    address: narrow(*address),
                    length: narrow(*length),
                    ..base
                },
                false,
            ),
            Work::Connection(reference) => {
                let outcome = connections.apply(self.flow, reference, now);
                (channel_outcome(base, &event, &outcome), outcome.stale)
            }
        }
    }
}

/// A SACK option as the channels carry it.
fn option(blocks: &[Option<SackBlock>; MAX_SACK_BLOCKS]) -> channels::Sack {
    channels::Sack {
        count: narrow(blocks.iter().flatten().count() as u64),
        first: blocks[0].map(block).unwrap_or_default(),
        second: blocks[1].map(block).unwrap_or_default(),
        third: blocks[2].map(block).unwrap_or_default(),
    }
}

/// A block of the SACK option in the fields of the channel.
fn block(block: SackBlock) -> channels::SackBlock {
    channels::SackBlock {
        left: narrow(block.left.0),
        right: narrow(block.right.0),
    }
}

/// The reference's outcome in the fields of the channel.
fn channel_outcome(
    base: channels::Outcome,
    event: &channels::Event,
    outcome: &Outcome,
) -> channels::Outcome {
    let mut o = channels::Outcome {
        generation: narrow(outcome.generation),
        frame_len: event.frame_len,
        ..base
    };
    if outcome.stale && event.kind == bits::<2>(KIND_RX) {
        o.class = narrow(CLASS_DROP);
    }
    if let Some(c) = &outcome.completion {
        o.done = true;
        o.opcode = narrow(c.opcode);
        o.status = narrow(c.status as u8);
        o.ack = narrow(c.rcv_nxt.0);
        o.rx_pos = narrow(c.snd_una.0);
        o.rx_bump = narrow(c.in_flight);
        o.tx_bump = narrow(c.unsent);
        assert_eq!(c.snd_una + c.in_flight, c.snd_nxt);
    }
    if let Some(t) = &outcome.send {
        o.send = true;
        o.seq = narrow(t.seq.0);
        o.ack = narrow(t.ack.0);
        o.window = narrow(t.window);
        o.flags = narrow(t.flags);
        o.ts_on = t.ts_on;
        o.ts_offset = narrow(t.ts_offset);
        o.ts_ecr = narrow(t.ts_ecr);
        o.sack = option(&t.sack);
        o.length = narrow(t.length);
        if t.length > 0 {
            o.tx_pos = narrow(t.tx_pos.0);
        }
    }
    if let Some(p) = &outcome.place {
        o.place = true;
        o.rx_pos = narrow(p.rx_pos.0);
        o.place_offset = narrow(p.offset + PAYLOAD_OFFSET);
        o.place_len = narrow(p.length);
    }
    if let Some(n) = &outcome.notify {
        o.notify = true;
        o.rx_bump = narrow(n.rx_bump);
        o.tx_bump = narrow(n.tx_bump);
        o.notice_flags = narrow(n.flags);
        o.rtt = narrow(n.rtt);
        o.read_lost = n.read_lost;
    }
    o.owes = outcome.owes;
    if let Some(ready) = outcome.ready {
        o.update = true;
        o.ready = ready;
    }
    o
}

/// How often what the rules are about happens in a script.
pub fn coverage(
    script: &[Item],
    mut model: Connections,
    now: u64,
) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for item in script {
        let old = model.get(item.flow).copied().unwrap_or_default();
        let (o, stale) = item.expect(&mut model, now);
        let new = model.get(item.flow).copied().unwrap_or_default();
        let kind = o.kind.to_u64();
        let mut count =
            |name, happens: bool| *counts.entry(name).or_insert(0) += usize::from(happens);
        count("stale event", stale);
        count("bytes placed in order", o.place && o.rx_bump.any());
        let (before, after) = (old.held().count(), new.held().count());
        let bytes = |s: &State| s.held().map(|held| u64::from(held.len)).sum::<u64>();
        count("interval begun", before == 0 && after > 0);
        count(
            "interval grown",
            before == 1 && after == 1 && bytes(&new) > bytes(&old),
        );
        count("second interval", before == 1 && after == 2);
        count("fourth interval", after == 4);
        count(
            "intervals joined",
            after < before && bytes(&new) > bytes(&old),
        );
        count(
            "one of several taken along",
            after > 0 && after < before && o.rx_bump.any(),
        );
        count(
            "no room out of order",
            kind == KIND_RX && old == new && o.send && !o.place && before > 0,
        );
        count(
            "interval closed",
            o.place && o.rx_bump.to_u64() > o.place_len.to_u64(),
        );
        count(
            "front trimmed",
            o.place && o.place_offset.to_u64() > u64::from(PAYLOAD_OFFSET),
        );
        count("peer's FIN", !old.rx_fin && new.rx_fin);
        count("FIN behind a gap", !old.fin_held && new.fin_held);
        count("its gap filled", old.fin_held && new.rx_fin);
        count(
            "our FIN",
            o.send && (o.flags & bits::<8>(flags::FIN.into())).any(),
        );
        count("new data acknowledged", kind == KIND_RX && o.tx_bump.any());
        count("round trip", o.rtt.any());
        count(
            "fast retransmission",
            !old.recovering && new.recovering && kind == KIND_RX,
        );
        count(
            "recovery over",
            old.recovering && !new.recovering && new.open,
        );
        count(
            "SND.NXT jumps",
            kind == KIND_RX && old.snd_nxt != new.snd_nxt && new.tx_avail < old.tx_avail,
        );
        count("acknowledgement with one block", o.sack.count.to_u64() == 1);
        count(
            "acknowledgement with three blocks",
            o.sack.count.to_u64() == 3,
        );
        let (before, after) = (old.sacked().count(), new.sacked().count());
        let bytes = |s: &State| s.sacked().map(|sacked| u64::from(sacked.len)).sum::<u64>();
        count("first report", before == 0 && after > 0);
        count("reports beside the first", after > before + 1);
        count("fourth report", before == 3 && after == 4);
        count(
            "reports joined",
            before > after && bytes(&new) > bytes(&old),
        );
        count(
            "report acknowledged",
            before > after && after > 0 && old.snd_una != new.snd_una,
        );
        count("recovery of holes", !old.sack_recovery && new.sack_recovery);
        count(
            "hole filled",
            kind == KIND_TX && o.length.any() && old.snd_nxt == new.snd_nxt,
        );
        count(
            "report passed over",
            kind == KIND_TX && !o.send && old.high_rxt != new.high_rxt,
        );
        count(
            "new data in a recovery of holes",
            old.sack_recovery && o.length.any() && old.snd_nxt != new.snd_nxt,
        );
        count(
            "recovery of holes over",
            old.sack_recovery && !new.recovering && new.open,
        );
        count(
            "recovery of holes timed out",
            old.sack_recovery && !new.sack_recovery && new.recovering,
        );
        count("established", old.opening && !new.opening && new.open);
        count("data sent", kind == KIND_TX && o.length.any());
        count("window update", kind == KIND_HC && o.send);
        count("acknowledgement delayed", o.owes);
        count(
            "acknowledgement after the delay",
            kind == KIND_TX && !o.update && o.send,
        );
        count(
            "acknowledgement of two segments",
            kind == KIND_RX && o.send && old.owes_ack(),
        );
        count(
            "acknowledgement with data",
            o.length.any() && old.owes_ack(),
        );
        count(
            "window update while owing",
            kind == KIND_HC && o.send && old.owes_ack(),
        );
        count(
            "mark kept while owing",
            old.owes_ack() && old.congestion_experienced && o.send,
        );
        count("probe", o.done && o.send);
        count(
            "timeout",
            o.done && old.snd_nxt != new.snd_nxt && old.open && new.open,
        );
        count("closed", old.open && !new.open);
        count("command refused", o.status.any());
    }
    counts
}

/// Random events that aim at the edges of the rules.
pub struct Generator {
    random: Pcg64Mcg,
    model: Connections,
    flows: u16,
    last_flow: u16,
    last_work: Work,
    number: u32,
}

impl Generator {
    /// Events over the flow ids `0..flows`, and now and then one beyond.
    pub fn new(seed: u64, flows: u16, model: Connections) -> Self {
        Self {
            random: Pcg64Mcg::seed_from_u64(seed),
            model,
            flows,
            last_flow: 0,
            last_work: Work::Connection(Event::Transmit),
            number: 0,
        }
    }

    fn below(&mut self, bound: u32) -> u32 {
        self.random.next_u32() % bound
    }

    fn one_in(&mut self, n: u32) -> bool {
        self.below(n) == 0
    }

    /// A number below `bound`, one time in four below `seldom`.
    fn mostly(&mut self, bound: u32, seldom: u32) -> u32 {
        let bound = if self.one_in(4) { seldom } else { bound };
        self.below(bound)
    }

    /// A number within a few of one of `around`, seldom far off.
    fn near(&mut self, around: &[u32]) -> u32 {
        let far = self.random.next_u32();
        let pick = around[self.below(around.len() as u32) as usize];
        match self.below(24) {
            0..16 => pick,
            16..19 => pick.wrapping_add(1),
            19..22 => pick.wrapping_sub(1),
            22 => pick.wrapping_add(self.below(3000)),
            _ if self.one_in(3) => pick.wrapping_add(0x8000_0000),
            _ => far,
        }
    }

    /// The next event; the model follows it.
    pub fn item(&mut self, now: u64) -> Item {
        // Repeats make duplicate ACKs.
        let repeats = self.one_in(4);
        let flow = match self.below(20) {
            _ if repeats => self.last_flow,
            // Back to back on one connection is the hazard under test.
            0..12 => self.last_flow,
            19 if self.one_in(8) => self.flows + self.below(3) as u16,
            _ => self.below(u32::from(self.flows)) as u16,
        };
        self.last_flow = flow % self.flows;
        self.number += 1;
        let state = self.model.get(flow).copied().unwrap_or_default();
        let work = match self.below(64) {
            _ if repeats => self.last_work.clone(),
            0 => {
                let class = if self.one_in(2) {
                    CLASS_SLOW
                } else {
                    CLASS_DROP
                };
                Work::Frame(class, 60 + self.below(1458) as u16)
            }
            1 => Work::Raw(u64::from(self.random.next_u32()) << 8, 60),
            _ => Work::Connection(self.event(&state)),
        };
        self.last_work = work.clone();
        let item = Item {
            flow,
            number: self.number,
            work,
        };
        item.expect(&mut self.model, now);
        item
    }

    fn event(&mut self, state: &State) -> Event {
        if !state.open && !self.one_in(4) {
            return self.command(state, true);
        }
        match self.below(100) {
            0..58 => Event::Receive(self.segment(state)),
            58..73 => Event::Transmit,
            73..76 => Event::Remind,
            76..94 => self.host_control(state),
            _ => self.command(state, false),
        }
    }

    fn generation(&mut self, state: &State) -> u8 {
        if self.one_in(16) {
            self.random.next_u32() as u8
        } else {
            state.generation
        }
    }

    fn host_control(&mut self, state: &State) -> Event {
        let consumed = state.rx_ring() - state.rx_avail;
        let rx_bump = match self.below(6) {
            0..2 => 0,
            2 => consumed,
            3 => consumed / 2,
            4 => self.below(3000),
            _ => self.near(&[consumed, 1448]),
        };
        let free = state.tx_ring() - state.tx_avail - state.in_flight();
        let tx_bump = match self.below(8) {
            0 => 0,
            1 => free,
            2..6 => self.below(6000),
            6 => 1,
            _ => self.near(&[free, u32::from(state.mss)]),
        };
        Event::HostControl {
            generation: self.generation(state),
            rx_bump,
            tx_bump,
            finish: self.one_in(150),
        }
    }

    fn command(&mut self, state: &State, open: bool) -> Event {
        let command = match self.below(16) {
            _ if open => Command::Open(self.open()),
            0..7 => Command::Retransmit,
            7..10 => Command::Read,
            10..12 => Command::Close,
            12..14 => Command::Set {
                window: self.near(&[0, 1448, 65535, 1 << 20]),
                send_shift: self.below(16) as u8,
            },
            14 if self.one_in(2) => Command::Pace,
            14 => Command::Open(self.open()),
            15 if self.one_in(2) => Command::ReadLost,
            _ => Command::Unknown(self.below(256).max(7) as u8),
        };
        let generation = if open {
            self.random.next_u32() as u8
        } else {
            self.generation(state)
        };
        Event::Command {
            generation,
            command,
        }
    }

    fn open(&mut self) -> Open {
        let window = self.near(&[0, 1448, 8192, 65535, 1 << 20]);
        let words = OpenWords {
            timestamps: !self.one_in(4),
            ecn: self.one_in(2),
            opening: self.one_in(4),
            delayed_acks: !self.one_in(4),
            sack: !self.one_in(4),
            send_shift: self.mostly(5, 16) as u8,
            receive_shift: self.mostly(5, 16) as u8,
            mss: [536, 1448, 1460, 100, 9000][self.below(5) as usize],
            rx_log2: 13 + self.mostly(3, 12) as u8,
            tx_log2: 13 + self.mostly(3, 12) as u8,
            snd_nxt: self.random.next_u32(),
            rcv_nxt: self.random.next_u32(),
            window,
            ts_recent: self.random.next_u32(),
            ts_offset: self.random.next_u32(),
            ..OpenWords::default()
        };
        Open::from(&words)
    }

    /// A SACK block, most often of bytes that are outstanding.
    fn report(&mut self, s: &State, ack: u32) -> Option<SackBlock> {
        if !self.one_in(3) {
            return None;
        }
        let sacked = s.sacked[self.below(4) as usize];
        let (start, end) = (sacked.start.0, sacked.start.0.wrapping_add(sacked.len));
        let outstanding = s.snd_max - s.snd_una;
        let inside = s.snd_una.0.wrapping_add(self.below(outstanding.max(1)));
        let left = self.near(&[inside, inside, inside, ack, start, end, s.high_rxt.0]);
        let length = 1 + self.below(1500);
        let right = self.near(&[
            left.wrapping_add(length),
            left.wrapping_add(length),
            left.wrapping_add(length),
            start,
            end,
            s.snd_max.0,
        ]);
        Some(SackBlock {
            left: SeqNumber(left),
            right: SeqNumber(right),
        })
    }

    /// A pure acknowledgement of a peer that lacks something: few of all random segments are
    /// one, and a recovery needs many.
    fn reporting(&mut self, s: &State) -> Received {
        let outstanding = s.snd_max - s.snd_una;
        let into = self.below(outstanding + 1);
        let ack = match self.below(24) {
            0..20 => s.snd_una,
            20..22 => s.snd_una + into,
            22 => s.recover,
            _ => s.snd_max,
        };
        let from = 1 + self.below(outstanding.max(1));
        let length = 1 + self.below((outstanding - outstanding.min(from)).clamp(1, 2000));
        let sacked = s.sacked[self.below(4) as usize];
        let left = match self.below(4) {
            0 if sacked.len > 0 => sacked.start + sacked.len + self.below(3) - 1,
            _ => s.snd_una + from,
        };
        let window = (s.snd_wnd >> s.send_shift) as u16;
        Received {
            seq: s.rcv_nxt,
            ack,
            flags: flags::ACK,
            window: if self.one_in(6) { u16::MAX } else { window },
            timestamps: Some((s.ts_recent, s.ts_offset)),
            sack: if self.one_in(8) {
                [None; MAX_SACK_BLOCKS]
            } else {
                let right = left + length;
                self.repeating(s, SackBlock { left, right })
            },
            ..Received::default()
        }
    }

    /// The block, and often others: what was reported before, or was lost with its
    /// acknowledgement.
    fn repeating(&mut self, s: &State, first: SackBlock) -> [Option<SackBlock>; MAX_SACK_BLOCKS] {
        let mut blocks = [Some(first), None, None];
        let others = self.below(3) as usize;
        for block in blocks.iter_mut().skip(1).take(others) {
            let left = s.snd_una + self.below((s.snd_max - s.snd_una).max(1));
            let right = left + 1 + self.below(200);
            let other = SackBlock { left, right };
            *block = self.report(s, s.snd_una.0).or(Some(other));
        }
        blocks
    }

    fn segment(&mut self, s: &State) -> Received {
        if s.sack && s.scoreboard && s.snd_max != s.snd_una && !self.one_in(3) {
            return self.reporting(s);
        }
        let length = match self.below(8) {
            0..3 => 0,
            3..5 => self.below(16) as u16,
            5 => 1448,
            6 => self.below(16384) as u16,
            _ => s.rx_avail.min(16383) as u16,
        };
        let next = s.rcv_nxt.0;
        let slots = usize::from(s.intervals.max(1));
        let interval = s.held[self.below(slots as u32) as usize];
        let held = interval.start.0;
        let held_end = held.wrapping_add(interval.len);
        let len = u32::from(length);
        let seq = self.near(&[
            next,
            next,
            next,
            next.wrapping_sub(len),
            next.wrapping_add(s.rx_avail),
            next.wrapping_add(s.rx_avail).wrapping_sub(len),
            next.wrapping_add(len),
            held,
            held.wrapping_sub(len),
            held_end,
            held_end.wrapping_add(7),
            s.snd_wl1.0,
        ]);
        let into = self.below(3000);
        let ack = self.near(&[
            s.snd_una.0,
            s.snd_una.0,
            s.snd_nxt.0,
            s.snd_max.0,
            s.recover.0,
            s.snd_una.0.wrapping_add(into),
        ]);
        let window = match self.below(8) {
            0..5 => (s.snd_wnd >> s.send_shift) as u16,
            5 => 0,
            6 => u16::MAX,
            _ => self.random.next_u32() as u16,
        };
        let mut octet = flags::ACK;
        let behind = interval.len > 0 && seq != next && self.one_in(30);
        if behind || self.one_in(100) {
            octet |= flags::FIN;
        }
        if self.one_in(6) {
            octet |= flags::ECE;
        }
        if self.one_in(3) {
            octet |= flags::PSH;
        }
        let timestamps = if self.one_in(8) {
            None
        } else {
            let tick = s.ts_offset.wrapping_add(self.below(100));
            Some((self.near(&[s.ts_recent, s.ts_recent.wrapping_add(1)]), tick))
        };
        Received {
            sack: match self.report(s, ack) {
                Some(first) => self.repeating(s, first),
                None => [None; MAX_SACK_BLOCKS],
            },
            seq: SeqNumber(seq),
            ack: SeqNumber(ack),
            flags: octet,
            window,
            timestamps,
            congestion_experienced: if self.one_in(4) {
                self.one_in(2)
            } else {
                s.congestion_experienced
            },
            payload_len: length,
        }
    }
}
