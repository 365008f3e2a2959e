//! Where the ports of the NIC top lie in the two structures that cross to the model.
//!
//! One call a clock cycle carries all ports as plain bytes. This page knows the channels'
//! fields by position (`hdl-gen/toe/src/channels.rs`), and holds ports, widths and fields
//! against the manifest once, when the model is loaded; the order of the ports is free,
//! and so is the set of probes.

use super::bits::{BeatData, get, get_data, set, set_data};
use super::mac::FrameBeat;
use super::pcie::{CompletionBeat, MmioWord, UpBeat};
use hallux_toe::channels::{BUS_BITS, BUS_WIDTHS};
use hallux_verilator::{Layout, PortField, PortLayout};

/// Position of a field: name, bit offset, width.
type Field = (&'static str, usize, usize);

/// Fields of `channels::Beat` on a bus of so many bits.
#[derive(Clone, Copy, Debug)]
struct BeatFields {
    data: Field,
    keep: Field,
    last: Field,
}

impl BeatFields {
    fn on(bits: usize) -> Self {
        Self {
            data: ("data", 0, bits),
            keep: ("keep", bits, bits / 8),
            last: ("last", bits + bits / 8, 1),
        }
    }

    fn all(&self) -> [Field; 3] {
        [self.data, self.keep, self.last]
    }
}

/// Fields of `channels::Up`.
mod up {
    use super::Field;
    pub(super) const KIND: Field = ("kind", 0, 2);
    pub(super) const ADDRESS: Field = ("address", 2, 64);
    pub(super) const BYTES: Field = ("bytes", 66, 13);
    pub(super) const TAG: Field = ("tag", 79, 8);
    pub(super) const VECTOR: Field = ("vector", 87, 8);
    pub(super) const DATA: usize = 95;
    pub(super) fn all(bits: usize) -> [Field; 7] {
        let (data, last) = (("data", DATA, bits), ("last", DATA + bits, 1));
        [KIND, ADDRESS, BYTES, TAG, VECTOR, data, last]
    }
}

/// Fields of `channels::Completion`.
mod completion {
    use super::Field;
    pub(super) const TAG: Field = ("tag", 0, 8);
    pub(super) const OFFSET: Field = ("offset", 8, 13);
    pub(super) const DATA: usize = 21;
    pub(super) fn all(bits: usize) -> [Field; 6] {
        let data = ("data", DATA, bits);
        let (bytes, last) = (("bytes", DATA + bits, 8), ("last", DATA + bits + 8, 1));
        let poisoned = ("poisoned", DATA + bits + 9, 1);
        [TAG, OFFSET, data, bytes, last, poisoned]
    }
}

/// Fields of `channels::Mmio`.
mod mmio {
    use super::Field;
    pub(super) const BAR: Field = ("bar", 0, 3);
    pub(super) const WRITE: Field = ("write", 3, 1);
    pub(super) const ADDRESS: Field = ("address", 4, 24);
    pub(super) const DATA: Field = ("data", 28, 64);
    pub(super) const STROBE: Field = ("strobe", 92, 8);
    pub(super) const TAG: Field = ("tag", 100, 8);
    pub(super) const ALL: &[Field] = &[BAR, WRITE, ADDRESS, DATA, STROBE, TAG];
}

/// Fields of `channels::Probe`.
mod probe {
    use super::Field;
    pub(super) const FIRE: Field = ("fire", 0, 1);
    pub(super) const BLOCKED: Field = ("blocked", 1, 1);
    pub(super) const TICKET: Field = ("ticket", 2, 24);
    pub(super) const FLOW: Field = ("flow", 26, 16);
    pub(super) const ALL: &[Field] = &[FIRE, BLOCKED, TICKET, FLOW];
}

/// Prefix of the probes' port names.
const PROBE_PREFIX: &str = "probe_";

/// A port of the model is not what the adapter knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// The model lacks a port.
    #[error(
        "module `{top}` has no {direction} port `{port}` of {width} bits; it is no NIC top of this version"
    )]
    Missing {
        /// Name of the top module.
        top: String,
        /// `input` or `output`.
        direction: &'static str,
        /// Name of the port.
        port: &'static str,
        /// Width in bits.
        width: usize,
    },
    /// A port has another width.
    #[error("port `{port}` of module `{top}` has {actual} bits, expected are {expected}")]
    Width {
        /// Name of the top module.
        top: String,
        /// Name of the port.
        port: String,
        /// Width that the adapter knows.
        expected: usize,
        /// Width of the model's port.
        actual: u32,
    },
    /// A field of a structured port lies elsewhere.
    #[error(
        "field `{field}` of port `{port}` of module `{top}` is not {width} bits at bit {offset}"
    )]
    Field {
        /// Name of the top module.
        top: String,
        /// Name of the port.
        port: String,
        /// Name of the field.
        field: &'static str,
        /// Bit offset that the adapter knows.
        offset: usize,
        /// Width that the adapter knows.
        width: usize,
    },
    /// The model has an input that nothing drives.
    #[error("module `{top}` has an input `{port}` that the adapter does not drive")]
    Undriven {
        /// Name of the top module.
        top: String,
        /// Name of the port.
        port: String,
    },
}

