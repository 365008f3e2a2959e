//! From C++ to a shared library, without make.

use super::{BuildError, MODEL_FILE, Plan, run};
use crate::cache::{Key, Room};
use crate::compiler::Compiler;
use crate::shim::{CLASS, PRINT_HEADER};
use crate::toolchain::Toolchain;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// Flags of every C++ file. Symbols are hidden so that two models in one process cannot
/// see each other's; the `VL_USER_*` functions are those of the shim.
pub(super) const COMMON_FLAGS: &[&str] = &[
    "-std=gnu++17",
    "-fPIC",
    "-w",
    "-fvisibility=hidden",
    "-fvisibility-inlines-hidden",
    "-DVERILATOR=1",
    "-DVL_TIME_CONTEXT",
    "-DVL_USER_FINISH",
    "-DVL_USER_STOP",
    "-DVL_USER_FATAL",
    "-DVL_PRINTF=hallux_print",
    "-include",
    "hallux_print.h",
    "-I.",
];

/// Optimisation of the run-time, whatever the profile: it is compiled once.
const RUNTIME_OPTIMISATION: &str = "-O2";

/// Emitted C++ below this many bytes goes into one translation unit.
const SMALL_MODEL: u64 = 300_000;

/// A run-time file's weight beside the emitted ones, in bytes of emitted code that take
/// as long to compile.
const RUNTIME_WEIGHT: u64 = 300_000;

/// What Verilator says about the emitted C++ in `Vmodel_classes.mk`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Emitted {
    /// `-DVM_TRACE=0` and its like.
    defines: Vec<String>,
    /// Names of the run-time's files, without extension.
    runtime: Vec<String>,
}

impl Emitted {
    fn parse(makefile: &str) -> Self {
        let mut emitted = Self::default();
        let mut in_runtime = false;
        for line in makefile.lines() {
            if let Some((name, value)) = line.split_once(" = ")
                && name.starts_with("VM_")
            {
                let define = format!("-D{}={}", name.trim(), value.trim());
                emitted.defines.push(define);
            } else if line.contains("+=") {
                in_runtime = line.starts_with("VM_GLOBAL");
            } else if in_runtime {
                let name = line.trim().trim_end_matches('\\').trim();
                if name.starts_with("verilated") {
                    emitted.runtime.push(name.to_string());
                }
            }
        }
        // Verilator's own makefile defines these; not every version lists them.
        for name in ["VM_SC", "VM_TRACE_SAIF", "VM_TIMING"] {
            let prefix = format!("-D{name}=");
            if !emitted
                .defines
                .iter()
                .any(|define| define.starts_with(&prefix))
            {
                emitted.defines.push(format!("{prefix}0"));
            }
        }
        emitted
    }
}

/// A compiler run and its weight: heavier ones start first.
struct Job {
    weight: u64,
    command: Command,
}

/// Compiles what `work` holds and links it to `model`.
pub(super) fn compile(
    plan: &Plan,
    toolchain: &Toolchain,
    work: &Path,
    model: &Path,
    jobs: usize,
) -> Result<(), BuildError> {
    let makefile = work.join(format!("{CLASS}_classes.mk"));
    let text = fs::read_to_string(&makefile).map_err(BuildError::io(&makefile))?;
    let emitted = Emitted::parse(&text);
    write_print_header(work)?;
    let common = common_flags(&plan.compiler, &emitted, toolchain);
    let (mut queue, objects) = translation_units(plan, &common, work, jobs)?;

    // The run-time is a cache entry of its own; its files are compiled beside the model's.
    let mut key = Key::default();
    key.add(plan.compiler.identity())
        .add(toolchain.verilator().version.to_string())
        .add(emitted.runtime.join(" "))
        .add(RUNTIME_OPTIMISATION);
    for flag in &common {
        key.add(flag);
    }
    let key = key.finish();
    let cache = toolchain.cache();
    let _lock = cache.lock(&key)?;
    let mut unpublished = None;
    let runtime = match cache.get(Room::Runtime, &key) {
        Some(directory) => directory,
        None => {
            let staging = cache.staging()?;
            let directory = staging.path().to_path_buf();
            write_print_header(&directory)?;
            for name in &emitted.runtime {
                let mut command = plan.compiler.command();
                command.current_dir(&directory).args(&common);
                command.arg(RUNTIME_OPTIMISATION).arg("-c");
                command.arg(toolchain.verilator().include().join(format!("{name}.cpp")));
                command.arg("-o").arg(format!("{name}.o"));
                let weight = RUNTIME_WEIGHT;
                queue.push(Job { weight, command });
            }
            unpublished = Some(staging);
            directory
        }
    };
    run_all(queue, jobs)?;
    let runtime = match unpublished {
        Some(staging) => {
            let description = format!(
                "run-time of Verilator {}, {}",
                toolchain.verilator().version,
                plan.compiler.version
            );
            cache.publish(Room::Runtime, &key, staging, &description)?
        }
        None => runtime,
    };
    let runtime_objects = emitted
        .runtime
        .iter()
        .map(|name| runtime.join(format!("{name}.o")));

    let mut link = plan.compiler.command();
    link.current_dir(work)
        .args(&plan.fast_flags)
        .args(["-shared", "-o"]);
    link.arg(MODEL_FILE).args(&objects).args(runtime_objects);
    link.args(&plan.libraries).arg("-pthread");
    if cfg!(target_os = "linux") {
        // clang leaves wide atomics to a library; the rest keeps symbols to this library.
        link.args([
            "-latomic",
            "-Wl,-Bsymbolic",
            "-Wl,--exclude-libs,ALL",
            "-Wl,-z,now",
        ]);
    }
    run_compiler(&mut link)?;
    let built = work.join(MODEL_FILE);
    fs::copy(&built, model).map_err(BuildError::io(model))?;
    Ok(())
}

