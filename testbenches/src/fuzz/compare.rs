//! Programs as RTL against their meaning.

use super::describe;
use super::evaluate::Machine;
use super::program::{Program, Role, Wire};
use super::random::Random;
use hallux_hdl::emit::{Options, emit};
use hallux_verilator::{Build, Model, Profile, Toolchain};
use num_bigint::BigUint;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// A program and the random inputs it is to be tried with; a file of the corpus.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// What the program is about, or what went wrong.
    pub note: String,
    /// Decides the inputs.
    pub seed: u64,
    /// Number of clock cycles, each with new inputs.
    pub vectors: u64,
    /// The program.
    pub program: Program,
}

/// An output that differs from its meaning.
#[derive(Clone, Debug)]
pub struct Mismatch {
    /// Place of the case in the list.
    pub case: usize,
    /// Clock cycle since reset.
    pub cycle: u64,
    /// Name of the output.
    pub output: String,
    /// Names and values of inputs and registers.
    pub present: Vec<(String, BigUint)>,
    /// What the program means.
    pub expected: BigUint,
    /// What the RTL said.
    pub found: BigUint,
    /// The program's module.
    pub rtl: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "cycle {}: output `{}`", self.cycle, self.output)?;
        for (name, value) in &self.present {
            writeln!(f, "  {name} = {value:#x}")?;
        }
        writeln!(f, "  expected {:#x}", self.expected)?;
        writeln!(f, "  found    {:#x}", self.found)?;
        write!(f, "{}", self.rtl)
    }
}

/// Why a program could not be compared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Verilator reported an internal error of its own.
    #[error("Verilator fails on it: {0}")]
    Simulator(String),
    /// The kit or Verilator refuses it, or it stops.
    #[error("{0}")]
    Refused(String),
}

impl Failure {
    fn new(text: String) -> Self {
        match text.contains("%Error: Internal Error") {
            true => Self::Simulator(text),
            false => Self::Refused(text),
        }
    }
}

/// Compares every case, all in one model, or in halves where one of them does not build:
/// for each its first mismatch, none, or why there is no answer.
pub fn try_all(toolchain: &Toolchain, cases: &[Case]) -> Vec<Result<Option<Mismatch>, Failure>> {
    match (compare(toolchain, cases), cases) {
        (Ok(mismatches), _) => {
            let mut outcomes: Vec<_> = cases.iter().map(|_| Ok(None)).collect();
            for mismatch in mismatches {
                let case = mismatch.case;
                outcomes[case] = Ok(Some(mismatch));
            }
            outcomes
        }
        (Err(error), [_]) => vec![Err(Failure::new(error))],
        (Err(_), []) => vec![],
        (Err(_), _) => {
            let (low, high) = cases.split_at(cases.len() / 2);
            let mut outcomes = try_all(toolchain, low);
            outcomes.extend(try_all(toolchain, high));
            outcomes
        }
    }
}

/// A port of the model that belongs to a wire of a program.
struct Place {
    wire: Wire,
    offset: usize,
    bytes: usize,
}

/// A case that is running.
struct Running<'a> {
    case: &'a Case,
    machine: Machine<'a>,
    random: Random,
    inputs: Vec<Place>,
    outputs: Vec<Place>,
    done: bool,
}