/// What a stage's input shows in one cycle; the fields of `channels::Probe`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// An event enters the stage.
    pub fire: bool,
    /// An event is offered and not taken.
    pub blocked: bool,
    /// Ticket of that event.
    pub ticket: u32,
    /// Flow of that event.
    pub flow: u16,
}

/// Byte offsets of all ports.
#[derive(Clone, Debug)]
pub struct Ports {
    /// Bits of the data bus, and what lies where on it.
    bus: usize,
    beat: BeatFields,

    rst: usize,
    eth_rx_data: usize,
    eth_rx_valid: usize,
    eth_tx_ready: usize,
    mmio_data: usize,
    mmio_valid: usize,
    up_ready: usize,
    dma_cpl_data: usize,
    dma_cpl_valid: usize,
    now: usize,

    eth_tx_data: usize,
    eth_tx_valid: usize,
    mmio_ready: usize,
    up_data: usize,
    up_valid: usize,
    quiescent: usize,
    wake_at: usize,
    drop_valid: usize,
    drop_reason: usize,
    probes: Vec<usize>,

    stages: Vec<String>,
}

/// Finds and checks the ports of one direction.
struct Finder<'a> {
    top: &'a str,
    direction: &'static str,
    ports: &'a PortLayout,
    found: Vec<&'static str>,
}

impl Finder<'_> {
    fn plain(&mut self, port: &'static str, width: usize) -> Result<usize, PortError> {
        self.found.push(port);
        let field = self.ports.port(port).ok_or_else(|| PortError::Missing {
            top: self.top.to_owned(),
            direction: self.direction,
            port,
            width,
        })?;
        check_width(self.top, field, width)?;
        Ok(field.offset)
    }

    fn structured(&mut self, port: &'static str, fields: &[Field]) -> Result<usize, PortError> {
        let offset = self.plain(port, width_of(fields))?;
        if let Some(field) = self.ports.port(port) {
            check_fields(self.top, field, fields)?;
        }
        Ok(offset)
    }
}

fn width_of(fields: &[Field]) -> usize {
    fields.iter().map(|field| field.2).sum()
}

fn check_width(top: &str, port: &PortField, expected: usize) -> Result<(), PortError> {
    if port.width as usize == expected {
        return Ok(());
    }
    Err(PortError::Width {
        top: top.to_owned(),
        port: port.name.clone(),
        expected,
        actual: port.width,
    })
}

/// A manifest may leave the fields out; where it lists them they must agree.
fn check_fields(top: &str, port: &PortField, fields: &[Field]) -> Result<(), PortError> {
    if port.fields.is_empty() {
        return Ok(());
    }
    for &(field, offset, width) in fields {
        let agrees = port.fields.iter().any(|listed| {
            (
                listed.name.as_str(),
                listed.offset as usize,
                listed.width as usize,
            ) == (field, offset, width)
        });
        if !agrees {
            return Err(PortError::Field {
                top: top.to_owned(),
                port: port.name.clone(),
                field,
                offset,
                width,
            });
        }
    }
    Ok(())
}

