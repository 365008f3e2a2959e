//! Why a design could not be written as SystemVerilog.

use thiserror::Error;

/// One reason, with the block and the signal it is about.
///
/// `block` is the hierarchical name, for example `top.rx.queue`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The outermost thing is not a block.
    #[error("only a block can be emitted, not a signal or an interface")]
    NotABlock,
    /// SystemVerilog keeps the name of the top module for itself.
    #[error("`{name}` is a SystemVerilog keyword; give the top module another name")]
    ReservedName {
        /// The name.
        name: String,
    },
    /// A block has no description.
    #[error("{block}: no description; put #[hdl] on its `update`")]
    NoDescription {
        /// Where.
        block: String,
    },
    /// A primitive or a flip-flop was asked for as the top module.
    #[error("{block}: wrap it in a block of its own to emit it")]
    BareRegister {
        /// Where.
        block: String,
    },
    /// A signal of another block was named.
    #[error(
        "{block}: names a signal that is neither its own nor a port of a block directly inside it"
    )]
    UnknownSignal {
        /// Where.
        block: String,
    },
    /// An input of the block itself, or an output of an inner block, was assigned.
    #[error("{block}: assigns `{signal}`, which is driven from elsewhere")]
    DrivesInput {
        /// Where.
        block: String,
        /// What.
        signal: String,
    },
    /// The input of an inner block or of a flip-flop was read back.
    #[error("{block}: reads back `{signal}`; compute the value in a `let` and use that twice")]
    ReadsInnerInput {
        /// Where.
        block: String,
        /// What.
        signal: String,
    },
    /// No statement assigns the signal.
    #[error("{block}: `{signal}` is never assigned")]
    Undriven {
        /// Where.
        block: String,
        /// What.
        signal: String,
    },
    /// Some path through the statements leaves the signal without a value.
    #[error("{block}: `{signal}` keeps its old value on some path (a latch); {remedy}")]
    Latch {
        /// Where.
        block: String,
        /// What.
        signal: String,
        /// What to write.
        remedy: &'static str,
    },
    /// A signal was read above the statement that gives it its value.
    #[error("{block}: `{signal}` is read before it is assigned; move the assignment up")]
    ReadBeforeAssignment {
        /// Where.
        block: String,
        /// What.
        signal: String,
    },
    /// A constant slice reaches beyond its value.
    #[error("{block}: bits {offset}..{end} of `{signal}`, which has {width}")]
    SliceOutOfRange {
        /// Where.
        block: String,
        /// What.
        signal: String,
        /// First bit.
        offset: usize,
        /// Bit after the last.
        end: usize,
        /// Bits there are.
        width: usize,
    },
    /// An integer needs more bits than the value it is used with.
    #[error("{block}: {value} does not fit {width} bits, in the assignment of `{signal}`")]
    IntegerTooWide {
        /// Where.
        block: String,
        /// What it is used for.
        signal: String,
        /// The integer.
        value: String,
        /// Bits there are.
        width: usize,
    },
    /// Two widths meet that should be equal.
    #[error("{block}: {found} bits assigned to `{signal}`, which has {wanted}")]
    WidthMismatch {
        /// Where.
        block: String,
        /// What.
        signal: String,
        /// Bits of the value.
        found: usize,
        /// Bits of the signal.
        wanted: usize,
    },
    /// A clock was computed or chosen.
    #[error("{block}: the clock of `{signal}` must be a clock port of the block, unconditionally")]
    ClockNotFromPort {
        /// Where.
        block: String,
        /// What.
        signal: String,
    },
    /// Flip-flops of one module run on different clocks.
    #[error("{block}: flip-flops on both `{first}` and `{second}`; one block, one clock")]
    SeveralClocks {
        /// Where.
        block: String,
        /// One clock.
        first: String,
        /// Another clock.
        second: String,
    },
    /// A signal depends on itself within one cycle.
    #[error("{block}: combinational loop through {}", path.join(" -> "))]
    CombinationalLoop {
        /// Where.
        block: String,
        /// The signals of the loop.
        path: Vec<String>,
    },
}

/// All reasons found in one design; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmitErrors(pub Vec<EmitError>);

impl std::fmt::Display for EmitErrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (position, error) in self.0.iter().enumerate() {
            if position > 0 {
                writeln!(f)?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for EmitErrors {}
