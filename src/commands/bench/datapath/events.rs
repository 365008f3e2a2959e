//! Events per clock at the port of the protocol stage (contracts §6).
//!
//! The stage alone, as generated for the design point, offered an event in every clock
//! and never held up behind it. Every outcome is checked: an event that did nothing would
//! be no measurement.

use super::rig::Subject;
use anyhow::{Context, Result, bail, ensure};
use hallux_cosim::nic::bits;
use hallux_hdl::emit::{Design, Options, emit};
use hallux_hdl::manifest::Field;
use hallux_toe::channels::{CLASS_FAST, KIND_CMD, KIND_HC, KIND_RX, KIND_TX};
use hallux_toe::interface::{Opcode, OpenWords};
use hallux_toe::stages::protocol::Protocol;
use hallux_verilator::{Build, Model, Profile, Toolchain};
use std::collections::BTreeMap;

/// Payload of each segment.
const PAYLOAD: u32 = 64;
const ISS: u32 = 0xffff_f000;
const IRS: u32 = 0xffff_e000;
/// Longest wait for the stage.
const PATIENCE: u64 = 100_000;

/// Fields of an event or an outcome by name.
type Values = BTreeMap<&'static str, u64>;

/// A stream port of the model: where its structure, valid and ready lie.
struct Channel {
    data: usize,
    valid: usize,
    ready: usize,
    fields: Vec<Field>,
}

/// The stage under load.
struct Stage {
    model: Model,
    inputs: Vec<u8>,
    outputs: Vec<u8>,
    rst: usize,
    s: Channel,
    m: Channel,
    cycle: u64,
}

/// What one load gave.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Events taken.
    pub events: u64,
    /// From the first to the last of them.
    pub cycles: u64,
}

impl Rate {
    /// Events per clock.
    pub fn per_clock(self) -> f64 {
        self.events as f64 / self.cycles as f64
    }
}

/// The two figures of the stage.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Data of one connection, in order, nothing else.
    pub one_flow: Rate,
    /// Segments, acknowledgements, descriptors and grants of many connections.
    pub many_flows: Rate,
}

/// Measures the protocol stage of `subject` with `events` events of each kind of load.
///
/// # Errors
/// The stage cannot be built, or an outcome is wrong.
pub fn measure(
    subject: &Subject,
    events: u64,
    progress: &(dyn Fn(&str) + Sync),
) -> Result<Figures> {
    let mut options = Options::new(subject.point.name.clone(), "protocol");
    options.parameters = subject.point.parameters();
    let stage = Protocol::new(
        subject.point.connections as usize,
        subject.point.same_flow,
        subject.point.ooo_intervals as usize,
        subject.point.recovery,
    );
    let design = emit(&stage, &options)?;
    let sources: Vec<_> = design
        .files
        .iter()
        .map(|f| (f.name.clone(), f.text.clone()))
        .collect();
    let toolchain = Toolchain::discover(&mut |line| progress(line))?;
    let library = Build::new(&design.manifest, &sources)
        .profile(Profile::Measure)
        .progress(progress)
        .build(&toolchain)?;
    let fresh = || Stage::new(Model::new(&library, 1)?, &design);
    Ok(Figures {
        one_flow: one_flow(fresh()?, events)?,
        many_flows: many_flows(fresh()?, events, subject.point.connections.min(256))?,
    })
}

impl Stage {
    fn new(model: Model, design: &Design) -> Result<Self> {
        let layout = model.library().layout().clone();
        let top = design
            .manifest
            .modules
            .iter()
            .find(|m| m.name == design.manifest.top);
        let top = top.context("the manifest lacks its top")?;
        let channel = |name: &str, driven: bool| -> Result<Channel> {
            let (forward, backward) = match driven {
                true => (&layout.inputs, &layout.outputs),
                false => (&layout.outputs, &layout.inputs),
            };
            let data = format!("{name}_data");
            let place = |side: &hallux_verilator::PortLayout, port: &str| {
                let found = side.port(port).map(|p| 8 * p.offset);
                found.with_context(|| format!("the protocol stage has no port `{port}`"))
            };
            let port = top.ports.iter().find(|port| port.name == data);
            Ok(Channel {
                data: place(forward, &data)?,
                valid: place(forward, &format!("{name}_valid"))?,
                ready: place(backward, &format!("{name}_ready"))?,
                fields: port.map(|port| port.fields.clone()).unwrap_or_default(),
            })
        };
        let mut stage = Self {
            s: channel("s", true)?,
            m: channel("m", false)?,
            rst: 8 * layout.inputs.port("rst").context("no port `rst`")?.offset,
            inputs: vec![0; layout.inputs.size],
            outputs: vec![0; layout.outputs.size],
            model,
            cycle: 0,
        };
        bits::set(&mut stage.inputs, stage.rst, 1, 1);
        stage.step()?;
        stage.step()?;
        bits::set(&mut stage.inputs, stage.rst, 1, 0);
        bits::set(&mut stage.inputs, stage.m.ready, 1, 1);
        Ok(stage)
    }

    fn step(&mut self) -> Result<()> {
        self.model.step(&self.inputs, &mut self.outputs)?;
        self.cycle += 1;
        Ok(())
    }

