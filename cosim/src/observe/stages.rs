//! Busy, blocked and starved cycles of each stage, and the stall matrix.

use std::collections::BTreeMap;
use std::fmt::Write;

/// Cycles of one stage. Busy: an event entered it. Blocked: an event was offered and not
/// taken. Starved: neither; total less the other two (contracts §5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageCounters {
    /// Cycles in which an event entered the stage.
    pub busy: u64,
    /// Cycles in which an event waited before the stage.
    pub blocked: u64,
    /// Cycles in which nothing was offered.
    pub starved: u64,
}

/// Counts what the probes show. Cycles that are skipped show nothing, so they need no
/// account of their own.
#[derive(Clone, Debug)]
pub struct StageMonitor {
    names: Vec<String>,
    busy: Vec<u64>,
    blocked: Vec<u64>,
    /// Cycles since an event last entered, while one is waiting.
    waiting: Vec<u64>,
}

impl StageMonitor {
    /// A monitor of these stages.
    pub fn new(names: &[String]) -> Self {
        let zeros = vec![0; names.len()];
        Self {
            names: names.to_vec(),
            busy: zeros.clone(),
            blocked: zeros.clone(),
            waiting: zeros,
        }
    }

    /// What stage `stage` shows in a cycle; returns for how many cycles in a row an event
    /// has been refused.
    #[inline]
    pub fn observe(&mut self, stage: usize, fire: bool, blocked: bool) -> u64 {
        self.busy[stage] += u64::from(fire);
        self.blocked[stage] += u64::from(blocked);
        self.waiting[stage] = if blocked { self.waiting[stage] + 1 } else { 0 };
        self.waiting[stage]
    }

    /// For how many cycles in a row an event has been refused at `stage`.
    #[inline]
    pub fn waiting(&self, stage: usize) -> u64 {
        self.waiting[stage]
    }

    /// Name of a stage.
    pub fn name(&self, stage: usize) -> &str {
        &self.names[stage]
    }

    /// The counters after `cycles` clock cycles, by stage.
    pub fn counters(&self, cycles: u64) -> BTreeMap<String, StageCounters> {
        let one = |stage: usize| {
            let (busy, blocked) = (self.busy[stage], self.blocked[stage]);
            StageCounters {
                busy,
                blocked,
                starved: cycles.saturating_sub(busy + blocked),
            }
        };
        self.names.iter().cloned().zip((0..).map(one)).collect()
    }

    /// The stall matrix after `cycles` clock cycles: one line a stage, in the order of the
    /// data path, with the cycles for which an event has been waiting now.
    pub fn matrix(&self, cycles: u64) -> String {
        let mut text = format!(
            "{:<16}{:>12}{:>12}{:>12}{:>14}\n",
            "stage", "busy", "blocked", "starved", "waiting now"
        );
        let counters = self.counters(cycles);
        for (name, waiting) in self.names.iter().zip(&self.waiting) {
            let stage = counters[name];
            let _ = writeln!(
                text,
                "{name:<16}{:>12}{:>12}{:>12}{waiting:>14}",
                stage.busy, stage.blocked, stage.starved
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starved_is_what_remains_and_waiting_ends_with_the_event() {
        let mut monitor = StageMonitor::new(&["parse".into(), "post".into()]);
        monitor.observe(0, true, false);
        assert_eq!(monitor.observe(1, false, true), 1);
        assert_eq!(monitor.observe(1, false, true), 2);
        assert_eq!(monitor.observe(1, true, false), 0);
        let counters = monitor.counters(10);
        assert_eq!(
            counters["parse"],
            StageCounters {
                busy: 1,
                blocked: 0,
                starved: 9
            }
        );
        assert_eq!(
            counters["post"],
            StageCounters {
                busy: 1,
                blocked: 2,
                starved: 7
            }
        );
        assert_eq!(monitor.matrix(10).lines().count(), 3);
    }
}
