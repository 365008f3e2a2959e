//! Which modules stand where, and whether their slots can bear them.
//!
//! A module declares what it costs and what it may decide; a slot knows what it can bear.
//! Both are held against each other before anything is generated, so that a module which
//! would slow the wire down or disturb the order of a connection is refused by name. The
//! benches of the modules measure that they keep what they declare.

use super::port::{DROP, REDIRECT, TRANSMIT};
use super::{capture, classify, firewall, splice, trace, vlan_insert, vlan_strip};
use crate::design::DesignPoint;
use crate::interface::modules::{Kind, MAX_MODULES, Slot, module_id};
use crate::stages::parse::FRAME_BYTES;
use serde::{Deserialize, Serialize};

/// Clocks that the modules of one slot may add together.
pub const LATENCY_BUDGET: u64 = 32;

/// A module of a design point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModulePoint {
    /// Where it stands; modules of one slot follow each other as they are listed.
    pub slot: Slot,
    /// What it does.
    pub kind: Kind,
    /// `vlan`: the VLAN after reset, 1 to 4094.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4094))]
    pub vlan: Option<u16>,
    /// `firewall`, `classify`, `capture`: places of the list of rules, 1 to 32; 16 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 32))]
    pub rules: Option<u32>,
    /// `splice`: places of the table, a power of two from 8 to 256; 64 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 8, max = 256))]
    pub places: Option<u32>,
    /// `capture`: the most bytes of a frame that are kept, 64 to 1536; 128 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 64, max = 1536))]
    pub snap: Option<u32>,
}

/// Bytes of a frame that `capture` keeps where nothing else is said.
const SNAP: u32 = 128;
/// The most that it can be told to keep: whole frames.
const LONGEST_SNAP: u32 = FRAME_BYTES as u32;

/// Whether a module gives back in the order in which it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Always.
    Kept,
    /// Not always: for study, no slot bears it.
    Changed,
}

/// What a module needs and does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Declaration {
    /// Slots that it can stand in.
    pub slots: &'static [Slot],
    /// Clocks from a beat or a header to the same behind the module, held up by nothing.
    pub latency: u64,
    /// Clocks a beat or a header.
    pub interval: u64,
    /// Order of what it gives.
    pub order: Order,
    /// Verdicts other than to pass.
    pub verdicts: &'static [u64],
}

/// A module does not fit into its slot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModuleError {
    /// The slot is none of the module's.
    #[error(
        "module {number} (`{}`) cannot stand in slot `{}`; put it in {}",
        kind.name(), slot.name(), names(slots)
    )]
    Slot {
        /// Place in the list, from 0.
        number: usize,
        /// The module.
        kind: Kind,
        /// Its slot.
        slot: Slot,
        /// Where it can stand.
        slots: &'static [Slot],
    },
    /// The module is slower than what passes its slot.
    #[error(
        "module {number} (`{}`) in slot `{}` takes {interval} clocks for what comes in one: it \
         would hold up the data path; give it a pipeline that takes one in every clock",
        kind.name(), slot.name()
    )]
    Rate {
        /// Place in the list.
        number: usize,
        /// The module.
        kind: Kind,
        /// Its slot.
        slot: Slot,
        /// Clocks it declares.
        interval: u64,
    },
    /// The modules of a slot add too many clocks.
    #[error(
        "with module {number} (`{}`) the modules in slot `{}` add {clocks} clocks, more than \
         {LATENCY_BUDGET}; take one away, or move one to another slot",
        kind.name(), slot.name()
    )]
    Latency {
        /// Place in the list of the first that is too much.
        number: usize,
        /// The module.
        kind: Kind,
        /// Its slot.
        slot: Slot,
        /// Clocks up to here.
        clocks: u64,
    },
    /// The module may change the order of a connection.
    #[error(
        "module {number} (`{}`) in slot `{}` does not keep the order of what it takes, so \
         segments of a connection could pass each other; give its answers back in ticket order",
        kind.name(), slot.name()
    )]
    Order {
        /// Place in the list.
        number: usize,
        /// The module.
        kind: Kind,
        /// Its slot.
        slot: Slot,
    },
    /// The slot cannot carry out a verdict.
    #[error(
        "module {number} (`{}`) may decide to {verdict}, which slot `{}` cannot carry out; put \
         the module in slot `ingress`, or do without that verdict",
        kind.name(), slot.name()
    )]
    Verdict {
        /// Place in the list.
        number: usize,
        /// The module.
        kind: Kind,
        /// Its slot.
        slot: Slot,
        /// What it may decide.
        verdict: &'static str,
    },
    /// A parameter is out of range, missing, or of another kind of module.
    #[error("module {number} (`{}`): {message}", kind.name())]
    Parameter {
        /// Place in the list.
        number: usize,
        /// The module.
        kind: Kind,
        /// What is wrong and what to do.
        message: String,
    },
    /// There are more modules than pages of registers.
    #[error("{count} modules are listed, but there are pages of registers for {MAX_MODULES}")]
    TooMany {
        /// How many are listed.
        count: usize,
    },
}

