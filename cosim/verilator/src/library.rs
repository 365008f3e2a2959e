//! A compiled model in memory: the table of C functions, checked.

use crate::layout::Layout;
use crate::shim::SHIM_VERSION;
use crate::trace::TraceFormat;
use serde::Serialize;
use std::ffi::{c_char, c_void};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bits of what a call into the model returns; the same as in `shim.cpp`.
pub(crate) mod outcome {
    /// `$finish` was called.
    pub(crate) const FINISHED: u32 = 1;
    /// `$stop`, `$fatal` or `$error` was called, or an assertion failed.
    pub(crate) const STOPPED: u32 = 2;
    /// Verilator's run-time gave up.
    pub(crate) const FATAL: u32 = 4;
    /// Text is waiting.
    pub(crate) const PRINTED: u32 = 8;
    /// The call itself could not be done.
    pub(crate) const FAILED: u32 = 16;
}

/// A model as C++ sees it.
pub(crate) type RawModel = c_void;

/// Receives saved state in pieces.
pub(crate) type Sink = unsafe extern "C" fn(*mut c_void, *const u8, usize);

/// The functions of a compiled model; the same fields in the same order as in `shim.cpp`.
#[repr(C)]
pub(crate) struct Table {
    shim_version: u32,
    in_size: u32,
    out_size: u32,
    _reserved: u32,
    layout_hash: u64,
    pub(crate) model_new: unsafe extern "C" fn(u64, i32) -> *mut RawModel,
    pub(crate) model_free: unsafe extern "C" fn(*mut RawModel),
    pub(crate) step:
        unsafe extern "C" fn(*mut RawModel, *const c_void, *mut c_void, u64, u64) -> u32,
    pub(crate) settle: unsafe extern "C" fn(*mut RawModel, *const c_void, *mut c_void) -> u32,
    pub(crate) trace_open: unsafe extern "C" fn(*mut RawModel, *const c_char, i32) -> u32,
    pub(crate) trace_close: unsafe extern "C" fn(*mut RawModel) -> u32,
    pub(crate) save: unsafe extern "C" fn(*mut RawModel, Sink, *mut c_void) -> u32,
    pub(crate) restore: unsafe extern "C" fn(*mut RawModel, *const u8, usize) -> u32,
    pub(crate) where_stopped:
        unsafe extern "C" fn(*mut RawModel, *mut *const c_char, *mut i32, *mut *const c_char),
    pub(crate) take_printed: unsafe extern "C" fn(*mut RawModel) -> *const c_char,
}

/// Why a compiled model cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The system's loader refuses it.
    #[error("cannot load the compiled model {path}: {error}")]
    Loader {
        /// The shared library.
        path: PathBuf,
        /// What the loader said.
        error: libloading::Error,
    },
    /// It was built from another manifest or by another version of this crate.
    #[error("the compiled model {path} does not match its manifest; remove it and build again")]
    Mismatch {
        /// The shared library.
        path: PathBuf,
    },
}

/// How a library was made; for `execution.json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BuildFacts {
    /// Verilator's version.
    pub verilator: String,
    /// First line of the compiler's `--version`.
    pub compiler: String,
    /// The flags that decide speed: Verilator's, then the compiler's.
    pub flags: String,
    /// True if the library came from the cache.
    pub cached: bool,
    /// Wall-clock time of the build or of the look-up, in seconds.
    pub seconds: f64,
    /// What a user should know, such as a fallback that was taken.
    pub notes: Vec<String>,
}

/// A compiled model. Stays loaded until the process ends: Verilator's run-time keeps
/// per-thread objects whose destructors live in the library.
pub struct Library {
    table: &'static Table,
    layout: Layout,
    trace: Option<TraceFormat>,
    savable: bool,
    facts: BuildFacts,
}

impl std::fmt::Debug for Library {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Library")
            .field("top", &self.layout.top)
            .field("trace", &self.trace)
            .field("savable", &self.savable)
            .field("facts", &self.facts)
            .finish_non_exhaustive()
    }
}

impl Library {
    /// Loads `path` and holds it against `layout`.
    pub(crate) fn open(
        path: &Path,
        layout: Layout,
        trace: Option<TraceFormat>,
        savable: bool,
        facts: BuildFacts,
    ) -> Result<Arc<Self>, LoadError> {
        let refused = |error| LoadError::Loader {
            path: path.to_path_buf(),
            error,
        };
        // SAFETY: the library is one that this crate built (its cache entry is checked by
        // SHA-256); its initialisers are those of Verilator's run-time.
        let library = unsafe { open_local(path) }.map_err(refused)?;
        // SAFETY: `hallux_model_table` has this type in every shim; `shim_version` and the
        // layout hash, checked below, guard what the table itself says.
        let table: &'static Table = unsafe {
            let function = library
                .get::<unsafe extern "C" fn() -> *const Table>(b"hallux_model_table\0")
                .map_err(refused)?;
            &*function()
        };
        std::mem::forget(library);
        let sizes = (layout.inputs.size, layout.outputs.size);
        if table.shim_version != SHIM_VERSION
            || (table.in_size as usize, table.out_size as usize) != sizes
            || table.layout_hash != layout.hash()
        {
            let path = path.to_path_buf();
            return Err(LoadError::Mismatch { path });
        }
        Ok(Arc::new(Self {
            table,
            layout,
            trace,
            savable,
            facts,
        }))
    }

    pub(crate) fn table(&self) -> &'static Table {
        self.table
    }

    /// How inputs and outputs lie in their structures.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The waveform format that is compiled in; may differ from the one asked for, see
    /// [`BuildFacts::notes`].
    pub fn trace(&self) -> Option<TraceFormat> {
        self.trace
    }

    /// True if models of this library can be saved, restored and digested.
    pub fn savable(&self) -> bool {
        self.savable
    }

    /// How the library was made.
    pub fn facts(&self) -> &BuildFacts {
        &self.facts
    }
}

/// Loads without making the library's symbols visible to others: two models have classes
/// of the same names, and sharing them gives silently wrong results.
unsafe fn open_local(path: &Path) -> Result<libloading::Library, libloading::Error> {
    #[cfg(unix)]
    {
        use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
        // SAFETY: passed on to the caller.
        unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL).map(Into::into) }
    }
    #[cfg(not(unix))]
    {
        // SAFETY: passed on to the caller.
        unsafe { libloading::Library::new(path) }
    }
}
