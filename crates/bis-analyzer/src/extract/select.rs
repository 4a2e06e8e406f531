//! `cfg_select!` and `cfg_if!`: of their arms, those that may be in the build.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens;
use syn::Meta;

use super::syntax::is_punct;
use crate::{
    cfg::{self, Cfg, Truth},
    summary::{Condition, Range},
};

/// What is in an arm, and the condition when it is unknown whether it holds.
pub(super) type Arm = (TokenStream, Option<Condition>);

/// The arms that may be in the build; `None` when it is neither of the two macros, or cannot be read.
pub(super) fn arms(cfg: &Cfg, name: &str, tokens: TokenStream) -> Option<Vec<Arm>> {
    let arms = match name {
        "cfg_select" => of_select(tokens)?,
        "cfg_if" => of_if(tokens)?,
        _ => return None,
    };
    let mut chosen = Vec::new();
    for (predicate, body) in arms {
        let truth = predicate.as_ref().map_or(Truth::On, |predicate| cfg.holds(predicate));
        let condition = predicate.filter(|_| truth == Truth::Unknown).map(|predicate| {
            Condition::new(
                &predicate.to_token_stream().to_string(),
                Range::of(syn::spanned::Spanned::span(&predicate)),
            )
        });
        if truth != Truth::Off {
            chosen.push((body, condition));
        }
        if truth == Truth::On {
            break;
        }
    }
    Some(chosen)
}

type Predicate = Option<Meta>;

/// `predicate => { .. }` or `predicate => expression,`, with `_` for the rest.
fn of_select(tokens: TokenStream) -> Option<Vec<(Predicate, TokenStream)>> {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut arms = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let arrow = (at..tokens.len())
            .find(|index| is_punct(tokens.get(*index), '=') && is_punct(tokens.get(index + 1), '>'))?;
        let predicate: TokenStream = tokens[at..arrow].iter().cloned().collect();
        let predicate = match predicate.to_string().trim() {
            "_" => None,
            _ => Some(parse_predicate(predicate)?),
        };
        at = arrow + 2;
        let body = match tokens.get(at)? {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                at += 1;
                group.stream()
            }
            _ => {
                let end = (at..tokens.len()).find(|index| is_punct(tokens.get(*index), ','));
                let end = end.unwrap_or(tokens.len());
                let body = tokens[at..end].iter().cloned().collect();
                at = end;
                body
            }
        };
        arms.push((predicate, body));
        if is_punct(tokens.get(at), ',') {
            at += 1;
        }
    }
    Some(arms)
}

/// `if #[cfg(predicate)] { .. } else if .. else { .. }`
fn of_if(tokens: TokenStream) -> Option<Vec<(Predicate, TokenStream)>> {
    let mut arms = Vec::new();
    let mut predicate = None;
    for token in tokens {
        match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket => {
                let mut inner = group.stream().into_iter().skip(1);
                let Some(TokenTree::Group(inner)) = inner.next() else { return None };
                predicate = Some(parse_predicate(inner.stream())?);
            }
            TokenTree::Group(group) => arms.push((predicate.take(), group.stream())),
            TokenTree::Ident(ident) if ident == "if" || ident == "else" => {}
            TokenTree::Punct(punct) if punct.as_char() == '#' => {}
            _ => return None,
        }
    }
    Some(arms)
}

fn parse_predicate(tokens: TokenStream) -> Option<Meta> {
    cfg::parse(tokens)?.pop()
}
