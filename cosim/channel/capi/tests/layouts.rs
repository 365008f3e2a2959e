//! The C header and the Rust types agree on every size and offset, as the C compiler sees
//! the header, and with the feature `bindgen` as libclang does.

mod c;

#[cfg(feature = "bindgen")]
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::mem::{offset_of, size_of};
use std::process::Command;

use hallux_channel::simbricks::wire::{
    self, Bar, Completion, ConnecterIntro, DeviceControl, DeviceIntro, Dma, Interrupt,
    ListenerIntro, Memory, Mmio, Packet, RingPlace, Slot, Tail, kind,
};
use hallux_channel_c::{CMessage, COptions, delivery, role};

/// Expressions in C, and their values in Rust.
#[derive(Default)]
struct Probe {
    numbers: Vec<(String, usize)>,
}

impl Probe {
    fn number(&mut self, expression: &str, value: usize) {
        self.numbers.push((expression.to_owned(), value));
    }
}

macro_rules! layout {
    ($probe:ident, $type:ty, $name:literal: $($field:ident $(as $other:literal)?),*) => {
        $probe.number(concat!("sizeof(struct ", $name, ")"), size_of::<$type>());
        $(
            let field = [stringify!($field) $(, $other)?];
            let field = field[field.len() - 1];
            $probe.number(
                &format!(concat!("offsetof(struct ", $name, ", {})"), field),
                offset_of!($type, $field),
            );
        )*
    };
}

/// Every size, offset and number of the protocol.
fn all_numbers() -> Probe {
    let mut probe = Probe::default();
    layout!(probe, RingPlace, "hallux_ring_place": offset, slot_size, slots);
    layout!(probe, ListenerIntro, "hallux_listener_intro":
        version, flags, to_connecter, to_listener, upper_protocol, upper_offset);
    layout!(probe, ConnecterIntro, "hallux_connecter_intro":
        version, flags, upper_protocol, upper_offset);
    layout!(probe, Bar, "hallux_bar": len, flags);
    layout!(probe, DeviceIntro, "hallux_device_intro":
        bars, vendor, device, class as "class_code", subclass, revision, interface, msi_vectors,
        msix_vectors, msix_table_bar, msix_pba_bar, msix_table_offset, msix_pba_offset,
        msix_capability);
    layout!(probe, Tail, "hallux_tail": timestamp, pad, own_type);
    layout!(probe, Slot, "hallux_slot": own, timestamp, pad, own_type);
    layout!(probe, Packet, "hallux_packet": len, port, pad, tail);
    layout!(probe, Dma, "hallux_dma": req_id, addr, len, pad, tail);
    layout!(probe, Mmio, "hallux_mmio": req_id, offset, len, bar, pad, tail);
    layout!(probe, Completion, "hallux_completion": req_id, pad, tail);
    layout!(probe, Interrupt, "hallux_interrupt": vector, kind, pad, tail);
    layout!(probe, DeviceControl, "hallux_device_control": flags, pad, tail);
    layout!(probe, Memory, "hallux_memory": req_id, space, addr, len, pad, tail);
    layout!(probe, COptions, "hallux_options": slot_size, slots, deadline_ms);
    layout!(probe, CMessage, "hallux_message":
        kind as "type", bar, interrupt as "kind", pad, vector, len, req_id, addr, space, data);
    for (name, value) in [
        ("HALLUX_PACKET", kind::PACKET),
        ("HALLUX_DMA_READ", kind::DMA_READ),
        ("HALLUX_DMA_WRITE", kind::DMA_WRITE),
        ("HALLUX_INTERRUPT", kind::INTERRUPT),
        ("HALLUX_MMIO_READ_COMPLETION", kind::MMIO_READ_COMPLETION),
        ("HALLUX_MMIO_WRITE_COMPLETION", kind::MMIO_WRITE_COMPLETION),
        ("HALLUX_MMIO_READ", kind::MMIO_READ),
        ("HALLUX_MMIO_WRITE", kind::MMIO_WRITE),
        ("HALLUX_DMA_READ_COMPLETION", kind::DMA_READ_COMPLETION),
        ("HALLUX_DMA_WRITE_COMPLETION", kind::DMA_WRITE_COMPLETION),
        ("HALLUX_DEVICE_CONTROL", kind::DEVICE_CONTROL),
        ("HALLUX_MMIO_WRITE_POSTED", kind::MMIO_WRITE_POSTED),
        (
            "HALLUX_MEMORY_READ_COMPLETION",
            kind::MEMORY_READ_COMPLETION,
        ),
        (
            "HALLUX_MEMORY_WRITE_COMPLETION",
            kind::MEMORY_WRITE_COMPLETION,
        ),
        ("HALLUX_MEMORY_READ", kind::MEMORY_READ),
        ("HALLUX_MEMORY_WRITE", kind::MEMORY_WRITE),
        ("HALLUX_MEMORY_WRITE_POSTED", kind::MEMORY_WRITE_POSTED),
        ("HALLUX_SYNC", kind::SYNC),
        ("HALLUX_TERMINATE", kind::TERMINATE),
    ] {
        probe.number(name, value.into());
    }
    for (name, value) in [
        ("HALLUX_FULL", delivery::FULL),
        ("HALLUX_SENT", delivery::SENT),
        ("HALLUX_REFUSED", delivery::REFUSED),
        ("HALLUX_DISCARDED", delivery::DISCARDED),
        ("HALLUX_ETHERNET", role::ETHERNET),
        ("HALLUX_PCIE_DEVICE", role::PCIE_DEVICE),
        ("HALLUX_PCIE_HOST", role::PCIE_HOST),
        ("HALLUX_MEMORY_SERVER", role::MEMORY_SERVER),
        ("HALLUX_MEMORY_CLIENT", role::MEMORY_CLIENT),
    ] {
        probe.number(name, value as usize);
    }
    for (name, value) in [
        ("HALLUX_VERSION", wire::VERSION),
        ("HALLUX_FLAG_SYNC", wire::FLAG_SYNC),
        ("HALLUX_FLAG_FORCE", wire::FLAG_FORCE),
        ("HALLUX_PROTOCOL_ETHERNET", wire::protocol::ETHERNET),
        ("HALLUX_PROTOCOL_PCIE", wire::protocol::PCIE),
        ("HALLUX_PROTOCOL_MEMORY", wire::protocol::MEMORY),
        ("HALLUX_BAR_IO", Bar::IO),
        ("HALLUX_BAR_WIDE", Bar::WIDE),
        ("HALLUX_BAR_PREFETCHABLE", Bar::PREFETCHABLE),
        ("HALLUX_BAR_DUMMY", Bar::DUMMY),
        ("HALLUX_HEADER_BYTES", wire::HEADER_BYTES as u64),
        ("HALLUX_OWNER", wire::OWNER.into()),
        ("HALLUX_TYPE", wire::TYPE.into()),
    ] {
        probe.number(name, value as usize);
    }
    probe
}

