//! Waveform formats and what they need from the machine.

use crate::cache::Cache;
use crate::compiler::Compiler;
use crate::verilator::Verilator;
use serde::Serialize;
use std::fmt;

/// Format of a waveform file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TraceFormat {
    /// GTKWave's compressed format; needs zlib (and LZ4 with recent Verilator).
    Fst,
    /// Text; about ten times larger, somewhat faster to write, needs nothing.
    Vcd,
}

impl TraceFormat {
    /// The file name's extension, without a dot.
    pub fn extension(self) -> &'static str {
        match self {
            TraceFormat::Fst => "fst",
            TraceFormat::Vcd => "vcd",
        }
    }

    /// Verilator's option that compiles tracing in.
    pub(crate) fn verilator_flag(self) -> &'static str {
        match self {
            TraceFormat::Fst => "--trace-fst",
            TraceFormat::Vcd => "--trace",
        }
    }
}

impl fmt::Display for TraceFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TraceFormat::Fst => "FST",
            TraceFormat::Vcd => "VCD",
        })
    }
}

/// The linker arguments that FST needs, or the name of the missing Debian package.
pub(crate) fn fst_libraries(
    verilator: &Verilator,
    compiler: &Compiler,
    cache: &Cache,
) -> Result<Vec<&'static str>, &'static str> {
    let zlib = "#include <zlib.h>\nconst char* probe() { return zlibVersion(); }\n";
    if !compiler.accepts(cache, zlib, &["-lz"]) {
        return Err("zlib1g-dev");
    }
    if !uses_system_lz4(verilator) {
        return Ok(vec!["-lz"]);
    }
    let lz4 = "#include <lz4.h>\nint probe() { return LZ4_versionNumber(); }\n";
    if !compiler.accepts(cache, lz4, &["-llz4"]) {
        return Err("liblz4-dev");
    }
    Ok(vec!["-lz", "-llz4"])
}

/// Older versions bring LZ4 with them; since the FST writer was rewritten in C++ the
/// system's is used.
fn uses_system_lz4(verilator: &Verilator) -> bool {
    verilator.include().join("fstcpp").is_dir()
}
