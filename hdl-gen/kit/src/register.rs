//! The flip-flop.

use crate::elaborate::provide;
use crate::ir::Body;
use hallux_hdl_macros::LogicBlock;
use rust_hdl_core::prelude::{Clock, In, Logic, Out, Signal, Synth, Verilog};

/// An edge-triggered register: `q` takes the value of `d` at the rising edge of
/// `clk`.
///
/// There is no reset pin and no initial value. A block that needs one assigns
/// `d` under `if self.rst.val()` as its last statement. In SystemVerilog the
/// flip-flop is a variable of the parent module, set in its `always_ff`.
#[derive(Clone, Debug, LogicBlock)]
pub struct DFF<T: Synth> {
    /// Clock, rising edge.
    pub clk: Signal<In, Clock>,
    /// Next value.
    pub d: Signal<In, T>,
    /// Present value.
    pub q: Signal<Out, T>,
}

impl<T: Synth> Default for DFF<T> {
    fn default() -> Self {
        Self {
            clk: Signal::default(),
            d: Signal::default(),
            q: Signal::default(),
        }
    }
}

impl<T: Synth> Logic for DFF<T> {
    fn update(&mut self) {
        if self.clk.pos_edge() {
            self.q.next = self.d.val();
        }
    }

    fn connect(&mut self) {
        self.q.connect();
    }

    fn hdl(&self) -> Verilog {
        provide(Body::FlipFlop)
    }
}

/// Clocks flip-flops and lets them hold their value unless assigned later:
/// `dff_setup!(self, clk, full, held, lane[i])`.
#[macro_export]
macro_rules! dff_setup {
    ($this:ident, $clk:ident, $($name:ident $([$index:expr])*),+ $(,)?) => {
        $(
            $this.$name$([$index])*.clk.next = $this.$clk.val();
            $this.$name$([$index])*.d.next = $this.$name$([$index])*.q.val();
        )+
    };
}

/// The description of [`dff_setup!`]; written by `#[hdl]`.
#[doc(hidden)]
#[macro_export]
macro_rules! dff_setup_hdl {
    ($hdl:ident, $this:ident, $clk:ident, $($name:ident $([$index:expr])*),+ $(,)?) => {
        $( $hdl.flip_flop(&$this.$clk, &$this.$name$([$index])*); )+
    };
}