fn names(slots: &[Slot]) -> String {
    let names: Vec<String> = slots.iter().map(|s| format!("`{}`", s.name())).collect();
    names.join(" or ")
}

impl ModulePoint {
    /// What the module declares in its slot.
    pub fn declaration(&self) -> Declaration {
        match (self.kind, self.slot) {
            (Kind::Vlan, Slot::Egress) => vlan_insert::DECLARATION,
            (Kind::Vlan, _) => vlan_strip::DECLARATION,
            (Kind::Firewall, Slot::Egress) => firewall::AT_EGRESS,
            (Kind::Firewall, _) => firewall::AT_INGRESS,
            (Kind::Classify, _) => classify::DECLARATION,
            (Kind::Splice, _) => splice::DECLARATION,
            (Kind::Trace, _) => trace::DECLARATION,
            (Kind::Capture, _) => capture::DECLARATION,
        }
    }

    /// Checks the parameters.
    fn parameters(&self, number: usize) -> Result<(), ModuleError> {
        let check = |ok: bool, message: String| {
            let kind = self.kind;
            ok.then_some(()).ok_or(ModuleError::Parameter {
                number,
                kind,
                message,
            })
        };
        let (ruled, spliced) = (
            matches!(self.kind, Kind::Firewall | Kind::Classify | Kind::Capture),
            self.kind == Kind::Splice,
        );
        for (given, known, key) in [
            (self.vlan.is_some(), self.kind == Kind::Vlan, "vlan"),
            (self.rules.is_some(), ruled, "rules"),
            (self.places.is_some(), spliced, "places"),
            (self.snap.is_some(), self.kind == Kind::Capture, "snap"),
        ] {
            check(!given || known, format!("has no parameter `{key}`"))?;
        }
        let (rules, places) = (self.rules.unwrap_or(16), self.places.unwrap_or(64));
        let snap = self.snap.unwrap_or(SNAP);
        check(
            !ruled || (1..=32).contains(&rules),
            format!("`rules` must lie between 1 and 32, not {rules}"),
        )?;
        match self.kind {
            Kind::Firewall | Kind::Classify | Kind::Trace => Ok(()),
            Kind::Capture => check(
                (64..=LONGEST_SNAP).contains(&snap),
                format!("`snap` must lie between 64 and {LONGEST_SNAP} bytes, not {snap}"),
            ),
            Kind::Splice => check(
                places.is_power_of_two() && (8..=256).contains(&places),
                format!("`places` must be a power of two from 8 to 256, not {places}"),
            ),
            Kind::Vlan => match self.vlan {
                Some(vlan) => check(
                    (1..=4094).contains(&vlan),
                    format!("`vlan` must lie between 1 and 4094, not {vlan}"),
                ),
                None => check(false, "`vlan` is missing: say which, 1 to 4094".into()),
            },
        }
    }
}

/// A module where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Station {
    /// What it does.
    pub kind: Kind,
    /// Where it stands.
    pub slot: Slot,
    /// Its number among all modules: its page of registers.
    pub page: usize,
    /// See [`ModulePoint::vlan`].
    pub vlan: u16,
    /// See [`ModulePoint::rules`].
    pub rules: usize,
    /// See [`ModulePoint::places`].
    pub places: usize,
    /// See [`ModulePoint::snap`].
    pub snap: usize,
    /// The most bytes of a write to the host.
    pub max_payload: usize,
    /// It may transmit.
    pub transmits: bool,
}

impl Station {
    /// Whether the module writes to host memory.
    pub fn writes(&self) -> bool {
        self.kind == Kind::Capture
    }
}

/// The modules of `point` that stand in `slot`, in order.
pub fn stations(point: &DesignPoint, slot: Slot) -> Vec<Station> {
    let mut found: Vec<Station> = Vec::new();
    for (page, module) in point.modules.iter().enumerate() {
        if module.slot == slot {
            found.push(Station {
                kind: module.kind,
                slot,
                page,
                vlan: module.vlan.unwrap_or(0),
                rules: module.rules.unwrap_or(16) as usize,
                places: module.places.unwrap_or(64) as usize,
                snap: module.snap.unwrap_or(SNAP) as usize,
                max_payload: point.max_payload as usize,
                transmits: module.declaration().verdicts.contains(&TRANSMIT),
            });
        }
    }
    found
}

/// Which of these modules write to host memory.
pub fn writers(stations: &[Station]) -> Vec<usize> {
    let writes = |index: &usize| stations[*index].writes();
    (0..stations.len()).filter(writes).collect()
}

/// Values of `MODULE_ID` of all modules.
pub fn ids(point: &DesignPoint) -> Vec<u64> {
    let modules = point.modules.iter();
    modules.map(|m| module_id(m.kind, m.slot)).collect()
}

/// Verdicts that a slot can carry out.
const fn carried_out(slot: Slot) -> &'static [u64] {
    match slot {
        Slot::Ingress => &[DROP, REDIRECT, TRANSMIT],
        Slot::BeforeProtocol => &[DROP, REDIRECT],
        // TCP state has changed already: what became of an event can only be looked at.
        Slot::AfterProtocol => &[],
        Slot::Egress => &[DROP],
    }
}

