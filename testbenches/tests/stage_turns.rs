//! Bench of `stages::turns`, against round robin as one would say it.

mod stage;

use hallux_testbenches::Bench;
use hallux_toe::stages::turns::Turns;
use stage::{Dice, assert_lint_clean, bench_of};

/// Round robin by the numbers of the requesters.
struct Expected {
    requesters: u64,
    served: u64,
    held: bool,
}

impl Expected {
    /// Who may send, of those that request.
    fn pick(&self, request: u64) -> Option<u64> {
        if self.held {
            return (request >> self.served & 1 == 1).then_some(self.served);
        }
        (1..=self.requesters)
            .map(|step| (self.served + step) % self.requesters)
            .find(|one| request >> one & 1 == 1)
    }
}

fn bench(requesters: usize) -> Bench {
    let mut bench = bench_of(&Turns::new(requesters), "turns", 1);
    for port in ["request", "moves", "ends"] {
        bench.poke(port, 0_u64);
    }
    bench.reset();
    bench
}

#[test]
fn lint_clean() {
    for requesters in [1, 2, 16] {
        assert_lint_clean(&Turns::new(requesters), "turns");
    }
}

#[test]
fn turns_are_round_robin_request_by_request() {
    for requesters in [1, 2, 5, 16] {
        let mut bench = bench(requesters);
        let mut dice = Dice::new(requesters as u64);
        let mut expected = Expected {
            requesters: requesters as u64,
            served: 0,
            held: false,
        };
        let (mut served, mut held) = (vec![0_u64; requesters], 0);
        for _ in 0..3000 {
            let mut request = dice.below(1 << requesters);
            if dice.below(4) == 0 {
                request &= dice.below(1 << requesters);
            }
            let pick = expected.pick(request);
            let moves = pick.is_some() && dice.below(4) > 0;
            let ends = dice.below(3) > 0;
            bench.poke("request", request);
            bench.poke("moves", u64::from(moves));
            bench.poke("ends", u64::from(ends));
            let turn = bench.peek("turn").u64();
            let word = format!("{requesters} requesters, {request:#b} request, turn {turn:#b}");
            assert_eq!(turn & request, pick.map_or(0, |one| 1 << one), "{word}");
            assert_eq!(bench.peek("held"), expected.held, "{word}");
            bench.cycle();
            if let (Some(one), true) = (pick, moves) {
                expected.served = one;
                expected.held = !ends;
                served[one as usize] += 1;
                held += u64::from(!ends);
            }
        }
        assert!(served.iter().all(|&times| times > 50), "{served:?}");
        assert!(held > 100, "{held} words that did not end their request");
    }
}

#[test]
fn one_who_is_alone_has_every_turn_and_a_request_keeps_it() {
    let mut bench = bench(3);
    let mut seen = Vec::new();
    // (request, moves, ends)
    for (request, moves, ends) in [
        (0b001, 1, 1),
        (0b001, 1, 1),
        (0b111, 1, 0),
        (0b101, 0, 0),
        (0b111, 1, 1),
        (0b011, 0, 1),
        (0b011, 1, 1),
        (0b011, 1, 1),
        (0b000, 0, 0),
    ] {
        bench.poke("request", request as u64);
        bench.poke("moves", moves as u64);
        bench.poke("ends", ends as u64);
        let picked = bench.peek("turn").u64() & request as u64;
        let held = if bench.peek("held") == true {
            ", held"
        } else {
            ""
        };
        seen.push(format!("{request:03b} request: {picked:03b}{held}"));
        bench.cycle();
    }
    insta::assert_snapshot!(seen.join("\n"), @r"
    001 request: 001
    001 request: 001
    111 request: 010
    101 request: 000, held
    111 request: 010, held
    011 request: 001
    011 request: 001
    011 request: 010
    000 request: 000
    ");
}
