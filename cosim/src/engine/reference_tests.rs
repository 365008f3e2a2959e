//! The engine against a naive one: a global queue that handles one instant of
//! one component at a time. Random components on random topologies must see
//! exactly the same.

use std::any::Any;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use hallux_channel::simbricks::{Delivery, Endpoint, Options, Role, SyncMode};
use hallux_channel::{Component, ComponentError, Io, Mailbox, Message, PortSpec, Protocol, Time};
use proptest::prelude::*;
use rand_core::{RngCore, SeedableRng};
use rand_pcg::Pcg64;

use super::*;

mod machines;

/// Talks at random, answers at random, and writes down all it sees.
struct Chatter {
    name: String,
    ports: Vec<PortSpec>,
    random: Pcg64,
    next: Time,
    actions_left: u32,
    /// Earliest allowed stamp per port.
    busy_until: Vec<Time>,
    done: Option<Time>,
    log: Log,
}

/// When, on which port, and a tag.
type Log = Vec<(Time, usize, u64)>;

/// Stands for "own action" in the log.
const OWN: usize = usize::MAX;

impl Chatter {
    fn new(name: String, ports: usize, seed: u64, actions: u32) -> Self {
        let mut random = Pcg64::seed_from_u64(seed);
        Chatter {
            name,
            ports: (0..ports)
                .map(|n| PortSpec::new(format!("p{n}"), Protocol::Ethernet))
                .collect(),
            next: Time::from_ps(random.next_u64() % 50),
            random,
            actions_left: actions,
            busy_until: vec![Time::ZERO; ports],
            done: None,
            log: Vec::new(),
        }
    }

    fn say(&mut self, now: Time, io: &mut Io<'_>) {
        if self.ports.is_empty() {
            return;
        }
        let draw = self.random.next_u64();
        let port = (draw % self.ports.len() as u64) as usize;
        // Half of the messages are stamped ahead, as frames are.
        let ahead = if draw & 0x100 == 0 { 0 } else { draw >> 56 };
        let at = (now + Time::from_ps(ahead)).max(self.busy_until[port]);
        self.busy_until[port] = at;
        io.send(
            port,
            at,
            Message::Frame(Bytes::copy_from_slice(&draw.to_le_bytes())),
        );
    }
}

impl Component for Chatter {
    fn name(&self) -> &str {
        &self.name
    }

    fn ports(&self) -> &[PortSpec] {
        &self.ports
    }

    fn next_action(&self) -> Time {
        self.next
    }

    fn advance(&mut self, horizon: Time, io: &mut Io<'_>) -> Result<(), ComponentError> {
        loop {
            if let Some((at, port, message)) =
                io.pop_before(horizon.min(self.next + Time::from_ps(1)))
            {
                let tag = u64::from_le_bytes(message.payload().try_into().expect("8 bytes"));
                self.log.push((at, port, tag));
                if tag % 3 != 0 {
                    self.say(at, io);
                }
            } else if self.next < horizon {
                let now = self.next;
                self.log.push((now, OWN, u64::from(self.actions_left)));
                self.say(now, io);
                self.actions_left -= 1;
                self.next = now + Time::from_ps(1 + self.random.next_u64() % 40);
                if self.actions_left == 0 {
                    self.next = Time::NEVER;
                    self.done = Some(now);
                }
            } else {
                return Ok(());
            }
        }
    }

