//! The two function attributes: `#[hdl]` on `Logic::update` and `#[hdl_fn]`.

use crate::body::Lowering;
use crate::scope::Binding;
use proc_macro2::TokenStream;
use quote::quote;
use syn::spanned::Spanned;
use syn::{Error, FnArg, ItemFn, Pat, Result, ReturnType, Type};

/// Lints that generated code may trip without the author being at fault.
fn allowances() -> TokenStream {
    quote! {
        #[automatically_derived]
        #[allow(
            clippy::all, unused_variables, unused_mut, unused_parens, unused_braces, dead_code,
            unused_must_use, path_statements, unreachable_patterns
        )]
    }
}

/// Expands `#[hdl]`: the function itself and its description `Logic::hdl`.
pub fn block(item: &ItemFn) -> Result<TokenStream> {
    let only_self = item.sig.inputs.len() == 1
        && matches!(item.sig.inputs.first(), Some(FnArg::Receiver(r)) if r.mutability.is_some());
    if !only_self {
        return Err(Error::new(
            item.sig.inputs.span(),
            "#[hdl] goes on `fn update(&mut self)` of `impl Logic`; use #[hdl_fn] for functions",
        ));
    }
    let mut lowering = Lowering::default();
    let body = lowering.statements(&item.block.stmts)?;
    let allowances = allowances();
    Ok(quote! {
        #[allow(unreachable_patterns)]
        #item

        #allowances
        fn hdl(&self) -> ::hallux_hdl::rt::Verilog {
            ::hallux_hdl::rt::describe::<Self>(|__hdl| { #body })
        }
    })
}

/// Whether a parameter of this type is an elaboration constant.
pub fn is_elaboration_type(ty: &Type) -> bool {
    match ty {
        Type::Path(path) => path.path.get_ident().is_some_and(|name| {
            ["usize", "u8", "u16", "u32", "u64", "u128", "i32", "i64"]
                .iter()
                .any(|known| name == known)
        }),
        Type::Reference(_) => true,
        _ => false,
    }
}

/// The type that carries a value of Rust type `ty` in a description.
fn described(ty: &Type) -> TokenStream {
    match ty {
        Type::Tuple(tuple) => {
            let parts = tuple.elems.iter().map(described);
            quote!((#(#parts,)*))
        }
        Type::Array(array) => {
            let (element, length) = (described(&array.elem), &array.len);
            quote!([#element; #length])
        }
        Type::Paren(inner) => described(&inner.elem),
        _ => quote!(::hallux_hdl::rt::Value<#ty>),
    }
}

/// Expands `#[hdl_fn]`: the function itself and, in the type namespace under the
/// same name so that one `use` brings both, its description.
pub fn combinational(item: &ItemFn) -> Result<TokenStream> {
    let (name, visibility) = (&item.sig.ident, &item.vis);
    let ReturnType::Type(_, output) = &item.sig.output else {
        return Err(Error::new(
            item.sig.span(),
            "a combinational function returns a value; without one it has no effect in hardware",
        ));
    };
    let mut lowering = Lowering::default();
    let mut parameters = Vec::new();
    let mut bindings = Vec::new();
    for input in &item.sig.inputs {
        let FnArg::Typed(input) = input else {
            return Err(Error::new(
                input.span(),
                "#[hdl_fn] functions take no `self`; pass the values they need",
            ));
        };
        let Pat::Ident(pattern) = &*input.pat else {
            return Err(Error::new(
                input.pat.span(),
                "a parameter is a plain name; take it apart with `let` inside",
            ));
        };
        let (parameter, ty) = (&pattern.ident, &*input.ty);
        if is_elaboration_type(ty) {
            lowering.scope.bind(parameter, Binding::Elaboration);
            parameters.push(quote!(#parameter: #ty));
            continue;
        }
        let text = parameter.to_string();
        match ty {
            Type::Tuple(_) | Type::Array(_) => {
                let ty = described(ty);
                lowering.scope.bind(parameter, Binding::Wire);
                parameters.push(quote!(#parameter: #ty));
            }
            _ => {
                parameters.push(quote!(#parameter: impl ::hallux_hdl::rt::Lift<T = #ty>));
                if pattern.mutability.is_some() {
                    lowering.scope.bind(parameter, Binding::Variable);
                    bindings.push(quote!(let #parameter = __hdl.variable(#text, #parameter);));
                } else {
                    lowering.scope.bind(parameter, Binding::Wire);
                    bindings.push(quote!(let #parameter = __hdl.argument(#text, #parameter);));
                }
            }
        }
    }
    let body = lowering.value_block(&item.block)?;
    let generics = &item.sig.generics;
    let (parameters_of_type, bounds) = (&generics.params, &generics.where_clause);
    let output = described(output);
    let text = name.to_string();
    let allowances = allowances();
    Ok(quote! {
        #item

        #[doc(hidden)]
        #[allow(non_camel_case_types)]
        #visibility struct #name {}

        #allowances
        impl #name {
            #[doc(hidden)]
            pub fn hdl<#parameters_of_type>(
                __hdl: &::hallux_hdl::rt::Elaborator,
                #(#parameters),*
            ) -> #output #bounds {
                let __function = __hdl.function(#text);
                #(#bindings)*
                #body
            }
        }
    })
}
