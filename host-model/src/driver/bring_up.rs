//! Identification of the NIC: what the driver reads before it writes anything.

use hallux_toe::interface::{self, ID_MAGIC, VERSION, register};

use crate::driver::DriverConfig;
use crate::driver::bus::Bus;
use crate::memory::OutOfMemory;

/// What the NIC said of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Contexts, the control plane's included.
    pub contexts: u16,
    /// Connections.
    pub connections: u32,
    /// Buckets of each of the two flow tables.
    pub buckets: u16,
    /// The NIC keeps connections' states in host memory.
    pub states_in_host: bool,
    /// Connections may have rates.
    pub paces: bool,
    /// Descriptors of small sends can be pushed with their payload.
    pub push: bool,
    /// It reports what it holds out of order, or uses what the peer reports: SACK is worth
    /// an offer.
    pub sack: bool,
}

/// The NIC cannot be used as configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BringUpError {
    /// The identification register holds something else.
    #[error(
        "the device's ID register reads {found:#018x} instead of {ID_MAGIC:#018x}: it is no \
         Hallux NIC, or its BAR 0 does not answer"
    )]
    WrongId {
        /// Value read.
        found: u64,
    },
    /// The interface has another version.
    #[error(
        "the NIC speaks version {found} of the host interface, this driver version {VERSION}: \
         generate its RTL again with this version of Hallux"
    )]
    WrongVersion {
        /// Version read.
        found: u64,
    },
    /// More contexts are configured than the NIC has.
    #[error(
        "{wanted} contexts for applications and one for the control plane are configured, but \
         the NIC has {offered}: configure fewer, or a design point with more"
    )]
    TooFewContexts {
        /// Application contexts configured.
        wanted: u8,
        /// Contexts of the NIC.
        offered: u16,
    },
    /// The NIC has no connections or no flow table.
    #[error(
        "the NIC offers {connections} connections in {buckets} buckets a flow table: neither \
         may be zero"
    )]
    NoConnections {
        /// Connections read.
        connections: u32,
        /// Buckets read.
        buckets: u16,
    },
    /// A ring's length is outside the interface's range.
    #[error(
        "rings of 2^{descriptor_log2} descriptors and 2^{record_log2} records are configured; \
         the NIC takes 2^2 to 2^16 and 2^4 to 2^16"
    )]
    RingLength {
        /// log2 of descriptors.
        descriptor_log2: u8,
        /// log2 of records.
        record_log2: u8,
    },
    /// Rings do not fit into memory.
    #[error(transparent)]
    Memory(#[from] OutOfMemory),
}

/// Registers read so far.
#[derive(Debug, Default)]
pub(super) struct Identification {
    id: Option<u64>,
    capabilities: Option<u64>,
    parameters: Option<u64>,
}

impl Identification {
    /// Asks for the registers.
    pub(super) fn start(bus: &mut Bus) -> Self {
        for offset in [register::ID, register::CAPABILITIES, register::PARAMETERS] {
            bus.read(offset);
        }
        Self::default()
    }

    /// Takes the value of a register; the capabilities once all are known and fit.
    pub(super) fn answer(
        &mut self,
        offset: u64,
        value: u64,
        config: &DriverConfig,
    ) -> Result<Option<Capabilities>, BringUpError> {
        match offset {
            register::ID => self.id = Some(value),
            register::CAPABILITIES => self.capabilities = Some(value),
            register::PARAMETERS => self.parameters = Some(value),
            _ => {}
        }
        let (Some(found), Some(word), Some(parameters)) =
            (self.id, self.capabilities, self.parameters)
        else {
            return Ok(None);
        };
        if found != ID_MAGIC {
            return Err(BringUpError::WrongId { found });
        }
        if word & 0xffff != VERSION {
            return Err(BringUpError::WrongVersion {
                found: word & 0xffff,
            });
        }
        let features = word >> interface::FEATURES_SHIFT & 0xff;
        let capabilities = Capabilities {
            contexts: (word >> 16 & 0xff) as u16,
            connections: (word >> 32) as u32,
            buckets: parameters as u16,
            states_in_host: parameters >> 63 == 1,
            paces: parameters >> 62 & 1 == 1,
            push: features & interface::FEATURE_PUSH != 0,
            sack: features & interface::FEATURE_INTERVALS > 1
                || features & interface::FEATURE_SACK_RECOVERY != 0,
        };
        let Capabilities {
            contexts,
            connections,
            buckets,
            ..
        } = capabilities;
        if u16::from(config.contexts) >= contexts {
            return Err(BringUpError::TooFewContexts {
                wanted: config.contexts,
                offered: contexts,
            });
        }
        if connections == 0 || buckets == 0 {
            return Err(BringUpError::NoConnections {
                connections,
                buckets,
            });
        }
        let (descriptor_log2, record_log2) = (config.descriptor_log2, config.record_log2);
        if !(2..=16).contains(&descriptor_log2) || !(4..=16).contains(&record_log2) {
            return Err(BringUpError::RingLength {
                descriptor_log2,
                record_log2,
            });
        }
        Ok(Some(capabilities))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: DriverConfig = DriverConfig {
        registers: Vec::new(),
        captures: Vec::new(),
        splice: None,
        trace: None,
        mac: [2, 0, 0, 0, 0, 1],
        contexts: 3,
        descriptor_log2: 6,
        record_log2: 6,
    };
    const WORD: u64 = 1024 << 32 | 4 << 16 | VERSION;
    const PARAMETERS: u64 = 256;

    fn identify(id: u64, capabilities: u64, parameters: u64) -> Result<Capabilities, BringUpError> {
        let mut identification = Identification::default();
        assert_eq!(identification.answer(register::ID, id, &CONFIG), Ok(None));
        let answer = identification.answer(register::PARAMETERS, parameters, &CONFIG);
        assert_eq!(answer, Ok(None));
        let answer = identification.answer(register::CAPABILITIES, capabilities, &CONFIG);
        answer.map(|capabilities| capabilities.expect("all registers are known"))
    }

    #[test]
    fn a_fitting_nic_is_accepted_and_others_are_refused_by_name() {
        assert_eq!(
            identify(ID_MAGIC, WORD, PARAMETERS),
            Ok(Capabilities {
                contexts: 4,
                connections: 1024,
                buckets: 256,
                states_in_host: false,
                paces: false,
                push: false,
                sack: false,
            })
        );
        for (features, sack) in [(0, false), (1, false), (2, true), (4, true), (8, true)] {
            let word = WORD | features << interface::FEATURES_SHIFT;
            let capabilities = identify(ID_MAGIC, word, PARAMETERS).unwrap();
            assert_eq!((capabilities.sack, capabilities.contexts), (sack, 4));
            assert!(!capabilities.push);
        }
        assert_eq!(
            identify(u64::MAX, WORD, PARAMETERS),
            Err(BringUpError::WrongId { found: u64::MAX })
        );
        assert_eq!(
            identify(ID_MAGIC, WORD + 1, PARAMETERS),
            Err(BringUpError::WrongVersion { found: 2 })
        );
        assert_eq!(
            identify(ID_MAGIC, WORD - (1 << 16), PARAMETERS),
            Err(BringUpError::TooFewContexts {
                wanted: 3,
                offered: 3
            })
        );
        assert_eq!(
            identify(ID_MAGIC, WORD, 0),
            Err(BringUpError::NoConnections {
                connections: 1024,
                buckets: 0
            })
        );
    }
}