#[test]
fn c_and_rust_see_the_same_bytes() {
    let (mut body, mut expected) = (String::new(), String::new());
    for (expression, value) in all_numbers().numbers {
        let print = format!(r#"printf("%s %zu\n", "{expression}", (size_t){expression});"#);
        writeln!(body, "    {print}").unwrap();
        writeln!(expected, "{expression} {value}").unwrap();
    }
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("probe.c");
    let program = directory.path().join("probe");
    let text = format!(
        "#include <hallux_channel.h>\n#include <stdio.h>\nint main(void) {{\n{body}    return 0;\n}}\n"
    );
    std::fs::write(&source, text).unwrap();
    if c::build(&source, &program, false).is_none() {
        return;
    }
    let output = Command::new(&program).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}

/// The same numbers from the assertions and constants in the Rust that bindgen writes. It
/// also sees what the list above has forgotten.
#[cfg(feature = "bindgen")]
#[test]
fn libclang_and_rust_see_the_same_bytes() {
    let header = concat!(env!("CARGO_MANIFEST_DIR"), "/../include/hallux_channel.h");
    let bindings = bindgen::Builder::default()
        .header(header)
        .layout_tests(true)
        .generate()
        .unwrap()
        .to_string();
    let found = numbers_of(&bindings);
    let expected = all_numbers().numbers;
    for (expression, value) in &expected {
        assert_eq!(found.get(expression), Some(value), "{expression}");
    }
    let known = |expression: &String| expected.iter().any(|(known, _)| known == expression);
    let forgotten: Vec<_> = found
        .keys()
        .filter(|expression| expression.to_lowercase().contains("hallux_") && !known(expression))
        .collect();
    assert!(forgotten.is_empty(), "{forgotten:?}");
}

/// Sizes, offsets and constants in what bindgen wrote, as expressions in C.
#[cfg(feature = "bindgen")]
fn numbers_of(bindings: &str) -> BTreeMap<String, usize> {
    // However lines are broken: one statement after the other.
    let text = bindings.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut found = BTreeMap::new();
    let number = |text: &str| -> Option<usize> {
        let digits = text.trim().trim_start_matches('-').trim();
        digits.strip_suffix("usize").unwrap_or(digits).parse().ok()
    };
    // ["Offset of field: T::f"] [:: std :: mem :: offset_of ! (T , f) - 8usize] ;
    for statement in text.split(';') {
        let quoted = |start: &str| {
            let (_, rest) = statement.split_once(start)?;
            let (name, rest) = rest.split_once('"')?;
            let (_, value) = rest.rsplit_once('-')?;
            Some((name.to_owned(), number(value.trim_end_matches(']'))?))
        };
        if let Some((name, value)) = quoted("\"Size of ") {
            found.insert(format!("sizeof(struct {name})"), value);
        } else if let Some((name, value)) = quoted("\"Offset of field: ") {
            let (of, field) = name.split_once("::").unwrap();
            // Words of Rust get a tail.
            let field = field.trim_end_matches('_');
            found.insert(format!("offsetof(struct {of}, {field})"), value);
        } else if let Some((_, constant)) = statement.split_once("pub const ")
            && let Some((name, rest)) = constant.split_once(':')
            && let Some((_, value)) = rest.split_once('=')
            && let Some(value) = number(value)
        {
            // A constant of an enumeration has the name of that before its own.
            let name = name.trim();
            let own = name.find("HALLUX_").unwrap_or(0);
            found.insert(name[own..].to_owned(), value);
        }
    }
    found
}
