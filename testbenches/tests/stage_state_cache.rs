//! Bench of `stages::state_cache`, between a host memory and a protocol stage that counts.

mod channel;
mod stage;

use channel::{narrow, structure, value};
use hallux_hdl::prelude::{Bits, Flat, Synth};
use hallux_testbenches::{Bench, Driver, Monitor, Stalls, fields};
use hallux_toe::channels::{Event, UP_READ, UP_WRITE};
use hallux_toe::interface::STATE_BYTES;
use hallux_toe::stages::protocol::exchange::{Fill, Stored};
use hallux_toe::stages::state_cache::{FILLS, StateCache, TAG};
use num_bigint::BigUint;
use stage::{BUSES, Dice, assert_lint_clean, bench_of, on_bus};
use std::collections::{BTreeMap, VecDeque};

const BASE: u64 = 0x12_3450_0000;
const CONNECTIONS: usize = 512;
/// Cycles from an event to its outcome, at least.
const LATENCY: u64 = 8;

/// The low 64 bits.
fn number<const N: usize>(bits: Bits<N>) -> u64 {
    bits.flat().iter_u64_digits().next().unwrap_or(0)
}

/// What the bench's protocol stage keeps: whose state it is, and how many events it saw.
fn stored(flow: u64, count: u64) -> Stored {
    let mut stored = Stored::default();
    stored.flow.snd_una = narrow(flow);
    stored.edge = narrow(count);
    stored
}

fn unpacked<T: Flat + Synth>(bytes: &[u8]) -> T {
    let all = BigUint::from_bytes_le(bytes);
    T::from_flat(&(all & ((BigUint::from(1u8) << T::BITS) - 1u8)))
}

/// The cache and everything around it.
struct System {
    bus: u64,
    bench: Bench,
    s: Driver,
    m: Monitor,
    m_fill: Monitor,
    m_order: Monitor,
    m_up: Monitor,
    s_cpl: Driver,
    dice: Dice,
    memory: BTreeMap<u64, Vec<u8>>,
    /// The write that is arriving: address and bytes so far.
    arriving: Option<(u64, Vec<u8>)>,
    /// Reads in flight: tag, data as of the read's arrival, bytes answered.
    reads: Vec<(u64, Vec<u8>, usize)>,
    slots: BTreeMap<u64, Stored>,
    /// Events inside the protocol stage: flow, slot, and the cycle they came in.
    inside: VecDeque<(u64, u64, u64)>,
    counts: Vec<u64>,
    /// Events so far, those of each flow that have not come out, and the frames that have arrived.
    sent: u64,
    waiting: BTreeMap<u64, VecDeque<u64>>,
    arrived: u64,
    /// Numbers of frames in the order in which they are asked for.
    ordered: Vec<u64>,
    /// Events in the order in which they came out.
    passed: Vec<u64>,
    misses: u64,
    most_in_flight: usize,
    /// The host answers no read.
    silent: bool,
    /// Percentage of cycles without an answer of the host or an outcome.
    lazy: u64,
}

impl System {
    fn new(bus: usize, slots: usize, ways: usize, seed: u64) -> Self {
        let mut bench = on_bus!(bus, |N, K| bench_of(
            &StateCache::<N>::new(CONNECTIONS, slots, ways),
            "state_cache",
            seed
        ));
        let (s, s_cpl) = (bench.driver("s"), bench.driver("s_cpl"));
        let (m, m_fill, m_order, m_up) = (
            bench.monitor("m"),
            bench.monitor("m_fill"),
            bench.monitor("m_order"),
            bench.monitor("m_up"),
        );
        bench.poke("base", BASE);
        bench.poke("outcome", 0);
        bench.poke("arrived", 0);
        bench.reset();
        Self {
            bus: bus as u64,
            bench,
            s,
            m,
            m_fill,
            m_order,
            m_up,
            s_cpl,
            dice: Dice::new(seed),
            memory: BTreeMap::new(),
            arriving: None,
            reads: vec![],
            slots: BTreeMap::new(),
            inside: VecDeque::new(),
            counts: vec![0; 1 << 16],
            sent: 0,
            waiting: BTreeMap::new(),
            arrived: 0,
            ordered: vec![],
            passed: vec![],
            misses: 0,
            most_in_flight: 0,
            silent: false,
            lazy: 0,
        }
    }

    fn send(&mut self, flow: u64) {
        self.bench
            .send(self.s, fields! { flow: flow, seq: self.sent });
        self.waiting.entry(flow).or_default().push_back(self.sent);
        self.sent += 1;
    }

