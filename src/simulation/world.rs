//! A scenario that is being put together.

use super::MakeNic;
use super::hosts::WorkingHost;
use super::nic::{line_rate, lost_completions, rtl_nic_config};
use crate::absent::Absent;
use crate::scenario::{NicModel, Scenario, Settings, TopologyKind};
use anyhow::{Result, anyhow};
use hallux_channel::{Component, Probability, Seed, Time};
use hallux_cosim::engine::{ComponentId, Simulation};
use hallux_host::behavioural::{BehaviouralConfig, BehaviouralNic};
use hallux_host::network::{Impairments, Switch, SwitchConfig, Wire};
use hallux_toe::design::Recovery;

/// An Ethernet port.
pub(super) type End = (ComponentId, &'static str);

/// A scenario that is being put together.
pub(super) struct World<'a, 'b> {
    pub(super) simulation: Simulation,
    pub(super) scenario: &'a Scenario,
    pub(super) make_nic: &'a mut MakeNic<'b>,
    pub(super) nics: Vec<(String, ComponentId)>,
}

impl World<'_, '_> {
    /// Adds a host, and its NIC of the name `nic` if it has one; returns its Ethernet port.
    pub(super) fn add_host(
        &mut self,
        host: Box<dyn Component>,
        port: &str,
        nic: &str,
    ) -> Result<End> {
        let host = self.simulation.add_boxed(host)?;
        if port == WorkingHost::ETHERNET {
            return Ok((host, WorkingHost::ETHERNET));
        }
        let nic = self.add_nic(nic)?;
        let delay = Time::from_ps(self.scenario.settings.pcie.delay.0);
        self.simulation
            .connect((nic, "pcie"), (host, port), delay)?;
        Ok((nic, "eth"))
    }

    fn add_nic(&mut self, name: &str) -> Result<ComponentId> {
        let scenario = self.scenario;
        let (settings, design) = (&scenario.settings, &scenario.design);
        let rate = line_rate(scenario)?;
        if settings.nic.model == NicModel::Behavioural {
            return Ok(self.simulation.add(BehaviouralNic::new(BehaviouralConfig {
                name: name.into(),
                connections: design.connections,
                contexts: design.contexts,
                buckets: design.flow_table_buckets,
                ooo_intervals: design.ooo_intervals as u8,
                sack_recovery: design.recovery == Recovery::Sack,
                delayed_ack: Time::from_ps(design.delayed_ack.0),
                rate,
                completion_timeout: Time::from_ps(settings.pcie.completion_timeout.0),
                lost_completions: lost_completions(&settings.pcie)?,
                seed: Seed(settings.seed),
                ..BehaviouralConfig::default()
            }))?);
        }
        let mut config = rtl_nic_config(name, Seed(settings.seed), rate, &settings.pcie, design)?;
        config.passages = true;
        let id = match (self.make_nic)(config)? {
            Some(nic) => self.simulation.add(nic)?,
            None => self.simulation.add(Absent::nic(name))?,
        };
        self.nics.push((name.to_owned(), id));
        Ok(id)
    }

    /// What lies between the server and its clients.
    pub(super) fn join(&mut self, server: End, clients: &[End]) -> Result<()> {
        let settings = &self.scenario.settings;
        let delay = settings.link.delay.0;
        match settings.topology.kind {
            TopologyKind::Direct => self.wire(server, clients[0]),
            TopologyKind::Star => {
                let switch = Switch::new(
                    "switch",
                    SwitchConfig {
                        ports: clients.len() + 1,
                        rate: line_rate(self.scenario)?,
                        buffer: settings.topology.buffer.0,
                        ecn_threshold: Some(settings.topology.ecn_threshold.0),
                        forwarding_delay: Time::from_ps(settings.topology.forwarding_delay.0),
                    },
                );
                let switch = self.simulation.add(switch)?;
                if is_impaired(settings) {
                    self.wire(server, (switch, "p0"))?;
                } else {
                    let delay = Time::from_ps(delay);
                    self.simulation.connect(server, (switch, "p0"), delay)?;
                }
                for (client, port) in clients.iter().zip(1..) {
                    let port = format!("p{port}");
                    let delay = Time::from_ps(delay);
                    self.simulation.connect(*client, (switch, &port), delay)?;
                }
                Ok(())
            }
        }
    }

    /// A wire with the impairments of the scenario in the middle of a link.
    fn wire(&mut self, near: End, far: End) -> Result<()> {
        let settings = &self.scenario.settings;
        let impairments = impairments(self.scenario)?;
        let wire = Wire::new("wire", Seed(settings.seed), impairments, impairments);
        let wire = self.simulation.add(wire)?;
        // Half of the delay on either side of it.
        let delay = settings.link.delay.0;
        let (before, behind) = (Time::from_ps(delay / 2), Time::from_ps(delay.div_ceil(2)));
        self.simulation.connect(near, (wire, "a"), before)?;
        self.simulation.connect(far, (wire, "b"), behind)?;
        Ok(())
    }
}

fn is_impaired(settings: &Settings) -> bool {
    let link = &settings.link;
    [link.loss, link.corrupt, link.duplicate, link.reorder]
        .into_iter()
        .any(|probability| probability > 0.0)
}

fn impairments(scenario: &Scenario) -> Result<Impairments> {
    let link = &scenario.settings.link;
    let probability =
        |value| Probability::new(value).ok_or_else(|| anyhow!("{value} is no probability"));
    Ok(Impairments {
        loss: probability(link.loss)?,
        corruption: probability(link.corrupt)?,
        duplication: probability(link.duplicate)?,
        reordering: probability(link.reorder)?,
        reordering_delay: Time::from_ps(link.reorder_delay.0),
        ..Impairments::default()
    })
}
