//! Holding a twin against the other: outputs, simulation speed, area.

use super::Twin;
use hallux_hdl::manifest::Manifest;
use hallux_verilator::{Build, BuildError, Model, ModelError, PortField, Profile, Toolchain};
use rand_core::RngCore;
use rand_pcg::Pcg32;
use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// Different inputs that a run repeats: few enough to stay in the cache.
const STIMULI: usize = 1024;

/// Fresh instances of both models, each pair timed for an equal part of all repetitions:
/// where an instance lies in memory has an influence of its own.
const ROUNDS: usize = 20;

/// Cycles with reset, and then until nothing of the random initial state shows.
const RESET: usize = 4;
const WARM_UP: usize = 256;

/// Why twins cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum TwinError {
    /// One of them does not build.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// One of them stopped.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// They do not do the same.
    #[error("twin `{name}`: output `{port}` differs in cycle {cycle}")]
    Differs {
        /// The twin.
        name: &'static str,
        /// The output.
        port: String,
        /// The cycle after reset.
        cycle: usize,
    },
    /// yosys did not do its part.
    #[error("yosys: {0}")]
    Yosys(String),
}

/// What the comparison of a twin gave.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// Speed of the generated form over that of the hand-written one: the median of the
    /// ratios of neighbouring runs.
    pub speed: f64,
    /// The least and the greatest median of a round.
    pub rounds: (f64, f64),
    /// Time of a cycle of the generated form in ns, median.
    pub generated_ns: f64,
    /// Time of a cycle of the hand-written form in ns, median.
    pub hand_ns: f64,
    /// Hash over all outputs of all cycles that were compared.
    pub hash: u64,
}

/// Sets `bits` of `bytes` from bit `offset` on to random ones, as a number below `limit`.
fn randomise(bytes: &mut [u8], offset: u32, bits: u32, limit: Option<u32>, random: &mut Pcg32) {
    let small = limit.map(|limit| random.next_u32() % limit);
    let mut word = 0;
    for bit in 0..bits {
        if bit % 32 == 0 {
            word = match small {
                Some(small) if bit == 0 => small,
                Some(_) => 0,
                None => random.next_u32(),
            };
        }
        let at = offset + bit;
        bytes[at as usize / 8] |= ((word >> (bit % 32) & 1) as u8) << (at % 8);
    }
}

/// One set of inputs. Sequence numbers, the 32-bit fields of structured ports, stay close to
/// each other, and connections are few, so that rare cases are not rare.
fn stimulus(ports: &[PortField], size: usize, twin: &Twin, random: &mut Pcg32) -> Vec<u8> {
    let mut bytes = vec![0; size];
    for port in ports {
        let bytes = &mut bytes[port.offset..port.offset + port.bytes];
        let often = twin.often.iter().find(|(name, _)| *name == port.name);
        if let Some((_, percent)) = often {
            bytes[0] = u8::from(random.next_u32() % 100 < *percent);
        } else if port.fields.is_empty() {
            randomise(bytes, 0, port.width, None, random);
        }
        for field in &port.fields {
            let limit = match (field.name.as_str(), field.width) {
                ("flow", _) => Some(4),
                (_, 32) => Some(4096),
                _ => None,
            };
            randomise(bytes, field.offset, field.width, limit, random);
        }
    }
    bytes
}

/// Both forms with everything that a run needs.
struct Pair<'a> {
    twin: &'a Twin,
    /// Generated, hand-written.
    models: [Model; 2],
    outputs: [Vec<u8>; 2],
    ports: Vec<PortField>,
    /// Keeps apart what the allocator would put into the same places again.
    padding: Vec<Vec<u8>>,
    /// Inputs until outputs are defined.
    start: Vec<Vec<u8>>,
    stimuli: Vec<Vec<u8>>,
}

fn model(
    tools: &Toolchain,
    profile: Profile,
    manifest: &Manifest,
    sources: &[(String, String)],
) -> Result<Model, TwinError> {
    let library = Build::new(manifest, sources)
        .profile(profile)
        .build(tools)?;
    Ok(Model::new(&library, 1)?)
}

