//! Links over SimBricks channels, to other processes.

use std::collections::VecDeque;

use hallux_channel::simbricks::{Delivery, Endpoint};
use hallux_channel::{Message, Time};

use super::boundary::{Boundary, LinkError};

/// An end of a link over a SimBricks channel.
#[derive(Debug)]
pub struct Ring {
    endpoint: Endpoint,
    /// Found the ring full: time of leaving, and message.
    waiting: VecDeque<(Time, Message)>,
    /// A promise found the ring full.
    owing: bool,
}

impl Ring {
    /// The link over an established channel.
    pub fn new(endpoint: Endpoint) -> Self {
        Ring {
            endpoint,
            waiting: VecDeque::new(),
            owing: false,
        }
    }

    /// The channel.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Sends what was kept. True if nothing is left.
    fn flush(&mut self) -> Result<bool, LinkError> {
        while let Some((at, message)) = self.waiting.front() {
            if self.endpoint.try_send(*at, message)? == Delivery::Full {
                return Ok(false);
            }
            self.waiting.pop_front();
        }
        Ok(true)
    }
}

impl Boundary for Ring {
    fn send(&mut self, arrival: Time, message: Message) -> Result<(), LinkError> {
        let at = arrival.since(self.endpoint.latency());
        // A frame that no slot can hold is dropped and counted there, as by a
        // port of a smaller MTU.
        if !self.flush()? || self.endpoint.try_send(at, &message)? == Delivery::Full {
            self.waiting.push_back((at, message));
        }
        Ok(())
    }

    fn promise(&mut self, bound: Time) -> Result<(), LinkError> {
        let upto = bound.since(self.endpoint.latency());
        self.owing = !self.flush()? || !self.endpoint.promise(upto)?;
        Ok(())
    }

    fn receive(&mut self, deliver: &mut dyn FnMut(Time, Message)) -> Result<Time, LinkError> {
        while let Some((at, message)) = self.endpoint.poll()? {
            deliver(at, message);
        }
        Ok(self.endpoint.bound())
    }

    fn is_synchronised(&self) -> bool {
        self.endpoint.synchronised()
    }

    fn is_congested(&self) -> bool {
        self.owing
    }

    fn refused(&self) -> u64 {
        self.endpoint.counters().refused
    }

    fn is_over(&self) -> bool {
        self.endpoint.terminated()
    }

    fn close(&mut self) -> Result<bool, LinkError> {
        Ok(self.flush()? && self.endpoint.terminate()?)
    }
}
