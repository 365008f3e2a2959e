//! What a run leaves behind: captures, counters and traces.

pub mod passages;
pub mod pcapng;
pub mod pcie_log;
pub mod pcie_packet;
pub mod recording;
pub mod rtt;
pub mod stages;
pub mod timeline;
pub mod trace;
pub mod waves;

/// Whether the referee of captures is here. Where it must be
/// (`HALLUX_REQUIRE_TOOLS=1`), its absence fails the test.
#[cfg(test)]
fn has_tshark() -> bool {
    let version = std::process::Command::new("tshark")
        .arg("--version")
        .output();
    let required = std::env::var_os("HALLUX_REQUIRE_TOOLS").is_some_and(|value| value == "1");
    assert!(
        version.is_ok() || !required,
        "tshark is required (apt-get install tshark)"
    );
    if version.is_err() {
        eprintln!("skipped: tshark is not installed");
    }
    version.is_ok()
}
