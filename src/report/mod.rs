//! `hallux report`: results as one HTML file that needs nothing else.
//!
//! ```text
//!  results/<run>/    summary.json, profile.json ──► load ──► run   ─┐
//!                                                                   ├─► page ─► report.html
//!  results/<sweep>/  sweep.json, results.jsonl  ──► load ──► sweep ─┘
//! ```

pub mod chart;
pub mod load;
mod run;
mod sweep;

pub use load::{LoadError, Loaded, load};
pub use sweep::View;

use maud::{DOCTYPE, Markup, PreEscaped, html};

/// The page with all results, in their order, as text.
pub fn page(results: &[Loaded], view: &View) -> String {
    let titles: Vec<String> = results.iter().map(title).collect();
    let several = results.len() > 1;
    let page: Markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (titles.join(", ")) }
                style { (PreEscaped(include_str!("style.css"))) }
            }
            body { main {
                @if several {
                    nav { @for (number, title) in titles.iter().enumerate() { a href={ "#result-" (number) } { (title) } } }
                }
                @for (number, result) in results.iter().enumerate() {
                    section id={ "result-" (number) } {
                        h1 { (titles[number]) }
                        @match result {
                            Loaded::Run(run) => {
                                p.sub { "seed " (run.summary.seed) @if !run.summary.rtl.is_empty() { ", RTL " (run.summary.rtl.get(..12).unwrap_or_default()) } }
                                (run::render(run))
                            }
                            Loaded::Sweep(sweep) => (sweep::render(sweep, view)),
                        }
                    }
                }
            } }
            script { (PreEscaped(include_str!("script.js"))) }
        }
    };
    page.into_string() + "\n"
}

fn title(result: &Loaded) -> String {
    match result {
        Loaded::Run(run) if run.summary.design.is_empty() => run.summary.scenario.clone(),
        Loaded::Run(run) => format!("{} on {}", run.summary.scenario, run.summary.design),
        Loaded::Sweep(sweep) => format!("Sweep {}", sweep.about.name),
    }
}
