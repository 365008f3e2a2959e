//! The stages of a design and what flows between them, small enough to stand in a report:
//! one box a stage, flow groups drawn once.

use super::{Block, Graph, Line, layout};
use hallux_hdl::manifest::{Instance, Manifest, Module, Stream};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What the diagram of a report is drawn from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pipeline {
    /// The boxes, by name.
    pub blocks: BTreeMap<String, Part>,
    /// Streams from block to block, in the order of the design; a name that is no block's
    /// is a port of the NIC.
    pub streams: Vec<(String, String)>,
}

/// One box.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Module of the instance.
    pub module: String,
    /// How many of them work side by side.
    pub copies: usize,
}

/// Start of the names of the ports that show what a stage does.
const PROBE: &str = "probe_";

/// How busy a stage is, as shares of the clock cycles from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Utilisation {
    /// An event entered it.
    pub busy: f64,
    /// An event waited before it.
    pub blocked: f64,
}

/// A placed box of the diagram.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed {
    /// Name of the block or port.
    pub name: String,
    /// Whether it is a port of the NIC.
    pub is_port: bool,
    /// Left edge, upper edge, width and height.
    pub area: [i32; 4],
}

/// A diagram whose parts have their places.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Drawing {
    /// Width and height.
    pub size: (i32, i32),
    /// The boxes.
    pub boxes: Vec<Placed>,
    /// The lines between them.
    pub lines: Vec<Drawn>,
}

/// Corners of a line, whether it runs back, and the names of its ends.
pub type Drawn = (Vec<(i32, i32)>, bool, String);

impl Pipeline {
    /// The stages of the design that `manifest` describes.
    pub fn of(manifest: &Manifest) -> Self {
        let Some(top) = manifest.top_module() else {
            return Self::default();
        };
        let mut flat = Flat::new(manifest, top);
        let ports = top.ports.iter().filter(|port| port.name.starts_with(PROBE));
        let stages: BTreeSet<&str> = ports.map(|port| &port.name[PROBE.len()..]).collect();
        while let Some(name) = flat.container(&stages) {
            flat.open(&name);
        }
        let passed: Vec<String> = flat.passed();
        for name in passed {
            flat.pass(&name);
        }
        flat.pipeline()
    }

    /// Places the boxes, `labels` under the names of those that have one.
    pub fn place(&self, labels: &BTreeMap<String, String>) -> Drawing {
        let mut graph = Graph::default();
        let mut known: BTreeMap<&str, usize> = BTreeMap::new();
        for (name, part) in &self.blocks {
            known.insert(name, graph.blocks.len());
            graph.blocks.push(Block {
                name: title(name, part.copies),
                // A box is as wide as both lines ask for.
                module: labels.get(name).cloned().unwrap_or_else(|| " ".into()),
                ..Block::default()
            });
        }
        let mut names: Vec<&str> = self.blocks.keys().map(String::as_str).collect();
        for (from, to) in &self.streams {
            let mut end = |name: &'_ String, source: bool| {
                let name: &str = self
                    .streams
                    .iter()
                    .flat_map(|(from, to)| [from, to])
                    .find(|known| *known == name)
                    .map_or("", String::as_str);
                // A port that is both source and sink stands at both edges.
                let block = match known.get(name) {
                    Some(block) => *block,
                    None => {
                        graph.blocks.push(Block {
                            name: name.to_owned(),
                            ..Block::default()
                        });
                        names.push(name);
                        known.insert(name, graph.blocks.len() - 1);
                        graph.blocks.len() - 1
                    }
                };
                let list = match source {
                    true => &mut graph.blocks[block].outputs,
                    false => &mut graph.blocks[block].inputs,
                };
                list.push(String::new());
                (block, list.len() - 1)
            };
            let line = Line {
                from: end(from, true),
                to: end(to, false),
                width: 0,
            };
            graph.lines.push(line);
        }
        let places = layout::place(&graph);
        let boxes = graph.blocks.iter().zip(&places.boxes).zip(&names);
        Drawing {
            size: (places.width, places.height),
            boxes: boxes
                .map(|((block, place), name)| Placed {
                    name: (*name).to_owned(),
                    is_port: block.module.is_empty(),
                    area: [place.x, place.y, place.width, place.height],
                })
                .collect(),
            lines: places
                .routes
                .into_iter()
                .zip(&self.streams)
                .map(|((route, back), (from, to))| (route, back, format!("{from} to {to}")))
                .collect(),
        }
    }
}