/// Builds all programs into one model and runs it. Of every program, the first mismatch.
///
/// # Errors
/// A program is refused, does not build or stops; the text says why and is not meant for
/// anything but reading.
pub fn compare(toolchain: &Toolchain, cases: &[Case]) -> Result<Vec<Mismatch>, String> {
    let programs: Vec<Program> = cases.iter().map(|case| case.program.clone()).collect();
    let block = describe::block(&programs);
    let design = emit(&block, &Options::new("fuzz", "fuzz")).map_err(|error| error.to_string())?;
    let quiet = |text: &str| {
        // What an author would like to hear about is here by chance.
        format!("/* verilator lint_off CMPCONST */\n/* verilator lint_off UNSIGNED */\n{text}")
    };
    let files = design.files.iter();
    let sources: Vec<_> = files
        .map(|file| (file.name.clone(), quiet(&file.text)))
        .collect();
    let library = Build::new(&design.manifest, &sources)
        .profile(Profile::Once)
        .jobs(1)
        .build(toolchain)
        .map_err(|error| error.to_string())?;
    let mut model = Model::new(&library, 1).map_err(|error| error.to_string())?;
    let layout = library.layout().clone();
    let mut inputs = vec![0; layout.inputs.size];
    let mut outputs = vec![0; layout.outputs.size];
    let rst = layout.inputs.port("rst").map_or(0, |port| port.offset);
    inputs[rst] = 1;
    for _ in 0..2 {
        let result = model.step(&inputs, &mut outputs);
        result.map_err(|error| error.to_string())?;
    }
    inputs[rst] = 0;

    let ports: BTreeMap<_, _> = layout
        .inputs
        .ports
        .iter()
        .chain(&layout.outputs.ports)
        .map(|port| (port.name.as_str(), port))
        .collect();
    let mut running: Vec<Running> = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        let places = |role: Role| {
            let wires = case.program.of(role);
            let place = |wire: Wire| {
                let name = format!("p{number}_{}", case.program.name(wire));
                let port = ports
                    .get(name.as_str())
                    .ok_or_else(|| format!("no port {name}"))?;
                Ok::<_, String>(Place {
                    wire,
                    offset: port.offset,
                    bytes: port.bytes,
                })
            };
            wires.map(place).collect::<Result<Vec<_>, _>>()
        };
        running.push(Running {
            case,
            machine: Machine::new(&case.program),
            random: Random::new(case.seed, 0),
            inputs: places(Role::Input)?,
            outputs: places(Role::Output)?,
            done: false,
        });
    }

    let mut mismatches = Vec::new();
    let cycles = cases.iter().map(|case| case.vectors).max().unwrap_or(0);
    for cycle in 0..cycles {
        for run in &mut running {
            run.drive(&mut inputs);
        }
        let result = model.step(&inputs, &mut outputs);
        result.map_err(|error| error.to_string())?;
        for (number, run) in running.iter_mut().enumerate() {
            if run.done || cycle >= run.case.vectors {
                continue;
            }
            if let Some((output, expected, found)) = run.check(&outputs) {
                run.done = true;
                let module = design.manifest.modules.iter();
                let module = module
                    .filter(|module| module.name == "fuzz")
                    .flat_map(|module| &module.instances)
                    .find(|instance| instance.name == format!("u_p{number}"))
                    .map(|instance| format!("{}.sv", instance.module));
                let mut files = design.files.iter();
                let file = files.find(|file| Some(&file.name) == module.as_ref());
                mismatches.push(Mismatch {
                    case: number,
                    cycle,
                    output: run.case.program.name(output),
                    present: run.present(),
                    expected,
                    found,
                    rtl: file.map(|file| file.text.clone()).unwrap_or_default(),
                });
            }
            run.machine.clock();
        }
    }
    Ok(mismatches)
}

impl Running<'_> {
    /// New inputs; often two of one width are equal.
    fn drive(&mut self, bytes: &mut [u8]) {
        let mut last = BigUint::ZERO;
        for place in &self.inputs {
            let width = self.case.program.wires[place.wire].1;
            let mut value = self.random.value(width);
            if self.random.chance(15) && last.bits() <= width as u64 {
                value = last;
            }
            let little = value.to_bytes_le();
            let target = &mut bytes[place.offset..place.offset + place.bytes];
            target.fill(0);
            target[..little.len()].copy_from_slice(&little);
            last = value.clone();
            self.machine.set(place.wire, value);
        }
        self.machine.settle();
    }

    /// The first output that differs.
    fn check(&self, bytes: &[u8]) -> Option<(Wire, BigUint, BigUint)> {
        self.outputs.iter().find_map(|place| {
            let found = &bytes[place.offset..place.offset + place.bytes];
            let found = BigUint::from_bytes_le(found);
            let expected = self.machine.value(place.wire);
            (found != *expected).then(|| (place.wire, expected.clone(), found))
        })
    }

    /// Inputs and registers.
    fn present(&self) -> Vec<(String, BigUint)> {
        let program = &self.case.program;
        let wires = program.of(Role::Input).chain(program.of(Role::Register));
        wires
            .map(|wire| (program.name(wire), self.machine.value(wire).clone()))
            .collect()
    }
}
