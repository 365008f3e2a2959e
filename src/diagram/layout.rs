//! Where boxes and lines of a diagram stand: columns by the flow of words, few crossings.

use super::{Block, Graph, Line};
use std::collections::BTreeSet;

/// Width of a character of the monospaced text, times ten.
const CHARACTER_TENTHS: i32 = 72;
/// Height of a line of text.
pub(super) const TEXT: i32 = 16;
/// Height of the head of a box: instance and module.
pub(super) const HEAD: i32 = 40;
/// Distance of boxes in a column.
const GAP: i32 = 26;
/// Distance of vertical parts of lines between columns, and of lines that run back.
const LANE: i32 = 9;
const MARGIN: i32 = 24;
/// Room for the title.
const TITLE: i32 = 36;

/// A rectangle.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Box {
    pub x: i32,
    pub y: i32,
    pub width: i32,
    pub height: i32,
}

/// The places of everything.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    pub boxes: Vec<Box>,
    /// The corners of each line, and whether it runs back.
    pub routes: Vec<(Vec<(i32, i32)>, bool)>,
    pub width: i32,
    pub height: i32,
}

/// Width of `text`.
pub(super) fn text_width(text: &str) -> i32 {
    (text.chars().count() as i32 * CHARACTER_TENTHS + 9) / 10
}

fn size(block: &Block) -> Box {
    let widest = |list: &[String]| list.iter().map(|text| text_width(text)).max().unwrap_or(0);
    let ports = widest(&block.inputs) + widest(&block.outputs) + 40;
    let head = text_width(&block.name).max(text_width(&block.module)) + 24;
    let rows = block.inputs.len().max(block.outputs.len()).max(1) as i32;
    let (head_height, inside) = match block.module.is_empty() {
        // A port: its name stands in the only row.
        true => (6, 0),
        false => (HEAD, block.inside.len() as i32),
    };
    let below = if inside > 0 { inside * TEXT + 14 } else { 8 };
    Box {
        x: 0,
        y: 0,
        width: ports.max(head).max(widest(&block.inside) + 28),
        height: head_height + rows * TEXT + below,
    }
}

/// The height of row `row` of the streams of a block.
pub(super) fn row(block: &Block, place: &Box, row: usize) -> i32 {
    let head = if block.module.is_empty() { 6 } else { HEAD };
    place.y + head + row as i32 * TEXT + TEXT / 2
}

/// Lines that close a circle, found by a walk from the sources on, in order of blocks.
fn backward(graph: &Graph) -> BTreeSet<Line> {
    fn visit(graph: &Graph, at: usize, state: &mut [u8], back: &mut BTreeSet<Line>) {
        state[at] = 1;
        for line in graph.lines.iter().filter(|line| line.from.0 == at) {
            match state[line.to.0] {
                0 => visit(graph, line.to.0, state, back),
                1 => {
                    back.insert(*line);
                }
                _ => {}
            }
        }
        state[at] = 2;
    }
    let mut back = BTreeSet::new();
    let mut state = vec![0; graph.blocks.len()];
    let fed: BTreeSet<usize> = graph.lines.iter().map(|line| line.to.0).collect();
    let sources = (0..graph.blocks.len()).filter(|block| !fed.contains(block));
    for block in sources.chain(0..graph.blocks.len()) {
        if state[block] == 0 {
            visit(graph, block, &mut state, &mut back);
        }
    }
    back
}

/// The column of each block: after everything that feeds it.
fn columns(graph: &Graph, back: &BTreeSet<Line>) -> Vec<usize> {
    let forward: Vec<&Line> = graph
        .lines
        .iter()
        .filter(|line| !back.contains(line))
        .collect();
    let mut column = vec![0; graph.blocks.len()];
    for _ in 0..graph.blocks.len() {
        for line in &forward {
            column[line.to.0] = column[line.to.0].max(column[line.from.0] + 1);
        }
    }
    // A source stands just before what it feeds, so that its lines are short.
    for block in 0..graph.blocks.len() {
        let fed = forward.iter().any(|line| line.to.0 == block);
        let next = forward.iter().filter(|line| line.from.0 == block);
        let next: Option<usize> = next.map(|line| column[line.to.0]).min();
        if let (false, Some(next)) = (fed, next) {
            column[block] = next.saturating_sub(1);
        }
    }
    column
}

/// What stands in a column: a block, or a line that passes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Slot {
    Block(usize),
    /// The number of the line.
    Pass(usize),
}

