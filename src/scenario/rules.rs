//! Rules for the `firewall`, `classify` and `capture` modules of a NIC, as a scenario writes them.

use hallux_toe::interface::modules::{Kind, Rule, Slot, module_register, rules};
use hallux_toe::modules::plan::ModulePoint;
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// A rule of one of the modules of the NIC behind the host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostRule {
    /// Number of the module in the design point's list, from 0.
    pub module: usize,
    /// `pass`, `drop` or `redirect` of a firewall; `class-0` to `class-15`; `capture` or
    /// `ignore` of a capture.
    pub action: String,
    /// What packets that no rule meets get: this rule looks at nothing.
    #[serde(default)]
    pub default: bool,
    /// Source address, with the length of its prefix: `10.0.0.0/8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Destination address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// Source port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_port: Option<u16>,
    /// Destination port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_port: Option<u16>,
    /// IPv4 protocol number; 6 is TCP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<u8>,
}

/// The register writes of a host's rules on a NIC with these modules, in order: offset in
/// BAR 0 and value. The first rule of a module is the first that is looked at. A capture
/// without any mirrors everything.
///
/// # Errors
/// A sentence about the first rule that cannot be written.
pub fn writes(list: &[HostRule], modules: &[ModulePoint]) -> Result<Vec<(u64, u64)>, String> {
    let mut writes = Vec::new();
    let mut places = vec![0u32; modules.len()];
    for (number, module) in modules.iter().enumerate() {
        if module.kind == Kind::Capture && list.iter().all(|rule| rule.module != number) {
            let register = module_register(number, rules::DEFAULT);
            writes.push((register, rules::action::CAPTURE.into()));
        }
    }
    for (number, rule) in list.iter().enumerate() {
        let fail = |message: String| format!("rule {number}: {message}");
        let Some(module) = modules.get(rule.module) else {
            let count = modules.len();
            return Err(fail(format!(
                "there is no module {}: the design point lists {count}, counted from 0",
                rule.module
            )));
        };
        let action = action(&rule.action, module).map_err(&fail)?;
        if rule.default {
            writes.push((module_register(rule.module, rules::DEFAULT), action.into()));
            continue;
        }
        let masked = |text: &Option<String>| match text {
            Some(text) => prefix(text)
                .ok_or_else(|| format!("`{text}` is no address with a prefix such as 10.0.0.0/8")),
            None => Ok((0, 0)),
        };
        let place = &mut places[rule.module];
        let capacity = module.rules.unwrap_or(16);
        if *place >= capacity {
            return Err(fail(format!(
                "module {} has places for {capacity} rules; give it more by `rules`, up to 32",
                rule.module
            )));
        }
        let written = Rule {
            source: masked(&rule.source).map_err(&fail)?,
            destination: masked(&rule.destination).map_err(&fail)?,
            source_port: rule.source_port,
            destination_port: rule.destination_port,
            protocol: rule.protocol,
            action,
        };
        writes.extend(written.writes(rule.module, *place as u8));
        *place += 1;
    }
    Ok(writes)
}

fn action(word: &str, module: &ModulePoint) -> Result<u8, String> {
    let class = word.strip_prefix("class-").and_then(|c| c.parse().ok());
    match (module.kind, word, class) {
        (Kind::Firewall, "pass", _) => Ok(rules::action::PASS),
        (Kind::Firewall, "drop", _) => Ok(rules::action::DROP),
        (Kind::Firewall, "redirect", _) if module.slot == Slot::Ingress => {
            Ok(rules::action::REDIRECT)
        }
        (Kind::Firewall, ..) => Err(format!(
            "a firewall has no action `{word}` in slot `{}`; take `pass`, `drop` or, at \
             ingress, `redirect`",
            module.slot.name()
        )),
        (Kind::Classify, _, Some(class @ 0..=15)) => Ok(class),
        (Kind::Classify, ..) => Err(format!(
            "`{word}` is no class; write `class-0` to `class-15`"
        )),
        (Kind::Capture, "capture", _) => Ok(rules::action::CAPTURE),
        (Kind::Capture, "ignore", _) => Ok(0),
        (Kind::Capture, ..) => Err(format!(
            "a capture has no action `{word}`; take `capture` or `ignore`"
        )),
        (kind, ..) => Err(format!(
            "module `{}` takes no rules; `firewall`, `classify` and `capture` do",
            kind.name()
        )),
    }
}

