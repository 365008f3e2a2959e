//! Attribute and derive macros of the Hallux HDL.
//!
//! Users reach these through `hallux_hdl::prelude`; the crate exists because
//! Rust wants procedural macros in a crate of their own.
//!
//! * [`macro@hdl`] keeps the function it is put on as ordinary Rust and adds a
//!   twin, `Logic::hdl`, that describes the same function to the SystemVerilog
//!   back end.
//! * [`macro@hdl_fn`] does the same for a combinational function.
//! * The derives [`macro@LogicBlock`], [`macro@LogicInterface`],
//!   [`macro@LogicStruct`] and [`macro@LogicState`] tie structures and
//!   enumerations to rust-hdl's traits.

mod body;
mod derives;
mod expression;
mod function;
mod keywords;
mod scope;

use proc_macro::TokenStream;
use syn::{DeriveInput, ItemFn, parse_macro_input};

/// Makes `Logic::update` of a block describable as hardware.
///
/// The function stays as it is and runs as ordinary Rust; a second function,
/// `Logic::hdl`, is added beside it. A construct outside the subset is a
/// compile error at the construct.
#[proc_macro_attribute]
pub fn hdl(_attribute: TokenStream, item: TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as ItemFn);
    finish(function::block(&item).map_err(|error| (error, item)))
}

/// Makes a combinational function usable inside [`macro@hdl`] bodies.
///
/// The function stays callable from Rust. Parameters of integer type are
/// elaboration constants, all others carry hardware values.
#[proc_macro_attribute]
pub fn hdl_fn(_attribute: TokenStream, item: TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as ItemFn);
    finish(function::combinational(&item).map_err(|error| (error, item)))
}

/// Derives rust-hdl's `Block` for a structure of signals and blocks.
///
/// Fields whose name starts with `_` are plain Rust data and are skipped.
#[proc_macro_derive(LogicBlock)]
pub fn logic_block(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    derived(derives::logic_block(&input))
}

/// Derives the traits of a bundle of signals that several blocks share.
///
/// `#[join = "Other"]` names the opposite side and adds a `join` function.
#[proc_macro_derive(LogicInterface, attributes(join))]
pub fn logic_interface(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    derived(derives::logic_interface(&input))
}

/// Derives `Synth` and `Flat` for a structure; field 0 is least significant.
#[proc_macro_derive(LogicStruct)]
pub fn logic_struct(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    derived(derives::logic_struct(&input))
}

/// Derives `Synth`, `Flat` and `Default` (the first variant) for a field-less
/// enumeration, encoded in binary in declaration order.
#[proc_macro_derive(LogicState)]
pub fn logic_state(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    derived(derives::logic_state(&input))
}

/// Expanded tokens of an attribute. After an error the function itself stays, so that
/// the compiler does not also complain that it is missing.
fn finish(result: Result<proc_macro2::TokenStream, (syn::Error, ItemFn)>) -> TokenStream {
    result
        .unwrap_or_else(|(error, item)| {
            let error = error.to_compile_error();
            quote::quote!(#error #item)
        })
        .into()
}

fn derived(result: syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    result
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}
