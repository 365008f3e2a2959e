//! The derive macros: structures of signals, payload structures, enumerations.

use crate::keywords::is_reserved;
use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput, Error, Expr, Field, Ident, Lit, Meta, Result, Type};

/// Named fields of a structure, without those whose name starts with `_`.
fn fields(input: &DeriveInput) -> Result<Vec<&Field>> {
    let Data::Struct(data) = &input.data else {
        return Err(Error::new(
            input.span(),
            "this derive is for structures with named fields",
        ));
    };
    let mut kept = Vec::new();
    for field in &data.fields {
        let Some(name) = &field.ident else {
            return Err(Error::new(
                field.span(),
                "hardware needs a name here: use named fields",
            ));
        };
        // Only a signal of a block stands in the Verilog under its bare name.
        if is_signal(&field.ty) && is_reserved(&name.to_string()) {
            return Err(Error::new(
                name.span(),
                format!("`{name}` is a SystemVerilog keyword; choose another name"),
            ));
        }
        if !name.to_string().starts_with('_') {
            kept.push(field);
        }
    }
    Ok(kept)
}

fn is_signal(ty: &Type) -> bool {
    matches!(ty, Type::Path(path) if path.path.segments.last().is_some_and(|s| s.ident == "Signal"))
}

fn names<'a>(fields: &[&'a Field]) -> Vec<&'a Ident> {
    fields.iter().filter_map(|f| f.ident.as_ref()).collect()
}

/// `Block` for anything whose parts are themselves `Block`s; `begin` and `end`
/// are the probe's brackets around the parts.
fn block(input: &DeriveInput, names: &[&Ident], begin: &str, end: &str) -> TokenStream {
    let (begin, end) = (format_ident!("{begin}"), format_ident!("{end}"));
    let strings: Vec<String> = names.iter().map(|n| n.to_string()).collect();
    let name = &input.ident;
    let (generics, types, bounds) = input.generics.split_for_impl();
    quote! {
        #[automatically_derived]
        impl #generics ::hallux_hdl::rt::Block for #name #types #bounds {
            fn connect_all(&mut self) {
                ::hallux_hdl::rt::Logic::connect(self);
                #(::hallux_hdl::rt::Block::connect_all(&mut self.#names);)*
            }
            fn update_all(&mut self) {
                ::hallux_hdl::rt::Logic::update(self);
                #(::hallux_hdl::rt::Block::update_all(&mut self.#names);)*
            }
            fn has_changed(&self) -> bool {
                false #(|| ::hallux_hdl::rt::Block::has_changed(&self.#names))*
            }
            fn accept(&self, name: &str, probe: &mut dyn ::hallux_hdl::rt::Probe) {
                probe.#begin(name, self);
                #(::hallux_hdl::rt::Block::accept(&self.#names, #strings, probe);)*
                probe.#end(name, self);
            }
        }
    }
}

pub fn logic_block(input: &DeriveInput) -> Result<TokenStream> {
    let fields = fields(input)?;
    Ok(block(
        input,
        &names(&fields),
        "visit_start_scope",
        "visit_end_scope",
    ))
}

/// The value of `#[join = "Name"]`.
fn joined(attributes: &[Attribute]) -> Result<Option<Ident>> {
    for attribute in attributes {
        if !attribute.path().is_ident("join") {
            continue;
        }
        if let Meta::NameValue(pair) = &attribute.meta
            && let Expr::Lit(value) = &pair.value
            && let Lit::Str(text) = &value.lit
        {
            return text.parse::<Ident>().map(Some);
        }
        return Err(Error::new(
            attribute.span(),
            "write #[join = \"OtherSide\"]",
        ));
    }
    Ok(None)
}

pub fn logic_interface(input: &DeriveInput) -> Result<TokenStream> {
    let fields = fields(input)?;
    let names = names(&fields);
    let types: Vec<_> = fields.iter().map(|f| &f.ty).collect();
    let strings: Vec<String> = names.iter().map(|n| n.to_string()).collect();
    let block = block(
        input,
        &names,
        "visit_start_namespace",
        "visit_end_namespace",
    );
    let name = &input.ident;
    let (generics, arguments, bounds) = input.generics.split_for_impl();
    let join = joined(&input.attrs)?.map(|other| {
        quote! {
            #[automatically_derived]
            impl #generics #name #arguments #bounds {
                /// Connects this side to the opposite one; data flow as the directions say.
                pub fn join(&mut self, other: &mut #other #arguments) {
                    #(self.#names.join(&mut other.#names);)*
                }
            }
        }
    });
    Ok(quote! {
        #[automatically_derived]
        impl #generics ::hallux_hdl::rt::Logic for #name #arguments #bounds {
            fn update(&mut self) {}
        }
        #block
        #[automatically_derived]
        impl #generics ::hallux_hdl::rt::LogicLink for #name #arguments #bounds {
            fn link(&mut self, other: &mut Self) {
                #(::hallux_hdl::rt::LogicLink::link(&mut self.#names, &mut other.#names);)*
            }
            fn link_hdl(
                my_name: &str,
                this: &str,
                that: &str,
            ) -> ::std::vec::Vec<::hallux_hdl::rt::VerilogLink> {
                let mut links = ::std::vec::Vec::new();
                #(links.extend(<#types as ::hallux_hdl::rt::LogicLink>::link_hdl(
                    &::std::format!("{}.{}", my_name, #strings), this, that,
                ));)*
                links
            }
            fn link_connect_source(&mut self) {
                #(::hallux_hdl::rt::LogicLink::link_connect_source(&mut self.#names);)*
            }
            fn link_connect_dest(&mut self) {
                #(::hallux_hdl::rt::LogicLink::link_connect_dest(&mut self.#names);)*
            }
        }
        #[automatically_derived]
        impl #generics ::hallux_hdl::rt::LogicJoin for #name #arguments #bounds {
            fn join_connect(&mut self) {
                #(::hallux_hdl::rt::LogicJoin::join_connect(&mut self.#names);)*
            }
        }
        #join
    })
}

