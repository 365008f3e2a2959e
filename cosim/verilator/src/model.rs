//! A running model: stepped, traced, saved.

use crate::layout::{LayoutError, PortStruct};
use crate::library::{Library, RawModel, Table, outcome};
use crate::trace::TraceFormat;
use sha2::{Digest, Sha256};
use std::ffi::{CStr, CString, c_char, c_void};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Clock period until [`Model::set_clock_period`] says otherwise: 250 MHz.
const DEFAULT_PERIOD_PS: u64 = 4000;

/// Numbers the models of this process, so that a model is never taken for a dead one
/// that lived at the same address.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// Held while a model is made: Verilator's random generator is seeded process-wide, and
/// a second seeding would disturb the first model's initial state.
static CONSTRUCTION: Mutex<()> = Mutex::new(());

/// What ended a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopCause {
    /// A failed assertion, `$error`, `$fatal` or `$stop`.
    Assertion,
    /// An error of Verilator's run-time, such as a loop that does not settle.
    RunTime,
    /// `$finish`.
    Finish,
}

impl std::fmt::Display for StopCause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            StopCause::Assertion => "assertion failed",
            StopCause::RunTime => "simulation error",
            StopCause::Finish => "$finish",
        })
    }
}

/// Why a call into a model failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// The model stopped; it cannot be used any more.
    #[error("{cause} in {file}:{line} at {time_ps} ps: {text}")]
    Stopped {
        /// What ended it.
        cause: StopCause,
        /// Source file as named in the manifest.
        file: String,
        /// Line in that file, from 1.
        line: u32,
        /// What the model said.
        text: String,
        /// Simulated time of the clock edge, in ps.
        time_ps: u64,
    },
    /// Verilator's run-time refused to make the model.
    #[error("a model of module `{0}` could not be made")]
    NotMade(String),
    /// A byte slice has the wrong size.
    #[error("the {which} of module `{top}` take {expected} bytes, the slice has {actual}")]
    Size {
        /// `inputs` or `outputs`.
        which: &'static str,
        /// Name of the top module.
        top: String,
        /// Bytes of the structure.
        expected: usize,
        /// Bytes of the slice.
        actual: usize,
    },
    /// A Rust structure does not match the ports.
    #[error("{which} of module `{top}`: {error}")]
    Layout {
        /// `inputs` or `outputs`.
        which: &'static str,
        /// Name of the top module.
        top: String,
        /// The difference.
        error: LayoutError,
    },
    /// The library was built without waveforms.
    #[error("module `{0}` was built without waveforms; ask for a trace format when building")]
    NoTrace(String),
    /// The waveform file cannot be written.
    #[error("cannot write waveforms to {0}")]
    TraceFile(PathBuf),
    /// The library was built without save and restore.
    #[error("module `{0}` was built without saved state; ask for `savable` when building")]
    NotSavable(String),
    /// The bytes are no saved state of this model.
    #[error("{bytes} bytes are no saved state of module `{top}`")]
    NotAState {
        /// Name of the top module.
        top: String,
        /// Length of what was offered.
        bytes: usize,
    },
}

/// One instance of a compiled design, with byte slices as inputs and outputs.
///
/// The slices have the sizes and the contents that [`Library::layout`] describes. After
/// an [`ModelError::Stopped`] every further step returns the same error.
pub struct Model {
    library: Arc<Library>,
    raw: NonNull<RawModel>,
    next_edge_ps: u64,
    period_ps: u64,
    stopped: Option<Box<ModelError>>,
    /// For callers whose slices are not aligned as the C structures are.
    aligned: Vec<u64>,
}

// SAFETY: the C++ model has no tie to the thread that made it: the shim sets Verilator's
// per-thread context whenever a thread turns to another model.
unsafe impl Send for Model {}