/// The name of a block with how many there are.
pub fn title(name: &str, copies: usize) -> String {
    match copies {
        0 | 1 => name.to_owned(),
        copies => format!("{name} × {copies}"),
    }
}

/// The name of an instance without what the generator adds: `u_group_2` is a `group`.
fn base(instance: &str) -> &str {
    let name = instance.trim_start_matches("u_");
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    match stem.strip_suffix('_') {
        Some(stem) if stem.len() < name.len() => stem,
        _ => name,
    }
}

/// An end of a stream: block, and the name of the stream there; a port has no stream.
type End = (String, String);

/// A design on its way to one level.
struct Flat<'a> {
    manifest: &'a Manifest,
    /// Ports of the top, which are no blocks.
    blocks: BTreeMap<String, Part>,
    streams: Vec<(End, End)>,
}

impl<'a> Flat<'a> {
    fn new(manifest: &'a Manifest, top: &Module) -> Self {
        let mut flat = Self {
            manifest,
            blocks: BTreeMap::new(),
            streams: ends(&top.streams),
        };
        flat.add(&top.instances, &top.streams, 1);
        flat
    }

    /// Adds what is connected; a generator's own blocks, such as assertions, are not.
    fn add(&mut self, instances: &[Instance], streams: &[Stream], times: usize) {
        let connected: BTreeSet<&str> = streams
            .iter()
            .flat_map(|stream| [&stream.from, &stream.to])
            .filter_map(|end| end.split_once('.'))
            .map(|(instance, _)| instance)
            .collect();
        for instance in instances {
            if connected.contains(instance.name.as_str()) {
                let part = self.blocks.entry(base(&instance.name).to_owned());
                let part = part.or_default();
                part.module.clone_from(&instance.module);
                part.copies += times;
            }
        }
    }

    /// A block that is no stage itself but has stages inside.
    fn container(&self, stages: &BTreeSet<&str>) -> Option<String> {
        let holds = |part: &Part| {
            let module = self.manifest.module(&part.module);
            module.is_some_and(|module| {
                let mut inside = module.instances.iter();
                inside.any(|instance| stages.contains(base(&instance.name)))
            })
        };
        let mut blocks = self.blocks.iter();
        blocks
            .find(|(name, part)| !stages.contains(name.as_str()) && holds(part))
            .map(|(name, _)| name.clone())
    }

    /// Puts what is inside a block in its place.
    fn open(&mut self, name: &str) {
        let Some(part) = self.blocks.remove(name) else {
            return;
        };
        let Some(module) = self.manifest.module(&part.module) else {
            return;
        };
        self.add(&module.instances, &module.streams, part.copies);
        let inner = ends(&module.streams);
        let port = |end: &End, stream: &str| end.1.is_empty() && end.0 == stream;
        let outer = std::mem::take(&mut self.streams);
        for (from, to) in outer {
            let sources: Vec<End> = match from.0 == name {
                true => inner
                    .iter()
                    .filter(|(_, end)| port(end, &from.1))
                    .map(|(source, _)| source.clone())
                    .collect(),
                false => vec![from],
            };
            let sinks: Vec<End> = match to.0 == name {
                true => inner
                    .iter()
                    .filter(|(end, _)| port(end, &to.1))
                    .map(|(_, sink)| sink.clone())
                    .collect(),
                false => vec![to],
            };
            for source in &sources {
                let streams = sinks.iter().map(|sink| (source.clone(), sink.clone()));
                self.streams.extend(streams);
            }
        }
        let between = |(from, to): &(End, End)| !from.1.is_empty() && !to.1.is_empty();
        self.streams.extend(inner.into_iter().filter(between));
    }

