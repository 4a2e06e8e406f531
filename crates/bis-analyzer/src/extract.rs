//! A source text to its [`FileSummary`]. It knows one file, what is in the build, and the names and macros that other files
//! give; it resolves nothing.

mod attributes;
mod body;
pub(crate) mod calls;
mod declares;
mod items;
mod macros;
mod recover;
mod select;
mod types;

use std::path::Path;

use proc_macro2::{Span, TokenStream};
use syn::{Expr, GenericArgument, PathArguments, Type, spanned::Spanned};

use crate::{
    cfg::Cfg,
    nesting,
    summary::{Constant, Failure, FileSummary, Hints, Mistake, PathRef, Range, Ty},
};

/// How deep types and constants may nest; what is deeper is opaque.
const MAX_DEPTH: usize = 64;

/// What an extraction knows beside the text.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) cfg: &'a Cfg,
    pub(crate) hints: &'a Hints,
    pub(crate) path: &'a Path,
    pub(crate) package: usize,
}

/// Summarises a file's text.
pub(crate) fn file(text: &str, context: &Context<'_>) -> FileSummary {
    let failed = |failure| FileSummary { failure: Some(failure), ..FileSummary::default() };
    if let Some((line, column)) = nesting::too_deep(text) {
        let (line, column) =
            (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX));
        return failed(Failure::TooDeep(Range { line, column, end_line: line, end_column: column + 1 }));
    }
    let error = match syn::parse_file(text) {
        Ok(file) => return items::Extractor::new(context, &file).summary(&file),
        Err(error) => error,
    };
    match recover::file(text, context.cfg.is_2015) {
        Some(file) => items::Extractor::new(context, &file).summary(&file),
        None => failed(Failure::Lexical(
            "a bracket, quote or comment is not closed, or closes what is not open".to_owned(),
            Range::of(error.span()),
        )),
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
            // The mark of a raw identifier is not a letter of its name.
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
    type_within(ty, MAX_DEPTH)
}

fn type_within(ty: &Type, depth: usize) -> Ty {
    let Some(depth) = depth.checked_sub(1) else { return Ty::Opaque("a type".to_owned()) };
    match ty {
        Type::Path(path) if path.qself.is_none() => {
            let arguments = path.path.segments.last().map(|last| &last.arguments);
            let arguments = match arguments {
                Some(PathArguments::AngleBracketed(arguments)) => arguments
                    .args
                    .iter()
                    .filter_map(|argument| match argument {
                        GenericArgument::Type(inner) => Some(type_within(inner, depth)),
                        _ => None,
                    })
                    .collect(),
                _ => Vec::new(),
            };
            Ty::Path(path_ref(&path.path), arguments)
        }
        Type::Reference(reference) => type_within(&reference.elem, depth),
        Type::Paren(paren) => type_within(&paren.elem, depth),
        Type::Group(group) => type_within(&group.elem, depth),
        Type::Tuple(tuple) => Ty::Tuple(tuple.elems.iter().map(|ty| type_within(ty, depth)).collect()),
        Type::Array(array) => Ty::List(Box::new(type_within(&array.elem, depth))),
        Type::Slice(slice) => Ty::List(Box::new(type_within(&slice.elem, depth))),
        other => Ty::Opaque(quote::quote!(#other).to_string()),
    }
}

pub(crate) fn constant(expr: &Expr) -> Constant {
    constant_within(expr, MAX_DEPTH)
}

fn constant_within(expr: &Expr, depth: usize) -> Constant {
    let Some(depth) = depth.checked_sub(1) else { return Constant::Opaque };
    let constant = |expr: &Expr| constant_within(expr, depth);
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
        Expr::Macro(call) => match call.mac.path.segments.last() {
            Some(last) if last.ident == "concat" => concat(call.mac.tokens.clone(), depth),
            Some(last) if last.ident == "stringify" => stringify(call.mac.tokens.clone()),
            _ => Constant::Opaque,
        },
        Expr::Call(call) => duration(call, depth),
        Expr::Struct(literal)
            if literal.path.segments.last().is_some_and(|last| last.ident == "Retention") =>
        {
            retention(literal, depth)
        }
        _ => Constant::Opaque,
    }
}

fn concat(tokens: TokenStream, depth: usize) -> Constant {
    use syn::parse::Parser;
    let parser = syn::punctuated::Punctuated::<Expr, syn::Token![,]>::parse_terminated;
    match parser.parse2(tokens) {
        Ok(parts) => Constant::Concat(parts.iter().map(|part| constant_within(part, depth)).collect()),
        Err(_) => Constant::Opaque,
    }
}

/// The text of one token. Of more, the spaces between them are the compiler's matter.
fn stringify(tokens: TokenStream) -> Constant {
    let mut tokens = tokens.into_iter();
    match (tokens.next(), tokens.next()) {
        (Some(token), None) => Constant::Text(token.to_string()),
        _ => Constant::Opaque,
    }
}

fn duration(call: &syn::ExprCall, depth: usize) -> Constant {
    let (Expr::Path(function), Some(argument)) = (&*call.func, call.args.first()) else {
        return Constant::Opaque;
    };
    let segments = &function.path.segments;
    match segments.last() {
        Some(last) if segments.len() >= 2 && segments[segments.len() - 2].ident == "Duration" => {
            Constant::Duration(last.ident.to_string(), Box::new(constant_within(argument, depth)))
        }
        _ => Constant::Opaque,
    }
}

fn retention(literal: &syn::ExprStruct, depth: usize) -> Constant {
    let field = |name: &str| {
        let mut fields = literal.fields.iter();
        let value =
            fields.find(|field| matches!(&field.member, syn::Member::Named(member) if member == name));
        value.map(|field| Box::new(constant_within(&field.expr, depth)))
    };
    let rest_is_default = match literal.rest.as_deref().map(|rest| constant_within(rest, depth)) {
        None => true,
        Some(Constant::Path(path)) => path.last() == "DEFAULT",
        Some(_) => false,
    };
    match rest_is_default {
        true => Constant::Retention(field("max_age"), field("max_bytes")),
        false => Constant::Opaque,
    }
}