    /// Offers `events` one after the other, without a gap, and hands each outcome to
    /// `check`, in order, with the number of its event.
    fn run(
        &mut self,
        count: u64,
        mut event: impl FnMut(u64) -> Values,
        mut check: impl FnMut(u64, &dyn Fn(&str) -> u64) -> Result<()>,
    ) -> Result<Rate> {
        let (mut taken, mut seen, mut first, mut last) = (0, 0, 0, 0);
        let mut offered = None;
        let limit = self.cycle + PATIENCE + 20 * count;
        while seen < count {
            if self.cycle > limit {
                bail!("the protocol stage took {taken} and finished {seen} of {count} events");
            }
            if offered != Some(taken) && taken < count {
                let values = event(taken);
                for field in &self.s.fields {
                    let value = values.get(field.name.as_str()).copied().unwrap_or(0);
                    let at = self.s.data + field.offset as usize;
                    bits::set(&mut self.inputs, at, field.width as usize, value);
                }
                offered = Some(taken);
            }
            bits::set(&mut self.inputs, self.s.valid, 1, u64::from(taken < count));
            self.step()?;
            if bits::get(&self.outputs, self.m.valid, 1) == 1 {
                let field = |name: &str| {
                    let found = self.m.fields.iter().find(|field| field.name == name);
                    found.map_or(u64::MAX, |field| {
                        let at = self.m.data + field.offset as usize;
                        bits::get(&self.outputs, at, field.width as usize)
                    })
                };
                check(seen, &field)?;
                seen += 1;
            }
            if taken < count && bits::get(&self.outputs, self.s.ready, 1) == 1 {
                first = if taken == 0 { self.cycle } else { first };
                last = self.cycle;
                taken += 1;
            }
        }
        Ok(Rate {
            events: count,
            cycles: last - first + 1,
        })
    }

    /// Opens flow ids 0 to `flows` with the largest rings.
    fn open(&mut self, flows: u32) -> Result<()> {
        let words = OpenWords {
            mss: PAYLOAD as u16,
            rx_log2: 24,
            tx_log2: 24,
            receive_shift: 9,
            send_shift: 0,
            timestamps: true,
            ..OpenWords::default()
        };
        let word = words.encode()[0];
        let event = |number: u64| {
            Values::from([
                ("kind", KIND_CMD),
                ("flow", number),
                ("generation", 1),
                ("class", CLASS_FAST),
                ("flags", Opcode::Open as u64),
                ("seq", u64::from(IRS)),
                ("ack", u64::from(ISS)),
                ("window", 1 << 24),
                ("address", word),
            ])
        };
        self.run(flows.into(), event, |number, field| {
            ensure!(
                field("done") == 1 && field("status") == 0,
                "flow {number} did not open"
            );
            Ok(())
        })?;
        Ok(())
    }
}

/// A segment of the peer: the `count`-th of its flow.
fn segment(flow: u64, count: u32, payload: u32, acked: u32) -> Values {
    Values::from([
        ("kind", KIND_RX),
        ("flow", flow),
        ("class", CLASS_FAST),
        ("flags", 0x10),
        ("seq", u64::from(IRS.wrapping_add(count * PAYLOAD))),
        ("ack", u64::from(ISS.wrapping_add(acked))),
        ("window", 0xffff),
        ("ts_present", 1),
        ("ts_val", u64::from(count)),
        ("payload_offset", 66),
        ("payload_len", payload.into()),
        ("frame_len", u64::from(66 + payload)),
    ])
}

fn one_flow(mut stage: Stage, events: u64) -> Result<Rate> {
    stage.open(1)?;
    // The ring holds them all: consuming would be events of another kind.
    ensure!(
        events * u64::from(PAYLOAD) < 1 << 24,
        "{events} segments do not fit into the largest ring"
    );
    let event = |number: u64| segment(0, number as u32, PAYLOAD, 0);
    stage.run(events, event, |number, field| {
        let right = field("place") == 1
            && field("rx_bump") == u64::from(PAYLOAD)
            && field("rx_pos") == number * u64::from(PAYLOAD);
        ensure!(
            right,
            "segment {number} of the connection was not placed in order"
        );
        Ok(())
    })
}

fn many_flows(mut stage: Stage, events: u64, flows: u32) -> Result<Rate> {
    stage.open(flows)?;
    let flows = u64::from(flows);
    // Round by round: all flows receive, then consume and release, then are granted, then
    // are acknowledged.
    let place = |number: u64| {
        let (round, flow) = (number / flows, number % flows);
        ((round % 4) as u32, (round / 4) as u32, flow)
    };
    let event = |number: u64| {
        let (kind, turn, flow) = place(number);
        match kind {
            0 => segment(flow, turn, PAYLOAD, turn * PAYLOAD),
            1 => Values::from([
                ("kind", KIND_HC),
                ("flow", flow),
                ("generation", 1),
                ("class", CLASS_FAST),
                ("seq", PAYLOAD.into()),
                ("ack", PAYLOAD.into()),
            ]),
            2 => Values::from([
                ("kind", KIND_TX),
                ("flow", flow),
                ("class", CLASS_FAST),
                ("generation", 1),
            ]),
            _ => segment(flow, turn + 1, 0, (turn + 1) * PAYLOAD),
        }
    };
    stage.run(events, event, |number, field| {
        let (kind, turn, flow) = place(number);
        let position = u64::from(turn * PAYLOAD);
        let right = match kind {
            0 => field("place") == 1 && field("rx_pos") == position,
            1 => field("ready") == 1,
            2 => {
                field("send") == 1
                    && field("length") == u64::from(PAYLOAD)
                    && field("tx_pos") == position
            }
            _ => field("notify") == 1 && field("tx_bump") == u64::from(PAYLOAD),
        };
        ensure!(
            right && field("flow") == flow,
            "event {number} (kind {kind}, flow {flow}) had the wrong outcome"
        );
        Ok(())
    })
}
