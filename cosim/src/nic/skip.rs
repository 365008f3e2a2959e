//! Passing over quiescent clock cycles, and proving that it changes nothing.

use super::error::Fault;
use super::ports::PortBytes;
use hallux_channel::Time;
use hallux_verilator::Model;
use std::str::FromStr;

/// Quiescent cycles that are evaluated before any is skipped. Inputs, `quiescent` and
/// `wake_at` are registered inside the NIC, so what they say is a few cycles old.
const SETTLE_CYCLES: u32 = 4;

/// What is done with clock cycles in which nothing can change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SkipMode {
    /// They are not evaluated.
    #[default]
    On,
    /// They are evaluated like all others.
    Off,
    /// They are evaluated, and any change of an output or of state is an error.
    Verify,
}

impl SkipMode {
    /// The word on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
            Self::Verify => "verify",
        }
    }
}

/// A word is no skip mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no way to treat quiescent cycles; choose `on`, `off` or `verify`")]
pub struct ParseSkipError(String);

impl FromStr for SkipMode {
    type Err = ParseSkipError;

    fn from_str(text: &str) -> Result<Self, ParseSkipError> {
        [Self::On, Self::Off, Self::Verify]
            .into_iter()
            .find(|mode| mode.name() == text)
            .ok_or_else(|| ParseSkipError(text.to_owned()))
    }
}

/// How long the NIC has been quiescent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rest {
    cycles: u32,
}

impl Rest {
    /// An evaluated cycle was quiescent, without any valid signal and with both sinks
    /// ready, or it was not.
    pub(super) fn cycle(&mut self, quiet: bool) {
        self.cycles = if quiet {
            self.cycles.saturating_add(1)
        } else {
            0
        };
    }

    /// What the outputs say is no longer old.
    pub(super) fn is_settled(self) -> bool {
        self.cycles >= SETTLE_CYCLES
    }
}

/// Quiescent cycles that are evaluated to verify that they could have been skipped.
#[derive(Debug)]
pub(super) struct Gap {
    first: u64,
    outputs: Vec<u8>,
    state: Vec<u8>,
}

impl Gap {
    /// A gap that begins before clock edge `first`.
    pub(super) fn open(first: u64, model: &mut Model, outputs: &PortBytes) -> Result<Self, Fault> {
        Ok(Self {
            first,
            outputs: outputs.bytes().to_vec(),
            state: model.save()?,
        })
    }

    /// The outputs are those from before the gap.
    pub(super) fn check_outputs(&self, model: &Model, outputs: &PortBytes) -> Result<(), Fault> {
        if self.outputs == outputs.bytes() {
            return Ok(());
        }
        let ports = &model.library().layout().outputs.ports;
        let changed = ports.iter().find(|port| {
            let range = port.offset..port.offset + port.bytes;
            self.outputs[range.clone()] != outputs.bytes()[range]
        });
        let port = changed.map_or_else(String::new, |port| port.name.clone());
        Err(Fault::OutputChanged {
            port,
            since: self.first,
        })
    }

    /// Holds the state after all cycles of the gap, which ends before edge `end`, against
    /// the state from before it with only the last few cycles evaluated. Those few let
    /// the registers of `now` catch up, which is the one input that never rests. `drive`
    /// drives the inputs of an edge and tells its time.
    pub(super) fn verify(
        self,
        end: u64,
        model: &mut Model,
        inputs: &mut PortBytes,
        outputs: &mut PortBytes,
        drive: impl Fn(&mut [u8], u64) -> Time,
    ) -> Result<(), Fault> {
        let evaluated = model.save()?;
        model.restore(&self.state)?;
        let last = end.saturating_sub(u64::from(SETTLE_CYCLES)).max(self.first);
        for edge in last..end {
            let now = drive(inputs.bytes_mut(), edge);
            model.set_next_edge(now.ps());
            model.step(inputs.bytes(), outputs.bytes_mut())?;
        }
        if model.save()? != evaluated {
            return Err(Fault::StateChanged { since: self.first });
        }
        Ok(())
    }
}