impl Model {
    /// Makes a model whose uninitialised state is random under `seed`. Its `initial`
    /// blocks run in the first step.
    ///
    /// # Errors
    /// Verilator's run-time refuses to make it.
    pub fn new(library: &Arc<Library>, seed: u64) -> Result<Self, ModelError> {
        let table = library.table();
        // Verilator takes 31 bits, and takes 0 for "choose one yourself".
        let seed = i32::try_from((seed ^ (seed >> 32)) & 0x7fff_ffff)
            .unwrap_or(0)
            .max(1);
        let raw = {
            let _one_at_a_time = CONSTRUCTION.lock().unwrap_or_else(PoisonError::into_inner);
            // SAFETY: the table belongs to a loaded library.
            unsafe { (table.model_new)(NEXT_ID.fetch_add(1, Ordering::Relaxed), seed) }
        };
        let layout = library.layout();
        let words = layout.inputs.size.div_ceil(8) + layout.outputs.size.div_ceil(8);
        let mut model = Self {
            library: library.clone(),
            raw: NonNull::new(raw).ok_or_else(|| ModelError::NotMade(layout.top.clone()))?,
            next_edge_ps: 0,
            period_ps: DEFAULT_PERIOD_PS,
            stopped: None,
            aligned: vec![0; words],
        };
        model.next_edge_ps = model.period_ps;
        Ok(model)
    }

    /// The library this is a model of.
    pub fn library(&self) -> &Arc<Library> {
        &self.library
    }

