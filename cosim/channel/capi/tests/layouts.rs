//! The C header and the Rust types agree on every size and offset.

mod c;

use std::fmt::Write as _;
use std::mem::{offset_of, size_of};
use std::process::Command;

use hallux_channel::simbricks::wire::{
    Bar, Completion, ConnecterIntro, DeviceControl, DeviceIntro, Dma, Interrupt, ListenerIntro,
    Memory, Mmio, Packet, RingPlace, Slot, Tail, kind,
};
use hallux_channel_c::{CMessage, COptions};

/// The program in C that prints sizes and offsets, and what it must print.
#[derive(Default)]
struct Probe {
    program: String,
    expected: String,
}

impl Probe {
    fn number(&mut self, expression: &str, value: usize) {
        writeln!(
            self.program,
            r#"    printf("%s %zu\n", "{expression}", (size_t){expression});"#
        )
        .unwrap();
        writeln!(self.expected, "{expression} {value}").unwrap();
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

#[test]
fn c_and_rust_see_the_same_bytes() {
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
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("probe.c");
    let program = directory.path().join("probe");
    let text = format!(
        "#include <hallux_channel.h>\n#include <stdio.h>\nint main(void) {{\n{}    return 0;\n}}\n",
        probe.program
    );
    std::fs::write(&source, text).unwrap();
    if c::build(&source, &program, false).is_none() {
        return;
    }
    let output = Command::new(&program).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), probe.expected);
}
