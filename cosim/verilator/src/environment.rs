//! The environment variables that discovery looks at, as a value.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Environment variables as a value, so that a test can hide a tool without touching
/// the process's own environment (which other threads read).
#[derive(Clone, Debug, Default)]
pub struct Environment {
    variables: BTreeMap<OsString, OsString>,
}

impl Environment {
    /// The environment of this process.
    pub fn process() -> Self {
        Self {
            variables: std::env::vars_os().collect(),
        }
    }

    /// This environment with variable `name` set to `value`.
    pub fn with(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    /// This environment without variable `name`.
    pub fn without(mut self, name: impl AsRef<OsStr>) -> Self {
        self.variables.remove(name.as_ref());
        self
    }

    /// The value of variable `name`; an empty value counts as unset.
    pub fn get(&self, name: impl AsRef<OsStr>) -> Option<&OsStr> {
        self.variables
            .get(name.as_ref())
            .map(OsString::as_os_str)
            .filter(|value| !value.is_empty())
    }

    /// The executable that a shell would start for `command`: a path is taken as it is,
    /// a bare name is looked up in `PATH`. The result is absolute, since tools are started
    /// in other directories.
    pub fn find_executable(&self, command: impl AsRef<Path>) -> Option<PathBuf> {
        let command = command.as_ref();
        if command.components().count() > 1 {
            let program = std::path::absolute(command).ok()?;
            return is_executable(&program).then_some(program);
        }
        std::env::split_paths(self.get("PATH")?)
            .filter_map(|directory| std::path::absolute(directory.join(command)).ok())
            .find(|candidate| is_executable(candidate))
    }
}

/// True for a regular file that somebody may execute.
pub(crate) fn is_executable(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        path.metadata()
            .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    }
    #[cfg(not(unix))]
    {
        path.is_file()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_variable_counts_as_unset() {
        let environment = Environment::default().with("CXX", "");
        assert_eq!(environment.get("CXX"), None);
    }

    #[test]
    fn a_bare_name_is_looked_up_in_path_only() {
        let environment = Environment::default().with("PATH", "/usr/bin:/bin");
        assert!(environment.find_executable("sh").is_some());
        assert!(environment.without("PATH").find_executable("sh").is_none());
    }
}
