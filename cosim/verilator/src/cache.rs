//! The user's cache of compiled models, run-time objects, mapped netlists and the project's
//! own copies of tools.
//!
//! ```text
//! <root>/models/<key>/    model.so, entry.json
//!        runtime/<key>/   verilated.o …, entry.json
//!        netlists/<key>/  netlist.json.gz, yosys.log, entry.json
//!        tools/<name>/    an unpacked tool
//!        probes/<key>     yes or no: a property of a compiler
//!        locks/           one file a key, held while an entry is made, read or evicted
//!        staging/         entries in the making; published by rename
//! ```
//!
//! `entry.json` lists the SHA-256 of every file, so that a damaged entry is rebuilt, and
//! its time of modification is the time of the last use.

use crate::environment::Environment;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

/// Bound of the compiled models' total size unless `HALLUX_CACHE_LIMIT` says otherwise.
const DEFAULT_LIMIT: u64 = 4 << 30;

/// What is left in `staging` this long after its last change belongs to a dead process.
const STAGING_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// Why the cache cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// No variable says where the cache is.
    #[error("no place for the cache of compiled models: set HALLUX_CACHE to a directory")]
    NoPlace,
    /// `HALLUX_CACHE_LIMIT` is no number.
    #[error("HALLUX_CACHE_LIMIT is `{0}`; it takes a number of MiB, for example 4096")]
    Limit(String),
    /// A file of the cache cannot be read or written.
    #[error("cannot {action} {path}: {error}; set HALLUX_CACHE to a directory that can be written")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// Turns an I/O error into one that names what was tried where.
fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CacheError {
    let path = path.to_path_buf();
    move |error| CacheError::Io {
        action,
        path,
        error,
    }
}

/// The rooms of the cache that hold entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// Compiled models; bounded in size.
    Models,
    /// Objects that every model is linked with.
    Runtime,
    /// Mapped netlists; bounded in size as the models are, each room by itself.
    Netlists,
}

impl Room {
    fn name(self) -> &'static str {
        match self {
            Room::Models => "models",
            Room::Runtime => "runtime",
            Room::Netlists => "netlists",
        }
    }

    fn is_bounded(self) -> bool {
        self != Room::Runtime
    }
}

/// Accumulates what an entry depends on; lengths go in as well, so that two lists of
/// parts never hash alike.
#[derive(Default)]
pub struct Key(Sha256);

impl Key {
    /// Takes in `part`.
    pub fn add(&mut self, part: impl AsRef<[u8]>) -> &mut Self {
        let part = part.as_ref();
        self.0.update((part.len() as u64).to_le_bytes());
        self.0.update(part);
        self
    }

    /// 32 hexadecimal digits.
    pub fn finish(&self) -> String {
        hex(&self.0.clone().finalize()[..16])
    }
}

/// Lower-case hexadecimal digits of `bytes`.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What `entry.json` holds.
#[derive(Serialize, Deserialize)]
struct Entry {
    /// For people who look into the cache.
    description: String,
    /// SHA-256 by file name.
    files: BTreeMap<String, String>,
}

/// A directory of what takes long to make, by content: compiled models first of all.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
    limit: u64,
}

/// Held while an entry is made, read or evicted; released on drop.
pub struct Lock {
    _file: File,
}

impl Cache {
    /// `HALLUX_CACHE`, else `hallux` under `XDG_CACHE_HOME`, else `.cache/hallux` under
    /// `HOME`; bounded by `HALLUX_CACHE_LIMIT` MiB of compiled models (4096 if unset).
    ///
    /// # Errors
    /// None of the variables is set, or the limit is no number.
    pub fn locate(environment: &Environment) -> Result<Self, CacheError> {
        let root = if let Some(root) = environment.get("HALLUX_CACHE") {
            PathBuf::from(root)
        } else if let Some(caches) = environment.get("XDG_CACHE_HOME") {
            Path::new(caches).join("hallux")
        } else if let Some(home) = environment.get("HOME") {
            Path::new(home).join(".cache/hallux")
        } else {
            return Err(CacheError::NoPlace);
        };
        let limit = match environment.get("HALLUX_CACHE_LIMIT") {
            None => DEFAULT_LIMIT,
            Some(text) => {
                let text = text.to_string_lossy();
                let mebibytes: u64 = text
                    .trim()
                    .parse()
                    .map_err(|_| CacheError::Limit(text.to_string()))?;
                mebibytes << 20
            }
        };
        Ok(Self::at(root, limit))
    }

    /// The cache in `root`, bounded to `limit` bytes of compiled models.
    pub fn at(root: impl Into<PathBuf>, limit: u64) -> Self {
        let root = root.into();
        Self {
            // Tools are started in other directories.
            root: std::path::absolute(&root).unwrap_or(root),
            limit,
        }
    }

    /// The cache's directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The bound of the compiled models' total size, in bytes.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// The compiled models' total size, in bytes.
    pub fn size(&self) -> u64 {
        self.entries(Room::Models)
            .iter()
            .map(|entry| entry.bytes)
            .sum()
    }

