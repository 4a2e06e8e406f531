//! Expressions that may be constant, as they are written: nothing is evaluated here.

use proc_macro2::TokenStream;
use syn::Expr;

use super::syntax::path_ref;
use crate::summary::Constant;

/// How deep they may nest; what is deeper is opaque.
const MAX_DEPTH: usize = 64;

pub(super) fn constant(expr: &Expr) -> Constant {
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

/// The text of one token. With more, the spaces between them are up to the compiler.
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
