//! The ordering contracts: a trace that breaks one stops the simulation with an error that names
//! the contract, the stage, the ticket and the flow, and a trace that keeps it passes.

use hallux_hdl::emit::{Options, emit};
use hallux_hdl::prelude::*;
use hallux_testbenches::Bench;
use hallux_toe::contracts;

/// All kinds of contracts, for eight flows.
#[derive(LogicBlock)]
struct Watched {
    pub clk: Signal<In, Clock>,
    pub rst: Signal<In, Bit>,
    pub ticket: Signal<In, Bits<24>>,
    pub flow: Signal<In, Bits<16>>,
    // Follows.
    pub demand: Signal<In, Bits<16>>,
    pub serve: Signal<In, Bits<16>>,
    pub comes: Signal<In, Bit>,
    pub leaves: Signal<In, Bit>,
    // EachOnce.
    pub arrives: Signal<In, Bit>,
    pub passes: Signal<In, Bit>,
    pub ends: Signal<In, Bit>,
    pub idle: Signal<In, Bit>,
    // Monotone and Carries.
    pub numbers: Signal<In, Bit>,
    pub value: Signal<In, Bits<32>>,
    pub changes: Signal<In, Bit>,
    pub found: Signal<In, Bits<128>>,
    pub left: Signal<In, Bits<128>>,
    pub forget: Signal<In, Bit>,
    follows: Follows,
    each_once: EachOnce,
    monotone: Monotone,
    carries: Carries,
}

impl Logic for Watched {
    #[hdl]
    fn update(&mut self) {
        self.follows.clk.next = self.clk.val();
        self.follows.rst.next = self.rst.val();
        self.follows.demand.next = self.demand.val();
        self.follows.serve.next = self.serve.val();
        self.follows.enter.next = self.comes.val();
        self.follows.ticket.next = self.ticket.val();
        self.follows.flow.next = self.flow.val();
        self.follows.leave.next = self.leaves.val();
        self.each_once.clk.next = self.clk.val();
        self.each_once.rst.next = self.rst.val();
        self.each_once.enter.next = self.arrives.val();
        self.each_once.ticket.next = self.ticket.val();
        self.each_once.flow.next = self.flow.val();
        self.each_once.ordered.next = true;
        self.each_once.passes.next = self.passes.val();
        self.each_once.passed.next = self.ticket.val();
        self.each_once.ends.next = self.ends.val();
        self.each_once.ended.next = self.ticket.val();
        self.each_once.idle.next = self.idle.val();
        self.monotone.clk.next = self.clk.val();
        self.monotone.rst.next = self.rst.val();
        self.monotone.check.next = self.numbers.val();
        self.monotone.flow.next = self.flow.val();
        self.monotone.ticket.next = self.ticket.val();
        self.monotone.value.next = self.value.val();
        self.monotone.forget.next = self.forget.val();
        self.monotone.forgotten.next = self.flow.val();
        self.carries.clk.next = self.clk.val();
        self.carries.rst.next = self.rst.val();
        self.carries.check.next = self.changes.val();
        self.carries.flow.next = self.flow.val();
        self.carries.ticket.next = self.ticket.val();
        self.carries.found.next = self.found.val();
        self.carries.after.next = self.left.val();
        self.carries.forget.next = self.forget.val();
        self.carries.forgotten.next = self.flow.val();
    }
}

/// What one clock of a trace pokes; all else is 0.
type Step = &'static [(&'static str, u64)];

fn watched(follows: &str) -> Watched {
    Watched {
        clk: Default::default(),
        rst: Default::default(),
        ticket: Default::default(),
        flow: Default::default(),
        demand: Default::default(),
        serve: Default::default(),
        comes: Default::default(),
        leaves: Default::default(),
        arrives: Default::default(),
        passes: Default::default(),
        ends: Default::default(),
        idle: Default::default(),
        numbers: Default::default(),
        value: Default::default(),
        changes: Default::default(),
        found: Default::default(),
        left: Default::default(),
        forget: Default::default(),
        follows: Follows::new(follows),
        each_once: EachOnce::new(contracts::ARRIVAL_ORDER, contracts::ENDS_ONCE, 8),
        monotone: Monotone::new(contracts::MONOTONE_ACK, 8),
        carries: Carries::new(contracts::STATE_CARRIES, 8),
    }
}

const PINS: [&str; 16] = [
    "ticket", "flow", "demand", "serve", "comes", "leaves", "arrives", "passes", "ends", "idle",
    "numbers", "value", "changes", "found", "left", "forget",
];

fn bench(follows: &str) -> Bench {
    let design = emit(&watched(follows), &Options::new("bench", "watched")).expect("emits");
    let mut bench = Bench::new(&design);
    for pin in PINS {
        bench.poke(pin, 0_u64);
    }
    bench.reset();
    bench
}

/// Plays a trace; the error that ended it, or none.
fn play(bench: &mut Bench, trace: &[Step]) -> Option<String> {
    for step in trace {
        for pin in PINS {
            let value = step.iter().find(|(name, _)| *name == pin);
            bench.poke(pin, value.map_or(0, |(_, value)| *value));
        }
        if let Err(error) = bench.try_cycle() {
            return Some(error.to_string());
        }
    }
    None
}