    fn table(&self) -> &'static Table {
        self.library.table()
    }

    fn top(&self) -> String {
        self.library.layout().top.clone()
    }

    /// Sets the clock period in ps: the distance of the edges of successive steps, and
    /// twice the time that a waveform shows the clock low before an edge. The first edge
    /// is one period after zero.
    pub fn set_clock_period(&mut self, period_ps: u64) {
        let period_ps = period_ps.max(2);
        if self.next_edge_ps == self.period_ps {
            self.next_edge_ps = period_ps;
        }
        self.period_ps = period_ps;
    }

    /// Sets the simulated time of the next step's rising edge, in ps; later steps follow
    /// one period apart. Time must not go back while a waveform is open.
    #[inline]
    pub fn set_next_edge(&mut self, time_ps: u64) {
        self.next_edge_ps = time_ps;
    }

    /// Simulated time of the next step's rising edge, in ps.
    #[inline]
    pub fn next_edge(&self) -> u64 {
        self.next_edge_ps
    }

    /// One clock cycle: drives `inputs`, settles with the clock low, samples `outputs` as
    /// the rising edge sees them, then makes the rising edge.
    ///
    /// # Errors
    /// The model stopped, or a slice has the wrong size.
    pub fn step(&mut self, inputs: &[u8], outputs: &mut [u8]) -> Result<(), ModelError> {
        self.with_aligned(inputs, outputs, Self::step_raw)
    }

    /// Drives `inputs` and settles with the clock low, without an edge: shows in `outputs`
    /// what follows the inputs combinationally. A step with the same inputs may follow.
    ///
    /// # Errors
    /// As [`Model::step`].
    pub fn settle(&mut self, inputs: &[u8], outputs: &mut [u8]) -> Result<(), ModelError> {
        self.with_aligned(inputs, outputs, Self::settle_raw)
    }

    fn with_aligned(
        &mut self,
        inputs: &[u8],
        outputs: &mut [u8],
        call: unsafe fn(&mut Self, *const c_void, *mut c_void) -> Result<(), ModelError>,
    ) -> Result<(), ModelError> {
        let layout = self.library.layout();
        let (in_size, out_size) = (layout.inputs.size, layout.outputs.size);
        for (which, expected, actual) in [
            ("inputs", in_size, inputs.len()),
            ("outputs", out_size, outputs.len()),
        ] {
            if expected != actual {
                return Err(ModelError::Size {
                    which,
                    top: self.top(),
                    expected,
                    actual,
                });
            }
        }
        let is_aligned = |address: *const u8| address.addr().is_multiple_of(8);
        if is_aligned(inputs.as_ptr()) && is_aligned(outputs.as_ptr()) {
            // SAFETY: sizes and alignment were just checked.
            return unsafe { call(self, inputs.as_ptr().cast(), outputs.as_mut_ptr().cast()) };
        }
        let mut aligned = std::mem::take(&mut self.aligned);
        let (in_words, out_words) = aligned.split_at_mut(in_size.div_ceil(8));
        bytemuck::cast_slice_mut(in_words)[..in_size].copy_from_slice(inputs);
        // SAFETY: the buffer has room for both structures and the alignment of `u64`, the
        // strictest of any port.
        let result = unsafe {
            call(
                self,
                in_words.as_ptr().cast(),
                out_words.as_mut_ptr().cast(),
            )
        };
        outputs.copy_from_slice(&bytemuck::cast_slice(out_words)[..out_size]);
        self.aligned = aligned;
        result
    }

    /// # Safety
    /// The pointers lead to structures of the layout's sizes, aligned to 8 bytes or as C
    /// aligns their strictest field.
    #[inline]
    unsafe fn step_raw(
        &mut self,
        inputs: *const c_void,
        outputs: *mut c_void,
    ) -> Result<(), ModelError> {
        if let Some(error) = &self.stopped {
            return Err((**error).clone());
        }
        let edge = self.next_edge_ps;
        let low = edge.saturating_sub(self.period_ps / 2);
        // SAFETY: the model lives, and the caller vouches for the pointers.
        let result = unsafe { (self.table().step)(self.raw.as_ptr(), inputs, outputs, edge, low) };
        self.next_edge_ps = edge + self.period_ps;
        if result == 0 {
            return Ok(());
        }
        self.attend(result, edge)
    }

    /// # Safety
    /// As [`Model::step_raw`].
    unsafe fn settle_raw(
        &mut self,
        inputs: *const c_void,
        outputs: *mut c_void,
    ) -> Result<(), ModelError> {
        if let Some(error) = &self.stopped {
            return Err((**error).clone());
        }
        // SAFETY: the model lives, and the caller vouches for the pointers.
        let result = unsafe { (self.table().settle)(self.raw.as_ptr(), inputs, outputs) };
        self.attend(result, self.next_edge_ps)
    }

    /// Passes printed text on and turns a stop into an error.
    #[cold]
    fn attend(&mut self, result: u32, time_ps: u64) -> Result<(), ModelError> {
        let mut printed = String::new();
        if result & outcome::PRINTED != 0 {
            // SAFETY: the string lives until the next call into the model.
            printed = unsafe { text((self.table().take_printed)(self.raw.as_ptr())) };
            for line in printed.lines() {
                tracing::info!(target: "hallux_verilator::model", "{line}");
            }
        }
        let cause = if result & outcome::FATAL != 0 {
            StopCause::RunTime
        } else if result & outcome::STOPPED != 0 {
            StopCause::Assertion
        } else if result & outcome::FINISHED != 0 {
            StopCause::Finish
        } else {
            return Ok(());
        };
        let (mut file, mut said) = (std::ptr::null(), std::ptr::null());
        let mut line = 0;
        // SAFETY: the strings belong to the model and are copied at once.
        let (file, said) = unsafe {
            (self.table().where_stopped)(self.raw.as_ptr(), &mut file, &mut line, &mut said);
            (text(file), text(said))
        };
        let error = ModelError::Stopped {
            cause,
            text: last_error(&printed).unwrap_or(said),
            file,
            line: u32::try_from(line).unwrap_or(0),
            time_ps,
        };
        self.stopped = Some(Box::new(error.clone()));
        Err(error)
    }

    /// Starts a waveform file of the whole hierarchy; one that is open is closed first.
    /// Time stamps are simulated time in ps.
    ///
    /// # Errors
    /// No waveforms in this library, or the file cannot be written.
    pub fn trace_open(&mut self, path: &Path) -> Result<(), ModelError> {
        if self.library.trace().is_none() {
            return Err(ModelError::NoTrace(self.top()));
        }
        let refused = || ModelError::TraceFile(path.to_path_buf());
        // Verilator opens FST files lazily and aborts where it cannot.
        std::fs::File::create(path).map_err(|_| refused())?;
        let name = CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_| refused())?;
        const ALL_LEVELS: i32 = 0;
        // SAFETY: the model lives and the name ends with a zero byte.
        let result =
            unsafe { (self.table().trace_open)(self.raw.as_ptr(), name.as_ptr(), ALL_LEVELS) };
        if result & outcome::FAILED != 0 {
            return Err(refused());
        }
        self.attend(result, self.next_edge_ps)
    }

    /// Ends the waveform file, if one is open.
    ///
    /// # Errors
    /// The model stopped while it wrote.
    pub fn trace_close(&mut self) -> Result<(), ModelError> {
        if self.library.trace().is_none() {
            return Ok(());
        }
        // SAFETY: the model lives.
        let result = unsafe { (self.table().trace_close)(self.raw.as_ptr()) };
        self.attend(result, self.next_edge_ps)
    }

    /// The whole state: flip-flops, memories, and the present values of ports and wires.
    /// Simulated time and the seed are not part of it.
    ///
    /// # Errors
    /// The library was built without `savable`, or the model has stopped.
    pub fn save(&mut self) -> Result<Vec<u8>, ModelError> {
        let mut state = vec![];
        self.serialise(&mut |piece| state.extend_from_slice(piece))?;
        Ok(state)
    }

    /// Returns to a state that [`Model::save`] gave, of this or another model of the
    /// same library.
    ///
    /// # Errors
    /// The library was built without `savable`, or the bytes are no state of it.
    pub fn restore(&mut self, state: &[u8]) -> Result<(), ModelError> {
        if !self.library.savable() {
            return Err(ModelError::NotSavable(self.top()));
        }
        // SAFETY: the model lives and the slice is read within its bounds.
        let result =
            unsafe { (self.table().restore)(self.raw.as_ptr(), state.as_ptr(), state.len()) };
        if result & (outcome::FAILED | outcome::STOPPED | outcome::FATAL) != 0 {
            let error = ModelError::NotAState {
                top: self.top(),
                bytes: state.len(),
            };
            // What was overwritten so far is lost.
            self.stopped = Some(Box::new(error.clone()));
            return Err(error);
        }
        Ok(())
    }

    /// SHA-256 over what [`Model::save`] gives.
    ///
    /// Two digests are equal iff no flip-flop, memory, port or wire differs. The clock is
    /// one of the ports: compare digests taken after steps, not one taken after
    /// [`Model::settle`], which leaves the clock low.
    ///
    /// A free running input such as `now` shows, too. To prove that skipping is exact,
    /// compare the state after all the skipped cycles with the state after
    /// [`Model::restore`] and one step at the last of them.
    ///
    /// # Errors
    /// As [`Model::save`].
    pub fn digest(&mut self) -> Result<[u8; 32], ModelError> {
        let mut hasher = Sha256::new();
        self.serialise(&mut |piece| hasher.update(piece))?;
        Ok(hasher.finalize().into())
    }

    fn serialise(&mut self, mut receiver: &mut dyn FnMut(&[u8])) -> Result<(), ModelError> {
        unsafe extern "C" fn pass_on(receiver: *mut c_void, data: *const u8, size: usize) {
            // SAFETY: the shim passes back the receiver below, and a piece of its buffer.
            unsafe {
                let receiver = &mut *receiver.cast::<&mut dyn FnMut(&[u8])>();
                receiver(std::slice::from_raw_parts(data, size));
            }
        }
        if !self.library.savable() {
            return Err(ModelError::NotSavable(self.top()));
        }
        if let Some(error) = &self.stopped {
            return Err((**error).clone());
        }
        let receiver = (&raw mut receiver).cast();
        // SAFETY: the model lives, and `receiver` outlives the call.
        let result = unsafe { (self.table().save)(self.raw.as_ptr(), pass_on, receiver) };
        self.attend(result, self.next_edge_ps)
    }

    /// The waveform format of this model's library.
    pub fn trace_format(&self) -> Option<TraceFormat> {
        self.library.trace()
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        // SAFETY: made by `model_new`, freed once.
        unsafe { (self.table().model_free)(self.raw.as_ptr()) }
    }
}