    fn finished_at(&self) -> Option<Time> {
        self.done
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

/// Component count, links between them with their latency in ps, and a seed.
#[derive(Clone, Debug)]
struct World {
    count: usize,
    links: Vec<(usize, usize, u64)>,
    seed: u64,
}

impl World {
    /// Ports are numbered by the links they belong to.
    fn ends(&self) -> (Vec<usize>, Vec<[(usize, usize); 2]>) {
        let mut ports = vec![0; self.count];
        let mut take = |node: usize| {
            ports[node] += 1;
            (node, ports[node] - 1)
        };
        let ends = self
            .links
            .iter()
            .map(|&(a, b, _)| [take(a), take(b)])
            .collect();
        (ports, ends)
    }

    fn chatter(&self, index: usize, ports: usize) -> Chatter {
        Chatter::new(format!("c{index}"), ports, self.seed + index as u64, 20)
    }

    /// Logs, end and captured frames of the engine, adding the components in
    /// the order of `order`.
    fn run(&self, order: &[usize]) -> (Vec<Log>, Outcome, Vec<Seen>) {
        self.run_as(order, &Mode::Fused)
    }

    fn run_as(&self, order: &[usize], mode: &Mode) -> (Vec<Log>, Outcome, Vec<Seen>) {
        let (ports, ends) = self.ends();
        let mut simulation = Simulation::new();
        let mut ids = vec![None; self.count];
        for &index in order {
            ids[index] = Some(simulation.add(self.chatter(index, ports[index])).unwrap());
        }
        let id = |node: usize| ids[node].unwrap();
        for (&(.., latency), [a, b]) in self.links.iter().zip(&ends) {
            let latency = Time::from_ps(latency);
            simulation
                .connect(
                    (id(a.0), &format!("p{}", a.1)),
                    (id(b.0), &format!("p{}", b.1)),
                    latency,
                )
                .unwrap();
        }
        let seen = std::sync::Arc::new(std::sync::Mutex::new(Eyes::default()));
        for (node, &count) in ports.iter().enumerate().take(2) {
            for port in 0..count {
                simulation
                    .tap((id(node), &format!("p{port}")), format!("{node}/{port}"))
                    .unwrap();
            }
        }
        simulation.add_sink(std::sync::Arc::clone(&seen));
        let outcome = mode.run(&mut simulation, &options()).unwrap();
        let logs = (0..self.count)
            .map(|node| {
                simulation
                    .component::<Chatter>(id(node))
                    .unwrap()
                    .log
                    .clone()
            })
            .collect();
        let seen = std::mem::take(&mut seen.lock().unwrap().0);
        (logs, outcome, seen)
    }

    /// The same by brute force: always the earliest instant, alone.
    fn run_naively(&self, end: Time) -> Vec<Log> {
        let (ports, ends) = self.ends();
        let mut nodes: Vec<_> = (0..self.count)
            .map(|index| {
                let chatter = self.chatter(index, ports[index]);
                let mailbox = Mailbox::new(chatter.ports());
                (chatter, mailbox)
            })
            .collect();
        loop {
            let due = |(chatter, mailbox): &(Chatter, Mailbox)| {
                mailbox
                    .peek()
                    .map_or(Time::NEVER, |(at, _)| at)
                    .min(chatter.next_action())
            };
            let (first, at) = nodes
                .iter()
                .map(due)
                .enumerate()
                .min_by_key(|&(_, at)| at)
                .unwrap();
            if at >= end {
                return nodes.into_iter().map(|(chatter, _)| chatter.log).collect();
            }
            let (chatter, mailbox) = &mut nodes[first];
            chatter
                .advance(at + Time::from_ps(1), &mut mailbox.io())
                .unwrap();
            while let Some(sent) = nodes[first].1.take_sent() {
                for (ends, &(.., latency)) in ends.iter().zip(&self.links) {
                    for (from, to) in [(ends[0], ends[1]), (ends[1], ends[0])] {
                        if from == (first, sent.port) {
                            let arrival = sent.at + Time::from_ps(latency);
                            nodes[to.0].1.deliver(to.1, arrival, sent.message.clone());
                        }
                    }
                }
            }
        }
    }
}

/// How the components run.
enum Mode {
    Fused,
    /// In threads: component `n`, in the order of adding, in thread `self.0[n]`.
    Threads(Vec<usize>),
    /// The same over SimBricks rings of few slots, which are often full; the
    /// sync interval is the latency.
    Rings(Vec<usize>),
    /// The same, each thread as if on a machine of its own, over TCP.
    Machines(Vec<usize>),
}

impl Mode {
    fn run(
        &self,
        simulation: &mut Simulation,
        options: &RunOptions<'_>,
    ) -> Result<Outcome, RunError> {
        match self {
            Mode::Fused => simulation.run(options, &mut |_| ()),
            Mode::Threads(threads) => {
                let partition = partition(simulation, threads);
                let policy = WaitPolicy::default();
                simulation.run_in_threads(&partition, policy, options, &mut |_| ())
            }
            Mode::Rings(threads) => {
                let partition = partition(simulation, threads);
                let policy = WaitPolicy::default();
                let ring = |end| Box::new(Ring::new(end)) as Box<dyn Boundary>;
                let link = &mut |latency| {
                    let (a, b) = channel(SyncMode::Required, latency);
                    (ring(a), ring(b))
                };
                simulation.run_in_threads_over(link, &partition, policy, options, &mut |_| ())
            }
            Mode::Machines(machines) => {
                let partition = partition(simulation, machines);
                machines::run(simulation, &partition, options)
            }
        }
    }

    fn all() -> [Mode; 7] {
        [
            Mode::Machines(vec![0, 1, 0, 1, 0, 1]),
            Mode::Machines(vec![0, 1, 2, 3, 4, 5]),
            Mode::Rings(vec![0, 1, 0, 1, 0, 1]),
            Mode::Rings(vec![0, 1, 2, 3, 4, 5]),
            Mode::Fused,
            Mode::Threads(vec![0, 1, 0, 1, 0, 1]),
            Mode::Threads(vec![0, 1, 2, 3, 4, 5]),
        ]
    }
}

fn partition(simulation: &Simulation, threads: &[usize]) -> Partition {
    Partition::by_key(&threads[..simulation.names().count()])
}

/// A SimBricks channel of few slots.
fn channel(sync: SyncMode, latency: Time) -> (Endpoint, Endpoint) {
    let options = Options {
        slots: 4,
        ..Options::default()
    };
    let role = || Role::Ethernet;
    Endpoint::pair(role(), role(), sync, latency, latency, &options).unwrap()
}

type Seen = (Time, usize, Direction, Bytes);

#[derive(Default)]
struct Eyes(Vec<Seen>);

impl MessageSink for Eyes {
    fn message(&mut self, tapped: &Tapped<'_>) -> std::io::Result<()> {
        let frame = Bytes::copy_from_slice(tapped.message.payload());
        let seen = (tapped.at, tapped.interface, tapped.direction, frame);
        self.0.push(seen);
        Ok(())
    }
}

fn options() -> RunOptions<'static> {
    RunOptions {
        stop_quantum: Time::from_ps(100),
        max_time: Time::from_us(1),
        cancel: None,
    }
}

fn world() -> impl Strategy<Value = World> {
    (1_usize..6).prop_flat_map(|count| {
        // Few different latencies, so that equal stamps are common.
        let link = (
            0..count,
            0..count,
            prop::sample::select(vec![1_u64, 7, 10, 20, 40]),
        );
        (prop::collection::vec(link, 0..9), any::<u32>()).prop_map(move |(links, seed)| World {
            count,
            links,
            seed: u64::from(seed),
        })
    })
}

proptest! {
    #[test]
    fn the_engine_agrees_with_a_global_queue(world in world(), rotation in 0_usize..6) {
        let mut order: Vec<usize> = (0..world.count).collect();
        let (logs, outcome, seen) = world.run(&order);
        prop_assert_eq!(&logs, &world.run_naively(outcome.end));
        prop_assert!(seen.is_sorted_by_key(|&(at, interface, direction, _)| (at, interface, direction)));
        order.rotate_left(rotation % world.count);
        order.reverse();
        prop_assert_eq!(world.run(&order), (logs, outcome, seen), "insertion order matters");
    }

    #[test]
    fn threads_agree_with_one_thread(
        world in world(),
        threads in prop::collection::vec(0_usize..4, 6),
    ) {
        let order: Vec<usize> = (0..world.count).collect();
        let fused = world.run(&order);
        let rings = Mode::Rings(threads.clone());
        let machines = Mode::Machines(threads.clone());
        prop_assert_eq!(&world.run_as(&order, &Mode::Threads(threads)), &fused);
        prop_assert_eq!(&world.run_as(&order, &rings), &fused, "over rings");
        prop_assert_eq!(&world.run_as(&order, &machines), &fused, "over machines");
    }
}

/// A port without synchronisation beside one with it: the one holds nothing
/// up, the other still keeps the times together.
#[test]
fn a_port_without_sync_stands_beside_one_with_it() {
    let latency = Time::from_ns(1);
    let max_time = Time::from_ns(500);
    let (near, far) = channel(SyncMode::Required, latency);
    let (free, mut peer) = channel(SyncMode::Disabled, latency);
    for tag in [3_u64, 6, 9] {
        let message = Message::Frame(Bytes::copy_from_slice(&tag.to_le_bytes()));
        assert_eq!(peer.try_send(Time::ZERO, &message).unwrap(), Delivery::Sent);
    }
    let outside = |component, port: &str, end| OutsideLink {
        component,
        port: port.to_owned(),
        latency,
        boundary: Box::new(Ring::new(end)),
    };
    let options = OutsideOptions {
        max_time,
        cancel: None,
    };
    let log = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut simulation = Simulation::new();
            let twin = simulation
                .add(Chatter::new("twin".into(), 1, 5, 20))
                .unwrap();
            let links = vec![outside(twin, "p0", far)];
            simulation
                .run_outside(links, &options, &mut |_| ())
                .unwrap()
        });
        scope.spawn(move || {
            // Takes what is said to it, until the other side has ended.
            while !peer.terminated() {
                let _said = peer.poll().unwrap();
                std::thread::yield_now();
            }
        });
        let mut simulation = Simulation::new();
        let middle = simulation
            .add(Chatter::new("middle".into(), 2, 9, 20))
            .unwrap();
        let links = vec![outside(middle, "p0", near), outside(middle, "p1", free)];
        let reached = simulation
            .run_outside(links, &options, &mut |_| ())
            .unwrap();
        assert_eq!(reached, max_time);
        simulation.component::<Chatter>(middle).unwrap().log.clone()
    });
    let tags = |port| -> Vec<u64> {
        let seen = log.iter().filter(|entry| entry.1 == port);
        seen.map(|entry| entry.2).collect()
    };
    assert_eq!(tags(1), [3, 6, 9]);
    assert!(tags(0).len() >= 20, "{log:?}");
    assert!(log.is_sorted_by_key(|entry| entry.0));
}

