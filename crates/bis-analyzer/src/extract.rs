//! A source text to its [`FileSummary`]. It knows one file and the enabled features; it resolves nothing.

mod body;
mod items;
mod types;

use std::collections::BTreeSet;

use proc_macro2::{Span, TokenStream};
use syn::{Expr, GenericArgument, PathArguments, Type, spanned::Spanned};

use crate::summary::{Constant, FileSummary, Hints, Mistake, PathRef, Range, Ty};

/// Summarises a file's text.
pub(crate) fn file(text: &str, features: &BTreeSet<String>, hints: &Hints) -> FileSummary {
    match syn::parse_file(text) {
        Ok(file) => items::Extractor::new(features, hints, &file).summary(&file),
        Err(error) => FileSummary {
            failure: Some((failure(&error), Range::of(error.span()))),
            ..FileSummary::default()
        },
    }
}

/// What is wrong with a file, in words that help: the lexer has one text for everything.
fn failure(error: &syn::Error) -> String {
    match error.to_string() {
        text if text == "cannot parse string into token stream" => {
            "a bracket, quote or comment is not closed, or closes what is not open".to_owned()
        }
        text => text,
    }
}

/// Whether a name looks like a static's.
pub(crate) fn is_capital(name: &str) -> bool {
    name.bytes().any(|byte| byte.is_ascii_uppercase()) && !name.bytes().any(|byte| byte.is_ascii_lowercase())
}

/// [`is_capital`] of an identifier, without making a text of it: most of a file's identifiers are asked.
pub(crate) fn is_capital_ident(ident: &proc_macro2::Ident) -> bool {
    use std::fmt::Write;

    #[derive(Default)]
    struct Letters {
        upper: bool,
        lower: bool,
    }

    impl Write for Letters {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            // The mark of a raw identifier is no letter of its name.
            let text = text.strip_prefix("r#").unwrap_or(text);
            self.upper |= text.bytes().any(|byte| byte.is_ascii_uppercase());
            self.lower |= text.bytes().any(|byte| byte.is_ascii_lowercase());
            Ok(())
        }
    }

    let mut letters = Letters::default();
    write!(letters, "{ident}").is_ok() && letters.upper && !letters.lower
}

pub(crate) fn path_ref(path: &syn::Path) -> PathRef {
    PathRef {
        global: path.leading_colon.is_some(),
        segments: path.segments.iter().map(|segment| word(&segment.ident)).collect(),
    }
}

/// An identifier without `r#`.
pub(crate) fn word(ident: &proc_macro2::Ident) -> Box<str> {
    let text = ident.to_string();
    match text.strip_prefix("r#") {
        Some(plain) => plain.into(),
        None => text.into_boxed_str(),
    }
}

/// The region of a path.
pub(crate) fn path_range(path: &syn::Path) -> Range {
    let first = match (&path.leading_colon, path.segments.first()) {
        (Some(colon), _) => colon.spans[0],
        (None, Some(segment)) => segment.ident.span(),
        (None, None) => Span::call_site(),
    };
    Range::between(first, path.segments.last().map_or(first, |segment| segment.ident.span()))
}

pub(crate) fn range_of(tokens: &impl Spanned) -> Range {
    Range::of(tokens.span())
}

/// The mistakes of a store. What has no tokens to point at is put at `fallback`.
pub(crate) fn mistakes(errors: bis_syntax::Errors, fallback: Range) -> Vec<Mistake> {
    errors
        .into_vec()
        .into_iter()
        .map(|error| {
            let (first, last) = error.span;
            let range = Range::between(first, last);
            // A call-site span has no place in the fallback implementation: line 1, column 0, empty.
            let nowhere = (range.line, range.column) == (range.end_line, range.end_column);
            Mistake {
                kind: error.kind,
                range: if nowhere { fallback } else { range },
                message: error.message,
                help: error.help,
            }
        })
        .collect()
}