    /// The directory of the tool `name`, whether it exists or not.
    pub fn tool(&self, name: &str) -> PathBuf {
        self.root.join("tools").join(name)
    }

    /// An empty directory on the cache's file system, removed on drop.
    ///
    /// # Errors
    /// The cache cannot be written.
    pub fn staging(&self) -> Result<TempDir, CacheError> {
        let parent = self.directory("staging")?;
        tempfile::Builder::new()
            .prefix("entry-")
            .tempdir_in(&parent)
            .map_err(at("create a directory in", &parent))
    }

    /// Waits until nobody else makes, reads or evicts entry `key`.
    ///
    /// # Errors
    /// The cache cannot be written.
    pub fn lock(&self, key: &str) -> Result<Lock, CacheError> {
        let (path, file) = self.lock_file(key)?;
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            tracing::info!("waiting for another process that makes the same entry of the cache");
        }
        file.lock().map_err(at("lock", &path))?;
        Ok(Lock { _file: file })
    }

    fn lock_file(&self, key: &str) -> Result<(PathBuf, File), CacheError> {
        let path = self.directory("locks")?.join(key);
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(at("open", &path))?;
        Ok((path, file))
    }

    fn directory(&self, name: &str) -> Result<PathBuf, CacheError> {
        let path = self.root.join(name);
        fs::create_dir_all(&path).map_err(at("create", &path))?;
        Ok(path)
    }

    /// The directory of entry `key` if it is there and undamaged; marks it as used.
    pub fn get(&self, room: Room, key: &str) -> Option<PathBuf> {
        let directory = self.root.join(room.name()).join(key);
        let manifest = directory.join("entry.json");
        let text = fs::read(&manifest).ok()?;
        let undamaged = serde_json::from_slice::<Entry>(&text).is_ok_and(|entry| {
            entry.files.iter().all(|(name, digest)| {
                sha256_of(&directory.join(name)).is_ok_and(|actual| actual == *digest)
            })
        });
        if !undamaged {
            tracing::warn!(
                "cache entry {} is damaged; it is rebuilt",
                directory.display()
            );
            let _ = fs::remove_dir_all(&directory);
            return None;
        }
        // A read-only cache serves too; only its order of eviction is then unknown.
        if let Ok(file) = File::options().append(true).open(&manifest) {
            let _ = file.set_modified(SystemTime::now());
        }
        Some(directory)
    }

    /// Makes the files in `staging` the entry `key` and returns its directory; then
    /// evicts the entries used longest ago until the bound holds again.
    ///
    /// # Errors
    /// The cache cannot be written.
    pub fn publish(
        &self,
        room: Room,
        key: &str,
        staging: TempDir,
        description: &str,
    ) -> Result<PathBuf, CacheError> {
        let mut entry = Entry {
            description: description.to_string(),
            files: BTreeMap::new(),
        };
        let source = staging.path();
        let listing = source.read_dir().map_err(at("read", source))?;
        for file in listing {
            let path = file.map_err(at("read", source))?.path();
            let digest = sha256_of(&path).map_err(at("read", &path))?;
            if let Some(name) = path.file_name() {
                entry.files.insert(name.to_string_lossy().into(), digest);
            }
        }
        let manifest = source.join("entry.json");
        let text = serde_json::to_vec_pretty(&entry).expect("strings serialise");
        fs::write(&manifest, text).map_err(at("write", &manifest))?;

        let target = self.directory(room.name())?.join(key);
        let _ = fs::remove_dir_all(&target);
        let staged = staging.keep();
        fs::rename(&staged, &target).map_err(at("rename a new entry to", &target))?;
        if room.is_bounded() {
            self.evict(room, key);
        }
        Ok(target)
    }

    /// Removes entry `key`.
    pub(crate) fn remove(&self, room: Room, key: &str) {
        let _ = fs::remove_dir_all(self.root.join(room.name()).join(key));
    }

    /// Removes the entries of `room` used longest ago, but neither `keep` nor one in use,
    /// until the bound holds.
    fn evict(&self, room: Room, keep: &str) {
        let mut entries = self.entries(room);
        let mut total: u64 = entries.iter().map(|entry| entry.bytes).sum();
        entries.sort_by_key(|entry| entry.used);
        for entry in entries {
            if total <= self.limit {
                break;
            }
            let Ok((_, lock)) = self.lock_file(&entry.key) else {
                break;
            };
            if entry.key != keep && lock.try_lock().is_ok() {
                tracing::info!("evicting {}/{} from the cache", room.name(), entry.key);
                self.remove(room, &entry.key);
                total -= entry.bytes;
            }
        }
        self.sweep_staging();
    }

    fn sweep_staging(&self) {
        let Ok(listing) = self.root.join("staging").read_dir() else {
            return;
        };
        for entry in listing.flatten() {
            let age = entry
                .metadata()
                .and_then(|meta| meta.modified())
                .ok()
                .and_then(|changed| changed.elapsed().ok());
            if age.is_some_and(|age| age > STAGING_LIFETIME) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }

    fn entries(&self, room: Room) -> Vec<CachedEntry> {
        let Ok(listing) = self.root.join(room.name()).read_dir() else {
            return vec![];
        };
        listing
            .flatten()
            .filter_map(|entry| {
                let files = entry.path().read_dir().ok()?.flatten();
                let bytes = files
                    .filter_map(|f| f.metadata().ok())
                    .map(|m| m.len())
                    .sum();
                let used = entry
                    .path()
                    .join("entry.json")
                    .metadata()
                    .ok()?
                    .modified()
                    .ok()?;
                let key = entry.file_name().to_string_lossy().into();
                Some(CachedEntry { key, bytes, used })
            })
            .collect()
    }

    /// The remembered answer to a question about a compiler, asked once per `key`.
    pub(crate) fn probe(&self, key: &str, ask: impl FnOnce() -> bool) -> bool {
        let path = self.root.join("probes").join(key);
        match fs::read(&path).as_deref() {
            Ok(b"yes") => return true,
            Ok(b"no") => return false,
            _ => {}
        }
        let answer = ask();
        // Not being able to remember it costs time only.
        if self.directory("probes").is_ok() {
            let _ = fs::write(&path, if answer { "yes" } else { "no" });
        }
        answer
    }
}

