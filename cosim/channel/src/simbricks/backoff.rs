//! Waiting for the other side.

use std::hint;
use std::thread;
use std::time::Duration;

/// Fewest and most tries before the first yield.
const SPINS: (u32, u32) = (1, 512);
/// Tries that follow each other at once: the answer of a peer on another core
/// is about to come, and a pause is longer than what is left of the wait.
const EAGER: u32 = 128;
/// Yields before the first sleep.
const YIELDS: u32 = 128;
/// Shortest and longest sleep.
const SLEEP: (Duration, Duration) = (Duration::from_micros(20), Duration::from_micros(500));

/// Spins, then yields, then sleeps: nothing in the protocol wakes a sleeper,
/// so waiting is polling, but it must not starve whom it waits for.
///
/// How long it spins follows from what helped before: with a core for each
/// side the answer comes while spinning, on a shared core never.
#[derive(Debug)]
pub struct Backoff {
    budget: u32,
    spins: u32,
    yields: u32,
    sleep: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Backoff::new()
    }
}

impl Backoff {
    /// Ready to wait.
    pub fn new() -> Self {
        Backoff {
            budget: SPINS.1,
            spins: 0,
            yields: 0,
            sleep: SLEEP.0,
        }
    }

    /// Waits a little, longer each time.
    #[inline]
    pub fn idle(&mut self) {
        if self.spins < self.budget {
            self.spins += 1;
            if self.spins > EAGER {
                hint::spin_loop();
            }
        } else {
            self.give_way();
        }
    }

    /// Says that something happened: the next wait begins anew.
    #[inline]
    pub fn progress(&mut self) {
        if self.spins > 0 {
            self.adapt();
        }
    }

    #[cold]
    fn give_way(&mut self) {
        if self.yields < YIELDS {
            self.yields += 1;
            thread::yield_now();
        } else {
            thread::sleep(self.sleep);
            self.sleep = (self.sleep * 2).min(SLEEP.1);
        }
    }

    fn adapt(&mut self) {
        self.budget = if self.yields == 0 {
            (self.budget * 2).min(SPINS.1)
        } else {
            (self.budget / 2).max(SPINS.0)
        };
        self.spins = 0;
        self.yields = 0;
        self.sleep = SLEEP.0;
    }
}