pub fn logic_struct(input: &DeriveInput) -> Result<TokenStream> {
    let fields = fields(input)?;
    if fields.is_empty() {
        return Err(Error::new(
            input.span(),
            "a payload structure needs at least one field; for events without data use Bits<1>",
        ));
    }
    let names = names(&fields);
    let types: Vec<_> = fields.iter().map(|f| &f.ty).collect();
    let strings: Vec<String> = names.iter().map(|n| n.to_string()).collect();
    let name = &input.ident;
    let label = name.to_string();
    let (generics, arguments, bounds) = input.generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #generics ::hallux_hdl::rt::Synth for #name #arguments #bounds {
            const BITS: usize = 0usize #(+ <#types as ::hallux_hdl::rt::Synth>::BITS)*;
            fn descriptor() -> ::hallux_hdl::rt::TypeDescriptor {
                ::hallux_hdl::rt::TypeDescriptor {
                    name: #label.to_string(),
                    kind: ::hallux_hdl::rt::TypeKind::Composite(::std::vec![
                        #(::std::boxed::Box::new(::hallux_hdl::rt::TypeField {
                            fieldname: #strings.to_string(),
                            kind: <#types as ::hallux_hdl::rt::Synth>::descriptor(),
                        })),*
                    ]),
                }
            }
            fn vcd(self) -> ::hallux_hdl::rt::VCDValue {
                ::hallux_hdl::rt::VCDValue::Composite(::std::vec![
                    #(::std::boxed::Box::new(::hallux_hdl::rt::Synth::vcd(self.#names))),*
                ])
            }
            fn verilog(self) -> ::hallux_hdl::rt::VerilogLiteral {
                ::hallux_hdl::rt::literal(self)
            }
        }
        #[automatically_derived]
        impl #generics ::hallux_hdl::rt::Flat for #name #arguments #bounds {
            fn flat(self) -> ::hallux_hdl::rt::BigUint {
                let mut flat = ::hallux_hdl::rt::Packer::default();
                #(flat.push(self.#names);)*
                flat.finish()
            }
            fn from_flat(flat: &::hallux_hdl::rt::BigUint) -> Self {
                let mut flat = ::hallux_hdl::rt::Unpacker::new(flat);
                Self { #(#names: flat.pull()),* }
            }
        }
    })
}

pub fn logic_state(input: &DeriveInput) -> Result<TokenStream> {
    let Data::Enum(data) = &input.data else {
        return Err(Error::new(
            input.span(),
            "LogicState is for enumerations without fields",
        ));
    };
    for variant in &data.variants {
        if !variant.fields.is_empty() {
            return Err(Error::new(
                variant.span(),
                "a state carries no fields; keep data in registers of their own",
            ));
        }
        if variant.discriminant.is_some() {
            return Err(Error::new(
                variant.span(),
                "states are numbered in declaration order; remove the value",
            ));
        }
    }
    let variants: Vec<&Ident> = data.variants.iter().map(|v| &v.ident).collect();
    let Some(first) = variants.first() else {
        return Err(Error::new(
            input.span(),
            "an enumeration needs at least one state",
        ));
    };
    let count = variants.len();
    let numbers: Vec<u64> = (0..count as u64).collect();
    let strings: Vec<String> = variants.iter().map(|v| v.to_string()).collect();
    let name = &input.ident;
    let label = name.to_string();
    Ok(quote! {
        #[automatically_derived]
        impl ::hallux_hdl::rt::Synth for #name {
            const BITS: usize = ::hallux_hdl::rt::state_bits(#count);
            fn descriptor() -> ::hallux_hdl::rt::TypeDescriptor {
                ::hallux_hdl::rt::TypeDescriptor {
                    name: #label.to_string(),
                    kind: ::hallux_hdl::rt::TypeKind::Enum(::std::vec![#(#strings.to_string()),*]),
                }
            }
            fn vcd(self) -> ::hallux_hdl::rt::VCDValue {
                ::hallux_hdl::rt::VCDValue::String(match self {
                    #(#name::#variants => #strings,)*
                }.to_string())
            }
            fn verilog(self) -> ::hallux_hdl::rt::VerilogLiteral {
                ::hallux_hdl::rt::literal(self)
            }
        }
        #[automatically_derived]
        impl ::hallux_hdl::rt::Flat for #name {
            fn flat(self) -> ::hallux_hdl::rt::BigUint {
                ::hallux_hdl::rt::BigUint::from(match self { #(#name::#variants => #numbers,)* })
            }
            /// An unused code reads as the first state.
            fn from_flat(flat: &::hallux_hdl::rt::BigUint) -> Self {
                // A field of a structure comes with the fields above it.
                let code = flat.iter_u64_digits().next().unwrap_or(0)
                    & ((1 << <Self as ::hallux_hdl::rt::Synth>::BITS) - 1);
                match code {
                    #(#numbers => #name::#variants,)*
                    _ => #name::#first,
                }
            }
            fn constant(self) -> ::hallux_hdl::rt::Value<Self> {
                ::hallux_hdl::rt::Value::variant(
                    self,
                    #label,
                    match self { #(#name::#variants => #strings,)* },
                )
            }
        }
        #[automatically_derived]
        impl ::std::default::Default for #name {
            fn default() -> Self {
                #name::#first
            }
        }
    })
}
