//! The end of a host that runs by itself.

use hallux_channel::{Component, ComponentError, Counter, Io, PortSpec, Time};
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A component that says when it has done its work and what follows has settled.
pub struct Ending {
    component: Box<dyn Component>,
    /// From the end of the work on, at a multiple of the second.
    after: (Time, Time),
    ended: Arc<AtomicBool>,
}

impl Ending {
    /// Sets `ended` once the first multiple of `quantum` after the end of the work and
    /// `settle` is simulated.
    pub fn new(
        component: Box<dyn Component>,
        settle: Time,
        quantum: Time,
        ended: Arc<AtomicBool>,
    ) -> Self {
        Self {
            component,
            after: (settle, quantum),
            ended,
        }
    }
}

impl Component for Ending {
    fn name(&self) -> &str {
        self.component.name()
    }

    fn ports(&self) -> &[PortSpec] {
        self.component.ports()
    }

    fn next_action(&self) -> Time {
        self.component.next_action()
    }

    fn advance(&mut self, horizon: Time, io: &mut Io<'_>) -> Result<(), ComponentError> {
        self.component.advance(horizon, io)?;
        let (settle, quantum) = self.after;
        if let Some(done) = self.component.finished_at()
            && (done + settle).next_multiple_after(quantum) <= horizon
        {
            self.ended.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    fn finished_at(&self) -> Option<Time> {
        self.component.finished_at()
    }

    fn waiting_for(&self) -> String {
        self.component.waiting_for()
    }

    fn counters(&self) -> Vec<Counter> {
        self.component.counters()
    }

    fn as_any(&self) -> &dyn Any {
        self.component.as_any()
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self.component.as_any_mut()
    }
}
