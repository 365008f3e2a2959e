//! The pace of connections that DCTCP holds to a window, where the NIC has a rate wheel: their
//! window over their round trip, so that a window does not leave as one burst.
//!
//! A new rate is a command (SET), so it is set at most once a round trip, and only when it is more
//! than an eighth away from the last. A rate that the application asked for stands.

use super::connection::ConnectionId;
use super::{ControlPlane, timers};
use crate::application::NetError;
use hallux_channel::Time;

/// What was set last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pacing {
    /// Bits of payload a second; 0: none.
    rate: u64,
    /// When it may be set again.
    next: Time,
    /// The application has set a rate.
    by_application: bool,
}

impl Pacing {
    /// Whether `rate` is to be set at `now`.
    fn takes(&mut self, now: Time, round_trip: Time, rate: u64) -> bool {
        let near = rate.abs_diff(self.rate) <= self.rate / 8;
        if self.by_application || near || now < self.next {
            return false;
        }
        self.rate = rate;
        self.next = now + round_trip;
        true
    }
}

impl ControlPlane {
    fn paces(&self) -> bool {
        self.driver.capabilities().is_some_and(|nic| nic.paces)
    }

    /// Gives a connection a rate of `bits_per_second` of payload, 0 for none.
    pub(crate) fn pace(&mut self, id: ConnectionId, bits_per_second: u64) -> Result<(), NetError> {
        if !self.paces() {
            return Err(NetError::Unsupported);
        }
        let Some(connection) = self.connections.get_mut(&id) else {
            return Err(NetError::Closed);
        };
        connection.pacing = Pacing {
            by_application: bits_per_second > 0,
            ..Pacing::default()
        };
        let set = timers::set_rate(connection, bits_per_second);
        self.driver.submit(set);
        Ok(())
    }

    /// Paces a connection whose window or round trip may have changed.
    pub(super) fn repace(&mut self, now: Time, id: ConnectionId) {
        if !self.paces() {
            return;
        }
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let (limit, round_trip) = (
            connection.congestion.limit(),
            connection.round_trip.smoothed(),
        );
        if let (Some(limit), Some(round_trip)) = (limit, round_trip) {
            let rate = limit.pace(round_trip);
            if connection.pacing.takes(now, round_trip, rate) {
                let set = timers::set_rate(connection, rate);
                self.driver.submit(set);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_set_once_a_round_trip_and_where_it_differs() {
        let (at, round_trip) = (Time::from_us, Time::from_us(10));
        let mut pacing = Pacing::default();
        assert!(pacing.takes(at(5), round_trip, 8_000));
        assert!(!pacing.takes(at(6), round_trip, 16_000), "too soon");
        assert!(!pacing.takes(at(20), round_trip, 9_000), "too near");
        assert!(!pacing.takes(at(20), round_trip, 7_000), "too near");
        assert!(pacing.takes(at(20), round_trip, 9_001));
        let mut own = Pacing {
            by_application: true,
            ..Pacing::default()
        };
        assert!(!own.takes(at(40), round_trip, 1_000_000));
    }
}
