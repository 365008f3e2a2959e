//! Turns: which of several requesters may send, request by request.
//!
//! ```text
//!              ┌────────────┐
//!  request ───►│ who comes  ├──► turn
//!  moves, ────►│ before     │
//!  ends        │ whom       ├──► held
//!              └────────────┘
//! ```
//!
//! Round robin: behind the requester served last, in the order of their numbers. A request of
//! several words keeps the turn until it ends. The turn moves only when a word does, so nothing
//! changes while all is idle.
//!
//! Who comes before whom is kept as bits, worked out as the turn moves. So a requester's turn is
//! found in two look-up tables behind the requests of the others, and does not ask whether it
//! requests anything itself. `RoundRobin` keeps one bit a requester and finds the lowest by a carry
//! chain; its grant is for one word.

use hallux_hdl::prelude::*;

/// See the [module](self).
#[derive(LogicBlock)]
pub struct Turns {
    /// Clock.
    pub clk: Signal<In, Clock>,
    /// Synchronous reset, active high: requester 0 counts as served last.
    pub rst: Signal<In, Bit>,
    /// One bit a requester; those beyond the last are not to be set.
    pub request: Signal<In, Bits<16>>,
    /// The one who requests and whose turn it is moves a word.
    pub moves: Signal<In, Bit>,
    /// It is the last of its request.
    pub ends: Signal<In, Bit>,
    /// One bit a requester: if it requests, it is its turn. Of those who request one at most has it.
    pub turn: Signal<Out, Bits<16>>,
    /// A request has begun and not ended.
    pub held: Signal<Out, Bit>,
    /// For each requester, whose requests go before its own.
    before: Vec<DFF<Bits<16>>>,
    /// Those who wait for the end of another's request.
    closed: DFF<Bits<16>>,
    holds: DFF<Bit>,
}

impl Turns {
    /// Turns of 1 to 16 requesters.
    ///
    /// # Panics
    /// If there are more, or none.
    pub fn new(requesters: usize) -> Self {
        assert!(
            (1..=16).contains(&requesters),
            "1 to 16 requesters take turns, not {requesters}"
        );
        Self {
            clk: Default::default(),
            rst: Default::default(),
            request: Default::default(),
            moves: Default::default(),
            ends: Default::default(),
            turn: Default::default(),
            held: Default::default(),
            before: (0..requesters).map(|_| Default::default()).collect(),
            closed: Default::default(),
            holds: Default::default(),
        }
    }
}

impl Default for Turns {
    /// Turns of all 16 requesters.
    fn default() -> Self {
        Self::new(16)
    }
}

/// Those of `count` requesters of whom one must have been served last for `other` to come before
/// `one`: from `one` to the one in front of `other`. None if they are the same.
fn until(other: usize, one: usize, count: usize) -> Bits<16> {
    let steps = (other + count - one) % count;
    let mask = (0..steps).map(|step| 1 << ((one + step) % count)).sum();
    bits(mask)
}

/// Those of `count` requesters who come before `one` at first.
fn at_first(one: usize, count: usize) -> Bits<16> {
    let others = (0..count).filter(|&other| until(other, one, count).get_bit(0));
    bits(others.map(|other| 1 << other).sum())
}

/// All of `count` requesters.
fn all(count: usize) -> Bits<16> {
    bits((1 << count) - 1)
}

impl Logic for Turns {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, closed, holds);
        let count = self.before.len();
        let request = self.request.val();
        let closed = self.closed.q.val();
        let mut turn = bits::<16>(0);
        for i in 0..count {
            dff_setup!(self, clk, before[i]);
            let waits = (request & self.before[i].q.val()).any();
            turn.set_bits::<1>(i, bit(!waits & !closed.get_bit(i)));
        }
        self.turn.next = turn;
        self.held.next = self.holds.q.val();

        let served = request & turn;
        let moves = self.moves.val();
        let ends = self.ends.val();
        if moves {
            self.holds.d.next = !ends;
            self.closed.d.next = if ends {
                bits::<16>(0)
            } else {
                !served & all(count)
            };
        }
        // While a request is under way nobody else's goes before it.
        let ended = if ends { served } else { bits::<16>(0) };
        for i in 0..count {
            let mut before = bits::<16>(0);
            for j in 0..count {
                before.set_bits::<1>(j, bit((ended & until(j, i, count)).any()));
            }
            if moves {
                self.before[i].d.next = before;
            }
            if self.rst.val() {
                self.before[i].d.next = at_first(i, count);
            }
        }
        if self.rst.val() {
            self.closed.d.next = bits::<16>(0);
            self.holds.d.next = false;
        }
    }
}
