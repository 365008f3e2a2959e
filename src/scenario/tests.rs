use super::*;
use std::collections::BTreeSet;

const DOCUMENT: &str = include_str!("../../docs/scenarios.md");

fn keys(prefix: &str, table: &toml::Table, into: &mut BTreeSet<String>) {
    for (key, value) in table {
        let full = format!("{prefix}{key}");
        match value {
            toml::Value::Table(inner) if !inner.is_empty() => {
                keys(&format!("{full}."), inner, into);
            }
            toml::Value::Array(items) if items.iter().any(toml::Value::is_table) => {
                for item in items.iter().filter_map(toml::Value::as_table) {
                    keys(&format!("{full}[]."), item, into);
                }
            }
            _ => {
                into.insert(full);
            }
        }
    }
}

/// The first column of the tables below the heading `heading`.
fn documented(heading: &str) -> BTreeSet<String> {
    let section = DOCUMENT
        .split("\n# ")
        .find(|part| part.contains(heading))
        .unwrap();
    section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(key, _)| key.to_owned())
        .collect()
}

fn settings(app: &str) -> Settings {
    let text = format!(
        "name = \"s\"\n[nic]\ndesign = \"d.toml\"\n[link]\nrate = \"100Gbps\"\n[peer]\nvlan = 100\n[proxy]\nsplice = true\n\
         [host]\nrules = [{{ module = 0, action = \"drop\", default = false, source = \"10.0.0.1\", \
         destination = \"10.0.0.2\", source_port = 1, destination_port = 2, \
         protocol = 6 }}]\n[app]\n{app}"
    );
    Document::parse(Path::new("s.toml"), text)
        .unwrap()
        .decode()
        .unwrap()
}

#[test]
fn every_key_is_documented_and_every_documented_key_exists() {
    let mut known = BTreeSet::new();
    for app in [
        "kind = \"http\"\nroot = \"www\"",
        "kind = \"rpc\"\nconnections = 1\nrequests = 1\nsize = \"64B\"",
    ] {
        keys(
            "",
            &toml::Table::try_from(settings(app)).unwrap(),
            &mut known,
        );
    }
    assert_eq!(documented("Scenarios"), known);
    let design = "name = \"d\"\nclock = \"250MHz\"\npush = true\ncoalesce = 8\n\
                  modules = [{ slot = \"egress\", kind = \"vlan\", vlan = 1 }, \
                  { slot = \"egress\", kind = \"firewall\", rules = 1 }, \
                  { slot = \"ingress\", kind = \"capture\", snap = 64 }, \
                  { slot = \"ingress\", kind = \"splice\", places = 8 }]\n";
    let design = Document::parse(Path::new("d.toml"), design.into()).unwrap();
    let point = DesignPoint::from_document(&design).unwrap();
    let mut known = BTreeSet::new();
    keys("", &toml::Table::try_from(point).unwrap(), &mut known);
    assert_eq!(documented("Design points"), known);
}

#[test]
fn the_documented_defaults_are_the_defaults() {
    let table = toml::Table::try_from(settings("kind = \"http\"\nroot = \"www\"")).unwrap();
    for line in DOCUMENT.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, key, default, ..] = cells[..] else {
            continue;
        };
        let Some((section, name)) = key.trim_matches('`').split_once('.') else {
            continue;
        };
        let Some(default) = default.strip_prefix('`').and_then(|d| d.strip_suffix('`')) else {
            continue;
        };
        let documented = format!("v = {default}").parse::<toml::Table>().unwrap();
        assert_eq!(
            table[section][name].to_string(),
            documented["v"].to_string(),
            "{key}"
        );
    }
}