impl Ports {
    /// Finds the ports of a NIC top.
    ///
    /// # Errors
    /// A port is missing, has another width or other fields, or an input is unknown.
    pub fn of(layout: &Layout) -> Result<Self, PortError> {
        let top = layout.top.as_str();
        let mut i = Finder {
            top,
            direction: "input",
            ports: &layout.inputs,
            found: vec![],
        };
        let mut o = Finder {
            top,
            direction: "output",
            ports: &layout.outputs,
            found: vec![],
        };
        let bus = bus_of(layout);
        let beat = BeatFields::on(bus);
        let mut ports = Self {
            bus,
            beat,
            rst: i.plain("rst", 1)?,
            eth_rx_data: i.structured("eth_rx_data", &beat.all())?,
            eth_rx_valid: i.plain("eth_rx_valid", 1)?,
            eth_tx_ready: i.plain("eth_tx_ready", 1)?,
            mmio_data: i.structured("mmio_data", mmio::ALL)?,
            mmio_valid: i.plain("mmio_valid", 1)?,
            up_ready: i.plain("up_ready", 1)?,
            dma_cpl_data: i.structured("dma_cpl_data", &completion::all(bus))?,
            dma_cpl_valid: i.plain("dma_cpl_valid", 1)?,
            now: i.plain("now", 64)?,
            eth_tx_data: o.structured("eth_tx_data", &beat.all())?,
            eth_tx_valid: o.plain("eth_tx_valid", 1)?,
            mmio_ready: o.plain("mmio_ready", 1)?,
            up_data: o.structured("up_data", &up::all(bus))?,
            up_valid: o.plain("up_valid", 1)?,
            quiescent: o.plain("quiescent", 1)?,
            wake_at: o.plain("wake_at", 64)?,
            drop_valid: o.plain("drop_valid", 1)?,
            drop_reason: o.plain("drop_reason", 4)?,
            probes: vec![],
            stages: vec![],
        };
        if let Some(port) = layout
            .inputs
            .ports
            .iter()
            .find(|port| !i.found.contains(&port.name.as_str()))
        {
            return Err(PortError::Undriven {
                top: top.to_owned(),
                port: port.name.clone(),
            });
        }
        for port in &layout.outputs.ports {
            if let Some(stage) = port.name.strip_prefix(PROBE_PREFIX) {
                check_width(top, port, width_of(probe::ALL))?;
                check_fields(top, port, probe::ALL)?;
                ports.stages.push(stage.to_owned());
                ports.probes.push(port.offset);
            }
        }
        Ok(ports)
    }

    /// Bytes of the data bus.
    pub fn bus_bytes(&self) -> usize {
        self.bus / 8
    }

    /// The stages that have a probe, in port order.
    pub fn stages(&self) -> &[String] {
        &self.stages
    }

    /// Drives reset.
    pub fn drive_reset(&self, inputs: &mut [u8], active: bool) {
        inputs[self.rst] = u8::from(active);
    }

    /// Drives the time in ns.
    pub fn drive_now(&self, inputs: &mut [u8], ns: u64) {
        inputs[self.now..self.now + 8].copy_from_slice(&ns.to_le_bytes());
    }

    /// Drives the readiness of MAC and PCIe link.
    pub fn drive_ready(&self, inputs: &mut [u8], eth_tx: bool, up: bool) {
        inputs[self.eth_tx_ready] = u8::from(eth_tx);
        inputs[self.up_ready] = u8::from(up);
    }

    /// Drives a beat from the wire, or none. Data stays what it was while nothing is valid.
    pub fn drive_rx(&self, inputs: &mut [u8], beat: Option<&FrameBeat>) {
        inputs[self.eth_rx_valid] = u8::from(beat.is_some());
        if let Some(beat) = beat {
            let port = &mut inputs[self.eth_rx_data..];
            set_data(port, self.beat.data.1, &beat.data[..self.bus_bytes()]);
            put_wide(port, self.beat.keep, beat.keep());
            put(port, self.beat.last, u64::from(beat.last));
        }
    }

    /// Drives a completion beat, or none.
    pub fn drive_completion(&self, inputs: &mut [u8], beat: Option<&CompletionBeat>) {
        inputs[self.dma_cpl_valid] = u8::from(beat.is_some());
        if let Some(beat) = beat {
            let port = &mut inputs[self.dma_cpl_data..];
            put(port, completion::TAG, u64::from(beat.tag));
            put(port, completion::OFFSET, u64::from(beat.offset));
            set_data(port, completion::DATA, &beat.data[..self.bus_bytes()]);
            let [.., bytes, last, poisoned] = completion::all(self.bus);
            put(port, bytes, u64::from(beat.bytes));
            put(port, last, u64::from(beat.last));
            put(port, poisoned, u64::from(beat.poisoned));
        }
    }

