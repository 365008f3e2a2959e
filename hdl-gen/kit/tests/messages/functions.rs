//! What `#[hdl_fn]` refuses.

use hallux_hdl::prelude::*;

#[hdl_fn]
fn no_value(_a: Bits<8>) {}

#[hdl_fn]
fn pattern((a, b): (Bits<8>, Bits<8>)) -> Bits<8> {
    a + b
}

#[hdl_fn]
fn early(a: Bits<8>) -> Bits<8> {
    if a.any() {
        return a;
    }
    a
}

struct Method;
impl Method {
    #[hdl_fn]
    fn method(&self, a: Bits<8>) -> Bits<8> {
        a
    }
}

fn main() {}
