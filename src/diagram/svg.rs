//! Writing a placed diagram as SVG.

use super::Graph;
use super::layout::{HEAD, Places, TEXT, row, text_width};
use std::fmt::Write;

/// Colours for light and for dark surroundings; ink follows the reader's choice.
const STYLE: &str = "
    text { font: 12px ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace; fill: #1f2933; }
    .title { font-size: 16px; font-weight: 600; }
    .name { font-weight: 700; }
    .faint { fill: #52606d; }
    .paper { fill: #ffffff; }
    .block { fill: #eef4fb; stroke: #486581; }
    .port { fill: #fdf3dc; stroke: #b7791f; }
    .rule { stroke: #bcccdc; }
    .line { fill: none; stroke: #486581; stroke-width: 1.4; }
    .back { stroke-dasharray: 5 3; stroke: #b7791f; }
    .tip { fill: #486581; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e4e7eb; }
      .faint { fill: #9aa5b1; }
      .paper { fill: #14191f; }
      .block { fill: #1f2c3a; stroke: #829ab1; }
      .port { fill: #33290f; stroke: #d69e2e; }
      .rule { stroke: #3e4c59; }
      .line { stroke: #9fb3c8; }
      .back { stroke: #d69e2e; }
      .tip { fill: #9fb3c8; }
    }
";

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn text(out: &mut String, x: i32, y: i32, class: &str, anchor: &str, content: &str) {
    let content = escape(content);
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "  <text x=\"{x}\" y=\"{y}\" class=\"{class}\" text-anchor=\"{anchor}\" \
         xml:space=\"preserve\">{content}</text>"
    );
}

pub(super) fn draw(graph: &Graph, places: &Places, title: &str) -> String {
    let width = places.width.max(text_width(title) * 2 + 48);
    let height = places.height.max(80);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\">\n  <title>{title}</title>\n  \
         <style>{STYLE}  </style>\n  <defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"8\" \
         refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" orient=\"auto\">\
         <path class=\"tip\" d=\"M0 0 8 4 0 8z\"/></marker></defs>\n  \
         <rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>\n",
        title = escape(title),
    );
    text(&mut out, 24, 32, "title", "start", title);
    for ((line, (route, back)), number) in graph.lines.iter().zip(&places.routes).zip(0..) {
        let points: Vec<String> = route.iter().map(|(x, y)| format!("{x},{y}")).collect();
        let class = if *back { "line back" } else { "line" };
        let (from, to) = (&graph.blocks[line.from.0], &graph.blocks[line.to.0]);
        let bits = match line.width {
            0 => "no data".to_string(),
            width => format!("{width} bits"),
        };
        let _ = writeln!(
            out,
            "  <polyline id=\"stream-{number}\" class=\"{class}\" marker-end=\"url(#tip)\" \
             points=\"{}\"><title>{} to {}, {bits}</title></polyline>",
            points.join(" "),
            escape(&format!("{}.{}", from.name, from.outputs[line.from.1])),
            escape(&format!("{}.{}", to.name, to.inputs[line.to.1])),
        );
    }
    for (block, place) in graph.blocks.iter().zip(&places.boxes) {
        let port = block.module.is_empty();
        let _ = writeln!(
            out,
            "  <rect class=\"{}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"4\"/>",
            if port { "port" } else { "block" },
            place.x,
            place.y,
            place.width,
            place.height
        );
        let (left, right) = (place.x + 8, place.x + place.width - 8);
        let middle = place.x + place.width / 2;
        if port {
            text(
                &mut out,
                middle,
                row(block, place, 0) + 4,
                "name",
                "middle",
                &block.name,
            );
            continue;
        }
        text(
            &mut out,
            middle,
            place.y + 17,
            "name",
            "middle",
            &block.name,
        );
        if block.module != block.name {
            text(
                &mut out,
                middle,
                place.y + 32,
                "faint",
                "middle",
                &block.module,
            );
        }
        for (list, x, anchor) in [
            (&block.inputs, left, "start"),
            (&block.outputs, right, "end"),
        ] {
            for (number, stream) in list.iter().enumerate() {
                text(
                    &mut out,
                    x,
                    row(block, place, number) + 4,
                    "",
                    anchor,
                    stream,
                );
            }
        }
        if block.inside.is_empty() {
            continue;
        }
        let rows = block.inputs.len().max(block.outputs.len()).max(1) as i32;
        let top = place.y + HEAD + rows * TEXT + 4;
        let _ = writeln!(out, "  <path class=\"rule\" d=\"M{left} {top}H{right}\"/>");
        for (number, inner) in block.inside.iter().enumerate() {
            let y = top + (number as i32 + 1) * TEXT;
            text(&mut out, left, y, "faint", "start", inner);
        }
    }
    out + "</svg>\n"
}