    fn cycle(&mut self) {
        // The oldest event's outcome: only now is the state changed.
        let now = self.bench.cycles();
        let oldest = self.inside.front().copied();
        let outcome = oldest.is_some_and(|(_, _, came)| now >= came + LATENCY)
            && !self.dice.chance(self.lazy);
        if outcome {
            let (flow, slot, _) = self.inside.pop_front().unwrap();
            assert_eq!(self.bench.peek("outcome_flow").u64(), flow);
            if flow < CONNECTIONS as u64 {
                let state = self.slots.get(&slot).copied().unwrap_or_default();
                let count = number(state.edge);
                assert_eq!(
                    count, self.counts[flow as usize],
                    "flow {flow} in slot {slot}"
                );
                assert!(count == 0 || number(state.flow.snd_una) == flow);
                self.slots.insert(slot, stored(flow, count + 1));
                self.counts[flow as usize] += 1;
            } else {
                assert_eq!(slot, 0xffff);
            }
        }
        self.bench.poke("outcome", u64::from(outcome));
        let fill = self
            .bench
            .peek("m_fill_data")
            .to_bytes(Fill::BITS.div_ceil(8));
        let held = self
            .slots
            .get(&number(unpacked::<Fill>(&fill).slot))
            .copied()
            .unwrap_or_default();
        self.bench.poke("victim", value(held));
        // Frames arrive with their events or later.
        if !self.dice.chance(self.lazy) {
            self.arrived = self.bench.accepted(self.s);
        }
        self.bench.poke("arrived", self.arrived % 1024);
        self.misses += self.bench.peek("missed").u64();
        self.answer();
        self.bench.cycle();
        for record in self.bench.take_received(self.m_fill) {
            let fill: Fill = structure(&record);
            assert!(
                !self
                    .inside
                    .iter()
                    .any(|(_, slot, _)| *slot == number(fill.slot)),
                "a state is exchanged under an event"
            );
            self.slots.insert(number(fill.slot), fill.state);
        }
        for record in self.bench.take_received(self.m) {
            let event: Event = structure(&record);
            let index = number(event.seq);
            assert!(index < self.arrived, "an event before its frame");
            let first = |queue: &VecDeque<u64>| queue.front() == Some(&index);
            let Some((&flow, queue)) = self.waiting.iter_mut().find(|(_, queue)| first(queue))
            else {
                panic!("event {index} passed one of its own flow");
            };
            queue.pop_front();
            self.passed.push(index);
            self.inside
                .push_back((flow, number(event.flow), self.bench.cycles()));
        }
        for record in self.bench.take_received(self.m_order) {
            self.ordered.push(record.value().u64());
        }
        for beat in self.bench.take_received(self.m_up) {
            let field = |name| beat.field(name).u64();
            assert_eq!(field("bytes"), STATE_BYTES);
            let address = field("address");
            assert!(address.is_multiple_of(STATE_BYTES));
            assert!((BASE..BASE + CONNECTIONS as u64 * STATE_BYTES).contains(&address));
            if field("kind") == UP_READ {
                let tag = field("tag");
                assert!((TAG..TAG + FILLS as u64).contains(&tag));
                assert!(self.reads.iter().all(|read| read.0 != tag));
                let data = self.memory.get(&address).cloned();
                let data = data.unwrap_or_else(|| vec![0; STATE_BYTES as usize]);
                self.reads.push((tag, data, 0));
                continue;
            }
            assert_eq!(field("kind"), UP_WRITE);
            let (at, data) = self.arriving.get_or_insert((address, vec![]));
            assert_eq!(*at, address);
            data.extend(beat.field("data").to_bytes(self.bus as usize));
            let whole = data.len() == STATE_BYTES as usize;
            assert_eq!(field("last") == 1, whole);
            if let (true, Some((at, data))) = (whole, self.arriving.take_if(|_| whole)) {
                self.memory.insert(at, data);
            }
        }
        self.most_in_flight = self.most_in_flight.max(self.reads.len());
    }

    /// A beat of some read's completion.
    fn answer(&mut self) {
        if self.silent
            || self.reads.is_empty()
            || self.bench.pending(self.s_cpl) > 1
            || self.dice.chance(self.lazy)
        {
            return;
        }
        let index = self.dice.below(self.reads.len() as u64) as usize;
        let (tag, data, answered) = &mut self.reads[index];
        let end = (*answered + self.bus as usize).min(data.len());
        let last = end == data.len();
        let beat = fields! {
            tag: *tag,
            offset: *answered,
            data: &data[*answered..end],
            bytes: end - *answered,
            last: last,
        };
        *answered = end;
        self.bench.send(self.s_cpl, beat);
        if last {
            self.reads.remove(index);
        }
    }

    fn drain(&mut self) {
        for _ in 0..200_000 {
            if self.bench.pending(self.s) == 0
                && self.inside.is_empty()
                && self.bench.peek("idle") == 1
            {
                return;
            }
            self.cycle();
        }
        panic!(
            "never idle: {} events of {} passed",
            self.passed.len(),
            self.sent
        );
    }

    /// Every count is where the cache says: in a slot, or in memory.
    fn check(&self) {
        let numbers: Vec<u64> = self.passed.iter().map(|index| index % 1024).collect();
        assert!(numbers == self.ordered, "frames do not follow their events");
        for (flow, &count) in self.counts.iter().enumerate().take(CONNECTIONS) {
            let address = BASE + flow as u64 * STATE_BYTES;
            let kept = self
                .memory
                .get(&address)
                .map_or(0, |bytes| number(unpacked::<Stored>(bytes).edge));
            let on_chip = self.slots.values().any(|state| {
                number(state.flow.snd_una) == flow as u64 && number(state.edge) == count
            });
            assert!(
                count == kept || on_chip,
                "flow {flow}: {count}, {kept} in memory"
            );
        }
    }
}

