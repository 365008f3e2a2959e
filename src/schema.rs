//! The keys of the TOML files, as JSON Schema for editors and as a table for people.
//!
//! Both come from the types that read the files. Beside the standard keywords `x-minimum` and
//! `x-maximum` hold the range of a quantity with a unit, which JSON Schema cannot express.

use crate::scenario::Settings;
use crate::sweep;
use hallux_toe::design::DesignPoint;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// A kind of TOML file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// The parameters of a NIC.
    Design,
    /// What is connected to what, and its work.
    Scenario,
    /// A scenario at many points.
    Sweep,
}

/// The JSON Schema (draft 7, the one that editors of TOML know) of a kind of file.
pub fn schema(kind: Kind) -> Value {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    let mut generator = settings.into_generator();
    let schema = match kind {
        Kind::Design => generator.root_schema_for::<DesignPoint>(),
        Kind::Scenario => generator.root_schema_for::<Settings>(),
        Kind::Sweep => generator.root_schema_for::<sweep::spec::Keys>(),
    };
    let mut schema = schema.to_value();
    let title = match kind {
        Kind::Design => "Hallux design point",
        Kind::Scenario => "Hallux scenario",
        Kind::Sweep => "Hallux sweep",
    };
    schema["title"] = json!(title);
    if kind == Kind::Scenario {
        // Parameters are those of a design point, each with the file's value in place of a default.
        let mut parameters = self::schema(Kind::Design)["properties"].take();
        for (_, parameter) in parameters.as_object_mut().into_iter().flatten() {
            if let Some(keywords) = parameter.as_object_mut() {
                keywords.shift_remove("default");
            }
        }
        let place = &mut schema["properties"]["nic"]["properties"]["parameters"];
        place["properties"] = parameters;
        place["additionalProperties"] = json!(false);
    }
    schema
}

/// The key of a scenario that holds keys of its design point.
const PARAMETERS: &str = "nic.parameters";

/// A key of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its dotted name; `axis[].key` for what stands in each table of an array.
    pub name: String,
    /// Type, and the values it may have.
    pub values: String,
    /// What it is where it is not given; `required` if it must be given, empty if nothing is
    /// taken in its place.
    pub default: String,
    /// What it means.
    pub about: String,
}

/// The keys of a kind of file, in the order of their types.
pub fn keys(kind: Kind) -> Vec<Key> {
    let mut found = vec![];
    walk("", &schema(kind), &mut found);
    found
}

fn walk(prefix: &str, schema: &Value, found: &mut Vec<Key>) {
    let empty = Map::new();
    let required = schema["required"].as_array();
    for (name, property) in schema["properties"].as_object().unwrap_or(&empty) {
        let full = format!("{prefix}{name}");
        let is_required = required.is_some_and(|names| names.contains(&json!(name)));
        let inner = alternatives(property);
        let items = inner.iter().map(|inner| &inner["items"]);
        let mut items = items.filter(|items| items["properties"].is_object());
        let table = inner.iter().find(|inner| inner["properties"].is_object());
        // What parameters there are, the schema of design points says.
        if let Some(table) = table.filter(|_| full != PARAMETERS) {
            walk(&format!("{full}."), table, found);
            continue;
        }
        if let Some(items) = items.next() {
            walk(&format!("{full}[]."), items, found);
            continue;
        }
        let default = match &property["default"] {
            Value::Null if is_required => "required".to_owned(),
            Value::Null => String::new(),
            default => default.to_string(),
        };
        let about = property["description"].as_str().unwrap_or_default();
        found.push(Key {
            name: full,
            values: values(property),
            default,
            about: about.split_whitespace().collect::<Vec<_>>().join(" "),
        });
    }
}

/// The schema itself, or those of which one must hold; nothing of `null`, which TOML lacks.
fn alternatives(schema: &Value) -> Vec<&Value> {
    let one_of = ["anyOf", "oneOf"]
        .iter()
        .find_map(|of| schema[*of].as_array());
    let Some(all) = one_of else {
        return vec![schema];
    };
    all.iter()
        .filter(|one| one["type"] != "null")
        .flat_map(alternatives)
        .collect()
}

