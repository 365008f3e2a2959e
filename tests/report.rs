//! Reports: what is in the file, how a browser lays it out, how large it becomes, and what
//! people are told about results that cannot be shown.

mod command;

use command::{Place, has_tool, small_place};
use hallux::report::chart::grouped;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

/// A place with a run of the behavioural NIC, which needs no Verilator, in `results/small`.
fn place_with_run() -> Place {
    let place = small_place();
    let set = ["run", "scenario.toml", "--set", "nic.model=behavioural"];
    place.hallux(&set).succeeds();
    place
}

/// A place with a sweep of so many points in `sweep`; figures follow from the number.
fn place_with_sweep(points: usize) -> Place {
    let place = Place::new();
    place.write(
        "sweep/sweep.json",
        r#"{ "schema": "hallux-sweep-1", "complete": true, "name": "large", "about": "Look here.",
             "axes": ["design.read_tags", "pcie.root_latency", "app.size"],
             "objectives": ["goodput_gbps max", "request_ps.p9999 min", "synth.lut min"],
             "constraints": [] }"#,
    );
    let mut rows = String::new();
    for point in 0..points {
        let noise = (point as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let tags = 1 << (point % 8);
        let latency = ["300ns", "1us", "3us"][point / 8 % 3];
        let size = ["64B", "1KiB", "16KiB", "64KiB"][point / 24 % 4];
        let goodput = f64::from(tags) / 2.0 + noise as f64 / 1e6;
        let tail = 1e8 / f64::from(tags) + noise as f64;
        let lut = 20_000 + tags * 100 + (noise % 977) as i32;
        let front = point < 20;
        let _ = writeln!(
            rows,
            r#"{{"point":{point},"rung":0,"axes":{{"design.read_tags":"{tags}","pcie.root_latency":"{latency}","app.size":"{size}"}},"status":"done","reason":"","front":{front},"metrics":{{"goodput_gbps":{goodput},"request_ps.p9999":{tail},"request_ps.p50":{},"synth.lut":{lut}}}}}"#,
            tail / 3.0
        );
    }
    place.write("sweep/results.jsonl", rows);
    place
}

/// Lists the texts of plots that overlap or stick out of their plot, and a page that is
/// wider than its window; writes them where `--dump-dom` shows them.
const INSPECTION: &str = r#"<script>addEventListener("load", () => {
  const findings = [];
  if (document.documentElement.scrollWidth > innerWidth + 1) findings.push("the page is wider than the window");
  for (const svg of document.querySelectorAll("svg")) {
    const frame = svg.getBoundingClientRect();
    const texts = [...svg.querySelectorAll("text")].map(text => [text.textContent, text.getBoundingClientRect()]);
    texts.forEach(([text, a], number) => {
      if (a.left < frame.left - 1 || a.right > frame.right + 1 || a.top < frame.top - 1 || a.bottom > frame.bottom + 1)
        findings.push(`cut: ${text} in ${svg.getAttribute("aria-label")}`);
      for (const [other, b] of texts.slice(0, number)) {
        const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        if (across > 1 && down > 4) findings.push(`overlap: ${text}, ${other} in ${svg.getAttribute("aria-label")}`);
      }
    });
  }
  const paper = getComputedStyle(document.body).backgroundColor;
  document.documentElement.dataset.found = JSON.stringify({
    width: innerWidth, plots: document.querySelectorAll("svg").length, paper, findings,
    opened: Math.round(performance.now()),
  }).replaceAll('"', "'");
});</script>"#;

/// What a browser finds in the report `html`, in a window so wide; 0 is the dark scheme.
fn inspect(place: &Place, html: &str, width: u32, scheme: u8) -> String {
    let page = place.write("inspected.html", html.to_owned() + INSPECTION);
    let profile = place.path("browser");
    let output = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("--window-size={width},3000"))
        .arg(format!("--blink-settings=preferredColorScheme={scheme}"))
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap();
    let dom = String::from_utf8_lossy(&output.stdout);
    let found = dom.split("data-found=\"").nth(1);
    let found = found.and_then(|rest| rest.split('"').next());
    found.unwrap_or_else(|| panic!("{output:?}")).to_owned()
}

/// Fails if the report is cut or overlaps at either width and in either scheme.
#[track_caller]
fn looks_right(place: &Place, report: &str) {
    if !has_tool("chromium") {
        return;
    }
    let html = place.read(report);
    let mut papers = vec![];
    for (width, scheme) in [(1280, 1), (1280, 0), (400, 1), (400, 0)] {
        let found = inspect(place, &html, width, scheme);
        println!("{width} pixels, scheme {scheme}: {found}");
        assert!(found.contains("'findings':[]"), "{width} pixels: {found}");
        assert!(!found.contains("'plots':0"), "{found}");
        let paper = found
            .split("'paper':'")
            .nth(1)
            .and_then(|rest| rest.split('\'').next());
        papers.push(paper.unwrap().to_owned());
    }
    assert_ne!(papers[0], papers[1], "both schemes look the same");
}

/// A file that loads nothing.
#[track_caller]
fn is_self_contained(html: &str) {
    assert!(html.starts_with("<!DOCTYPE html>") && html.trim_end().ends_with("</html>"));
    for loads in [
        "src=",
        "href=\"http",
        "@import",
        "url(http",
        "fetch(",
        "<link",
    ] {
        assert!(!html.contains(loads), "{loads}");
    }
}

