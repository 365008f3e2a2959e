//! What the emitter refuses, and that it names the block and the signal.
#![allow(missing_docs)]

use hallux_hdl::emit::{EmitError, Options, emit};
use hallux_hdl::prelude::*;

/// The only finding in `block`.
fn finding<B: Block>(block: &B) -> EmitError {
    let errors = match emit(block, &Options::new("test", "top")) {
        Ok(design) => panic!("emitted:\n{}", design.files[0].text),
        Err(errors) => errors.0,
    };
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors[0].clone()
}

fn top(signal: &str) -> (String, String) {
    ("top".to_string(), signal.to_string())
}

#[derive(LogicBlock, Default)]
struct Inner {
    pub a: Signal<In, Bits<8>>,
    pub b: Signal<Out, Bits<8>>,
}
impl Logic for Inner {
    #[hdl]
    fn update(&mut self) {
        self.b.next = self.a.val() + 1;
    }
}

#[derive(LogicBlock, Default)]
struct Latchy {
    pub a: Signal<In, Bit>,
    pub b: Signal<In, Bits<8>>,
    pub o: Signal<Out, Bits<8>>,
}
impl Logic for Latchy {
    #[hdl]
    fn update(&mut self) {
        if self.a.val() {
            self.o.next = self.b.val();
        }
    }
}

#[test]
fn an_output_without_default_is_a_latch() {
    let (block, signal) = top("o");
    let remedy = "assign a default before the conditions";
    assert_eq!(
        finding(&Latchy::default()),
        EmitError::Latch {
            block,
            signal,
            remedy
        }
    );
}

#[derive(LogicBlock, Default)]
struct PartlySet {
    pub b: Signal<In, Bits<8>>,
    pub o: Signal<Out, Bits<16>>,
}
impl Logic for PartlySet {
    #[hdl]
    fn update(&mut self) {
        self.o.next.set_bits(0, self.b.val());
    }
}

#[test]
fn half_an_output_is_a_latch() {
    assert!(matches!(
        finding(&PartlySet::default()),
        EmitError::Latch { signal, .. } if signal == "o"
    ));
}

#[derive(LogicBlock, Default)]
struct EarlyRead {
    pub a: Signal<In, Bits<8>>,
    t: [Signal<Local, Bits<8>>; 2],
    pub o: Signal<Out, Bits<8>>,
}
impl Logic for EarlyRead {
    #[hdl]
    fn update(&mut self) {
        self.t[0].next = self.a.val();
        self.o.next = self.t[1].val();
        self.t[1].next = self.a.val();
    }
}

#[test]
fn a_local_is_assigned_before_it_is_read() {
    let (block, signal) = top("t_1");
    assert_eq!(
        finding(&EarlyRead::default()),
        EmitError::ReadBeforeAssignment { block, signal }
    );
}

#[derive(LogicBlock, Default)]
struct Undriven {
    pub a: Signal<In, Bits<8>>,
    pub o: Signal<Out, Bits<8>>,
    inner: Inner,
}
impl Logic for Undriven {
    #[hdl]
    fn update(&mut self) {
        self.o.next = self.inner.b.val() + self.a.val();
    }
}

#[test]
fn inputs_of_inner_blocks_are_driven() {
    let (block, signal) = top("inner_a");
    assert_eq!(
        finding(&Undriven::default()),
        EmitError::Undriven { block, signal }
    );
}

#[derive(LogicBlock, Default)]
struct DrivesInput {
    pub a: Signal<In, Bits<8>>,
    pub o: Signal<Out, Bits<8>>,
}
impl Logic for DrivesInput {
    #[hdl]
    fn update(&mut self) {
        self.a.next = bits::<8>(0);
        self.o.next = self.a.val();
    }
}

#[test]
fn inputs_of_the_block_are_not_driven() {
    let (block, signal) = top("a");
    assert_eq!(
        finding(&DrivesInput::default()),
        EmitError::DrivesInput { block, signal }
    );
}

#[derive(LogicBlock, Default)]
struct ReadsBack {
    pub clk: Signal<In, Clock>,
    pub o: Signal<Out, Bits<8>>,
    count: DFF<Bits<8>>,
}
impl Logic for ReadsBack {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, count);
        self.count.d.next = self.count.q.val() + 1;
        self.o.next = self.count.d.val();
    }
}

#[test]
fn next_states_are_not_read_back() {
    let (block, signal) = top("count.d");
    assert_eq!(
        finding(&ReadsBack::default()),
        EmitError::ReadsInnerInput { block, signal }
    );
}

#[derive(LogicBlock, Default)]
struct FarSlice {
    pub a: Signal<In, Bits<8>>,
    pub o: Signal<Out, Bits<4>>,
}
impl Logic for FarSlice {
    #[hdl]
    fn update(&mut self) {
        self.o.next = self.a.val().get_bits::<4>(6);
    }
}

#[test]
fn constant_slices_stay_inside() {
    let (block, signal) = top("a");
    let (offset, end, width) = (6, 10, 8);
    assert_eq!(
        finding(&FarSlice::default()),
        EmitError::SliceOutOfRange {
            block,
            signal,
            offset,
            end,
            width
        }
    );
}

#[derive(LogicBlock, Default)]
struct WideNumber {
    pub a: Signal<In, Bits<3>>,
    pub o: Signal<Out, Bit>,
}
impl Logic for WideNumber {
    #[hdl]
    fn update(&mut self) {
        self.o.next = self.a.val() == 8;
    }
}