/// The columns from top to bottom, ordered so that neighbours in the flow stand level.
fn order(graph: &Graph, column: &[usize], back: &BTreeSet<Line>) -> Vec<Vec<Slot>> {
    let count = column.iter().max().map_or(0, |last| last + 1);
    let mut slots: Vec<Vec<Slot>> = vec![vec![]; count];
    for (block, column) in column.iter().enumerate() {
        slots[*column].push(Slot::Block(block));
    }
    for (number, line) in graph.lines.iter().enumerate() {
        if !back.contains(line) {
            for slots in &mut slots[column[line.from.0] + 1..column[line.to.0]] {
                slots.push(Slot::Pass(number));
            }
        }
    }
    // What a slot is connected to in the column before (or behind).
    let neighbours = |slot: Slot, at: usize, before: bool| -> Vec<Slot> {
        let end = |number: usize, block: usize, there: usize| {
            if column[block] == there {
                Slot::Block(block)
            } else {
                Slot::Pass(number)
            }
        };
        let mut found = vec![];
        for (number, line) in graph.lines.iter().enumerate() {
            let here = match slot {
                Slot::Pass(pass) => pass == number,
                Slot::Block(block) if before => line.to.0 == block,
                Slot::Block(block) => line.from.0 == block,
            };
            if here && !back.contains(line) {
                found.push(match before {
                    true if at > 0 => end(number, line.from.0, at - 1),
                    false => end(number, line.to.0, at + 1),
                    true => continue,
                });
            }
        }
        found
    };
    for sweep in 0..12 {
        let before = sweep % 2 == 0;
        let sequence: Vec<usize> = match before {
            true => (1..count).collect(),
            false => (0..count.saturating_sub(1)).rev().collect(),
        };
        for at in sequence {
            let other = slots[if before { at - 1 } else { at + 1 }].clone();
            let mut ranked: Vec<(i64, Slot)> = slots[at]
                .iter()
                .enumerate()
                .map(|(position, slot)| {
                    let near = neighbours(*slot, at, before);
                    let places = near
                        .iter()
                        .filter_map(|n| other.iter().position(|o| o == n));
                    let places: Vec<i64> = places.map(|place| place as i64).collect();
                    // In thousandths of the other column's height.
                    let rank = match places.len() as i64 {
                        0 => position as i64 * 1000 / slots[at].len() as i64,
                        n => (2 * places.iter().sum::<i64>() + n) * 500 / (n * other.len() as i64),
                    };
                    (rank, *slot)
                })
                .collect();
            ranked.sort_by_key(|(rank, _)| *rank);
            slots[at] = ranked.into_iter().map(|(_, slot)| slot).collect();
        }
    }
    slots
}

/// Places everything.
pub(super) fn place(graph: &Graph) -> Places {
    let back = backward(graph);
    let column = columns(graph, &back);
    let slots = order(graph, &column, &back);
    let mut places = Places {
        boxes: graph.blocks.iter().map(size).collect(),
        ..Places::default()
    };
    // Every line may turn once in the gap before each column, in a lane of its own.
    let turns = |at: usize| {
        let passes = graph.lines.iter().filter(|line| {
            if back.contains(line) {
                column[line.from.0] + 1 == at || column[line.to.0] == at
            } else {
                column[line.from.0] < at && at <= column[line.to.0]
            }
        });
        passes.count() as i32
    };
    let slot_height = |slot: &Slot, boxes: &[Box]| match slot {
        Slot::Block(block) => boxes[*block].height,
        Slot::Pass(_) => TEXT,
    };
    let heights: Vec<i32> = slots
        .iter()
        .map(|slots| {
            let inside: i32 = slots
                .iter()
                .map(|slot| slot_height(slot, &places.boxes))
                .sum();
            inside + GAP * (slots.len() as i32 - 1).max(0)
        })
        .collect();
    let tallest = heights.iter().copied().max().unwrap_or(0);
    let mut x = MARGIN;
    // Height of each passing line in each column, and where columns begin.
    let mut passes: Vec<Vec<(usize, i32)>> = vec![vec![]; slots.len()];
    let mut gaps = vec![];
    for (at, list) in slots.iter().enumerate() {
        gaps.push(x);
        x += (turns(at) + 2) * LANE;
        let width = list.iter().map(|slot| match slot {
            Slot::Block(block) => places.boxes[*block].width,
            Slot::Pass(_) => 0,
        });
        let width = width.max().unwrap_or(0);
        let mut y = TITLE + MARGIN + (tallest - heights[at]) / 2;
        for slot in list {
            match slot {
                Slot::Block(block) => {
                    let place = &mut places.boxes[*block];
                    place.width = width;
                    (place.x, place.y) = (x, y);
                }
                Slot::Pass(line) => passes[at].push((*line, y + TEXT / 2)),
            }
            y += slot_height(slot, &places.boxes) + GAP;
        }
        x += width;
    }
    gaps.push(x);
    let floor = TITLE + MARGIN + tallest + GAP;
    let mut used = vec![0; gaps.len()];
    let mut lane = |gap: usize| {
        used[gap] += 1;
        gaps[gap] + used[gap] * LANE
    };
    let mut lanes_below = 0;
    for (number, line) in graph.lines.iter().enumerate() {
        let ((from, output), (to, input)) = (line.from, line.to);
        let (source, sink) = (places.boxes[from], places.boxes[to]);
        let start = (
            source.x + source.width,
            row(&graph.blocks[from], &source, output),
        );
        let end = (sink.x, row(&graph.blocks[to], &sink, input));
        let mut route = vec![start];
        let runs_back = back.contains(line);
        if runs_back {
            let below = floor + lanes_below * LANE;
            lanes_below += 1;
            let (out, into) = (lane(column[from] + 1), lane(column[to]));
            route.extend([(out, start.1), (out, below), (into, below), (into, end.1)]);
        } else {
            let mut y = start.1;
            for at in column[from] + 1..=column[to] {
                let pass = passes
                    .get(at)
                    .and_then(|list| list.iter().find(|p| p.0 == number));
                let next = pass.map_or(end.1, |(_, y)| *y);
                if next != y {
                    let turn = lane(at);
                    route.extend([(turn, y), (turn, next)]);
                }
                y = next;
            }
        }
        route.push(end);
        places.routes.push((route, runs_back));
    }
    places.width = x + (used.last().copied().unwrap_or(0) + 2) * LANE + MARGIN;
    places.height = floor + lanes_below * LANE + MARGIN;
    places
}