/// Address and mask of `10.0.0.0/8`, or of `10.0.0.1` alone.
fn prefix(text: &str) -> Option<(u32, u32)> {
    let (address, length) = text.split_once('/').unwrap_or((text, "32"));
    let address: Ipv4Addr = address.parse().ok()?;
    let length: u32 = length.parse().ok()?;
    let mask = u32::MAX
        .checked_shl(32u32.checked_sub(length)?)
        .unwrap_or(0);
    Some((address.into(), mask))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(kind: Kind, slot: Slot) -> ModulePoint {
        ModulePoint {
            slot,
            kind,
            vlan: None,
            rules: Some(1),
            places: None,
            snap: None,
        }
    }

    fn rule(action: &str) -> HostRule {
        HostRule {
            module: 0,
            action: action.into(),
            default: false,
            source: Some("10.1.0.0/16".into()),
            destination: None,
            source_port: None,
            destination_port: Some(80),
            protocol: Some(6),
        }
    }

    #[test]
    fn prefixes_become_masks() {
        assert_eq!(prefix("10.0.0.0/8"), Some((0x0a00_0000, 0xff00_0000)));
        assert_eq!(prefix("10.0.0.1"), Some((0x0a00_0001, u32::MAX)));
        assert_eq!(prefix("0.0.0.0/0"), Some((0, 0)));
        for wrong in ["10.0.0.0/33", "10.0.0/8", "x/8", ""] {
            assert_eq!(prefix(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn rules_that_cannot_be_written_are_told() {
        let wall = [module(Kind::Firewall, Slot::Egress)];
        let told = |list: &[HostRule], modules: &[ModulePoint]| writes(list, modules).unwrap_err();
        assert!(told(&[rule("redirect")], &wall).contains("take `pass`, `drop`"));
        assert!(told(&[rule("drop")], &[]).contains("there is no module 0"));
        assert!(told(&[rule("drop"), rule("pass")], &wall).contains("places for 1 rules"));
        let class = [module(Kind::Classify, Slot::BeforeProtocol)];
        assert!(told(&[rule("class-16")], &class).contains("`class-16` is no class"));
        let mut unmasked = rule("drop");
        unmasked.source = Some("10.0.0.0/40".into());
        assert!(told(&[unmasked], &wall).starts_with("rule 0: `10.0.0.0/40`"));
    }

    #[test]
    fn a_capture_without_rules_mirrors_everything() {
        let all = [module(Kind::Capture, Slot::Egress)];
        assert_eq!(writes(&[], &all), Ok(vec![(0x8_0008, 1)]));
        assert_eq!(writes(&[rule("capture")], &all).unwrap().len(), 5);
        let told = writes(&[rule("drop")], &all).unwrap_err();
        assert!(told.contains("take `capture` or `ignore`"), "{told}");
    }

    #[test]
    fn a_rule_becomes_five_writes_and_the_default_one() {
        let wall = [module(Kind::Firewall, Slot::Ingress)];
        let default = HostRule {
            default: true,
            ..rule("drop")
        };
        let list = writes(&[default, rule("pass")], &wall).unwrap();
        assert_eq!(list.len(), 6);
        assert_eq!(list[0], (0x8_0008, 1));
        assert_eq!(list[1], (0x8_0010, 0xffff_0000_0a01_0000));
        assert_eq!(list[5], (0x8_0030, 0));
    }
}
