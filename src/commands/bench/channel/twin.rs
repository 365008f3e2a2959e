//! The twin in C, built and called.

use std::ffi::c_int;
use std::process::Command;
use std::ptr::{self, NonNull};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use libloading::Library;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use super::{LATENCY, Pair, Side, Test, write_source};

/// As the default of Ethernet.
const SLOT_SIZE: usize = 1600;

/// An end, opaque here.
#[repr(C)]
struct Opaque {
    _private: [u8; 0],
}

type New = unsafe extern "C" fn(*mut u8, *mut u8, u64, u64, u64) -> *mut Opaque;
type Free = unsafe extern "C" fn(*mut Opaque);
type OneSide = unsafe extern "C" fn(*mut Opaque, c_int, c_int, u64, u64, *const u8, u16) -> u64;
type Both = unsafe extern "C" fn(*mut Opaque, *mut Opaque, c_int, u64, u64, *const u8, u16) -> u64;
type SharedCore = unsafe extern "C" fn(c_int, u64, u64, u64, f64, *const u8, u16) -> f64;

/// The library.
pub(super) struct Twin {
    compiler: String,
    new: New,
    free: Free,
    side: OneSide,
    both: Both,
    shared_core: SharedCore,
    _library: Library,
}

impl Twin {
    /// Builds and loads it.
    ///
    /// # Errors
    /// There is no C compiler.
    pub fn build() -> Result<Self> {
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
        let directory = tempfile::tempdir()?;
        let source = directory.path().join("twin.c");
        let library = directory.path().join("twin.so");
        write_source(&source)?;
        let built = Command::new(&compiler)
            .args(["-O3", "-std=gnu11", "-Wall", "-fPIC", "-shared", "-o"])
            .args([&library, &source])
            .output()
            .with_context(|| {
                format!(
                    "cannot run the C compiler `{compiler}`; install one (apt-get install gcc) \
                     or name it in CC"
                )
            })?;
        if !built.status.success() {
            bail!("{compiler}: {}", String::from_utf8_lossy(&built.stderr));
        }
        let version = Command::new(&compiler).arg("--version").output()?.stdout;
        let version = String::from_utf8_lossy(&version);
        // SAFETY: the library has no initialisers, and these are the types in its source.
        unsafe {
            let library = Library::new(&library)?;
            let new: New = *library.get(b"twin_new")?;
            let free: Free = *library.get(b"twin_free")?;
            let side: OneSide = *library.get(b"twin_side")?;
            let both: Both = *library.get(b"twin_both")?;
            let shared_core: SharedCore = *library.get(b"twin_shared_core")?;
            Ok(Twin {
                compiler: version.lines().next().unwrap_or_default().to_owned(),
                new,
                free,
                side,
                both,
                shared_core,
                _library: library,
            })
        }
    }

    /// Which compiler built it.
    pub fn compiler(&self) -> &str {
        &self.compiler
    }

    /// Two ends in this process.
    pub fn pair(&self, slots: usize) -> Result<TwinPair<'_>> {
        // All slots are free.
        let memory = Shared::new(2 * slots * SLOT_SIZE)?;
        let first = memory.base;
        // SAFETY: the second ring starts in the middle.
        let second = unsafe { first.add(slots * SLOT_SIZE) };
        let end = |out, into| {
            let (size, slots) = (SLOT_SIZE as u64, slots as u64);
            // SAFETY: both rings have that size, and live as long as the pair.
            let end = unsafe { (self.new)(out, into, size, slots, LATENCY.ps()) };
            NonNull::new(end).map(|end| TwinEnd { twin: self, end })
        };
        let ends = [end(first, second), end(second, first)];
        let [Some(left), Some(right)] = ends else {
            bail!("the twin has no memory");
        };
        Ok(TwinPair {
            ends: [left, right],
            done: 0,
            _memory: memory,
        })
    }

    /// Nanoseconds an operation of two processes on the core of the caller.
    pub fn shared_core(&self, test: Test, slots: usize, duration: Duration) -> f64 {
        let data = vec![1; test.len.into()];
        // SAFETY: `data` has `len` bytes. The child uses nothing but its copy of the stack and
        // the shared rings, and is ended before the call returns.
        unsafe {
            (self.shared_core)(
                test.kind as c_int,
                SLOT_SIZE as u64,
                slots as u64,
                LATENCY.ps(),
                duration.as_secs_f64(),
                data.as_ptr(),
                test.len,
            )
        }
    }
}

/// Zeroed memory that processes could share, as that of the rings it is compared with.
struct Shared {
    base: *mut u8,
    len: usize,
}

impl Shared {
    fn new(len: usize) -> Result<Self> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a fresh mapping at an address of the system's choice.
        let base = unsafe { mmap_anonymous(ptr::null_mut(), len, access, MapFlags::SHARED) }
            .context("the twin has no memory")?;
        let base = base.cast();
        Ok(Shared { base, len })
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`; the ends of the twin do not touch it any more.
        let _ = unsafe { munmap(self.base.cast(), self.len) };
    }
}

/// Two ends of the twin.
pub(super) struct TwinPair<'a> {
    ends: [TwinEnd<'a>; 2],
    done: u64,
    _memory: Shared,
}

/// One end of the twin.
pub(super) struct TwinEnd<'a> {
    twin: &'a Twin,
    end: NonNull<Opaque>,
}

// SAFETY: an end is used by one thread at a time, and shares only its rings, by atomic bytes.
unsafe impl Send for TwinEnd<'_> {}

impl Drop for TwinEnd<'_> {
    fn drop(&mut self) {
        // SAFETY: made by `twin_new`.
        unsafe { (self.twin.free)(self.end.as_ptr()) };
    }
}

impl<'a> Pair for TwinPair<'a> {
    type End = TwinEnd<'a>;

    fn ends(&mut self) -> [&mut TwinEnd<'a>; 2] {
        self.ends.each_mut()
    }

    fn after(&mut self, n: u64) -> u64 {
        self.done += n;
        self.done - n
    }

    fn both(&mut self, test: Test, from: u64, n: u64, data: &[u8]) -> Result<u64> {
        let [left, right] = &mut self.ends;
        // SAFETY: `data` has `len` bytes, and both ends are held exclusively.
        Ok(unsafe {
            (left.twin.both)(
                left.end.as_ptr(),
                right.end.as_ptr(),
                test.kind as c_int,
                from,
                n,
                data.as_ptr(),
                test.len,
            )
        })
    }
}

impl Side for TwinEnd<'_> {
    fn side(&mut self, test: Test, left: bool, from: u64, n: u64, data: &[u8]) -> Result<u64> {
        // SAFETY: `data` has `len` bytes, and the end is held exclusively.
        Ok(unsafe {
            (self.twin.side)(
                self.end.as_ptr(),
                test.kind as c_int,
                c_int::from(left),
                from,
                n,
                data.as_ptr(),
                test.len,
            )
        })
    }
}