struct CachedEntry {
    key: String,
    bytes: u64,
    used: SystemTime,
}

/// SHA-256 of a file, in hexadecimal.
pub(crate) fn sha256_of(path: &Path) -> io::Result<String> {
    Ok(hex(&Sha256::digest(fs::read(path)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(cache: &Cache, key: &str, bytes: usize) -> PathBuf {
        let staging = cache.staging().unwrap();
        fs::write(staging.path().join("model.so"), vec![7; bytes]).unwrap();
        cache.publish(Room::Models, key, staging, "test").unwrap()
    }

    #[test]
    fn an_entry_is_found_until_it_is_damaged() {
        let home = tempfile::tempdir().unwrap();
        let cache = Cache::at(home.path(), 1 << 20);
        assert_eq!(cache.get(Room::Models, "a"), None);
        let directory = publish(&cache, "a", 100);
        assert_eq!(cache.get(Room::Models, "a"), Some(directory.clone()));
        fs::write(directory.join("model.so"), "half").unwrap();
        assert_eq!(cache.get(Room::Models, "a"), None);
        assert!(!directory.exists(), "a damaged entry is removed");
    }

    #[test]
    fn the_model_used_longest_ago_goes_first() {
        let home = tempfile::tempdir().unwrap();
        let cache = Cache::at(home.path(), 2500);
        let tick = || std::thread::sleep(Duration::from_millis(20));
        publish(&cache, "a", 1000);
        tick();
        publish(&cache, "b", 1000);
        tick();
        cache.get(Room::Models, "a").unwrap();
        tick();
        publish(&cache, "c", 1000);
        assert!(cache.get(Room::Models, "a").is_some());
        assert!(cache.get(Room::Models, "b").is_none());
        assert!(cache.get(Room::Models, "c").is_some());
        assert!(cache.size() <= 2500);
    }

    #[test]
    fn a_model_in_use_is_not_evicted() {
        let home = tempfile::tempdir().unwrap();
        let cache = Cache::at(home.path(), 1);
        publish(&cache, "a", 1000);
        let lock = cache.lock("a").unwrap();
        publish(&cache, "b", 1000);
        assert!(cache.get(Room::Models, "a").is_some());
        drop(lock);
        publish(&cache, "c", 1000);
        assert!(cache.get(Room::Models, "a").is_none());
    }

    #[test]
    fn the_place_follows_the_environment() {
        let environment = Environment::default().with("HOME", "/home/user");
        let root = |environment: &Environment| Cache::locate(environment).unwrap().root;
        assert_eq!(root(&environment), Path::new("/home/user/.cache/hallux"));
        let environment = environment.with("XDG_CACHE_HOME", "/caches");
        assert_eq!(root(&environment), Path::new("/caches/hallux"));
        let environment = environment.with("HALLUX_CACHE", "/fast");
        assert_eq!(root(&environment), Path::new("/fast"));
        let environment = environment.with("HALLUX_CACHE_LIMIT", "lots");
        assert!(
            matches!(Cache::locate(&environment), Err(CacheError::Limit(text)) if text == "lots")
        );
        assert!(matches!(
            Cache::locate(&Environment::default()),
            Err(CacheError::NoPlace)
        ));
    }

    #[test]
    fn keys_depend_on_how_the_parts_are_split() {
        let key = |parts: &[&str]| {
            let mut key = Key::default();
            for part in parts {
                key.add(part);
            }
            key.finish()
        };
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        assert_eq!(key(&["ab", "c"]).len(), 32);
    }
}