#[test]
fn a_run_is_shown_whole() {
    let place = place_with_run();
    let ended = place.hallux(&["report", "results/small"]).succeeds();
    assert!(ended.stdout.contains("report: results/small/report.html"));
    let html = place.read("results/small/report.html");
    is_self_contained(&html);
    for part in [
        "TCP payload at the Ethernet port",
        "Gb/s",
        "cumulative distribution",
        "99.99 %",
    ] {
        assert!(html.contains(part), "{part}");
    }
    looks_right(&place, "results/small/report.html");
    place
        .hallux(&["report", "results/small", "--out", "again.html"])
        .succeeds();
    assert_eq!(
        place.read("again.html"),
        html,
        "the same result gives the same bytes"
    );
}

#[test]
fn a_run_of_rtl_shows_its_stages_and_what_binds() {
    let place = small_place();
    place.hallux(&["run", "scenario.toml"]).succeeds();
    place.hallux(&["report", "results/small"]).succeeds();
    let html = place.read("results/small/report.html");
    let summary = place.json("results/small/summary.json");
    for stage in summary["stages"].as_object().unwrap().keys() {
        assert!(html.contains(&format!(">{stage}<")), "{stage}");
    }
    for (class, bytes) in summary["pcie"].as_object().unwrap() {
        let shown = format!("<td>{}</td>", grouped(bytes.as_f64().unwrap(), 0));
        assert!(html.contains(&shown), "{class}: {shown}");
    }
    assert!(html.contains(summary["verdict"]["sentence"].as_str().unwrap()));
    looks_right(&place, "results/small/report.html");
}

#[test]
fn a_sweep_is_shown_with_its_front_and_effects() {
    let place = place_with_sweep(96);
    place
        .hallux(&["report", "sweep", "--out", "sweep.html"])
        .succeeds();
    let html = place.read("sweep.html");
    is_self_contained(&html);
    for part in [
        "Look here.",
        "Main effects",
        "goodput by pcie.root_latency, for each app.size",
        "Parallel coordinates",
        "design.read_tags",
    ] {
        assert!(html.contains(part), "{part}");
    }
    looks_right(&place, "sweep.html");
    let other = [
        "report",
        "sweep",
        "--out",
        "other.html",
        "--x",
        "synth.lut",
        "--y",
        "goodput_gbps",
    ];
    place.hallux(&other).succeeds();
    assert_ne!(place.read("other.html"), html);
    place
        .hallux(&["report", "sweep", "--x", "synth.lutt"])
        .fails_with(&["no sweep here has a figure `synth.lutt`"]);
}

#[test]
fn ten_thousand_points_stay_small() {
    let place = place_with_sweep(10_000);
    place
        .hallux(&["report", "sweep", "--out", "large.html"])
        .succeeds();
    let html = place.read("large.html");
    println!("10 000 points: {} bytes", html.len());
    assert!(html.len() < 5_000_000, "{} bytes", html.len());
    // What a browser lays out before it shows anything: 33 000 elements took it two seconds.
    let elements = html.matches('<').count() - html.matches("</").count();
    println!("{elements} elements");
    assert!(elements < 10_000, "{elements} elements");
    if has_tool("chromium") {
        println!("{}", inspect(&place, &html, 1280, 1));
    }
}

#[test]
fn several_results_stand_in_one_file() {
    let place = place_with_run();
    let sweep = place_with_sweep(8);
    place.write("sweep/sweep.json", sweep.read("sweep/sweep.json"));
    place.write("sweep/results.jsonl", sweep.read("sweep/results.jsonl"));
    let both = ["report", "results/small", "sweep", "--out", "both.html"];
    place.hallux(&both).succeeds();
    let html = place.read("both.html");
    assert!(html.contains("id=\"result-0\"") && html.contains("Sweep large"));
    assert!(place.hallux(&both).succeeds().stdout.contains("both.html"));
}

#[test]
fn what_is_no_result_is_told() {
    let place = place_with_run();
    let refused = |path: &str, parts: &[&str]| {
        place
            .hallux(&["report", path, "--out", "none.html"])
            .fails_with(parts);
        assert!(!place.path("none.html").exists());
    };
    refused(
        "nowhere",
        &["nowhere is no result", "`hallux run` or `hallux sweep`"],
    );
    refused("www", &["www is no result"]);
    let summary = place.read("results/small/summary.json");
    let change = |from: &str, to: &str| {
        assert!(summary.contains(from));
        let text = summary.replacen(from, to, 1);
        place.write("changed/summary.json", text);
    };
    change("\"complete\": true", "\"complete\": false");
    refused("changed", &["changed is incomplete", "let it end"]);
    change("hallux-summary-1", "hallux-summary-0");
    refused(
        "changed",
        &[
            "`hallux-summary-0`",
            "this version reads `hallux-summary-1`",
        ],
    );
    change("\"scenario\"", "\"scenery\"");
    refused("changed", &["cannot read changed/summary.json", "scenario"]);
    place.write("changed/summary.json", &summary);
    refused("changed", &["profile.json is missing", "run it again"]);
    place.write("changed/summary.json", &summary[..summary.len() / 2]);
    refused("changed", &["cannot read changed/summary.json"]);
    let empty = place_with_sweep(0);
    empty
        .hallux(&["report", "sweep"])
        .fails_with(&["no point of the sweep has ended yet"]);
    assert!(!Path::new(&empty.path("sweep/report.html")).exists());
    place
        .hallux(&["report", "results/small", "--out", "no/such/place.html"])
        .fails_with(&["cannot write no/such/place.html"]);
}
