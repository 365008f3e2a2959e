//! What the derives refuse.

use hallux_hdl::prelude::*;

#[derive(LogicBlock)]
struct Keyword {
    wire: Signal<In, Bit>,
}

#[derive(LogicBlock)]
struct Unnamed(Signal<In, Bit>);

#[derive(LogicBlock)]
enum NotAStructure {
    A,
}

#[derive(LogicStruct)]
struct Empty {}

#[derive(LogicStruct)]
struct UnnamedPayload(Bits<8>);

#[derive(LogicState)]
enum WithData {
    A,
    B(u8),
}

#[derive(LogicState)]
enum WithCode {
    A = 4,
}

#[derive(LogicState)]
enum NoState {}

#[derive(LogicState)]
struct NotAnEnumeration {
    a: bool,
}

#[derive(LogicInterface)]
#[join(Other)]
struct WrongJoin {
    a: Signal<In, Bit>,
}

fn main() {}