impl<'a> Pair<'a> {
    fn new(twin: &'a Twin, tools: &Toolchain, profile: Profile) -> Result<Self, TwinError> {
        let generated = model(
            tools,
            profile,
            &twin.generated.manifest,
            &twin.generated_sources(),
        )?;
        let (manifest, sources) = twin.hand_sources();
        let hand = model(tools, profile, &manifest, &sources)?;
        let layout = generated.library().layout().clone();
        let inputs = &layout.inputs;
        let mut random = Pcg32::new(1, 1);
        let mut draw = || stimulus(&inputs.ports, inputs.size, twin, &mut random);
        let mut start: Vec<Vec<u8>> = (0..RESET + WARM_UP).map(|_| draw()).collect();
        if let Some((address, enable, words)) = twin.fill
            && let (Some(address), Some(enable)) = (inputs.port(address), inputs.port(enable))
        {
            for word in 0..words {
                let mut bytes = draw();
                bytes[address.offset..address.offset + address.bytes]
                    .copy_from_slice(&word.to_le_bytes()[..address.bytes]);
                bytes[enable.offset] = 1;
                start.insert(RESET, bytes);
            }
        }
        if let Some(reset) = inputs.port("rst") {
            // Nothing may be under way while memories are filled.
            let filled = start.len() - WARM_UP;
            start[..filled]
                .iter_mut()
                .for_each(|bytes| bytes[reset.offset] = 1);
        }
        let size = layout.outputs.size;
        Ok(Self {
            twin,
            models: [generated, hand],
            outputs: [vec![0; size], vec![0; size]],
            padding: Vec::new(),
            stimuli: (0..STIMULI).map(|_| draw()).collect(),
            start,
            ports: layout.outputs.ports,
        })
    }

    fn step_both(&mut self, inputs: &[u8]) -> Result<(), TwinError> {
        for (model, outputs) in self.models.iter_mut().zip(&mut self.outputs) {
            model.step(inputs, outputs)?;
        }
        Ok(())
    }

    /// From an instance's first cycle to defined outputs.
    fn begin(&mut self) -> Result<(), TwinError> {
        let start = std::mem::take(&mut self.start);
        for inputs in &start {
            self.step_both(inputs)?;
        }
        self.start = start;
        Ok(())
    }

    /// Other instances of the same models at other places, made in the other order every
    /// second time.
    fn renew(&mut self, round: usize) -> Result<(), TwinError> {
        let mut old = Vec::new();
        for which in [round % 2, 1 - round % 2] {
            self.padding.push(vec![0; 16 + 48 * (round * 7 % 23)]);
            let library = self.models[which].library().clone();
            let new = Model::new(&library, 1 + round as u64)?;
            old.push(std::mem::replace(&mut self.models[which], new));
        }
        self.begin()
    }