/// # Safety
/// `pointer` is null or leads to a string that ends with a zero byte.
unsafe fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: the caller vouches for it.
    unsafe { CStr::from_ptr(pointer) }
        .to_string_lossy()
        .into_owned()
}

/// The message of the last `[time] %Error: file.sv:12: message` line; recent versions
/// write `%Fatal` for `$fatal`.
fn last_error(printed: &str) -> Option<String> {
    let (_, place_and_message) = printed.lines().rev().find_map(|line| {
        line.split_once("%Error: ")
            .or_else(|| line.split_once("%Fatal: "))
    })?;
    let mut parts = place_and_message.splitn(3, ':');
    let message = parts.nth(2).unwrap_or(place_and_message);
    Some(message.trim().to_string())
}

/// A [`Model`] whose inputs and outputs are Rust structures, checked once.
pub struct TypedModel<I: PortStruct, O: PortStruct> {
    model: Model,
    structures: PhantomData<fn(I) -> O>,
}

impl<I: PortStruct, O: PortStruct> TypedModel<I, O> {
    /// Makes a model whose uninitialised state is random under `seed`.
    ///
    /// # Errors
    /// A structure does not match the ports, or as [`Model::new`].
    pub fn new(library: &Arc<Library>, seed: u64) -> Result<Self, ModelError> {
        let layout = library.layout();
        let mismatch = |which| {
            let top = layout.top.clone();
            move |error| ModelError::Layout { which, top, error }
        };
        let (inputs, outputs) = (&layout.inputs, &layout.outputs);
        inputs.check_struct::<I>().map_err(mismatch("inputs"))?;
        outputs.check_struct::<O>().map_err(mismatch("outputs"))?;
        Ok(Self {
            model: Model::new(library, seed)?,
            structures: PhantomData,
        })
    }

