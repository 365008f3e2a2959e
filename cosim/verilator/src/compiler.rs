//! C++ compilers: which are here, which work, what they accept.

use crate::cache::{Cache, Key};
use crate::environment::Environment;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A C++17 compiler that compiles, links and has its standard library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiler {
    /// The program.
    pub program: PathBuf,
    /// Arguments that `CXX` puts before all others, such as the compiler behind `ccache`.
    pub leading_arguments: Vec<OsString>,
    /// The first line of `--version`.
    pub version: String,
    /// True for clang, false for g++.
    pub is_clang: bool,
}

impl Compiler {
    /// The compiler behind `program`, if it starts.
    fn at(program: PathBuf, leading_arguments: Vec<OsString>) -> Option<Self> {
        let output = Command::new(&program)
            .args(&leading_arguments)
            .arg("--version")
            .output()
            .ok()
            .filter(|output| output.status.success())?;
        let text = String::from_utf8_lossy(&output.stdout);
        Some(Self {
            program,
            leading_arguments,
            version: text.lines().next()?.trim().to_string(),
            is_clang: text.contains("clang"),
        })
    }

    /// The compilers of `environment` that work, best for measurement first: `CXX` alone
    /// if it is set, else `clang++`, `g++`, `c++`.
    pub(crate) fn discover(environment: &Environment, cache: &Cache) -> Vec<Self> {
        let commands: Vec<String> = match environment.get("CXX") {
            Some(command) => vec![command.to_string_lossy().into()],
            None => ["clang++", "g++", "c++"].map(String::from).into(),
        };
        let mut compilers: Vec<Self> = vec![];
        for command in commands {
            let mut words = command.split_whitespace();
            let found = words
                .next()
                .and_then(|program| environment.find_executable(program))
                .and_then(|program| Self::at(program, words.map(OsString::from).collect()))
                .filter(|compiler| compiler.works(cache));
            // `c++` usually is one of the others under another name.
            if let Some(compiler) = found
                && !compilers.iter().any(|other| other.is_same_as(&compiler))
            {
                compilers.push(compiler);
            }
        }
        compilers
    }

    fn is_same_as(&self, other: &Self) -> bool {
        let real = |path: &Path| path.canonicalize().ok();
        self.leading_arguments == other.leading_arguments
            && real(&self.program) == real(&other.program)
    }

    /// A command that starts this compiler.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.leading_arguments);
        command
    }

    /// Everything about the compiler that its output may depend on.
    pub(crate) fn identity(&self) -> String {
        format!(
            "{:?} {:?} {}",
            self.program, self.leading_arguments, self.version
        )
    }

    /// clang without a C++ standard library is common enough to be asked for.
    fn works(&self, cache: &Cache) -> bool {
        self.accepts(
            cache,
            "#include <string>\n#include <thread>\nstd::string text;\n",
            &["-pthread"],
        )
    }

    /// True if `source` compiles and links to a shared library with `arguments`.
    pub(crate) fn accepts(&self, cache: &Cache, source: &str, arguments: &[&str]) -> bool {
        let mut key = Key::default();
        key.add(self.identity()).add(source);
        for argument in arguments {
            key.add(argument);
        }
        cache.probe(&key.finish(), || {
            let Ok(directory) = tempfile::tempdir() else {
                return false;
            };
            let file = directory.path().join("probe.cpp");
            if std::fs::write(&file, source).is_err() {
                return false;
            }
            self.command()
                .args(["-std=gnu++17", "-fPIC", "-shared", "-o"])
                .arg(directory.path().join("probe.so"))
                .arg(&file)
                .args(arguments)
                .output()
                .is_ok_and(|output| output.status.success())
        })
    }

    /// The flag that lets a measured model use AVX2 and its like, if both the compiler
    /// and this machine know them.
    pub(crate) fn machine_flag(&self, cache: &Cache) -> Option<&'static str> {
        const FLAG: &str = "-march=x86-64-v3";
        #[cfg(target_arch = "x86_64")]
        let machine = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("movbe");
        #[cfg(not(target_arch = "x86_64"))]
        let machine = false;
        (machine && self.accepts(cache, "int empty;\n", &[FLAG])).then_some(FLAG)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_compiler_is_found_where_there_is_none() {
        let home = tempfile::tempdir().unwrap();
        let cache = Cache::at(home.path(), 1);
        let environment = Environment::default().with("PATH", home.path());
        assert_eq!(Compiler::discover(&environment, &cache), []);
        let environment = Environment::process().with("CXX", "no-such-compiler");
        assert_eq!(Compiler::discover(&environment, &cache), []);
    }

    #[test]
    fn cxx_may_carry_arguments() {
        let home = tempfile::tempdir().unwrap();
        let cache = Cache::at(home.path(), 1);
        let environment = Environment::process().with("CXX", "c++ -DEXTRA");
        let compilers = Compiler::discover(&environment, &cache);
        assert_eq!(compilers.len(), 1, "{compilers:?}");
        assert_eq!(compilers[0].leading_arguments, ["-DEXTRA"]);
        let uses_it = "#ifndef EXTRA\n#error\n#endif\n";
        assert!(compilers[0].accepts(&cache, uses_it, &[]));
        assert!(!compilers[0].accepts(&cache, "#error\n", &[]));
    }
}
