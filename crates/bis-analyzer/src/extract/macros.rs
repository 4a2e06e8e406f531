//! Expanding a `macro_rules!` of the project: its rules are matched as rustc does it, without its rarer features. For what it
//! cannot expand it returns `None`; nothing here decides what that means.

mod matching;
mod rules;
mod transcribe;

use proc_macro2::{Span, TokenStream};
use syn::parse::Parser;

use matching::{Bindings, match_all};

pub(super) use rules::Rule;

/// The rules of a macro; `None` when they cannot be read.
pub(super) fn parse(rules: &str) -> Option<Vec<Rule>> {
    rules::parse(rules.parse().ok()?)
}

/// What a call expands to. Tokens of the call keep their places; those of the rules are put at `call`. `home` stands for
/// `$crate`.
pub(super) fn expand(rules: &[Rule], input: &TokenStream, call: Span, home: &str) -> Option<TokenStream> {
    rules.iter().find_map(|rule| apply(rule, input, call, home))
}

fn apply(rule: &Rule, input: &TokenStream, call: Span, home: &str) -> Option<TokenStream> {
    let mut bindings = Bindings::new();
    let parser = |input: syn::parse::ParseStream<'_>| match_all(&rule.matcher, input, &mut bindings);
    parser.parse2(input.clone()).ok()?;
    transcribe::transcribe(&rule.body, &bindings, call, home)
}
