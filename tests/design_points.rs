//! Design points that nobody wrote: legal ones at random, linted, and some of them simulated.
//!
//! `HALLUX_DESIGN_POINTS=LINTED,SIMULATED,SEED` looks at more of them, or at others.

mod command;

use command::{Place, has_tool};
use hallux_toe::design::DesignPoint;
use hallux_toe::document::Document;
use rand_core::{RngCore, SeedableRng};
use rand_pcg::Pcg32;
use std::fmt::Write;
use std::path::Path;

/// Draws of a design point's keys.
struct Draw(Pcg32);

impl Draw {
    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.0.next_u32() as usize % choices.len()]
    }

    fn between(&mut self, low: u32, high: u32) -> u32 {
        low + self.0.next_u32() % (high - low + 1)
    }

    /// A table of keys, small sizes oftener than large ones; not always a legal one.
    fn text(&mut self, name: &str) -> String {
        let mut text = format!("name = \"{name}\"\nclock = \"250MHz\"\n");
        let mut put = |key: &str, value: String| {
            let _ = writeln!(text, "{key} = {value}");
        };
        put("bus_bits", self.of(&[256, 512, 1024]).to_string());
        put(
            "connections",
            self.of(&[16, 32, 64, 128, 256, 1024, 4096]).to_string(),
        );
        put("contexts", self.between(2, 9).to_string());
        let buffer = self.of(&["16KiB", "32KiB", "64KiB", "128KiB"]);
        put("frame_buffer", format!("\"{buffer}\""));
        put(
            "read_tags",
            self.of(&[1, 2, 7, 16, 32, 64, 128]).to_string(),
        );
        put("max_payload", self.of(&[128, 256, 512]).to_string());
        put(
            "max_read_request",
            self.of(&[128, 256, 512, 1024, 4096]).to_string(),
        );
        put("egress_depth", self.between(16, 300).to_string());
        put("descriptor_bursts", self.between(2, 16).to_string());
        put("record_wait", self.between(0, 15).to_string());
        put("ooo_intervals", self.of(&[0, 1, 2, 4]).to_string());
        put("coalesce", self.of(&[0, 0, 4, 8, 16]).to_string());
        put("push", self.of(&[true, false]).to_string());
        put("rate_wheel", self.of(&[0, 0, 64, 128, 256]).to_string());
        let recovery = self.of(&["gbn", "sack"]);
        put("recovery", format!("\"{recovery}\""));
        let same_flow = self.of(&["forward1", "forward2", "lock"]);
        put("same_flow", format!("\"{same_flow}\""));
        let pipeline = self.of(&["pipelined", "pipelined", "serial", "run_to_completion"]);
        put("pipeline", format!("\"{pipeline}\""));
        put("groups", self.of(&[1, 1, 2, 4, 8]).to_string());
        put("replicas", self.of(&[1, 1, 2, 4]).to_string());
        put("reorder_depth", self.of(&[16, 64, 128, 256]).to_string());
        put("state_cache", self.of(&[0, 0, 64, 128]).to_string());
        put("state_cache_ways", self.of(&[1, 2, 4, 8]).to_string());
        text
    }

    /// A legal one, and its text.
    fn point(&mut self, name: &str) -> (DesignPoint, String) {
        loop {
            let text = self.text(name);
            let document = Document::parse(Path::new("drawn.toml"), text.clone()).unwrap();
            if let Ok(point) = DesignPoint::from_document(&document) {
                return (point, text);
            }
        }
    }
}

/// How many are linted, how many simulated, and the seed.
fn effort() -> (u32, u32, u64) {
    let Ok(text) = std::env::var("HALLUX_DESIGN_POINTS") else {
        return (5, 1, 1);
    };
    let numbers: Vec<u64> = text.split(',').map(|n| n.parse().unwrap()).collect();
    (numbers[0] as u32, numbers[1] as u32, numbers[2])
}

#[test]
fn any_legal_design_point_passes_lint() {
    if !has_tool("verilator_bin") {
        return;
    }
    let (linted, _, seed) = effort();
    let mut draw = Draw(Pcg32::seed_from_u64(seed));
    let place = Place::new();
    for number in 0..linted {
        let (_, text) = draw.point(&format!("drawn-{number}"));
        place.write("point.toml", &text);
        let ended = place.hallux(&["lint", "point.toml"]);
        assert_eq!(ended.code, Some(0), "{text}\n{}", ended.stderr);
    }
}

/// Two NICs of one design point exchange requests and answers of several segments while frames
/// are lost; every byte is verified.
#[test]
fn any_legal_design_point_carries_data_over_a_lossy_wire() {
    let (_, simulated, seed) = effort();
    let mut draw = Draw(Pcg32::seed_from_u64(seed ^ 0x5eed));
    let place = Place::new();
    for number in 0..simulated {
        let (point, text) = draw.point(&format!("drawn-{number}"));
        place.write("point.toml", &text);
        let size = draw.between(1, 9000);
        let scenario = format!(
            "name = \"drawn\"\nseed = {number}\nnic.design = \"point.toml\"\nlink.rate = \"40Gbps\"\n\
             link.delay = \"1us\"\nlink.loss = 0.005\npeer.kind = \"toe\"\napp.kind = \"rpc\"\n\
             app.connections = {}\napp.requests = 20\napp.size = \"{size}B\"\n",
            12.min(point.connections / 2),
        );
        place.write("scenario.toml", &scenario);
        let ended = place.hallux(&["run", "scenario.toml", "--out", "out"]);
        assert_eq!(ended.code, Some(0), "{text}\n{scenario}\n{}", ended.stderr);
        let summary = place.json("out/summary.json");
        let asked = 20 * u64::from(size) * u64::from(12.min(point.connections / 2));
        assert_eq!(summary["bytes_verified"], asked, "{text}\n{scenario}");
    }
}
