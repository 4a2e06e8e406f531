//! Matching a call's tokens against a rule.

use std::collections::BTreeMap;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{
    Expr, Token,
    ext::IdentExt,
    parse::{Parse, ParseStream, Parser, discouraged::Speculative},
};

use super::rules::{Piece, Repeat, is_same, variables};

/// What the variables of a rule stand for.
pub(super) type Bindings = BTreeMap<String, Binding>;

/// What a variable stands for.
#[derive(Clone)]
pub(super) enum Binding {
    One(TokenStream),
    Many(Vec<Binding>),
}

/// Matches the pieces one after the other, and leaves the rest of the input.
pub(super) fn match_all(
    pieces: &[Piece],
    input: ParseStream<'_>,
    bindings: &mut Bindings,
) -> syn::Result<()> {
    for piece in pieces {
        match piece {
            Piece::Token(token) => self::token(token, input)?,
            Piece::Group(delimiter, inner) => match input.parse()? {
                TokenTree::Group(group) if group.delimiter() == *delimiter => {
                    let parser = |input: ParseStream<'_>| match_all(inner, input, bindings);
                    parser.parse2(group.stream())?;
                }
                other => return Err(syn::Error::new(other.span(), "a group was expected")),
            },
            Piece::Variable(name, kind) => {
                let tokens = fragment(kind.as_deref().unwrap_or_default(), input)?;
                bindings.insert(name.clone(), Binding::One(tokens));
            }
            Piece::Repeat(repeat) => self::repeat(repeat, input, bindings)?,
            Piece::Crate => return Err(input.error("`$crate` cannot be matched")),
        }
    }
    Ok(())
}

fn token(wanted: &TokenTree, input: ParseStream<'_>) -> syn::Result<()> {
    let found: TokenTree = input.parse()?;
    match is_same(wanted, &found) {
        true => Ok(()),
        false => Err(syn::Error::new(found.span(), "another token was expected")),
    }
}

fn repeat(repeat: &Repeat, input: ParseStream<'_>, bindings: &mut Bindings) -> syn::Result<()> {
    let mut turns: Vec<Bindings> = Vec::new();
    while !input.is_empty() && (repeat.operator != '?' || turns.is_empty()) {
        let ahead = input.fork();
        let mut turn = Bindings::new();
        let separator = if turns.is_empty() { &[] } else { &repeat.separator[..] };
        let matched = separator
            .iter()
            .try_for_each(|wanted| token(wanted, &ahead))
            .and_then(|()| match_all(&repeat.pieces, &ahead, &mut turn));
        // A repetition that takes nothing would go on forever.
        if matched.is_err() || ahead.cursor() == input.cursor() {
            break;
        }
        input.advance_to(&ahead);
        turns.push(turn);
    }
    if repeat.operator == '+' && turns.is_empty() {
        return Err(input.error("at least one was expected"));
    }
    let mut names = Vec::new();
    variables(&repeat.pieces, &mut names);
    for name in names {
        let values = turns.iter().filter_map(|turn| turn.get(name).cloned()).collect();
        bindings.insert(name.to_owned(), Binding::Many(values));
    }
    Ok(())
}

fn fragment(kind: &str, input: ParseStream<'_>) -> syn::Result<TokenStream> {
    fn one<T: Parse + ToTokens>(input: ParseStream<'_>) -> syn::Result<TokenStream> {
        input.parse::<T>().map(ToTokens::into_token_stream)
    }
    match kind {
        "ident" => input.call(proc_macro2::Ident::parse_any).map(ToTokens::into_token_stream),
        "lifetime" => one::<syn::Lifetime>(input),
        "ty" => one::<syn::Type>(input),
        "path" => one::<syn::Path>(input),
        "expr" | "expr_2021" => input.parse().map(|expr| expression(&expr)),
        "stmt" => statement(input),
        "literal" => {
            let minus: Option<syn::Token![-]> = input.parse()?;
            let literal: syn::Lit = input.parse()?;
            Ok(quote::quote!(#minus #literal))
        }
        "item" => one::<syn::Item>(input),
        "block" => one::<syn::Block>(input),
        "pat" => input.call(syn::Pat::parse_multi_with_leading_vert).map(ToTokens::into_token_stream),
        "pat_param" => input.call(syn::Pat::parse_single).map(ToTokens::into_token_stream),
        "meta" => one::<syn::Meta>(input),
        "vis" => one::<syn::Visibility>(input),
        "tt" => one::<TokenTree>(input),
        _ => Err(input.error("this kind of fragment is not known")),
    }
}

/// An expression as the compiler passes it on: one that operators could tear apart stays whole, in invisible brackets.
fn expression(expr: &Expr) -> TokenStream {
    let is_whole = matches!(
        expr,
        Expr::Array(_)
            | Expr::Block(_)
            | Expr::Call(_)
            | Expr::Field(_)
            | Expr::Group(_)
            | Expr::Index(_)
            | Expr::Lit(_)
            | Expr::Macro(_)
            | Expr::MethodCall(_)
            | Expr::Paren(_)
            | Expr::Path(_)
            | Expr::Struct(_)
            | Expr::Tuple(_)
    );
    let tokens = expr.to_token_stream();
    if is_whole { tokens } else { TokenTree::Group(Group::new(Delimiter::None, tokens)).into() }
}

/// A statement without the semicolon after it.
fn statement(input: ParseStream<'_>) -> syn::Result<TokenStream> {
    if input.peek(Token![let]) {
        let mut tokens = TokenStream::new();
        while !input.is_empty() && !input.peek(Token![;]) {
            tokens.extend([input.parse::<TokenTree>()?]);
        }
        return Ok(tokens);
    }
    let ahead = input.fork();
    if let Ok(item) = ahead.parse::<syn::Item>()
        && !matches!(item, syn::Item::Macro(_) | syn::Item::Verbatim(_))
    {
        input.advance_to(&ahead);
        return Ok(item.into_token_stream());
    }
    input.parse().map(|expr| expression(&expr))
}
