//! Expressions: from Rust to calls that build a description of the value.

use crate::body::{Lowering, patterns, refuse_guard};
use crate::scope::Binding;
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{BinOp, Error, Expr, ExprCall, ExprMethodCall, Lit, Member, PathArguments, Result, UnOp};

/// Methods of `Value` that mirror those of rust-hdl's `Bits`.
const METHODS: &[&str] = &[
    "get_bit",
    "get_bits",
    "replace_bit",
    "any",
    "all",
    "xor",
    "index",
    "to_u8",
    "to_u16",
    "to_u32",
    "to_u64",
    "clone",
];

impl Lowering {
    /// One hardware value: the argument of an operator or an assignment.
    pub fn value(&mut self, expression: &Expr) -> Result<TokenStream> {
        let span = expression.span();
        if let Expr::Paren(inner) = expression {
            return self.value(&inner.expr);
        }
        if let Expr::Group(inner) = expression {
            return self.value(&inner.expr);
        }
        if is_integer(expression) {
            return Ok(quote_spanned!(span=> ::hallux_hdl::rt::number((#expression) as u64)));
        }
        if !self.scope.is_hardware(expression) {
            return Ok(quote!(#expression));
        }
        match expression {
            Expr::Path(path) => Ok(quote!(#path.clone())),
            Expr::Reference(reference) => self.value(&reference.expr),
            Expr::Unary(unary) => {
                let operand = self.value(&unary.expr)?;
                match unary.op {
                    UnOp::Not(_) => Ok(quote_spanned!(span=> ::hallux_hdl::rt::not(#operand))),
                    UnOp::Deref(_) => Ok(operand),
                    _ => Err(Error::new(
                        span,
                        "hardware values are unsigned; subtract from zero",
                    )),
                }
            }
            Expr::Binary(binary) => {
                let function = operator(&binary.op)?;
                let left = self.value(&binary.left)?;
                let right = self.value(&binary.right)?;
                Ok(quote_spanned!(span=> ::hallux_hdl::rt::#function(#left, #right)))
            }
            Expr::Field(field) => self.field(field),
            Expr::MethodCall(call) => self.method(call),
            Expr::Call(call) => self.call(call),
            Expr::Index(index) => {
                if self.scope.is_hardware(&index.index) {
                    return Err(Error::new(
                        index.index.span(),
                        "arrays are indexed while elaborating; \
                         loop over the elements and compare the index",
                    ));
                }
                let base = self.place(&index.expr)?;
                let at = &index.index;
                Ok(quote_spanned!(span=> (#base)[#at].clone()))
            }
            Expr::If(_) | Expr::Match(_) | Expr::Block(_) | Expr::Tuple(_) | Expr::Array(_) => {
                self.bundle(expression)
            }
            Expr::Struct(literal) => self.structure(literal),
            Expr::Cast(_) => Err(Error::new(
                span,
                "`as` does not apply to hardware values; use bit_cast::<TO, FROM>(value)",
            )),
            Expr::Macro(_) => Err(Error::new(
                span,
                "macros cannot be described as hardware values; write an #[hdl_fn]",
            )),
            Expr::Closure(_) => Err(Error::new(
                span,
                "closures cannot be described as hardware; write an #[hdl_fn]",
            )),
            _ => Err(Error::new(
                span,
                "this expression cannot be described as hardware; see the list of expressions in docs/hdl.md",
            )),
        }
    }

    /// A value, or a tuple or array of values.
    pub fn bundle(&mut self, expression: &Expr) -> Result<TokenStream> {
        let span = expression.span();
        match expression {
            Expr::Paren(inner) => return self.bundle(&inner.expr),
            Expr::Group(inner) => return self.bundle(&inner.expr),
            Expr::Tuple(tuple) => {
                let parts = self.bundles(tuple.elems.iter())?;
                return Ok(quote_spanned!(span=> (#(::hallux_hdl::rt::bundle(#parts),)*)));
            }
            Expr::Array(array) => {
                let parts = self.bundles(array.elems.iter())?;
                return Ok(quote_spanned!(span=> [#(::hallux_hdl::rt::bundle(#parts)),*]));
            }
            _ => {}
        }
        if !self.scope.is_hardware(expression) && !contains_statements(expression) {
            return self.value(expression);
        }
        match expression {
            Expr::Block(block) => self.value_block(&block.block),
            Expr::If(branch) => {
                let Some((_, otherwise)) = &branch.else_branch else {
                    return Err(Error::new(
                        span,
                        "an `if` used as a value needs an `else`: hardware always has a value",
                    ));
                };
                let hardware = self.scope.is_hardware(&branch.cond);
                if !hardware {
                    let condition = &branch.cond;
                    let then = self.value_block(&branch.then_branch)?;
                    let otherwise = self.bundle(otherwise)?;
                    return Ok(quote_spanned!(span=> if #condition {
                        ::hallux_hdl::rt::bundle(#then)
                    } else {
                        ::hallux_hdl::rt::bundle(#otherwise)
                    }));
                }
                let condition = self.value(&branch.cond)?;
                self.value_branches += 1;
                let then = self.value_block(&branch.then_branch);
                let otherwise = self.bundle(otherwise);
                self.value_branches -= 1;
                let (then, otherwise) = (then?, otherwise?);
                Ok(
                    quote_spanned!(span=> ::hallux_hdl::rt::mux(__hdl, #condition, #then, #otherwise)),
                )
            }
            Expr::Match(selection) => {
                if !self.scope.is_hardware(&selection.expr) {
                    let mut arms = Vec::new();
                    for arm in &selection.arms {
                        let mark = self.scope.enter();
                        self.scope.bind_pattern(&arm.pat, Binding::Elaboration);
                        let body = self.bundle(&arm.body)?;
                        self.scope.leave(mark);
                        let pattern = &arm.pat;
                        let guard = arm.guard.as_ref().map(|(_, g)| quote!(if #g));
                        arms.push(quote!(#pattern #guard => ::hallux_hdl::rt::bundle(#body),));
                    }
                    let scrutinee = &selection.expr;
                    return Ok(quote_spanned!(span=> match #scrutinee { #(#arms)* }));
                }
                let scrutinee = self.value(&selection.expr)?;
                let mut arms = Vec::new();
                for arm in &selection.arms {
                    refuse_guard(arm)?;
                    self.value_branches += 1;
                    let body = self.bundle(&arm.body);
                    self.value_branches -= 1;
                    let body = body?;
                    arms.push(match patterns(&arm.pat)? {
                        Some(labels) => quote! {
                            let __labels = ::std::vec![#(__select.label(#labels)),*];
                            __select.arm(__labels, #body);
                        },
                        None => quote!(__select.otherwise(#body);),
                    });
                }
                Ok(quote_spanned!(span=> {
                    let mut __select = ::hallux_hdl::rt::Select::new(__hdl, #scrutinee);
                    #(#arms)*
                    __select.finish()
                }))
            }
            _ => self.value(expression),
        }
    }

    fn bundles<'a>(&mut self, list: impl Iterator<Item = &'a Expr>) -> Result<Vec<TokenStream>> {
        list.map(|expression| self.bundle(expression)).collect()
    }

    /// An index: an elaboration value as it is, or a hardware value.
    pub fn index(&mut self, expression: &Expr) -> Result<TokenStream> {
        if self.scope.is_hardware(expression) {
            self.value(expression)
        } else {
            Ok(quote!(#expression))
        }
    }

    /// A named hardware binding, or an element of an array of them.
    fn place(&mut self, expression: &Expr) -> Result<TokenStream> {
        match expression {
            Expr::Path(path) => Ok(quote!(#path)),
            Expr::Index(index) => {
                let base = self.place(&index.expr)?;
                let at = &index.index;
                Ok(quote!((#base)[#at]))
            }
            _ => self.bundle(expression),
        }
    }

    fn field(&mut self, field: &syn::ExprField) -> Result<TokenStream> {
        let span = field.span();
        let base = self.value(&field.base)?;
        match &field.member {
            Member::Named(name) => {
                if name == "next" {
                    return Err(Error::new(
                        name.span(),
                        "`.next` is written, never read; read `.val()`",
                    ));
                }
                let text = name.to_string();
                Ok(quote_spanned!(span=> ::hallux_hdl::rt::field(
                    #base, #text, |value| value.#name
                )))
            }
            Member::Unnamed(position) => Ok(quote_spanned!(span=> (#base).#position)),
        }
    }

    fn method(&mut self, call: &ExprMethodCall) -> Result<TokenStream> {
        let span = call.span();
        let receiver = &call.receiver;
        if call.method == "val" && call.args.is_empty() {
            if self.scope.is_hardware(receiver) {
                return Err(Error::new(
                    receiver.span(),
                    "signals are selected while elaborating, not by other signals; \
                     loop over them and compare the index",
                ));
            }
            return Ok(quote_spanned!(span=> ::hallux_hdl::rt::read(&#receiver)));
        }
        if !METHODS.iter().any(|known| call.method == known) {
            return Err(Error::new(
                call.method.span(),
                format!(
                    "`{}` cannot be described as hardware; methods: {}",
                    call.method,
                    METHODS.join(", ")
                ),
            ));
        }
        let receiver = self.value(receiver)?;
        let (method, turbofish) = (&call.method, &call.turbofish);
        let mut arguments = Vec::new();
        for (position, argument) in call.args.iter().enumerate() {
            arguments.push(if position == 0 {
                self.index(argument)?
            } else {
                self.value(argument)?
            });
        }
        Ok(quote_spanned!(span=>
            ::hallux_hdl::rt::lift(#receiver).#method #turbofish(#(#arguments),*)
        ))
    }

    /// `function::<N>(a, b)` becomes `function::hdl::<N>(elaborator, a, b)`.
    fn call(&mut self, call: &ExprCall) -> Result<TokenStream> {
        let Expr::Path(function) = &*call.func else {
            return Err(Error::new(
                call.func.span(),
                "call functions by name; write an #[hdl_fn]",
            ));
        };
        let mut path = function.path.clone();
        let mut arguments = PathArguments::None;
        if let Some(last) = path.segments.last_mut() {
            std::mem::swap(&mut arguments, &mut last.arguments);
            if last.ident.to_string().starts_with(char::is_uppercase)
                || path.segments.len() > 1 && {
                    let before = &path.segments[path.segments.len() - 2].ident;
                    before.to_string().starts_with(char::is_uppercase)
                }
            {
                return Err(Error::new(
                    function.span(),
                    "associated functions and constructors cannot be described as hardware; \
                     write an #[hdl_fn], or build a structure with `Name { field: value }`",
                ));
            }
        }
        let turbofish = match arguments {
            PathArguments::AngleBracketed(arguments) => {
                let arguments = &arguments.args;
                quote!(::<#arguments>)
            }
            _ => TokenStream::new(),
        };
        let mut values = Vec::new();
        for argument in &call.args {
            values.push(match argument {
                Expr::Tuple(_) | Expr::Array(_) => self.bundle(argument)?,
                // Elaboration values go as they are: an integer may be a parameter.
                _ if !self.scope.is_hardware(argument) => quote!(#argument),
                _ => self.value(argument)?,
            });
        }
        let span = call.span();
        Ok(quote_spanned!(span=> #path::hdl #turbofish(__hdl, #(#values),*)))
    }

    fn structure(&mut self, literal: &syn::ExprStruct) -> Result<TokenStream> {
        let span = literal.span();
        let path = &literal.path;
        let mut fields = Vec::new();
        for field in &literal.fields {
            let Member::Named(name) = &field.member else {
                return Err(Error::new(
                    field.member.span(),
                    "hardware needs a name here: use named fields",
                ));
            };
            let value = self.value(&field.expr)?;
            let text = name.to_string();
            fields.push(quote_spanned!(field.span()=>
                __structure.field(#text, |value| value.#name, #value);
            ));
        }
        let rest = match &literal.rest {
            Some(rest) => {
                let rest = self.value(rest)?;
                quote!(__structure.rest(#rest);)
            }
            None => TokenStream::new(),
        };
        let mut ty = path.clone();
        for segment in &mut ty.segments {
            if let PathArguments::AngleBracketed(arguments) = &mut segment.arguments {
                arguments.colon2_token = None;
            }
        }
        Ok(quote_spanned!(span=> {
            let mut __structure = ::hallux_hdl::rt::Structure::<#ty>::default();
            #(#fields)*
            #rest
            __structure.finish()
        }))
    }
}

/// Whether an expression is made of integer literals only.
fn is_integer(expression: &Expr) -> bool {
    match expression {
        Expr::Lit(literal) => matches!(literal.lit, Lit::Int(_)),
        Expr::Paren(inner) => is_integer(&inner.expr),
        Expr::Binary(both) => {
            is_integer(&both.left)
                && is_integer(&both.right)
                && matches!(
                    both.op,
                    BinOp::Add(_) | BinOp::Sub(_) | BinOp::Mul(_) | BinOp::Div(_) | BinOp::Shl(_)
                )
        }
        _ => false,
    }
}

/// Whether a pure expression still needs translation because of its form.
fn contains_statements(expression: &Expr) -> bool {
    matches!(expression, Expr::Tuple(_) | Expr::Array(_))
}

fn operator(op: &BinOp) -> Result<syn::Ident> {
    let name = match op {
        BinOp::Add(_) => "add",
        BinOp::Sub(_) => "sub",
        BinOp::Mul(_) => "mul",
        BinOp::And(_) | BinOp::BitAnd(_) => "and",
        BinOp::Or(_) | BinOp::BitOr(_) => "or",
        BinOp::BitXor(_) => "xor",
        BinOp::Shl(_) => "shl",
        BinOp::Shr(_) => "shr",
        BinOp::Eq(_) => "eq",
        BinOp::Ne(_) => "ne",
        BinOp::Lt(_) => "lt",
        BinOp::Le(_) => "le",
        BinOp::Gt(_) => "gt",
        BinOp::Ge(_) => "ge",
        other => {
            return Err(Error::new(
                other.span(),
                "no such operator in hardware; use + - * & | ^ << >> and comparisons",
            ));
        }
    };
    Ok(syn::Ident::new(name, op.span()))
}
