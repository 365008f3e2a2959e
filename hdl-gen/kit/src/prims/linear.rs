//! Hashes that are linear over GF(2), in one step.
//!
//! Each result bit is the parity of a fixed selection of key bits, up to a constant. The
//! selections are computed when the design is generated.

use num_bigint::BigUint;

/// XOR trees for `outputs` bits of `output`: `column(i)` is what bit `i` of the `key` of
/// `width` bits toggles, `constant` the result of a key of zeros.
pub(super) fn xor_trees(
    output: &str,
    outputs: usize,
    key: &str,
    width: usize,
    constant: u64,
    column: impl Fn(usize) -> u64,
) -> String {
    let columns: Vec<u64> = (0..width).map(column).collect();
    let mut text = String::new();
    for row in 0..outputs {
        let mut mask = BigUint::ZERO;
        for (bit, column) in columns.iter().enumerate() {
            mask.set_bit(bit as u64, column >> row & 1 == 1);
        }
        let sign = if constant >> row & 1 == 1 { "~^" } else { "^" };
        text += &format!("    assign {output}[{row}] = {sign}({key} & {width}'h{mask:x});\n");
    }
    text
}