#[test]
fn integers_fit_what_they_are_compared_with() {
    let (block, signal) = top("o");
    let (value, width) = ("8".to_string(), 3);
    assert_eq!(
        finding(&WideNumber::default()),
        EmitError::IntegerTooWide {
            block,
            signal,
            value,
            width
        }
    );
}

#[derive(LogicBlock, Default)]
struct GatedClock {
    pub clk: Signal<In, Clock>,
    pub fast: Signal<In, Clock>,
    pub choose: Signal<In, Bit>,
    pub o: Signal<Out, Bit>,
    state: DFF<Bit>,
}
impl Logic for GatedClock {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, state);
        if self.choose.val() {
            self.state.clk.next = self.fast.val();
        }
        self.o.next = self.state.q.val();
    }
}

#[derive(LogicBlock, Default)]
struct NoClock {
    pub o: Signal<Out, Bit>,
    state: DFF<Bit>,
}
impl Logic for NoClock {
    #[hdl]
    fn update(&mut self) {
        self.state.d.next = !self.state.q.val();
        self.o.next = self.state.q.val();
    }
}

#[test]
fn clocks_come_from_ports_unconditionally() {
    let wanted = |signal: &str| {
        let (block, signal) = top(signal);
        EmitError::ClockNotFromPort { block, signal }
    };
    assert_eq!(finding(&NoClock::default()), wanted("state"));
    assert_eq!(finding(&GatedClock::default()), wanted("state"));
}

#[derive(LogicBlock, Default)]
struct TwoClocks {
    pub clk: Signal<In, Clock>,
    pub fast: Signal<In, Clock>,
    pub o: Signal<Out, Bit>,
    a: DFF<Bit>,
    b: DFF<Bit>,
}
impl Logic for TwoClocks {
    #[hdl]
    fn update(&mut self) {
        dff_setup!(self, clk, a);
        dff_setup!(self, fast, b);
        self.o.next = self.a.q.val() ^ self.b.q.val();
    }
}

#[test]
fn one_block_has_one_clock() {
    assert!(matches!(
        finding(&TwoClocks::default()),
        EmitError::SeveralClocks { first, second, .. } if first == "clk" && second == "fast"
    ));
}

#[derive(LogicBlock, Default)]
struct Ring {
    pub a: Signal<In, Bits<8>>,
    pub o: Signal<Out, Bits<8>>,
    one: Inner,
    two: Inner,
}
impl Logic for Ring {
    #[hdl]
    fn update(&mut self) {
        self.one.a.next = self.two.b.val();
        self.two.a.next = self.one.b.val() ^ self.a.val();
        self.o.next = self.two.b.val();
    }
}

#[test]
fn loops_are_found_across_blocks() {
    let EmitError::CombinationalLoop { block, path } = finding(&Ring::default()) else {
        panic!("no loop found");
    };
    assert_eq!(block, "top");
    assert_eq!(path, ["two_b", "one_a", "one_b", "two_a", "two_b"]);
}

#[test]
fn the_top_module_has_a_legal_name() {
    let errors = emit(&Inner::default(), &Options::new("test", "sequence"));
    let name = "sequence".to_string();
    assert_eq!(errors.unwrap_err().0, [EmitError::ReservedName { name }]);
}

#[derive(LogicBlock, Default)]
struct Outer {
    pub a: Signal<In, Bits<8>>,
    pub o: Signal<Out, Bits<8>>,
    middle: Middle,
}
#[derive(LogicBlock, Default)]
struct Middle {
    pub a: Signal<In, Bits<8>>,
    pub o: Signal<Out, Bits<8>>,
    inner: Inner,
}
impl Logic for Middle {
    #[hdl]
    fn update(&mut self) {
        self.inner.a.next = self.a.val();
        self.o.next = self.inner.b.val();
    }
}
impl Logic for Outer {
    #[hdl]
    fn update(&mut self) {
        self.middle.a.next = self.a.val();
        self.o.next = self.middle.inner.b.val();
    }
}

#[test]
fn blocks_do_not_reach_into_inner_blocks() {
    let block = "top".to_string();
    assert_eq!(
        finding(&Outer::default()),
        EmitError::UnknownSignal { block }
    );
}

/// Widths are types, so that rustc finds most differences; what builds descriptions from
/// numbers meets the emitter's own check.
#[test]
fn widths_agree() {
    use hallux_hdl::rt::{Untyped, Wire, WireBlock, WireKind, WireRegister};
    let wire = |name: &str, kind, width: usize| (name.to_string(), Wire::new(kind, width));
    let block = WireBlock {
        wires: vec![
            wire("clk", WireKind::Clock, 1),
            wire("narrow", WireKind::Input, 7),
            wire("o", WireKind::Output, 8),
        ],
        registers: vec![("held".to_string(), WireRegister::new(9))],
        inner: vec![],
        record: Box::new(|elaborator, block| {
            let [(_, clk), (_, narrow), (_, o)] = &block.wires[..] else {
                unreachable!("three wires");
            };
            let (_, held) = &block.registers[0];
            elaborator.wire_register(clk, held);
            elaborator.drive(o, Untyped::read(narrow));
            elaborator.drive(held.d(), Untyped::read(o));
        }),
    };
    let found = match emit(&block, &Options::new("test", "top")) {
        Ok(design) => panic!("emitted:\n{}", design.files[0].text),
        Err(errors) => errors,
    };
    let mismatch = |signal: &str, found, wanted| EmitError::WidthMismatch {
        block: "top".to_string(),
        signal: signal.to_string(),
        found,
        wanted,
    };
    assert_eq!(
        found.0,
        [mismatch("o", 7, 8), mismatch("held.d", 8, 9)],
        "{found}"
    );
}