/// Each trace is played by a bench of its own: the first is kept, all others break the contract.
fn check(follows: &str, kept: &[Step], broken: &[(&[Step], &[&str])]) {
    assert_eq!(play(&mut bench(follows), kept), None);
    for (trace, said) in broken {
        let error = play(&mut bench(follows), trace).expect("the contract is broken");
        for part in *said {
            assert!(error.contains(part), "no {part:?} in {error:?}");
        }
    }
}

#[test]
fn a_segment_that_overtakes_an_older_one_of_its_flow_breaks_o1() {
    const ARRIVE: [Step; 3] = [
        &[("arrives", 1), ("ticket", 5), ("flow", 3)],
        &[("arrives", 1), ("ticket", 6), ("flow", 4)],
        &[("arrives", 1), ("ticket", 7), ("flow", 3)],
    ];
    let pass = |ticket: Step| -> Vec<Step> { [&ARRIVE[..], &[ticket]].concat() };
    let other_flow = pass(&[("passes", 1), ("ticket", 6)]);
    let newest_first = [
        &pass(&[("passes", 1), ("ticket", 7)])[..],
        &[&[("passes", 1), ("ticket", 5)]],
    ]
    .concat();
    check(
        "",
        &[
            &other_flow[..],
            &[
                &[("passes", 1), ("ticket", 5)],
                &[("passes", 1), ("ticket", 7)],
            ],
        ]
        .concat(),
        &[(&newest_first, &["O1 at protocol", "ticket 5", "flow 3"])],
    );
}

#[test]
fn a_number_that_steps_back_breaks_o2() {
    check(
        "",
        &[
            &[("numbers", 1), ("flow", 1), ("value", 0xffff_fff0)],
            &[("numbers", 1), ("flow", 1), ("value", 5)],
            &[("numbers", 1), ("flow", 2), ("value", 3)],
            &[("forget", 1), ("flow", 1)],
            &[("numbers", 1), ("flow", 1), ("value", 4)],
        ],
        &[(
            &[
                &[("numbers", 1), ("flow", 1), ("value", 5)],
                &[("numbers", 1), ("flow", 1), ("value", 4), ("ticket", 77)],
            ],
            &["O2 at assemble", "ticket 77", "flow 1"],
        )],
    );
}

#[test]
fn what_leaves_before_what_it_follows_breaks_o3_o4_and_o7() {
    for (message, names) in [
        (contracts::RECORD_FOLLOWS, "O3 at payload_write"),
        (contracts::HEADER_FOLLOWS, "O4 at payload_write"),
        (contracts::INTERRUPT_FOLLOWS, "O7 at notify"),
    ] {
        check(
            message,
            &[
                &[("demand", 100), ("comes", 1), ("ticket", 8), ("flow", 2)],
                &[("serve", 60)],
                &[("serve", 40), ("leaves", 1)],
            ],
            &[
                (
                    &[
                        &[("demand", 100), ("comes", 1), ("ticket", 8), ("flow", 2)],
                        &[("serve", 99)],
                        &[("leaves", 1)],
                    ],
                    &[names, "ticket 8", "flow 2"],
                ),
                (&[&[("leaves", 1)]], &[names, "nothing has entered"]),
            ],
        );
    }
}

#[test]
fn a_ticket_that_does_not_end_once_breaks_o5() {
    const COMES: Step = &[("arrives", 1), ("ticket", 9), ("flow", 6)];
    const ENDS: Step = &[("ends", 1), ("ticket", 9)];
    check(
        "",
        &[COMES, ENDS, &[("idle", 1)], COMES, ENDS],
        &[
            (&[COMES, ENDS, ENDS], &["O5 at payload_write", "ticket 9"]),
            (
                &[COMES, &[("idle", 1)]],
                &["O5 at payload_write", "ticket 9", "flow 6", "has not ended"],
            ),
            (&[ENDS], &["O5 at payload_write", "ticket 9", "never came"]),
        ],
    );
}

#[test]
fn an_event_that_does_not_see_the_one_before_it_breaks_o6() {
    check(
        "",
        &[
            &[("changes", 1), ("flow", 5), ("found", 10), ("left", 11)],
            &[("changes", 1), ("flow", 5), ("found", 11), ("left", 12)],
            &[("forget", 1), ("flow", 5)],
            &[("changes", 1), ("flow", 5), ("found", 99), ("left", 100)],
        ],
        &[(
            &[
                &[("changes", 1), ("flow", 5), ("found", 10), ("left", 11)],
                &[
                    ("changes", 1),
                    ("flow", 5),
                    ("found", 10),
                    ("left", 12),
                    ("ticket", 4),
                ],
            ],
            &["O6 at protocol", "ticket 4", "flow 5"],
        )],
    );
}

#[test]
fn a_reset_forgets_what_was_under_way() {
    let mut bench = bench(contracts::RECORD_FOLLOWS);
    let trace: [Step; 1] = [&[("arrives", 1), ("ticket", 1), ("demand", 9), ("comes", 1)]];
    assert_eq!(play(&mut bench, &trace), None);
    for pin in PINS {
        bench.poke(pin, 0_u64);
    }
    bench.reset();
    assert_eq!(play(&mut bench, &[&[("idle", 1)]]), None);
}