fn write_print_header(directory: &Path) -> Result<(), BuildError> {
    let path = directory.join("hallux_print.h");
    fs::write(&path, PRINT_HEADER).map_err(BuildError::io(&path))
}

fn common_flags(compiler: &Compiler, emitted: &Emitted, toolchain: &Toolchain) -> Vec<String> {
    let include = toolchain.verilator().include();
    let mut flags: Vec<String> = COMMON_FLAGS.iter().map(|flag| flag.to_string()).collect();
    if !compiler.is_clang && cfg!(target_os = "linux") {
        // g++ makes static members of templates unique in the process despite RTLD_LOCAL.
        flags.push("-fno-gnu-unique".into());
    }
    flags.push(format!("-I{}", include.display()));
    flags.push(format!("-I{}", include.join("vltstd").display()));
    flags.extend(emitted.defines.iter().cloned());
    flags
}

/// Merges the emitted files into translation units, each a file of `#include`s, and
/// returns the compiler runs with the names of their objects.
fn translation_units(
    plan: &Plan,
    common: &[String],
    work: &Path,
    jobs: usize,
) -> Result<(Vec<Job>, Vec<PathBuf>), BuildError> {
    let mut fast = vec![];
    let mut slow = vec![];
    for entry in work.read_dir().map_err(BuildError::io(work))?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.ends_with(".cpp") {
            continue;
        }
        let size = entry.metadata().map_err(BuildError::io(work))?.len();
        if name.contains("__Slow") || name.contains("__Syms") {
            slow.push((size, name));
        } else {
            fast.push((size, name));
        }
    }
    let total: u64 = fast.iter().chain(&slow).map(|(size, _)| size).sum();
    let units = if total < SMALL_MODEL {
        // Headers would take longer than the little that need not be fast.
        fast.append(&mut slow);
        1
    } else {
        jobs * 2
    };
    let mut queue = vec![];
    let mut objects = vec![];
    let mut add = |files: Vec<(u64, String)>, flags: &[&str]| -> Result<(), BuildError> {
        if files.is_empty() {
            return Ok(());
        }
        let number = objects.len();
        let (source, object) = (format!("unit{number}.cc"), format!("unit{number}.o"));
        let text: String = files
            .iter()
            .map(|(_, name)| format!("#include \"{name}\"\n"))
            .collect();
        let path = work.join(&source);
        fs::write(&path, text).map_err(BuildError::io(&path))?;
        let mut command = plan.compiler.command();
        command.current_dir(work).args(common).args(flags);
        command.args(["-c", &source, "-o", &object]);
        let weight = files.iter().map(|(size, _)| size).sum();
        queue.push(Job { weight, command });
        objects.push(PathBuf::from(object));
        Ok(())
    };
    for files in balance(fast, units) {
        add(files, &plan.fast_flags)?;
    }
    // Verilator splits only what is large; one unit for all of it would take longest.
    for files in balance(slow, jobs) {
        add(files, &plan.slow_flags)?;
    }
    Ok((queue, objects))
}

/// Deals files, largest first, each to the lightest of `count` piles; the order of equal
/// sizes follows the names, so that a build can be repeated.
fn balance(mut files: Vec<(u64, String)>, count: usize) -> Vec<Vec<(u64, String)>> {
    files.sort();
    let mut piles: Vec<(u64, Vec<(u64, String)>)> = vec![(0, vec![]); count.max(1)];
    for file in files.into_iter().rev() {
        if let Some(lightest) = piles.iter_mut().min_by_key(|(weight, _)| *weight) {
            lightest.0 += file.0;
            lightest.1.push(file);
        }
    }
    piles.into_iter().map(|(_, pile)| pile).collect()
}

/// Runs all of `queue`, at most `jobs` at a time; the first failure ends it.
fn run_all(mut queue: Vec<Job>, jobs: usize) -> Result<(), BuildError> {
    queue.sort_by_key(|job| job.weight);
    let queue = Mutex::new(queue);
    let failure = Mutex::new(None);
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Some(mut job) = next() {
                    if let Err(error) = run_compiler(&mut job.command) {
                        failure
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .get_or_insert(error);
                        queue.lock().unwrap_or_else(PoisonError::into_inner).clear();
                    }
                }
            });
        }
    });
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

fn run_compiler(command: &mut Command) -> Result<(), BuildError> {
    let (success, output) = run(command)?;
    if success {
        return Ok(());
    }
    Err(BuildError::Compiler {
        command: format!("{command:?}"),
        output,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defines_and_runtime_files_are_read_from_the_makefile() {
        let makefile = "VM_TRACE = 0\nVM_CLASSES_FAST += \\\n\tVmodel \\\n\n\
                        VM_GLOBAL_FAST += \\\n\tverilated \\\n\tverilated_threads \\\n\n";
        let emitted = Emitted::parse(makefile);
        assert_eq!(emitted.defines[0], "-DVM_TRACE=0");
        assert!(emitted.defines.contains(&"-DVM_SC=0".to_string()));
        assert_eq!(emitted.runtime, ["verilated", "verilated_threads"]);
    }

    #[test]
    fn files_are_dealt_to_piles_of_about_equal_weight() {
        let files = [50, 40, 30, 20, 10].map(|size| (size, format!("f{size}")));
        let weights: Vec<u64> = balance(files.into(), 2)
            .iter()
            .map(|pile| pile.iter().map(|(size, _)| size).sum())
            .collect();
        assert_eq!(weights, [80, 70]);
    }
}