    /// Offers an access of the host, or none.
    pub fn drive_mmio(&self, inputs: &mut [u8], word: Option<&MmioWord>) {
        inputs[self.mmio_valid] = u8::from(word.is_some());
        if let Some(word) = word {
            let port = &mut inputs[self.mmio_data..];
            put(port, mmio::BAR, u64::from(word.bar));
            put(port, mmio::WRITE, u64::from(word.write));
            put(port, mmio::ADDRESS, u64::from(word.address));
            put(port, mmio::DATA, word.data);
            put(port, mmio::STROBE, u64::from(word.strobe));
            put(port, mmio::TAG, u64::from(word.tag));
        }
    }

    /// The NIC takes the access that is offered.
    pub fn mmio_ready(&self, outputs: &[u8]) -> bool {
        outputs[self.mmio_ready] != 0
    }

    /// The beat that the NIC offers to the wire: data, keep, last.
    pub fn tx(&self, outputs: &[u8]) -> Option<(BeatData, u128, bool)> {
        if outputs[self.eth_tx_valid] == 0 {
            return None;
        }
        let port = &outputs[self.eth_tx_data..];
        Some((
            get_data(port, self.beat.data.1, self.bus_bytes()),
            take_wide(port, self.beat.keep),
            take(port, self.beat.last) != 0,
        ))
    }

    /// The NIC offers a beat to the PCIe link.
    pub fn up_valid(&self, outputs: &[u8]) -> bool {
        outputs[self.up_valid] != 0
    }

    /// The beat that the NIC offers to the PCIe link; meaningful while it is valid.
    pub fn up(&self, outputs: &[u8]) -> UpBeat {
        let port = &outputs[self.up_data..];
        UpBeat {
            kind: take(port, up::KIND) as u8,
            address: take(port, up::ADDRESS),
            bytes: take(port, up::BYTES) as u16,
            tag: take(port, up::TAG) as u8,
            vector: take(port, up::VECTOR) as u8,
            data: get_data(port, up::DATA, self.bus_bytes()),
            last: get(port, up::DATA + self.bus, 1) != 0,
        }
    }

    /// Nothing is in flight.
    pub fn quiescent(&self, outputs: &[u8]) -> bool {
        outputs[self.quiescent] != 0
    }

    /// The time in ns at which a timer next needs a clock, all ones for never.
    pub fn wake_at(&self, outputs: &[u8]) -> u64 {
        get(&outputs[self.wake_at..self.wake_at + 8], 0, 64)
    }

    /// The reason of a frame dropped in this cycle.
    pub fn drop_reason(&self, outputs: &[u8]) -> Option<u8> {
        (outputs[self.drop_valid] != 0).then(|| outputs[self.drop_reason])
    }

    /// What each probe shows that shows anything: index of the stage, and the probe.
    #[inline]
    pub fn probes<'a>(&'a self, outputs: &'a [u8]) -> impl Iterator<Item = (usize, Probe)> + 'a {
        let shown = |(stage, &offset): (usize, &usize)| {
            if outputs[offset] & 3 == 0 {
                return None;
            }
            let port = &outputs[offset..offset + 8];
            let probe = Probe {
                fire: take(port, probe::FIRE) != 0,
                blocked: take(port, probe::BLOCKED) != 0,
                ticket: take(port, probe::TICKET) as u32,
                flow: take(port, probe::FLOW) as u16,
            };
            Some((stage, probe))
        };
        self.probes.iter().enumerate().filter_map(shown)
    }
}

#[inline]
fn put(port: &mut [u8], field: Field, value: u64) {
    set(port, field.1, field.2, value);
}

#[inline]
fn take(port: &[u8], field: Field) -> u64 {
    get(port, field.1, field.2)
}

/// As [`put`], for fields of up to 128 bits.
#[inline]
fn put_wide(port: &mut [u8], field: Field, value: u128) {
    let low = field.2.min(64);
    set(port, field.1, low, value as u64);
    if field.2 > low {
        set(port, field.1 + low, field.2 - low, (value >> low) as u64);
    }
}