const fn verdict_name(verdict: u64) -> &'static str {
    match verdict {
        DROP => "drop",
        REDIRECT => "redirect to the host",
        TRANSMIT => "transmit",
        _ => "pass",
    }
}

/// Checks the modules of a design point against their slots.
///
/// # Errors
/// The first module that does not fit.
pub fn check(modules: &[ModulePoint]) -> Result<(), ModuleError> {
    if modules.len() > MAX_MODULES {
        return Err(ModuleError::TooMany {
            count: modules.len(),
        });
    }
    for (number, module) in modules.iter().enumerate() {
        module.parameters(number)?;
    }
    let declared: Vec<_> = modules
        .iter()
        .map(|module| (module.kind, module.slot, module.declaration()))
        .collect();
    fits(&declared)
}

fn fits(modules: &[(Kind, Slot, Declaration)]) -> Result<(), ModuleError> {
    for (number, &(kind, slot, declared)) in modules.iter().enumerate() {
        if !declared.slots.contains(&slot) {
            return Err(ModuleError::Slot {
                number,
                kind,
                slot,
                slots: declared.slots,
            });
        }
        if declared.interval != 1 {
            return Err(ModuleError::Rate {
                number,
                kind,
                slot,
                interval: declared.interval,
            });
        }
        if declared.order != Order::Kept {
            return Err(ModuleError::Order { number, kind, slot });
        }
        let refused = |verdict: &&u64| !carried_out(slot).contains(*verdict);
        if let Some(&verdict) = declared.verdicts.iter().find(refused) {
            return Err(ModuleError::Verdict {
                number,
                kind,
                slot,
                verdict: verdict_name(verdict),
            });
        }
        let same = modules[..=number].iter().filter(|(_, s, _)| *s == slot);
        let clocks = same.map(|(_, _, d)| d.latency).sum();
        if clocks > LATENCY_BUDGET {
            return Err(ModuleError::Latency {
                number,
                kind,
                slot,
                clocks,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WELL: Declaration = Declaration {
        slots: &[Slot::Ingress, Slot::Egress],
        latency: 4,
        interval: 1,
        order: Order::Kept,
        verdicts: &[DROP],
    };

    fn refusal(slot: Slot, declaration: Declaration) -> String {
        fits(&[(Kind::Vlan, slot, declaration)])
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn what_keeps_rate_order_and_latency_fits() {
        let one = (Kind::Vlan, Slot::Ingress, WELL);
        assert_eq!(fits(&[one; 8]), Ok(()));
    }

    #[test]
    fn what_would_slow_the_wire_down_is_refused() {
        let slow = Declaration {
            interval: 2,
            ..WELL
        };
        let message = refusal(Slot::Ingress, slow);
        assert!(
            message.starts_with("module 0 (`vlan`) in slot `ingress` takes 2 clocks"),
            "{message}"
        );
        let one = (Kind::Vlan, Slot::Egress, WELL);
        let error = fits(&[one; 9]).unwrap_err();
        assert_eq!(
            error,
            ModuleError::Latency {
                number: 8,
                kind: Kind::Vlan,
                slot: Slot::Egress,
                clocks: 36
            }
        );
    }

    #[test]
    fn what_would_change_the_order_is_refused() {
        let changed = Declaration {
            order: Order::Changed,
            ..WELL
        };
        assert!(refusal(Slot::Ingress, changed).contains("ticket order"));
    }

    #[test]
    fn verdicts_that_a_slot_cannot_carry_out_are_refused() {
        let transmits = Declaration {
            verdicts: &[TRANSMIT],
            ..WELL
        };
        assert!(refusal(Slot::Egress, transmits).contains("may decide to transmit"));
        assert_eq!(fits(&[(Kind::Vlan, Slot::Ingress, transmits)]), Ok(()));
        let elsewhere = refusal(Slot::AfterProtocol, WELL);
        assert!(elsewhere.ends_with("put it in `ingress` or `egress`"));
    }

    #[test]
    fn parameters_are_checked() {
        let module = |vlan| ModulePoint {
            slot: Slot::Ingress,
            kind: Kind::Vlan,
            vlan,
            rules: None,
            places: None,
            snap: None,
        };
        assert_eq!(check(&[module(Some(100))]), Ok(()));
        for wrong in [None, Some(0), Some(4095)] {
            let error = check(&[module(wrong)]).unwrap_err();
            assert!(matches!(error, ModuleError::Parameter { number: 0, .. }));
        }
        let capture = |snap| ModulePoint {
            kind: Kind::Capture,
            snap: Some(snap),
            ..module(None)
        };
        assert_eq!(check(&[capture(64), capture(1536)]), Ok(()));
        for wrong in [63, 1537] {
            let error = check(&[capture(wrong)]).unwrap_err().to_string();
            assert!(
                error.contains("`snap` must lie between 64 and 1536"),
                "{error}"
            );
        }
        let many = vec![module(Some(1)); 17];
        assert_eq!(check(&many), Err(ModuleError::TooMany { count: 17 }));
    }
}
