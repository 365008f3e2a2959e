//! Stands for a component that another process runs.

use hallux_channel::{Component, ComponentError, Io, PortSpec, Protocol, Time};
use std::any::Any;

/// A component with nothing in it but its name and ports.
#[derive(Debug)]
pub struct Absent {
    name: String,
    ports: Vec<PortSpec>,
}

impl Absent {
    /// In the place of a NIC.
    pub fn nic(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ports: vec![
                PortSpec::new("pcie", Protocol::PcieDevice),
                PortSpec::new("eth", Protocol::Ethernet),
            ],
        }
    }
}

impl Component for Absent {
    fn name(&self) -> &str {
        &self.name
    }

    fn ports(&self) -> &[PortSpec] {
        &self.ports
    }

    fn next_action(&self) -> Time {
        Time::NEVER
    }

    fn advance(&mut self, horizon: Time, _: &mut Io<'_>) -> Result<(), ComponentError> {
        let text = "it runs in another process";
        Err(ComponentError::new(self.name.as_str(), horizon, text))
    }

    fn finished_at(&self) -> Option<Time> {
        Some(Time::ZERO)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