/// As [`take`], for fields of up to 128 bits.
#[inline]
fn take_wide(port: &[u8], field: Field) -> u128 {
    let low = field.2.min(64);
    let mut value = u128::from(get(port, field.1, low));
    if field.2 > low {
        value |= u128::from(get(port, field.1 + low, field.2 - low)) << low;
    }
    value
}

/// Bits of the data bus, told by the width of the received beats; where no bus has that
/// width, the default, against which the port is then found wrong.
fn bus_of(layout: &Layout) -> usize {
    let width = layout
        .inputs
        .port("eth_rx_data")
        .map(|port| port.width as usize);
    BUS_WIDTHS
        .into_iter()
        .find(|&bits| Some(width_of(&BeatFields::on(bits).all())) == width)
        .unwrap_or(BUS_BITS)
}

/// Bytes of one of the structures, aligned for the model.
#[derive(Clone, Debug)]
pub struct PortBytes {
    words: Vec<u64>,
    size: usize,
}

impl PortBytes {
    /// `size` zero bytes.
    pub fn zeroed(size: usize) -> Self {
        Self {
            words: vec![0; size.div_ceil(8)],
            size,
        }
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[..self.size]
    }

    /// The bytes, to change.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.words)[..self.size]
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use hallux_hdl::manifest::{
        Direction, Field as Listed, MANIFEST_SCHEMA, Manifest, Module, Port,
    };
    use std::collections::BTreeMap;

    fn port(name: &str, direction: Direction, fields: &[Field], width: usize) -> Port {
        let width = if fields.is_empty() {
            width
        } else {
            width_of(fields)
        };
        let listed = |&(name, offset, width): &Field| Listed {
            name: name.into(),
            offset: offset as u32,
            width: width as u32,
        };
        Port {
            name: name.into(),
            direction,
            width: width as u32,
            clock: name == "clk",
            fields: fields.iter().map(listed).collect(),
        }
    }

    /// The manifest of a hand-written NIC top `top` with the probes `stages`.
    pub(crate) fn manifest(top: &str, stages: &[&str]) -> Manifest {
        manifest_on(BUS_BITS, top, stages)
    }

    /// The same on a bus of `bits` bits.
    fn manifest_on(bits: usize, top: &str, stages: &[&str]) -> Manifest {
        use Direction::{In, Out};
        let beat = BeatFields::on(bits).all();
        let (up, completion) = (up::all(bits), completion::all(bits));
        let mut ports = vec![port("clk", In, &[], 1), port("rst", In, &[], 1)];
        let streams: [(&str, Direction, &[Field]); 5] = [
            ("eth_rx", In, &beat),
            ("eth_tx", Out, &beat),
            ("mmio", In, mmio::ALL),
            ("up", Out, &up),
            ("dma_cpl", In, &completion),
        ];
        for (name, direction, fields) in streams {
            let back = if direction == In { Out } else { In };
            ports.push(port(&format!("{name}_data"), direction, fields, 0));
            ports.push(port(&format!("{name}_valid"), direction, &[], 1));
            ports.push(port(&format!("{name}_ready"), back, &[], 1));
        }
        ports.push(port("now", In, &[], 64));
        ports.push(port("quiescent", Out, &[], 1));
        ports.push(port("wake_at", Out, &[], 64));
        ports.push(port("drop_valid", Out, &[], 1));
        ports.push(port("drop_reason", Out, &[], 4));
        for stage in stages {
            ports.push(port(&format!("probe_{stage}"), Out, probe::ALL, 0));
        }
        Manifest {
            schema: MANIFEST_SCHEMA,
            design: "hand-written".into(),
            top: top.into(),
            hash: String::new(),
            parameters: BTreeMap::new(),
            modules: vec![Module {
                name: top.into(),
                file: format!("{top}.sv"),
                source: "hand-written".into(),
                ports,
                memories: vec![],
                instances: vec![],
                streams: vec![],
            }],
        }
    }

