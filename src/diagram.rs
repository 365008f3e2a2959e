//! A block diagram of a design as SVG, from its manifest alone.
//!
//! Instances of the top module are boxes, in columns from left to right as words flow;
//! streams are lines from the right side of their source to the left side of their sink,
//! and those that flow back run below the boxes, dashed. A box names its module, its
//! streams, and what is inside it.

mod layout;
pub mod pipeline;
mod svg;

use hallux_hdl::manifest::{Manifest, Module};
use std::collections::BTreeMap;

/// A box of the diagram, or a port of the design at its edge.
#[derive(Clone, Debug, Default, PartialEq)]
struct Block {
    /// Name of the instance without `u_`, or of the port.
    name: String,
    /// Module of the instance; empty for a port.
    module: String,
    /// Streams that enter, in order.
    inputs: Vec<String>,
    /// Streams that leave, in order.
    outputs: Vec<String>,
    /// What is inside, one line each.
    inside: Vec<String>,
}

/// A line of the diagram: block and position among its outputs or inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    from: (usize, usize),
    to: (usize, usize),
    width: u32,
}

/// What is to be drawn.
#[derive(Clone, Debug, Default, PartialEq)]
struct Graph {
    blocks: Vec<Block>,
    lines: Vec<Line>,
}

/// The diagram of `manifest` as the text of an SVG file.
pub fn diagram(manifest: &Manifest) -> String {
    let graph = match manifest.top_module() {
        Some(top) => Graph::of(manifest, top),
        None => Graph::default(),
    };
    let places = layout::place(&graph);
    let title = format!("{}: {}", manifest.design, manifest.top);
    svg::draw(&graph, &places, &title)
}

impl Graph {
    fn of(manifest: &Manifest, top: &Module) -> Self {
        let mut graph = Self::default();
        let mut known: BTreeMap<String, usize> = BTreeMap::new();
        for instance in &top.instances {
            known.insert(instance.name.clone(), graph.blocks.len());
            graph.blocks.push(Block {
                name: instance.name.trim_start_matches("u_").to_string(),
                module: instance.module.clone(),
                inside: manifest
                    .module(&instance.module)
                    .map(|module| inside(manifest, module, 0))
                    .unwrap_or_default(),
                ..Block::default()
            });
        }
        for stream in &top.streams {
            let from = graph.end(&mut known, &stream.from, true);
            let to = graph.end(&mut known, &stream.to, false);
            graph.lines.push(Line {
                from,
                to,
                width: stream.width,
            });
        }
        graph.label_widths();
        graph
    }

    /// Writes the width in bits behind each stream that enters an instance.
    fn label_widths(&mut self) {
        let mut widths: BTreeMap<(usize, usize), u32> = BTreeMap::new();
        widths.extend(self.lines.iter().map(|line| (line.to, line.width)));
        for ((block, input), width) in widths {
            let block = &mut self.blocks[block];
            if !block.module.is_empty() && width > 0 {
                block.inputs[input] += &format!(" [{width}]");
            }
        }
    }

    /// Block and position of an end of a stream; an end without an instance is a port.
    fn end(
        &mut self,
        known: &mut BTreeMap<String, usize>,
        end: &str,
        source: bool,
    ) -> (usize, usize) {
        let (instance, stream) = end.split_once('.').unwrap_or((end, ""));
        let block = *known.entry(instance.to_string()).or_insert_with(|| {
            self.blocks.push(Block {
                name: instance.to_string(),
                ..Block::default()
            });
            self.blocks.len() - 1
        });
        let block_of = &mut self.blocks[block];
        let list = if source {
            &mut block_of.outputs
        } else {
            &mut block_of.inputs
        };
        let position = list.iter().position(|known| known == stream);
        let position = position.unwrap_or_else(|| {
            list.push(stream.to_string());
            list.len() - 1
        });
        (block, position)
    }
}

/// Lines about what is inside `module`: equal modules together, memories with their size,
/// assertions left aside.
fn inside(manifest: &Manifest, module: &Module, depth: usize) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for instance in &module.instances {
        *counts.entry(&instance.module).or_default() += 1;
    }
    let mut lines = Vec::new();
    for (name, count) in counts {
        let Some(child) = manifest.module(name) else {
            continue;
        };
        if child.source.ends_with("::Assert") {
            continue;
        }
        let indent = "  ".repeat(depth);
        let times = match count {
            1 => String::new(),
            count => format!("{count} × "),
        };
        lines.push(format!("{indent}{times}{name}"));
        lines.extend(inside(manifest, child, depth + 1));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use hallux_toe::design::DesignPoint;
    use hallux_toe::generate::generate;
    use std::path::Path;

    fn manifest() -> Manifest {
        let path = Path::new("examples/designs/toe-100g.toml");
        let point = DesignPoint::read(path).unwrap();
        generate(&point).unwrap().manifest
    }

    #[test]
    fn every_instance_and_every_stream_of_the_top_is_drawn_and_nothing_overlaps() {
        let manifest = manifest();
        let top = manifest.top_module().unwrap();
        let graph = Graph::of(&manifest, top);
        assert!(graph.lines.len() > 20);
        assert_eq!(graph.lines.len(), top.streams.len());
        let places = layout::place(&graph);
        let boxes = &places.boxes;
        assert_eq!(boxes.len(), graph.blocks.len());
        for (number, a) in boxes.iter().enumerate() {
            assert!(a.x >= 0 && a.x + a.width <= places.width);
            assert!(a.y >= 0 && a.y + a.height <= places.height);
            for b in &boxes[..number] {
                let apart = a.x + a.width <= b.x
                    || b.x + b.width <= a.x
                    || a.y + a.height <= b.y
                    || b.y + b.height <= a.y;
                assert!(apart, "{a:?} {b:?}");
            }
        }
        let text = diagram(&manifest);
        for instance in &top.instances {
            assert!(text.contains(&format!(">{}<", instance.name.trim_start_matches("u_"))));
        }
        assert_eq!(text, diagram(&manifest), "the same bytes again");
    }

    #[test]
    fn a_design_without_streams_is_drawn_too() {
        let mut manifest = manifest();
        for module in &mut manifest.modules {
            module.streams.clear();
        }
        assert!(diagram(&manifest).contains(">parse<"));
        manifest.top = "nothing".into();
        assert!(diagram(&manifest).ends_with("</svg>\n"));
    }
}