/// A type without what does not show in JSON: references and smart pointers' lifetimes.
pub(crate) fn ty(ty: &Type) -> Ty {
    match ty {
        Type::Path(path) if path.qself.is_none() => {
            let arguments = path.path.segments.last().map(|last| &last.arguments);
            let arguments = match arguments {
                Some(PathArguments::AngleBracketed(arguments)) => arguments
                    .args
                    .iter()
                    .filter_map(|argument| match argument {
                        GenericArgument::Type(inner) => Some(self::ty(inner)),
                        _ => None,
                    })
                    .collect(),
                _ => Vec::new(),
            };
            Ty::Path(path_ref(&path.path), arguments)
        }
        Type::Reference(reference) => self::ty(&reference.elem),
        Type::Paren(paren) => self::ty(&paren.elem),
        Type::Group(group) => self::ty(&group.elem),
        Type::Tuple(tuple) => Ty::Tuple(tuple.elems.iter().map(self::ty).collect()),
        Type::Array(array) => Ty::List(Box::new(self::ty(&array.elem))),
        Type::Slice(slice) => Ty::List(Box::new(self::ty(&slice.elem))),
        other => Ty::Opaque(quote::quote!(#other).to_string()),
    }
}

pub(crate) fn constant(expr: &Expr) -> Constant {
    match expr {
        Expr::Lit(literal) => match &literal.lit {
            syn::Lit::Str(text) => Constant::Text(text.value()),
            syn::Lit::Int(number) => number.base10_parse().map_or(Constant::Opaque, Constant::Integer),
            _ => Constant::Opaque,
        },
        Expr::Path(path) if path.qself.is_none() => Constant::Path(path_ref(&path.path)),
        Expr::Paren(paren) => constant(&paren.expr),
        Expr::Group(group) => constant(&group.expr),
        Expr::Reference(reference) => constant(&reference.expr),
        Expr::Cast(cast) => constant(&cast.expr),
        Expr::Binary(binary) => {
            let operator = match binary.op {
                syn::BinOp::Add(_) => '+',
                syn::BinOp::Sub(_) => '-',
                syn::BinOp::Mul(_) => '*',
                syn::BinOp::Div(_) => '/',
                _ => return Constant::Opaque,
            };
            Constant::Binary(operator, Box::new(constant(&binary.left)), Box::new(constant(&binary.right)))
        }
        Expr::Macro(call) if call.mac.path.segments.last().is_some_and(|last| last.ident == "concat") => {
            concat(call.mac.tokens.clone())
        }
        Expr::Call(call) => duration(call),
        Expr::Struct(literal)
            if literal.path.segments.last().is_some_and(|last| last.ident == "Retention") =>
        {
            retention(literal)
        }
        _ => Constant::Opaque,
    }
}

fn concat(tokens: TokenStream) -> Constant {
    use syn::parse::Parser;
    let parser = syn::punctuated::Punctuated::<Expr, syn::Token![,]>::parse_terminated;
    match parser.parse2(tokens) {
        Ok(parts) => Constant::Concat(parts.iter().map(constant).collect()),
        Err(_) => Constant::Opaque,
    }
}

fn duration(call: &syn::ExprCall) -> Constant {
    let (Expr::Path(function), Some(argument)) = (&*call.func, call.args.first()) else {
        return Constant::Opaque;
    };
    let segments = &function.path.segments;
    match segments.last() {
        Some(last) if segments.len() >= 2 && segments[segments.len() - 2].ident == "Duration" => {
            Constant::Duration(last.ident.to_string(), Box::new(constant(argument)))
        }
        _ => Constant::Opaque,
    }
}

fn retention(literal: &syn::ExprStruct) -> Constant {
    let field = |name: &str| {
        let mut fields = literal.fields.iter();
        let value =
            fields.find(|field| matches!(&field.member, syn::Member::Named(member) if member == name));
        value.map(|field| Box::new(constant(&field.expr)))
    };
    let rest_is_default = match literal.rest.as_deref().map(constant) {
        None => true,
        Some(Constant::Path(path)) => path.last() == "DEFAULT",
        Some(_) => false,
    };
    match rest_is_default {
        true => Constant::Retention(field("max_age"), field("max_bytes")),
        false => Constant::Opaque,
    }
}