/// Sends what it is told at given times, votes at another, and writes down what comes.
struct Script {
    name: String,
    ports: Vec<PortSpec>,
    sends: Vec<(Time, Bytes)>,
    vote: Time,
    clock: Time,
    received: usize,
}

impl Script {
    fn new(name: &str, sends: Vec<(Time, Bytes)>, vote: Time) -> Self {
        Script {
            name: name.to_owned(),
            ports: vec![PortSpec::new("p0", Protocol::Ethernet)],
            sends,
            vote,
            clock: Time::ZERO,
            received: 0,
        }
    }
}

impl Component for Script {
    fn name(&self) -> &str {
        &self.name
    }
    fn ports(&self) -> &[PortSpec] {
        &self.ports
    }
    fn next_action(&self) -> Time {
        match self.sends.first() {
            Some((at, _)) => *at,
            None if self.clock <= self.vote => self.vote,
            None => Time::NEVER,
        }
    }
    fn advance(&mut self, horizon: Time, io: &mut Io<'_>) -> Result<(), ComponentError> {
        while let Some((at, _)) = self.sends.first().filter(|(at, _)| *at < horizon) {
            let at = *at;
            while io.pop_before(at + Time::from_ps(1)).is_some() {
                self.received += 1;
            }
            let (_, frame) = self.sends.remove(0);
            io.send(0, at, Message::Frame(frame));
        }
        while io.pop_before(horizon).is_some() {
            self.received += 1;
        }
        self.clock = horizon;
        Ok(())
    }
    fn finished_at(&self) -> Option<Time> {
        (self.clock > self.vote).then_some(self.vote)
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

/// In whichever mode: a link that is not synchronised holds nothing up, and
/// changes nothing at the links beside it.
#[test]
fn a_port_without_sync_changes_nothing_at_its_neighbour_in_any_mode() {
    let frame = |tag: u64| Bytes::copy_from_slice(&tag.to_le_bytes());
    let build = || {
        let mut simulation = Simulation::new();
        let middle = simulation
            .add(Chatter::new("middle".into(), 2, 9, 20))
            .unwrap();
        let twin = simulation
            .add(Chatter::new("twin".into(), 1, 5, 20))
            .unwrap();
        // None of the tags is answered; the vote comes long after all others.
        let sends = [3, 6, 9].map(|tag| (Time::from_ps(tag), frame(tag)));
        let free = Script::new("free", sends.into(), Time::from_ps(5_000));
        let free = simulation.add(free).unwrap();
        let latency = Time::from_ps(10);
        simulation
            .connect((middle, "p0"), (twin, "p0"), latency)
            .unwrap();
        simulation
            .connect((middle, "p1"), (free, "p0"), latency)
            .unwrap();
        (simulation, middle)
    };
    let log = |simulation: &Simulation, middle| {
        let middle: &Chatter = simulation.component(middle).unwrap();
        let beside = |entry: &&(Time, usize, u64)| entry.1 != 1;
        let tags = middle.log.iter().filter(|entry| entry.1 == 1);
        assert_eq!(tags.map(|entry| entry.2).collect::<Vec<_>>(), [3, 6, 9]);
        assert!(middle.log.is_sorted_by_key(|entry| entry.0));
        middle.log.iter().filter(beside).copied().collect::<Log>()
    };
    let mut expected = None;
    for mode in Mode::all() {
        let (mut simulation, middle) = build();
        mode.run(&mut simulation, &options()).unwrap();
        let found = log(&simulation, middle);
        assert_eq!(expected.get_or_insert(found.clone()), &found);
    }
    for threads in [[0, 1, 2], [0, 0, 1]] {
        let (mut simulation, middle) = build();
        let partition = Partition::by_key(threads);
        let mut cut = partition.count() == 2;
        let links = &mut |latency| -> threads::Ends {
            // The first that is cut stays in step, unless it is not cut.
            let sync = match std::mem::replace(&mut cut, true) {
                false => SyncMode::Required,
                true => SyncMode::Disabled,
            };
            let (a, b) = channel(sync, latency);
            (Box::new(Ring::new(a)), Box::new(Ring::new(b)))
        };
        let policy = WaitPolicy::default();
        simulation
            .run_in_threads_over(links, &partition, policy, &options(), &mut |_| ())
            .unwrap();
        assert_eq!(expected.as_ref(), Some(&log(&simulation, middle)));
    }
}

/// A frame that no slot can hold is never written past it: it is counted, and
/// the run says that it is not what other modes would leave. Links without
/// slots carry it.
#[test]
fn frames_longer_than_a_slot_end_a_run_with_their_count() {
    for mode in Mode::all() {
        let mut simulation = Simulation::new();
        let sends = [5, 7].map(|at| (Time::from_ps(at), vec![0; 2_000].into()));
        let giant = Script::new("giant", sends.into(), Time::from_ps(10));
        let giant = simulation.add(giant).unwrap();
        let other = Script::new("other", Vec::new(), Time::ZERO);
        let other = simulation.add(other).unwrap();
        simulation
            .connect((giant, "p0"), (other, "p0"), Time::from_ps(10))
            .unwrap();
        let result = mode.run(&mut simulation, &options());
        let received = simulation.component::<Script>(other).unwrap().received;
        match mode {
            Mode::Rings(_) => {
                let error = result.unwrap_err();
                let counted = matches!(&error, RunError::Refused { component, frames: 2, .. } if component == "giant");
                assert!(counted, "{error}");
                assert_eq!(received, 0);
            }
            _ => {
                result.unwrap();
                assert_eq!(received, 2);
            }
        }
    }
}

/// A run ends at the first multiple of the quantum strictly after the last
/// vote plus the largest path latency.
#[test]
fn the_end_follows_from_the_votes() {
    let world = World {
        count: 3,
        links: vec![(0, 1, 10), (1, 2, 20)],
        seed: 7,
    };
    let (logs, outcome, _) = world.run(&[0, 1, 2]);
    let votes = logs
        .iter()
        .map(|log| log.iter().rfind(|entry| entry.1 == OWN).unwrap().0);
    assert_eq!(outcome.completed, votes.max().unwrap());
    assert_eq!(
        outcome.end.ps(),
        ((outcome.completed.ps() + 30) / 100 + 1) * 100
    );
}

/// Messages with equal stamps on two ports come by port, and before the
/// component's own event of that instant, whichever sender ran first.
#[test]
fn equal_stamps_come_by_port_and_before_own_events() {
    let mut logs = Vec::new();
    let orders = [[0, 1], [1, 0]];
    for (order, mode) in orders
        .into_iter()
        .flat_map(|order| Mode::all().map(|mode| (order, mode)))
    {
        let mut simulation = Simulation::new();
        let listener = simulation
            .add(Chatter::new("listener".to_owned(), 2, 9, 20))
            .unwrap();
        for port in order {
            // Twins: the same seed, so the same stamps.
            let twin = Chatter::new(format!("twin{port}"), 1, 5, 20);
            let twin = simulation.add(twin).unwrap();
            let port = format!("p{port}");
            simulation
                .connect((listener, &port), (twin, "p0"), Time::from_ps(10))
                .unwrap();
        }
        mode.run(&mut simulation, &options()).unwrap();
        let log = simulation
            .component::<Chatter>(listener)
            .unwrap()
            .log
            .clone();
        assert!(log.is_sorted_by_key(|&(at, port, _)| (at, port)));
        let pairs = log.windows(2).filter(|pair| pair[0].0 == pair[1].0);
        assert!(pairs.count() >= 5, "the test needs equal stamps");
        logs.push(log);
    }
    assert!(logs.iter().all(|log| *log == logs[0]));
}

#[test]
fn a_world_that_stands_still_names_who_waits() {
    struct Waiter(&'static str, Vec<PortSpec>, Time);
    impl Component for Waiter {
        fn name(&self) -> &str {
            self.0
        }
        fn ports(&self) -> &[PortSpec] {
            &self.1
        }
        fn next_action(&self) -> Time {
            self.2
        }
        fn advance(&mut self, horizon: Time, _: &mut Io<'_>) -> Result<(), ComponentError> {
            self.2 = if self.2.is_never() {
                self.2
            } else {
                self.2.max(horizon)
            };
            Ok(())
        }
        fn finished_at(&self) -> Option<Time> {
            None
        }
        fn waiting_for(&self) -> String {
            "Godot".to_owned()
        }
        fn as_any(&self) -> &dyn Any {
            self
        }
        fn as_any_mut(&mut self) -> &mut dyn Any {
            self
        }
    }
    for mode in Mode::all() {
        stand_still(&mode);
    }
    fn stand_still(mode: &Mode) {
        let run = |next, options: &RunOptions<'_>| {
            let mut simulation = Simulation::new();
            for name in ["waiter", "other"] {
                simulation.add(Waiter(name, Vec::new(), next)).unwrap();
            }
            mode.run(&mut simulation, options).unwrap_err()
        };
        let deadlock = run(Time::NEVER, &options());
        assert!(matches!(deadlock, RunError::Deadlock { .. }));
        assert!(
            deadlock.to_string().contains("waiter waits for Godot"),
            "{deadlock}"
        );

        let deadline = run(Time::ZERO, &options());
        assert!(matches!(deadline, RunError::Deadline { at, .. } if at == Time::from_us(1)));

        let cancel = AtomicBool::new(true);
        let endless = RunOptions {
            max_time: Time::NEVER,
            cancel: Some(&cancel),
            ..options()
        };
        assert!(matches!(
            run(Time::ZERO, &endless),
            RunError::Cancelled { .. }
        ));

        let unquantised = RunOptions {
            stop_quantum: Time::ZERO,
            ..options()
        };
        assert!(matches!(run(Time::ZERO, &unquantised), RunError::NoQuantum));
    }
}

#[test]
fn what_does_not_fit_is_not_joined() {
    let mut simulation = Simulation::new();
    let chatter = |name: &str, ports| Chatter::new(name.to_owned(), ports, 0, 1);
    let a = simulation.add(chatter("a", 1)).unwrap();
    let b = simulation.add(chatter("b", 1)).unwrap();
    let ns = Time::from_ns(1);
    assert_eq!(
        simulation.add(chatter("a", 1)),
        Err(BuildError::DuplicateName("a".to_owned()))
    );
    assert!(matches!(
        simulation.connect((a, "p0"), (b, "p1"), ns),
        Err(BuildError::NoSuchPort { known, .. }) if known == "`p0`"
    ));
    assert!(matches!(
        simulation.connect((a, "p0"), (b, "p0"), Time::ZERO),
        Err(BuildError::NoLatency { .. })
    ));
    assert!(matches!(
        simulation.connect((a, "p0"), (a, "p0"), ns),
        Err(BuildError::AlreadyConnected { .. })
    ));
    assert!(matches!(
        simulation.run(&options(), &mut |_| ()),
        Err(RunError::Unconnected { component, .. }) if component == "a"
    ));
    simulation.connect((a, "p0"), (b, "p0"), ns).unwrap();
    assert!(matches!(
        simulation.connect((a, "p0"), (b, "p0"), ns),
        Err(BuildError::AlreadyConnected { .. })
    ));
}
