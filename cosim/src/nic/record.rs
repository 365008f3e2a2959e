//! Recorded inputs, and their replay into the bare model.

use hallux_verilator::{Library, Model, ModelError};
use std::sync::Arc;
use std::time::Instant;

use super::ports::PortBytes;

/// The inputs of successive evaluated clock cycles, from the first on.
#[derive(Clone, Debug)]
pub struct Recording {
    size: usize,
    /// Bytes from one cycle to the next, a multiple of 8.
    stride: usize,
    words: Vec<u64>,
    limit: usize,
}

impl Recording {
    /// An empty recording of at most `limit` cycles of `size` bytes.
    pub(super) fn new(size: usize, limit: usize) -> Self {
        Self {
            size,
            stride: size.next_multiple_of(8),
            words: vec![],
            limit,
        }
    }

    /// Number of cycles.
    pub fn cycles(&self) -> usize {
        self.words.len() * 8 / self.stride.max(8)
    }

    #[inline]
    pub(super) fn push(&mut self, inputs: &[u8]) {
        if self.cycles() >= self.limit {
            return;
        }
        let start = self.words.len() * 8;
        self.words.resize(self.words.len() + self.stride / 8, 0);
        bytemuck::cast_slice_mut(&mut self.words)[start..start + self.size].copy_from_slice(inputs);
    }
}

/// How fast a recording went through the bare model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Replay {
    /// Clock cycles evaluated.
    pub cycles: usize,
    /// Wall-clock time in seconds.
    pub seconds: f64,
}

impl Replay {
    /// Clock cycles a second of wall-clock time.
    pub fn cycles_per_second(&self) -> f64 {
        if self.seconds > 0.0 {
            self.cycles as f64 / self.seconds
        } else {
            0.0
        }
    }
}

/// Evaluates the recorded cycles in a fresh model with nothing around it.
///
/// # Errors
/// The model stopped, or the recording is of another design.
pub fn replay(
    library: &Arc<Library>,
    recording: &Recording,
    seed: u64,
) -> Result<Replay, ModelError> {
    let mut model = Model::new(library, seed)?;
    let mut outputs = PortBytes::zeroed(library.layout().outputs.size);
    let bytes: &[u8] = bytemuck::cast_slice(&recording.words);
    let start = Instant::now();
    for inputs in bytes.chunks_exact(recording.stride.max(8)) {
        model.step(&inputs[..recording.size], outputs.bytes_mut())?;
    }
    let seconds = start.elapsed().as_secs_f64();
    Ok(Replay {
        cycles: recording.cycles(),
        seconds,
    })
}
