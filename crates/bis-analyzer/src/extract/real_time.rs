//! Where a background function waits on tokio's time, which no test can move. It reads paths as they are written, those in the
//! arguments of macros such as `select!` included.

use bis_graph::{Diagnostic, codes};
use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::ItemFn;

use super::{
    extractor::Extractor,
    syntax::{is_punct, word},
};
use crate::summary::Range;

/// The functions of `tokio::time` that wait, with what to write instead.
const WAITS: [(&str, &str); 6] = [
    ("sleep", "write `bis::time::sleep`"),
    ("sleep_until", "write `bis::time::sleep`, with the time that is left"),
    ("interval", "write `bis::time::sleep` in the loop"),
    ("interval_at", "write `bis::time::sleep` in the loop"),
    ("timeout", "write `bis::time::timeout`"),
    ("timeout_at", "write `bis::time::timeout`, with the time that is left"),
];

/// A warning for each wait.
pub(super) fn waits(extractor: &Extractor<'_>, function: &ItemFn) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    collect(extractor, function.block.to_token_stream(), &mut found);
    found
}

fn collect(extractor: &Extractor<'_>, tokens: TokenStream, found: &mut Vec<Diagnostic>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for (index, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) => collect(extractor, group.stream(), found),
            TokenTree::Ident(first) if &*word(first) == "tokio" => {
                let [a, b, time, c, d, TokenTree::Ident(last)] =
                    &tokens[index + 1..tokens.len().min(index + 7)]
                else {
                    continue;
                };
                let are_colons = [a, b, c, d].into_iter().all(|token| is_punct(Some(token), ':'));
                let is_time = matches!(time, TokenTree::Ident(time) if &*word(time) == "time");
                let name = word(last);
                let wait = WAITS.iter().find(|(wait, _)| *wait == &*name);
                if let Some((_, help)) = wait
                    && are_colons
                    && is_time
                {
                    let here = extractor.position(Range::between(first.span(), last.span()));
                    let message = "a background function waits on tokio's time, which no test can move";
                    found.push(Diagnostic::warning(codes::REAL_TIME, here, message).help(*help));
                }
            }
            _ => {}
        }
    }
}
