//! Builds and runs programs in C against the header and the library.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds `source`, linked to the library if `link`; `None` without a C
/// compiler, which is an error if tools are required.
pub fn build(source: &Path, program: &Path, link: bool) -> Option<()> {
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("../include");
    let mut command = Command::new(&compiler);
    command
        .args(["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-I"])
        .arg(include)
        .arg(source)
        .arg("-o")
        .arg(program);
    if link {
        let library = libraries();
        command
            .arg("-L")
            .arg(&library)
            .arg(format!("-Wl,-rpath,{}", library.display()))
            .arg("-lhallux_channel_c");
    }
    match command.output() {
        Ok(output) => {
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{errors}");
            Some(())
        }
        Err(error) => {
            let required = std::env::var_os("HALLUX_REQUIRE_TOOLS").is_some();
            assert!(!required, "cannot run {compiler}: {error}");
            println!("skipped: there is no C compiler `{compiler}`");
            None
        }
    }
}

/// Where cargo puts the libraries of a package whose tests it runs: beside
/// the test.
fn libraries() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().to_owned()
}