    /// Blocks that only hand on: registers of streams, and what gathers those of groups.
    fn passed(&self) -> Vec<String> {
        let passes = |part: &Part| {
            let source = self
                .manifest
                .module(&part.module)
                .map(|m| m.source.as_str());
            source.is_some_and(|source| {
                let path = source.split('<').next().unwrap_or(source);
                path.ends_with("::StreamRegister") || path.ends_with("::Gather")
            })
        };
        let blocks = self.blocks.iter().filter(|(_, part)| passes(part));
        blocks.map(|(name, _)| name.clone()).collect()
    }

    /// Leads the streams of a block past it.
    fn pass(&mut self, name: &str) {
        self.blocks.remove(name);
        let all = std::mem::take(&mut self.streams);
        let (into, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, to)| to.0 == name);
        for (from, to) in rest {
            match from.0 == name {
                true => {
                    let past = into.iter().map(|(source, _)| (source.clone(), to.clone()));
                    self.streams.extend(past);
                }
                false => self.streams.push((from, to)),
            }
        }
    }

    fn pipeline(self) -> Pipeline {
        let mut streams = vec![];
        for ((from, _), (to, _)) in self.streams {
            if !streams.contains(&(from.clone(), to.clone())) {
                streams.push((from, to));
            }
        }
        Pipeline {
            blocks: self.blocks,
            streams,
        }
    }
}

/// The ends of streams that carry data; equal instances are one block.
fn ends(streams: &[Stream]) -> Vec<(End, End)> {
    let end = |text: &str| match text.split_once('.') {
        Some((instance, stream)) => (base(instance).to_owned(), stream.to_owned()),
        None => (text.to_owned(), String::new()),
    };
    let data = streams.iter().filter(|stream| stream.width > 0);
    data.map(|stream| (end(&stream.from), end(&stream.to)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hallux_toe::design::DesignPoint;
    use hallux_toe::generate::generate;
    use std::path::Path;

    fn pipeline(design: &str) -> Pipeline {
        let path = format!("examples/designs/{design}.toml");
        let point = DesignPoint::read(Path::new(&path)).unwrap();
        Pipeline::of(&generate(&point).unwrap().manifest)
    }

    #[test]
    fn groups_are_opened_and_registers_passed() {
        let pipeline = pipeline("ladder-4");
        let copies = |name: &str| pipeline.blocks.get(name).map(|part| part.copies);
        assert_eq!(copies("protocol"), Some(4));
        assert_eq!(copies("parse"), Some(1));
        assert_eq!(copies("group"), None);
        assert_eq!(copies("tx_register"), None);
        let has = |from: &str, to: &str| {
            let wanted = (from.to_owned(), to.to_owned());
            pipeline.streams.contains(&wanted)
        };
        assert!(
            has("eth_rx", "parse") && has("assemble", "eth_tx"),
            "{pipeline:#?}"
        );
        assert!(has("arbiter", "protocol") && has("protocol", "post"));
        assert!(has("payload_write", "upstream") && has("upstream", "up"));
    }

    #[test]
    fn boxes_have_places_of_their_own() {
        let pipeline = pipeline("toe-100g");
        let labels = [("protocol".to_owned(), "12.3 % busy".to_owned())];
        let drawing = pipeline.place(&BTreeMap::from(labels));
        assert_eq!(drawing.lines.len(), pipeline.streams.len());
        for (number, a) in drawing.boxes.iter().enumerate() {
            for b in &drawing.boxes[..number] {
                let [ax, ay, aw, ah] = a.area;
                let [bx, by, bw, bh] = b.area;
                let apart = ax + aw <= bx || bx + bw <= ax || ay + ah <= by || by + bh <= ay;
                assert!(apart, "{a:?} {b:?}");
            }
        }
    }
}
