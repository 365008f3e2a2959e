//! What software costs: cycles of a host's cores.
//!
//! The model is deliberately coarse: an operation occupies its core for a
//! fixed count of cycles, and operations on one core queue behind each other.
//! That is enough to place a host between "free" and "the bottleneck", which
//! is what the comparison of stacks on one workload needs.

use hallux_channel::{ClockPeriod, Time};

/// An operation that costs processor time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// One notification (descriptor) taken from a queue.
    Notification,
    /// One call of the socket interface.
    SocketCall,
    /// One doorbell rung.
    Doorbell,
    /// One interrupt taken.
    Interrupt,
    /// The application's own work on one request.
    Request,
    /// A stated count of cycles.
    Cycles(u64),
}

/// Cycles of each operation on one kind of host software.
///
/// The named profiles are approximate. They spread the cycles per memcached
/// request of FlexTOE's table 1 (NSDI '22: Linux about 12 100, TAS 3 300,
/// FlexTOE 1 700, the application's own 850–1 300 included) over the
/// operations of one request: one receive, one send, one notification each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuProfile {
    /// Clock of the cores.
    pub clock: ClockPeriod,
    /// Cycles of [`Cost::Notification`].
    pub notification: u64,
    /// Cycles of [`Cost::SocketCall`].
    pub socket_call: u64,
    /// Cycles of [`Cost::Doorbell`].
    pub doorbell: u64,
    /// Cycles of [`Cost::Interrupt`].
    pub interrupt: u64,
    /// Cycles of [`Cost::Request`].
    pub request: u64,
}

impl CpuProfile {
    /// Software takes no time: what is measured is the NIC and the network.
    pub fn free() -> Self {
        CpuProfile {
            notification: 0,
            socket_call: 0,
            doorbell: 0,
            interrupt: 0,
            request: 0,
            ..CpuProfile::flextoe()
        }
    }

    /// Sockets over an offload engine, as in FlexTOE's libTOE.
    pub fn flextoe() -> Self {
        CpuProfile {
            clock: GIGAHERTZ_2,
            notification: 120,
            socket_call: 200,
            doorbell: 50,
            interrupt: 2_000,
            request: 890,
        }
    }

    /// Sockets over a TCP stack on dedicated cores, as in TAS.
    pub fn tas() -> Self {
        CpuProfile {
            clock: GIGAHERTZ_2,
            notification: 800,
            socket_call: 395,
            doorbell: 90,
            interrupt: 2_000,
            request: 850,
        }
    }

    /// Sockets of a monolithic kernel.
    pub fn linux() -> Self {
        CpuProfile {
            clock: GIGAHERTZ_2,
            notification: 2_480,
            socket_call: 2_950,
            doorbell: 355,
            interrupt: 2_000,
            request: 1_260,
        }
    }

    /// The profile of this name: `free`, `flextoe`, `tas` or `linux`.
    pub fn by_name(name: &str) -> Option<Self> {
        Some(match name {
            "free" => CpuProfile::free(),
            "flextoe" => CpuProfile::flextoe(),
            "tas" => CpuProfile::tas(),
            "linux" => CpuProfile::linux(),
            _ => return None,
        })
    }

    /// Cycles that `cost` takes on this profile.
    pub fn cycles(&self, cost: Cost) -> u64 {
        match cost {
            Cost::Notification => self.notification,
            Cost::SocketCall => self.socket_call,
            Cost::Doorbell => self.doorbell,
            Cost::Interrupt => self.interrupt,
            Cost::Request => self.request,
            Cost::Cycles(cycles) => cycles,
        }
    }

    /// Time that `cost` takes on this profile.
    pub fn span(&self, cost: Cost) -> Time {
        self.clock.edge(self.cycles(cost))
    }
}

/// The 2 GHz of the cores in FlexTOE's testbed.
const GIGAHERTZ_2: ClockPeriod = match ClockPeriod::new(500, 1) {
    Some(period) => period,
    None => unreachable!(),
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_found_by_name_and_ordered_by_cost() {
        let span = |name| CpuProfile::by_name(name).unwrap().span(Cost::SocketCall);
        assert_eq!(span("free"), Time::ZERO);
        assert!(span("flextoe") < span("tas") && span("tas") < span("linux"));
        assert_eq!(CpuProfile::by_name("windows"), None);
        assert_eq!(
            CpuProfile::free().span(Cost::Cycles(3)),
            Time::from_ps(1_500)
        );
    }
}