    /// One clock cycle; see [`Model::step`].
    ///
    /// # Errors
    /// The model stopped.
    #[inline]
    pub fn step(&mut self, inputs: &I, outputs: &mut O) -> Result<(), ModelError> {
        // SAFETY: the layouts were checked when the model was made.
        unsafe {
            self.model
                .step_raw((&raw const *inputs).cast(), (&raw mut *outputs).cast())
        }
    }

    /// One clock cycle whose rising edge is at `time_ps`.
    ///
    /// # Errors
    /// The model stopped.
    #[inline]
    pub fn step_at(&mut self, time_ps: u64, inputs: &I, outputs: &mut O) -> Result<(), ModelError> {
        self.model.set_next_edge(time_ps);
        self.step(inputs, outputs)
    }

    /// Settles without an edge; see [`Model::settle`].
    ///
    /// # Errors
    /// The model stopped.
    pub fn settle(&mut self, inputs: &I, outputs: &mut O) -> Result<(), ModelError> {
        // SAFETY: the layouts were checked when the model was made.
        unsafe {
            self.model
                .settle_raw((&raw const *inputs).cast(), (&raw mut *outputs).cast())
        }
    }

    /// The model itself: waveforms, state, time.
    pub fn model(&mut self) -> &mut Model {
        &mut self.model
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_is_taken_from_the_last_error_line() {
        let printed = "hello\n[30] %Error: a.sv:7: Assertion failed in TOP.a: no credit\n";
        assert_eq!(
            last_error(printed).as_deref(),
            Some("Assertion failed in TOP.a: no credit")
        );
        assert_eq!(last_error("hello\n"), None);
    }
}