#[test]
fn lint_clean() {
    for bus in BUSES {
        on_bus!(bus, |N, K| assert_lint_clean(
            &StateCache::<N>::new(CONNECTIONS, 64, 4),
            "state_cache"
        ));
    }
}

#[test]
fn what_fits_misses_once_and_then_passes_at_one_a_clock() {
    let mut system = System::new(64, 64, 4, 1);
    for flow in 0..64 {
        system.send(flow);
    }
    system.drain();
    assert_eq!(system.misses, 64);
    assert!(system.most_in_flight > 16, "{}", system.most_in_flight);
    let from = system.bench.cycles();
    for event in 0..1000 {
        system.send(event * 7 % 64);
    }
    system.drain();
    assert_eq!(system.misses, 64);
    let cycles = system.bench.cycles() - from;
    assert!(cycles < 1020, "{cycles}");
    system.check();
}

/// More misses than reads, places to wait and words of the queue, while nothing leaves.
#[test]
fn a_queue_full_of_misses_is_filled_while_nothing_leaves() {
    let mut system = System::new(64, 128, 4, 9);
    system.bench.stall(system.m, Stalls::always());
    for flow in 0..100 {
        system.send(flow);
    }
    for _ in 0..4000 {
        system.cycle();
    }
    system.bench.stall(system.m, Stalls::none());
    system.drain();
    assert_eq!(system.misses, 100);
    system.check();
}

/// A miss is parked: what hits overtakes it, and the events of its own flow wait behind it.
#[test]
fn hits_overtake_a_miss_and_its_flow_keeps_its_order() {
    let mut system = System::new(64, 64, 4, 11);
    for flow in 1..=10 {
        system.send(flow);
    }
    system.drain();
    let before = system.passed.len();
    // The host answers no read for now.
    system.silent = true;
    for flow in [100, 1, 100, 2, 101, 3, 100, 4, 101, 5] {
        system.send(flow);
    }
    for _ in 0..200 {
        system.cycle();
    }
    assert_eq!(
        system.passed[before..],
        [11, 13, 15, 17, 19],
        "only the hits"
    );
    system.silent = false;
    system.drain();
    assert_eq!(
        system.passed[before + 5..],
        [10, 12, 16, 14, 18],
        "the parked ones, flow by flow"
    );
    system.check();
}

/// Events of one set in consecutive clocks: hits behind misses, behind replacements and behind the return of
/// what was just replaced, while fills of the set end.
#[test]
fn events_of_one_set_follow_each_other_at_one_a_clock() {
    for (seed, ways) in [(21, 1), (22, 2), (23, 4), (24, 8)] {
        let mut system = System::new(64, 2 * ways, ways, seed);
        for round in 0..150 {
            // Few enough connections that they return soon, now and then one of the other set.
            let flows = system.dice.within(ways as u64, ways as u64 + 3);
            system.lazy = [0, 0, 50, 0][round % 4];
            // Events that find `act` empty, and a queue that is full.
            let (gaps, stops) = [(0, 0), (60, 0), (30, 0), (0, 90)][round % 4];
            system.bench.stall(system.s, Stalls::random(gaps));
            system.bench.stall(system.m, Stalls::random(stops));
            for _ in 0..system.dice.within(4, 60) {
                let other = u64::from(system.dice.chance(20));
                let flow = 2 * system.dice.below(flows) + other;
                for _ in 0..system.dice.within(1, 3) {
                    system.send(flow);
                }
            }
            for _ in 0..system.dice.below(60) {
                system.cycle();
            }
        }
        system.drain();
        assert!(system.misses > 200, "{} misses", system.misses);
        system.check();
    }
}

#[test]
fn every_event_meets_the_state_that_the_one_before_it_left() {
    let shapes = [
        (64, 64, 4),
        (32, 64, 1),
        (128, 64, 8),
        (64, 16, 8),
        (64, 128, 2),
    ];
    for (seed, (bus, slots, ways)) in shapes.into_iter().enumerate() {
        let mut system = System::new(bus, slots, ways, seed as u64);
        system.lazy = system.dice.below(80);
        for monitor in [system.m, system.m_fill, system.m_order, system.m_up] {
            let percent = system.dice.below(60) as u32;
            system.bench.stall(monitor, Stalls::random(percent));
        }
        for driver in [system.s, system.s_cpl] {
            let percent = system.dice.below(60) as u32;
            system.bench.stall(driver, Stalls::random(percent));
        }
        for _ in 0..4000 {
            // A few busy connections, many others, and ids that do not exist.
            let flow = match system.dice.below(10) {
                0..5 => system.dice.below(40),
                9 if system.dice.chance(10) => system.dice.within(512, 0xffff),
                _ => system.dice.below(CONNECTIONS as u64),
            };
            system.send(flow);
        }
        system.drain();
        assert!(system.misses > 500, "{} misses", system.misses);
        system.check();
    }
}