    #[test]
    fn fields_follow_each_other_without_holes() {
        for (bits, widths) in [
            (256, [289, 352, 287, 108, 42]),
            (512, [577, 608, 543, 108, 42]),
            (1024, [1153, 1120, 1055, 108, 42]),
        ] {
            let beat = BeatFields::on(bits).all();
            let (up, completion) = (up::all(bits), completion::all(bits));
            let structures: [&[Field]; 5] = [&beat, &up, &completion, mmio::ALL, probe::ALL];
            for fields in structures {
                let mut end = 0;
                for &(name, offset, width) in fields {
                    assert_eq!(offset, end, "{name}");
                    end += width;
                }
            }
            assert_eq!(structures.map(width_of), widths);
        }
    }

    #[test]
    fn ports_are_found_in_any_order_and_probes_by_prefix() {
        let mut manifest = manifest("nic", &["parse", "protocol"]);
        manifest.modules[0].ports.reverse();
        let ports = Ports::of(&Layout::of(&manifest).unwrap()).unwrap();
        assert_eq!(ports.stages(), ["protocol", "parse"]);
    }

    #[test]
    fn what_crosses_to_the_model_comes_back_field_by_field() {
        for bits in BUS_WIDTHS {
            crosses_and_comes_back(bits);
        }
    }

    fn crosses_and_comes_back(bits: usize) {
        let layout = Layout::of(&manifest_on(bits, "nic", &["parse"])).unwrap();
        let ports = Ports::of(&layout).unwrap();
        assert_eq!(ports.bus_bytes(), bits / 8);
        let mut outputs = PortBytes::zeroed(layout.outputs.size);
        let bytes = outputs.bytes_mut();
        let up = UpBeat {
            kind: 3,
            address: 0x1234_5678_9abc_def0,
            bytes: 4096,
            tag: 0xfe,
            vector: 0x81,
            data: std::array::from_fn(|i| if i < bits / 8 { i as u8 ^ 0x5a } else { 0 }),
            last: true,
        };
        bytes[ports.up_valid] = 1;
        let port = &mut bytes[ports.up_data..];
        put(port, up::KIND, up.kind.into());
        put(port, up::ADDRESS, up.address);
        put(port, up::BYTES, up.bytes.into());
        put(port, up::TAG, up.tag.into());
        put(port, up::VECTOR, up.vector.into());
        set_data(port, up::DATA, &up.data[..bits / 8]);
        put(port, ("last", up::DATA + bits, 1), 1);
        bytes[ports.eth_tx_valid] = 1;
        let keep = u128::MAX >> (128 - bits / 8) >> 5;
        let port = &mut bytes[ports.eth_tx_data..];
        put_wide(port, ports.beat.keep, keep);
        put(port, ports.beat.last, 1);
        put(&mut bytes[ports.probes[0]..], probe::FIRE, 1);
        put(&mut bytes[ports.probes[0]..], probe::TICKET, 0xabcdef);
        put(&mut bytes[ports.probes[0]..], probe::FLOW, 0x1234);
        assert_eq!(ports.up(outputs.bytes()), up);
        let (_, kept, last) = ports.tx(outputs.bytes()).unwrap();
        assert_eq!((kept, last), (keep, true));
        let shown = Probe {
            fire: true,
            blocked: false,
            ticket: 0xabcdef,
            flow: 0x1234,
        };
        assert_eq!(
            ports.probes(outputs.bytes()).collect::<Vec<_>>(),
            [(0, shown)]
        );
    }

    #[test]
    fn a_model_that_is_no_nic_top_is_refused_by_name() {
        let error = |change: &dyn Fn(&mut Vec<Port>)| {
            let mut manifest = manifest("nic", &["parse"]);
            change(&mut manifest.modules[0].ports);
            Ports::of(&Layout::of(&manifest).unwrap())
                .unwrap_err()
                .to_string()
        };
        let missing = error(&|ports| ports.retain(|port| port.name != "wake_at"));
        assert!(
            missing.contains("no output port `wake_at` of 64 bits"),
            "{missing}"
        );
        let narrow = error(&|ports| ports[2].width = 576);
        assert!(
            narrow.contains("`eth_rx_data`") && narrow.contains("576 bits, expected are 577"),
            "{narrow}"
        );
        let moved = error(&|ports| ports[2].fields[1].offset = 513);
        assert!(
            moved.contains("field `keep` of port `eth_rx_data`"),
            "{moved}"
        );
        assert!(moved.contains("is not 64 bits at bit 512"), "{moved}");
    }
}
