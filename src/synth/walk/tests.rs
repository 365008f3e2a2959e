use super::*;
use crate::synth::technology::Family;

/// A module `m` of ports, cells and names in the notation of `write_json`.
fn netlist(ports: &str, cells: &str, names: &str) -> Netlist {
    let text = format!(
        r#"{{"modules": {{"m": {{"ports": {{{ports}}}, "cells": {{{cells}}}, "netnames": {{{names}}}}}}}}}"#
    );
    Netlist::read("m", text.as_bytes()).unwrap()
}

fn port(name: &str, direction: &str, bits: &str) -> String {
    format!(r#""{name}": {{"direction": "{direction}", "bits": [{bits}]}}"#)
}

fn cell(name: &str, kind: &str, pins: &[(&str, &str)]) -> String {
    let pins: Vec<String> = pins
        .iter()
        .map(|(pin, bits)| format!(r#""{pin}": [{bits}]"#))
        .collect();
    format!(
        r#""{name}": {{"type": "{kind}", "connections": {{{}}}}}"#,
        pins.join(", ")
    )
}

fn name(name: &str, bits: &str) -> String {
    format!(r#""{name}": {{"hide_name": 0, "bits": [{bits}]}}"#)
}

fn ultrascale(netlist: &Netlist) -> Walk {
    walk(netlist, Family::UltraScalePlus.technology(), 10).unwrap()
}

fn flip_flop(name: &str, data: &str, output: &str) -> String {
    cell(
        name,
        "FDRE",
        &[
            ("C", "1"),
            ("CE", "\"1\""),
            ("D", data),
            ("Q", output),
            ("R", "\"0\""),
        ],
    )
}

const FROM_REGISTER: PathKind = PathKind::new(Terminal::Register, Terminal::Register);

/// `a` through two tables into `b`: 0.08 + 2 × (0.45 + 0.15) + 0.07, the flip-flop stands
/// beside the last table.
#[test]
fn tables_and_wires_add_up() {
    let netlist = netlist(
        "",
        &[
            flip_flop("ra", "\"0\"", "2"),
            cell("l1", "LUT2", &[("I0", "2"), ("I1", "2"), ("O", "3")]),
            cell("l2", "LUT1", &[("I0", "3"), ("O", "4")]),
            flip_flop("rb", "4", "5"),
        ]
        .join(","),
        &[name("a", "2"), name("b", "5")].join(","),
    );
    let found = ultrascale(&netlist);
    let path = &found.worst[&FROM_REGISTER];
    assert_eq!(path.delay_ps, 80 + 2 * 600 + 70);
    assert_eq!((path.start.as_str(), path.end.as_str()), ("a", "b"));
    assert_eq!(path.levels(), 2);
    assert_eq!(found.area.luts, 2);
    assert_eq!(found.area.flip_flops, 2);
}

/// The sum of the parts of every listed path is its delay.
#[test]
fn a_carry_chain_costs_its_steps_and_no_wires() {
    // Four tables drive the first CARRY4; the second one's sum goes to a flip-flop.
    let mut cells = vec![flip_flop("ra", "\"0\"", "2")];
    for bit in 0..4 {
        let output = (10 + bit).to_string();
        cells.push(cell(
            &format!("l{bit}"),
            "LUT2",
            &[("I0", "2"), ("I1", "\"0\""), ("O", &output)],
        ));
    }
    cells.push(cell(
        "c0",
        "CARRY4",
        &[
            ("CI", "\"0\""),
            ("CYINIT", "\"0\""),
            ("DI", r#""0","0","0","0""#),
            ("S", "10,11,12,13"),
            ("O", "20,21,22,23"),
            ("CO", "24,25,26,27"),
        ],
    ));
    cells.push(cell(
        "c1",
        "CARRY4",
        &[
            ("CI", "27"),
            ("CYINIT", "\"0\""),
            ("DI", r#""0","0","0","0""#),
            ("S", r#""0","0","0","0""#),
            ("O", "30,31,32,33"),
            ("CO", "34,35,36,37"),
        ],
    ));
    cells.push(flip_flop("rb", "33", "40"));
    let netlist = netlist("", &cells.join(","), &name("sum", "40"));
    let path = ultrascale(&netlist).worst.remove(&FROM_REGISTER).unwrap();
    assert_eq!(path.delay_ps, 80 + 450 + 150 + 15 + 15 + 70);
    let parts: Picoseconds = path.steps.iter().map(|s| s.wire_ps + s.cell_ps).sum();
    assert_eq!(parts + path.last_wire_ps + path.setup_ps, path.delay_ps);
}

/// Bit 0 of a sum does not see bit 1 of the operands: there is no path.
#[test]
fn a_carry_goes_upwards_only() {
    let cells = [
        flip_flop("ra", "\"0\"", "2"),
        cell(
            "c",
            "CARRY4",
            &[("S", r#""0",2,"0","0""#), ("O", r#"20,21,22,23"#)],
        ),
        flip_flop("rb", "20", "40"),
    ];
    let low = netlist("", &cells.join(","), "");
    assert!(ultrascale(&low).worst.is_empty());
    let high = netlist("", &cells.join(",").replace("[20]", "[21]"), "");
    // Into the propagate input through a table of its own.
    assert_eq!(
        ultrascale(&high).worst[&FROM_REGISTER].delay_ps,
        80 + 450 + 150 + 15 + 70
    );
}

/// A block RAM, its output through a table to a flip-flop.
fn ram(register: &str, more: &[String]) -> Path {
    let text = format!(
        r#""u_m.memory.0.3": {{"type": "RAMB36E2", "parameters": {{"DOA_REG": "{register}"}},
           "connections": {{"DOUTADOUT": [2]}}}}, {}"#,
        more.join(",")
    );
    let netlist = netlist("", &text, &name("word", "5"));
    ultrascale(&netlist).worst.remove(&FROM_REGISTER).unwrap()
}

#[test]
fn block_ram_starts_late_unless_its_output_register_is_used() {
    let table = cell("l", "LUT1", &[("I0", "2"), ("O", "4")]);
    let rest = [table, flip_flop("r", "4", "5")];
    let path = ram("0", &rest);
    assert_eq!(path.start, "u_m.memory");
    assert_eq!(path.end, "word");
    assert_eq!(path.delay_ps, 1200 + 450 + 150 + 70);
    assert_eq!(ram("1", &rest).delay_ps, 350 + 450 + 150 + 70);
}

/// A flip-flop that is all a RAM leads to is the RAM's output register.
#[test]
fn a_flip_flop_right_behind_a_ram_is_inside_it() {
    let alone = [flip_flop("r", "2", "3")];
    assert_eq!(ram("0", &alone).delay_ps, 1200 + 70);
    let table = cell("l", "LUT1", &[("I0", "3"), ("O", "4")]);
    let behind = [flip_flop("r", "2", "3"), table, flip_flop("q", "4", "5")];
    let text = format!(
        r#""u_m.memory.0.3": {{"type": "RAMB36E2", "connections": {{"DOUTADOUT": [2]}}}}, {}"#,
        behind.join(",")
    );
    let found = ultrascale(&netlist("", &text, &name("word", "5")));
    assert_eq!(found.area.flip_flops, 1);
    let word = found.paths.iter().find(|path| path.end == "word").unwrap();
    assert_eq!(word.delay_ps, 350 + 450 + 150 + 70);
    // Read by something else as well, it is not.
    let both = [
        flip_flop("r", "2", "3"),
        cell("l", "LUT1", &[("I0", "2"), ("O", "4")]),
    ];
    assert_eq!(ram("0", &both).delay_ps, 1200 + 450 + 70);
}

#[test]
fn distributed_memory_is_read_like_a_table() {
    let cells = [
        flip_flop("ra", "\"0\"", "2"),
        cell(
            "u.memory.0.0",
            "RAM32M16",
            &[
                ("ADDRA", r#"2,"0","0","0","0""#),
                ("ADDRH", r#"5,"0","0","0","0""#),
                ("DOA", "3,4"),
                ("WE", "6"),
            ],
        ),
        flip_flop("rb", "3", "7"),
        flip_flop("rc", "\"0\"", "5"),
        flip_flop("rd", "\"0\"", "6"),
    ];
    let netlist = netlist("", &cells.join(","), &name("b", "7"));
    let found = ultrascale(&netlist);
    let ends: Vec<(&str, Option<&str>, Picoseconds)> = found
        .paths
        .iter()
        .map(|path| (path.end.as_str(), path.pin, path.delay_ps))
        .collect();
    assert_eq!(
        ends,
        [
            ("b", Some("data"), 80 + 450 + 150 + 70),
            ("u.memory", Some("write enable"), 80 + 450 + 70),
            ("u.memory", Some("address"), 80 + 450 + 70),
        ]
    );
    assert_eq!(found.area.memory_luts, 8);
}

/// A port to a port through one table, and the same wire never counted twice.
#[test]
fn paths_through_ports_are_of_their_own_kinds() {
    let ports = [
        port("s", "input", "2,3"),
        port("m", "output", "4"),
        port("held", "output", "6"),
    ];
    let cells = [
        cell("l", "LUT2", &[("I0", "2"), ("I1", "3"), ("O", "4")]),
        flip_flop("r", "4", "6"),
    ];
    let netlist = netlist(
        &ports.join(","),
        &cells.join(","),
        &[name("s", "2,3"), name("m", "4"), name("held", "6")].join(","),
    );
    let found = ultrascale(&netlist);
    let delays: Vec<(String, Picoseconds)> = found
        .worst
        .iter()
        .map(|(kind, path)| (kind.to_string(), path.delay_ps))
        .collect();
    assert_eq!(
        delays,
        [
            ("register to port".to_string(), 80),
            ("port to register".to_string(), 450 + 150 + 70),
            ("port to port".to_string(), 450 + 150),
        ]
    );
    assert_eq!(found.worst[&PathKind::ALL[3]].start, "s[0]");
}

#[test]
fn a_loop_is_named_by_its_signals() {
    let cells = [
        cell("l1", "LUT1", &[("I0", "2"), ("O", "3")]),
        cell("l2", "LUT1", &[("I0", "3"), ("O", "2")]),
        cell("l3", "LUT1", &[("I0", "3"), ("O", "4")]),
    ];
    let netlist = netlist(
        "",
        &cells.join(","),
        &[name("grant", "2"), name("ready", "3"), name("after", "4")].join(","),
    );
    let error = walk(&netlist, Family::UltraScalePlus.technology(), 1).unwrap_err();
    let WalkError::Loop { nets, .. } = &error else {
        panic!("{error}");
    };
    let mut nets = nets.clone();
    nets.sort();
    assert_eq!(nets, ["grant", "ready"]);
}

#[test]
fn an_unknown_cell_is_named_with_its_type() {
    let netlist = netlist("", &cell("x", "FANCY", &[("A", "2")]), "");
    let error = walk(&netlist, Family::UltraScalePlus.technology(), 1).unwrap_err();
    assert!(error.to_string().contains("`FANCY`"), "{error}");
    assert!(error.to_string().contains("ultrascale+"), "{error}");
}

#[test]
fn a_flip_flop_away_from_its_table_needs_a_wire() {
    // Three flip-flops behind one table: only two have room beside it.
    let mut cells = vec![
        flip_flop("ra", "\"0\"", "2"),
        cell("l", "LUT1", &[("I0", "2"), ("O", "3")]),
        flip_flop("r1", "3", "4"),
        flip_flop("r2", "3", "5"),
    ];
    let delay = |cells: &[String]| {
        let netlist = netlist("", &cells.join(","), "");
        ultrascale(&netlist).worst[&FROM_REGISTER].delay_ps
    };
    assert_eq!(delay(&cells), 80 + 600 + 70);
    cells.push(flip_flop("r3", "3", "6"));
    assert_eq!(delay(&cells), 80 + 600 + 450 + 70);
}

#[test]
fn memory_cells_are_called_like_the_array() {
    assert_eq!(memory_name("u_states.memory.0.12"), "u_states.memory");
    assert_eq!(memory_name("memory.0.0"), "memory");
    assert_eq!(memory_name("memory"), "memory");
    assert_eq!(word("head[3]"), "head");
    assert_eq!(word("head"), "head");
}