    /// Runs both in lock step over all stimuli, several times; the hash of the outputs.
    fn verify(&mut self) -> Result<u64, TwinError> {
        self.begin()?;
        let stimuli = std::mem::take(&mut self.stimuli);
        // FNV-1a.
        let mut hash = 0xcbf2_9ce4_8422_2325u64;
        for (cycle, inputs) in stimuli.iter().cycle().take(4 * STIMULI).enumerate() {
            self.step_both(inputs)?;
            let [generated, hand] = &self.outputs;
            if generated != hand {
                let differs = |port: &&PortField| {
                    let range = port.offset..port.offset + port.bytes;
                    generated[range.clone()] != hand[range]
                };
                let port = self.ports.iter().find(differs);
                return Err(TwinError::Differs {
                    name: self.twin.name,
                    port: port.map_or(String::new(), |port| port.name.clone()),
                    cycle,
                });
            }
            for byte in generated {
                hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
        self.stimuli = stimuli;
        Ok(hash)
    }

    /// Seconds that `cycles` cycles of one of them take.
    fn time(&mut self, which: usize, cycles: usize) -> Result<f64, TwinError> {
        // Both write to the same place.
        let (model, outputs) = (&mut self.models[which], &mut self.outputs[0]);
        let started = Instant::now();
        for inputs in self.stimuli.iter().cycle().take(cycles) {
            model.step(black_box(inputs), outputs)?;
        }
        black_box(outputs);
        Ok(started.elapsed().as_secs_f64())
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Median of the speeds of the generated form relative to the other one.
fn speed(times: &[[f64; 2]]) -> f64 {
    median(times.iter().map(|[generated, hand]| hand / generated))
}

/// Checks that all outputs of both forms are equal under the same inputs, cycle by cycle;
/// gives the hash of the outputs.
///
/// # Errors
/// As [`compare`].
pub fn verify(twin: &Twin, tools: &Toolchain) -> Result<u64, TwinError> {
    Pair::new(twin, tools, Profile::Test)?.verify()
}

/// The calling thread on the core where it is, until this is dropped: another core has
/// other caches and may run at another speed. Where the system does not allow it, the
/// thread stays free.
struct Pinned(Option<CpuSet>);

impl Pinned {
    fn here() -> Self {
        let before = sched_getaffinity(None).ok();
        let mut one = CpuSet::new();
        one.set(sched_getcpu());
        Self(before.filter(|_| sched_setaffinity(None, &one).is_ok()))
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // There is nobody to tell, and nothing but speed depends on it.
            let _ = sched_setaffinity(None, before);
        }
    }
}

/// Builds both forms with the same compiler and flags, checks that all their outputs are
/// equal under the same inputs, and times them on one core in `repetitions` interleaved runs
/// of about `seconds` each, over several instances.
///
/// # Errors
/// A form does not build or stops, or the outputs differ.
pub fn compare(
    twin: &Twin,
    tools: &Toolchain,
    repetitions: usize,
    seconds: f64,
) -> Result<Comparison, TwinError> {
    let mut pair = Pair::new(twin, tools, Profile::Measure)?;
    let hash = pair.verify()?;
    let trial = 20_000;
    let cycles = (trial as f64 * seconds / pair.time(1, trial)?).ceil() as usize;
    let _pinned = Pinned::here();
    let mut times = Vec::new();
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        pair.renew(round)?;
        let from = times.len();
        for repetition in 0..repetitions.div_ceil(ROUNDS) {
            // Neither always comes first.
            let first = repetition % 2;
            let mut time = [0.0; 2];
            for which in [first, 1 - first] {
                time[which] = pair.time(which, cycles)?;
            }
            times.push(time);
        }
        rounds.push(speed(&times[from..]));
    }
    rounds.sort_by(f64::total_cmp);
    let per_cycle =
        |which: usize| median(times.iter().map(|time| time[which])) * 1e9 / cycles as f64;
    Ok(Comparison {
        speed: speed(&times),
        rounds: (rounds[0], rounds[ROUNDS - 1]),
        generated_ns: per_cycle(0),
        hand_ns: per_cycle(1),
        hash,
    })
}

/// Look-up tables that yosys maps module `top` of `sources` to, for UltraScale+, flattened.
/// The files are put into `directory`.
///
/// # Errors
/// yosys is missing or refuses the module.
pub fn look_up_tables(
    top: &str,
    sources: &[(String, String)],
    directory: &Path,
) -> Result<u64, TwinError> {
    let fail = |error: std::io::Error| TwinError::Yosys(error.to_string());
    let mut files = String::new();
    for (name, text) in sources {
        let path = directory.join(name);
        std::fs::write(&path, text).map_err(fail)?;
        files += &format!(" {}", path.display());
    }
    let script = format!(
        "read_verilog -sv -D SYNTHESIS{files}; \
         synth_xilinx -family xcup -flatten -noiopad -noclkbuf -top {top}; stat"
    );
    let output = Command::new("yosys")
        .args(["-p", &script])
        .output()
        .map_err(fail)?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        return Err(TwinError::Yosys(
            String::from_utf8_lossy(&output.stderr).into(),
        ));
    }
    let Some((_, statistics)) = text.rsplit_once("Number of cells:") else {
        return Err(TwinError::Yosys("no statistics in its output".into()));
    };
    let counts = statistics.lines().filter_map(|line| {
        let (cell, count) = line.trim().split_once(' ')?;
        let table = cell.strip_prefix("LUT")?.parse::<u8>().is_ok();
        table.then(|| count.trim().parse::<u64>().ok())?
    });
    Ok(counts.sum())
}
