//! Drivers and monitors of ready/valid channels.

use crate::value::{Record, Value};
use rand_core::RngCore;
use rand_pcg::Pcg32;
use std::collections::VecDeque;

/// When a driver or a monitor holds back although it could go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stalls(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Random(u32),
    Pattern(Vec<bool>),
}

impl Stalls {
    /// Never.
    pub fn none() -> Self {
        Self::random(0)
    }

    /// In every cycle.
    pub fn always() -> Self {
        Self::random(100)
    }

    /// In `percent` of the cycles, at random under the bench's seed.
    pub fn random(percent: u32) -> Self {
        Self(Kind::Random(percent))
    }

    /// In the cycles whose entry is true, over and over; no entries mean never.
    pub fn pattern(pattern: &[bool]) -> Self {
        Self(Kind::Pattern(pattern.to_vec()))
    }

    fn holds(&self, cycle: u64, random: &mut Pcg32) -> bool {
        match &self.0 {
            Kind::Random(percent) => random.next_u32() % 100 < *percent,
            Kind::Pattern(pattern) if pattern.is_empty() => false,
            Kind::Pattern(pattern) => pattern[(cycle % pattern.len() as u64) as usize],
        }
    }
}

/// Which driver of a bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Driver(pub(crate) usize);

/// Which monitor of a bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Monitor(pub(crate) usize);

/// A driver or a monitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Towards the block.
    Driver(Driver),
    /// Away from the block.
    Monitor(Monitor),
}

impl From<Driver> for Channel {
    fn from(driver: Driver) -> Self {
        Channel::Driver(driver)
    }
}

impl From<Monitor> for Channel {
    fn from(monitor: Monitor) -> Self {
        Channel::Monitor(monitor)
    }
}

/// A generator of its own for the channel `name`, so that one channel's traffic does not
/// depend on another's.
pub(crate) fn random_of(seed: u64, name: &str) -> Pcg32 {
    // FNV-1a: any spreading of names over streams will do, as long as it never changes.
    let stream = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Pcg32::new(seed, stream)
}

/// Offers queued values on a channel towards the block.
pub(crate) struct DriverState {
    pub(crate) name: String,
    pub(crate) width: u32,
    pub(crate) queue: VecDeque<Value>,
    pub(crate) stalls: Stalls,
    pub(crate) accepted: u64,
    random: Pcg32,
    /// Valid was high and not yet answered: a driver keeps its promise too.
    offering: bool,
}

impl DriverState {
    pub(crate) fn new(name: &str, width: u32, seed: u64) -> Self {
        Self {
            name: name.into(),
            width,
            queue: VecDeque::new(),
            stalls: Stalls::none(),
            accepted: 0,
            random: random_of(seed, name),
            offering: false,
        }
    }

    /// Valid and data of this cycle. Data is garbage while valid is low, so that a block
    /// that looks at it then fails.
    pub(crate) fn offer(&mut self, cycle: u64) -> (bool, Value) {
        let stalled = self.stalls.holds(cycle, &mut self.random);
        self.offering = self.offering || (!stalled && !self.queue.is_empty());
        match self.queue.front() {
            Some(value) if self.offering => (true, value.clone()),
            _ => {
                let mut garbage = vec![0; self.width.div_ceil(8) as usize];
                self.random.fill_bytes(&mut garbage);
                (false, Value::from_bytes(&garbage).slice(0, self.width))
            }
        }
    }

    /// The value that was taken, if ready answered valid.
    pub(crate) fn answer(&mut self, ready: bool) -> Option<Value> {
        if !(self.offering && ready) {
            return None;
        }
        self.offering = false;
        self.accepted += 1;
        self.queue.pop_front()
    }

    pub(crate) fn quiet(&mut self) {
        self.offering = false;
    }
}

/// Takes and checks values on a channel away from the block.
pub(crate) struct MonitorState {
    pub(crate) name: String,
    pub(crate) stalls: Stalls,
    pub(crate) received: Vec<Record>,
    random: Pcg32,
    /// What was offered in the last cycle and not taken.
    waiting: Option<Value>,
}

impl MonitorState {
    pub(crate) fn new(name: &str, seed: u64) -> Self {
        Self {
            name: name.into(),
            stalls: Stalls::none(),
            received: vec![],
            random: random_of(seed, name),
            waiting: None,
        }
    }

    /// Ready of this cycle.
    pub(crate) fn ready(&mut self, cycle: u64) -> bool {
        !self.stalls.holds(cycle, &mut self.random)
    }

    /// True if `data` was transferred; a broken promise of the block is an error.
    pub(crate) fn see(&mut self, valid: bool, ready: bool, data: &Value) -> Result<bool, String> {
        if let Some(before) = self.waiting.take() {
            let name = &self.name;
            if !valid {
                return Err(format!("{name}_valid dropped before {name}_ready answered"));
            }
            if before != *data {
                return Err(format!(
                    "{name}_data changed from {before} to {data} while it waited for {name}_ready"
                ));
            }
        }
        if valid && !ready {
            self.waiting = Some(data.clone());
        }
        Ok(valid && ready)
    }

    pub(crate) fn quiet(&mut self) {
        self.waiting = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::IntoValue;

    #[test]
    fn a_driver_holds_valid_and_data_until_they_are_taken() {
        let mut driver = DriverState::new("s", 8, 1);
        driver.queue.push_back(7.into_value());
        driver.stalls = Stalls::pattern(&[true, false, true, true]);
        assert!(!driver.offer(0).0);
        for cycle in 1..4 {
            assert_eq!(driver.offer(cycle), (true, 7.into_value()), "cycle {cycle}");
            assert_eq!(driver.answer(false), None);
        }
        assert_eq!(driver.answer(true), Some(7.into_value()));
        assert!(!driver.offer(5).0);
    }

    #[test]
    fn a_monitor_finds_broken_promises() {
        let value = |number: i32| number.into_value();
        let mut monitor = MonitorState::new("m", 1);
        assert_eq!(monitor.see(true, false, &value(1)), Ok(false));
        assert_eq!(monitor.see(true, true, &value(1)), Ok(true));
        assert_eq!(monitor.see(true, false, &value(2)), Ok(false));
        let error = monitor.see(true, true, &value(3)).unwrap_err();
        assert!(error.contains("m_data changed from 2 to 3"), "{error}");
        assert_eq!(monitor.see(true, false, &value(4)), Ok(false));
        let error = monitor.see(false, true, &value(4)).unwrap_err();
        assert!(error.contains("m_valid dropped"), "{error}");
    }

    #[test]
    fn random_stalls_repeat_with_the_seed_and_come_as_often_as_asked() {
        let stalls = |seed| {
            let (stalls, mut random) = (Stalls::random(30), random_of(seed, "s"));
            (0..1000)
                .map(|cycle| stalls.holds(cycle, &mut random))
                .collect::<Vec<_>>()
        };
        assert_eq!(stalls(1), stalls(1));
        assert_ne!(stalls(1), stalls(2));
        let count = stalls(1).iter().filter(|stalled| **stalled).count();
        assert!((250..350).contains(&count), "{count}");
    }
}
