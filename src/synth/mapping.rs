//! Has yosys map a module to the cells of a technology, or takes the result of an earlier
//! time from the cache.

use super::netlist::{Netlist, NetlistError};
use super::technology::Technology;
use super::tool::Yosys;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use hallux_verilator::{Cache, CacheError, Key, Room};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

/// Memories of this many words never become flip-flops: that would take yosys hours and
/// tell nothing.
const LARGEST_REGISTER_FILE: u32 = 256;

/// Part of the cache key; changes with the script below.
const SCRIPT_VERSION: &str = "hallux synth 2";

const SCRIPT: &str = "synth.ys";
const NETLIST: &str = "netlist.json";
pub(super) const PACKED: &str = "netlist.json.gz";
const LOG: &str = "yosys.log";
const LATCHES: &str = "latches.txt";
const MEMORIES: &str = "memories.txt";

/// Why a module could not be mapped.
#[derive(Debug, thiserror::Error)]
pub enum MappingError {
    /// yosys ended with an error.
    #[error("yosys refuses module `{module}`: {message}")]
    Refused {
        /// The module.
        module: String,
        /// Its error, without the word.
        message: String,
    },
    /// The module has latches.
    #[error(
        "module `{module}` has latches: {}; give each of them a value on every path",
        signals.join(", ")
    )]
    Latches {
        /// The module.
        module: String,
        /// The signals that are held.
        signals: Vec<String>,
    },
    /// A memory is not one that the technology has.
    #[error(
        "module `{module}`: yosys finds no memory cell of {family} for {}; a memory needs one \
         clock, reads and writes that are enabled as a whole, and at most two ports",
        memories.join(", ")
    )]
    NotInferred {
        /// The module.
        module: String,
        /// The family.
        family: &'static str,
        /// The memories of 256 words or more that would become flip-flops.
        memories: Vec<String>,
    },
    /// yosys does not start, or its files cannot be read or written.
    #[error("cannot run yosys on module `{module}`: {error}")]
    Io {
        /// The module.
        module: String,
        /// What the system said.
        error: io::Error,
    },
    /// What it wrote cannot be read.
    #[error(transparent)]
    Netlist(#[from] NetlistError),
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// A mapped module.
pub(super) struct Mapped {
    /// Its cells.
    pub netlist: Netlist,
    /// Memories, all small, that became flip-flops.
    pub small_memories: Vec<String>,
    /// Where the packed netlist and yosys' log are.
    pub directory: PathBuf,
}

/// A text without its comments at the margin: they name the design that the module stands in, and
/// the same module of another one is not to be mapped again. Their lines count, since paths name lines.
fn without_head(text: &str) -> String {
    let lines = text.lines();
    let kept: Vec<_> = lines
        .map(|line| if line.starts_with("//") { "" } else { line })
        .collect();
    kept.join("\n")
}

/// Maps `module`, whose text and that of all modules below it is in `sources`; but for the modules
/// `parts` of it, which are left as cells of their names.
pub(super) fn map(
    yosys: &Yosys,
    cache: &Cache,
    technology: &dyn Technology,
    module: &str,
    parts: &BTreeSet<&str>,
    sources: &[&(String, String)],
) -> Result<Mapped, MappingError> {
    let mapping = technology.mapping(module);
    let mut key = Key::default();
    key.add(SCRIPT_VERSION).add(yosys.banner()).add(&mapping);
    for part in parts {
        key.add(format!("without {part}"));
    }
    for (name, text) in sources {
        key.add(name).add(without_head(text));
    }
    let key = key.finish();
    let _lock = cache.lock(&key)?;
    let directory = match cache.get(Room::Netlists, &key) {
        Some(directory) => directory,
        None => {
            let staging = cache.staging()?;
            let script = script(module, &mapping, parts, sources);
            run(yosys, technology, module, &script, sources, staging.path())?;
            let description = format!("{module}, {mapping}, {}", yosys.banner());
            cache.publish(Room::Netlists, &key, staging, &description)?
        }
    };
    let io = |error| MappingError::Io {
        module: module.into(),
        error,
    };
    let packed = File::open(directory.join(PACKED)).map_err(io)?;
    let netlist = Netlist::read(
        module,
        BufReader::new(GzDecoder::new(BufReader::new(packed))),
    )?;
    let small_memories = selected(&directory.join(MEMORIES)).map_err(io)?;
    Ok(Mapped {
        netlist,
        small_memories,
        directory,
    })
}

/// What yosys is to do.
fn script(
    module: &str,
    mapping: &str,
    parts: &BTreeSet<&str>,
    sources: &[&(String, String)],
) -> String {
    let files: String = sources.iter().map(|(name, _)| format!(" {name}")).collect();
    let mut leave = String::new();
    if !parts.is_empty() {
        let names: String = parts.iter().map(|part| format!(" {part}")).collect();
        leave = format!("blackbox{names}\n");
    }
    // The last step is left out: it holds block RAM against a declaration that in yosys
    // 0.23 is narrower than the cell, and cuts off half of its wires.
    format!(
        "read_verilog -sv{files}\n\
         hierarchy -check -top {module}\n\
         {leave}\
         {mapping} -run :map_ffram\n\
         select -write {LATCHES} t:$dlatch t:$adlatch t:$dlatchsr t:$sr %u %u %u %co1:+[Q] w:* %i\n\
         select -write {MEMORIES} t:$mem_v2\n\
         select -assert-none t:$mem_v2 r:SIZE>={LARGEST_REGISTER_FILE} %i\n\
         {mapping} -run map_ffram:check\n\
         blackbox =A:whitebox\n\
         write_json {NETLIST}\n"
    )
}

/// Runs yosys in `directory` and leaves there what the cache keeps.
fn run(
    yosys: &Yosys,
    technology: &dyn Technology,
    module: &str,
    script: &str,
    sources: &[&(String, String)],
    directory: &Path,
) -> Result<(), MappingError> {
    let io = |error| MappingError::Io {
        module: module.into(),
        error,
    };
    let work = tempfile::tempdir().map_err(io)?;
    let path = |name: &str| work.path().join(name);
    for (name, text) in sources {
        fs::write(path(name), text).map_err(io)?;
    }
    fs::write(path(SCRIPT), script).map_err(io)?;
    let output = yosys
        .command(SCRIPT, LOG)
        .current_dir(work.path())
        .output()
        .map_err(io)?;
    let list = |name| match path(name).exists() {
        true => selected(&path(name)).map_err(io),
        false => Ok(vec![]),
    };
    let signals = list(LATCHES)?;
    if !signals.is_empty() {
        return Err(MappingError::Latches {
            module: module.into(),
            signals,
        });
    }
    if !output.status.success() {
        let mut told = String::from_utf8_lossy(&output.stderr).into_owned();
        // The package keeps its errors to the log.
        told.push_str(&fs::read_to_string(path(LOG)).unwrap_or_default());
        let message = complaint(&told);
        let memories = list(MEMORIES)?;
        if message.starts_with("Assertion failed: selection is not empty") && !memories.is_empty() {
            return Err(MappingError::NotInferred {
                module: module.into(),
                family: technology.name(),
                memories,
            });
        }
        return Err(MappingError::Refused {
            module: module.into(),
            message,
        });
    }
    let mut plain = BufReader::new(File::open(path(NETLIST)).map_err(io)?);
    let packed = File::create(directory.join(PACKED)).map_err(io)?;
    let mut packer = GzEncoder::new(packed, Compression::fast());
    io::copy(&mut plain, &mut packer).map_err(io)?;
    packer.finish().map_err(io)?;
    for name in [LOG, MEMORIES] {
        fs::copy(path(name), directory.join(name)).map_err(io)?;
    }
    Ok(())
}

/// The names in a file of `select -write`, which has `module/name` on each line.
fn selected(path: &Path) -> io::Result<Vec<String>> {
    let mut text = String::new();
    File::open(path)?.read_to_string(&mut text)?;
    let name = |line: &str| {
        line.split_once('/')
            .map_or(line, |(_, name)| name)
            .to_string()
    };
    Ok(text.lines().map(name).collect())
}

/// The error in what yosys printed, with its place in the RTL.
fn complaint(text: &str) -> String {
    let marked = text.lines().find_map(|line| {
        let (place, message) = line.split_once("ERROR: ")?;
        Some(format!("{place}{message}"))
    });
    let last = || text.lines().rev().find(|line| !line.trim().is_empty());
    marked
        .or_else(|| last().map(str::to_string))
        .map_or_else(|| "no message".into(), |message| message.trim().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_is_found_among_warnings() {
        let text = "Warning: wire unused\na.sv:3: ERROR: syntax error\nmore\n";
        assert_eq!(complaint(text), "a.sv:3: syntax error");
        assert_eq!(complaint("killed\n\n"), "killed");
        assert_eq!(complaint(""), "no message");
    }
}