/// Type and values of a key in words.
fn values(schema: &Value) -> String {
    let each: Vec<String> = alternatives(schema).into_iter().map(value).collect();
    let mut text = match each.iter().all(|one| one.starts_with('"')) {
        true => each.join(", "),
        false => each.join(" or "),
    };
    let bound = |names: [&str; 2]| {
        let found = names.iter().map(|name| &schema[*name]);
        let mut found = found.filter(|value| !value.is_null());
        found.next().map(|value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    };
    let range = match (
        bound(["minimum", "x-minimum"]),
        bound(["maximum", "x-maximum"]),
    ) {
        (Some(low), Some(high)) => format!(", {low} to {high}"),
        (Some(low), None) => format!(", from {low}"),
        (None, Some(high)) => format!(", up to {high}"),
        (None, None) => String::new(),
    };
    if schema["enum"].is_null() {
        text += &range;
    }
    text
}

fn value(schema: &Value) -> String {
    if let Some(allowed) = schema["enum"].as_array() {
        let allowed = allowed.iter().filter(|value| !value.is_null());
        return allowed.map(Value::to_string).collect::<Vec<_>>().join(", ");
    }
    if !schema["const"].is_null() {
        return schema["const"].to_string();
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => vec![],
    };
    let words = types
        .into_iter()
        .filter(|one| *one != "null")
        .map(|one| match one {
            "string" => match schema["examples"][0].as_str() {
                Some(example) => format!("quantity such as \"{example}\""),
                None => "text".into(),
            },
            "array" => format!("list of {}", values(&schema["items"])),
            "object" => "table".into(),
            other => other.to_owned(),
        });
    words.collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use hallux_toe::document::Document;
    use std::fmt::Write;
    use std::path::Path;

    /// A file in which `key` has the value `value`, as TOML.
    fn with(kind: Kind, base: &str, key: &str, value: &str) -> Result<(), String> {
        let mut document = Document::parse(Path::new("f.toml"), base.to_owned()).unwrap();
        document
            .set(&format!("{key}={value}"))
            .map_err(|error| error.to_string())?;
        match kind {
            Kind::Design => DesignPoint::from_document(&document).map(drop),
            Kind::Scenario => document
                .decode::<Settings>()
                .and_then(|settings| settings.validate(&document)),
            Kind::Sweep => unreachable!(),
        }
        .map_err(|error| error.to_string())
    }

    /// Every bound that the schema names is the one that a file is held to: the outermost
    /// values are taken, the next ones refused.
    #[test]
    fn ranges_of_the_schema_are_those_of_the_parser() {
        let design = |connections: u32| {
            format!("name = \"d\"\nclock = \"250MHz\"\nconnections = {connections}\n")
        };
        let scenario = |app: &str| {
            format!("name = \"s\"\nnic.design = \"d.toml\"\ntopology.kind = \"star\"\n{app}")
        };
        let rpc = "app.kind = \"rpc\"\napp.connections = 1\napp.requests = 1\napp.size = \"64B\"\n";
        let http = "app.kind = \"http\"\napp.root = \"www\"\n";
        let files = [
            (
                Kind::Design,
                vec![
                    design(16),
                    design(65536),
                    design(16) + "reorder_depth = 256\n",
                ],
            ),
            (Kind::Scenario, vec![scenario(rpc), scenario(http)]),
        ];
        let mut checked = 0;
        for (kind, bases) in files {
            let mut report = String::new();
            let mut expect = |key: &str, value: &str, taken: bool| {
                checked += 1;
                let results: Vec<_> = bases
                    .iter()
                    .map(|base| with(kind, base, key, value))
                    .collect();
                let refusals: Vec<_> = results
                    .iter()
                    .filter_map(|one| one.as_ref().err())
                    .collect();
                let last = key.rsplit('.').next().unwrap();
                let right = match taken {
                    true => refusals.len() < results.len(),
                    false => {
                        refusals.len() == results.len()
                            && refusals
                                .iter()
                                .any(|text| text.contains(last) || text.contains(value))
                    }
                };
                if !right {
                    let _ = writeln!(report, "{key} = {value}, taken {taken}: {results:?}");
                }
            };
            each_leaf("", &schema(kind), &mut |key, schema| {
                if let Some(allowed) = schema["enum"].as_array() {
                    let numbers: Vec<i64> = allowed.iter().filter_map(Value::as_i64).collect();
                    for number in &numbers {
                        expect(key, &number.to_string(), true);
                    }
                    let Some(most) = numbers.last() else { return };
                    for number in (0..=most + 1).chain([2 * most]) {
                        // Enough of them: all small ones, and the powers of two.
                        let tried = number <= 40 || (number as u64).is_power_of_two();
                        if tried && !numbers.contains(&number) {
                            expect(key, &number.to_string(), false);
                        }
                    }
                    return;
                }
                for (bound, step) in [("minimum", -1), ("maximum", 1)] {
                    if let Some(number) = schema[bound]
                        .as_i64()
                        .filter(|_| schema["type"] != "number")
                    {
                        expect(key, &number.to_string(), true);
                        expect(key, &(number + step).to_string(), false);
                    } else if let Some(number) = schema[bound].as_f64() {
                        expect(key, &format!("{number:?}"), true);
                        expect(key, &format!("{:?}", number + 0.001 * step as f64), false);
                    }
                    if let Some(text) = schema[format!("x-{bound}")].as_str() {
                        expect(key, &format!("\"{text}\""), true);
                        expect(key, &format!("\"{}\"", next(text, step)), false);
                    }
                }
            });
            assert!(report.is_empty(), "{report}");
        }
        println!("{checked} values");
        assert!(checked > 200);
    }

    /// The quantity one base unit above or below.
    fn next(text: &str, step: i64) -> String {
        use hallux_toe::units::{BitRate, ByteCount, Duration, Frequency};
        let moved = |value: u64| value.checked_add_signed(step).unwrap();
        let frequency = text
            .parse()
            .map(|Frequency(v)| Frequency(moved(v)).to_string());
        let rate = || text.parse().map(|BitRate(v)| BitRate(moved(v)).to_string());
        let bytes = || {
            text.parse()
                .map(|ByteCount(v)| ByteCount(moved(v)).to_string())
        };
        let span = || {
            text.parse()
                .map(|Duration(v)| Duration(moved(v)).to_string())
        };
        frequency
            .or_else(|_| rate())
            .or_else(|_| bytes())
            .or_else(|_| span())
            .unwrap()
    }

    fn each_leaf(prefix: &str, schema: &Value, visit: &mut dyn FnMut(&str, &Value)) {
        for (name, property) in schema["properties"].as_object().unwrap() {
            let full = format!("{prefix}{name}");
            if full == PARAMETERS {
                continue;
            }
            match property["properties"].is_object() {
                true => each_leaf(&format!("{full}."), property, visit),
                false => visit(&full, property),
            }
        }
    }

    /// Where a range is refused by type alone, the schema says so too: no integer without one.
    #[test]
    fn every_key_has_a_meaning_and_every_number_a_range() {
        for kind in [Kind::Design, Kind::Scenario, Kind::Sweep] {
            for key in keys(kind) {
                assert!(!key.about.is_empty(), "{key:?}");
                assert!(!key.values.is_empty(), "{key:?}");
                let bounded = !key.values.starts_with("integer") || key.values.contains(", ");
                let free = ["seed", "sample.points"].contains(&key.name.as_str());
                assert!(
                    bounded || free || key.name.ends_with("log.points"),
                    "{key:?}"
                );
            }
        }
    }

    /// The tables of docs/scenarios.md have the keys of the schema.
    #[test]
    fn the_documented_keys_are_those_of_the_schema() {
        let document = include_str!("../docs/scenarios.md");
        for (kind, heading) in [
            (Kind::Scenario, "Scenarios"),
            (Kind::Design, "Design points"),
        ] {
            let mut section = document
                .split("\n# ")
                .map(|part| part.trim_start_matches("# "));
            let section = section.find(|part| part.starts_with(heading)).unwrap();
            let rows = section
                .lines()
                .filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
            let mut documented: Vec<&str> = rows.map(|(key, _)| key).collect();
            let known = keys(kind);
            let mut known: Vec<&str> = known.iter().map(|key| key.name.as_str()).collect();
            documented.sort_unstable();
            known.sort_unstable();
            assert_eq!(documented, known);
        }
    }

    #[test]
    fn parameters_of_a_scenario_are_those_of_a_design_without_defaults() {
        let scenario = schema(Kind::Scenario);
        let parameters = &scenario["properties"]["nic"]["properties"]["parameters"]["properties"];
        assert_eq!(parameters["read_tags"]["maximum"], 128);
        assert!(parameters["read_tags"]["default"].is_null());
    }
}
