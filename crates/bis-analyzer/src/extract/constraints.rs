//! What `garde` and `validator` check, as far as their attributes say it in words that JSON Schema has:
//! <https://docs.rs/garde>, <https://docs.rs/validator>. What needs a function, a constant or the value of another field is theirs.

use proc_macro2::TokenStream;
use serde_json::Number;
use syn::{Attribute, Expr, ExprLit, Lit, Meta, Token, parse::Parser, punctuated::Punctuated};

use crate::summary::Constraints;

/// The constraints of a field, when it has any.
pub(super) fn of(attrs: &[Attribute]) -> Option<Constraints> {
    let mut found = Constraints::default();
    for attr in attrs {
        if (attr.path().is_ident("garde") || attr.path().is_ident("validate"))
            && let Meta::List(list) = &attr.meta
        {
            read(&list.tokens, &mut found);
        }
    }
    (found != Constraints::default()).then_some(found)
}

/// The rules of one attribute.
fn read(tokens: &TokenStream, found: &mut Constraints) {
    for rule in parts(tokens) {
        let Some(name) = rule.path().get_ident().map(ToString::to_string) else { continue };
        match (name.as_str(), &rule) {
            ("email", _) => found.format = Some("email"),
            ("url", _) => found.format = Some("uri"),
            ("ipv4", _) => found.format = Some("ipv4"),
            ("ipv6", _) => found.format = Some("ipv6"),
            ("length", Meta::List(list)) => length(&list.tokens, found),
            ("range", Meta::List(list)) => range(&list.tokens, found),
            ("pattern", Meta::List(list)) => {
                found.pattern = text(&list.tokens).filter(|text| is_common(text))
            }
            ("prefix", Meta::List(list)) => {
                found.pattern = text(&list.tokens).map(|text| format!("^{}", escaped(&text)));
            }
            ("suffix", Meta::List(list)) => {
                found.pattern = text(&list.tokens).map(|text| format!("{}$", escaped(&text)));
            }
            ("contains", Meta::List(list)) => {
                let text = text(&list.tokens).or_else(|| literal(value(&list.tokens, "pattern")?));
                found.pattern = text.map(|text| escaped(&text)).or_else(|| found.pattern.take());
            }
            ("inner", Meta::List(list)) => {
                let mut inner = Constraints::default();
                read(&list.tokens, &mut inner);
                found.inner = (inner != Constraints::default()).then(|| Box::new(inner));
            }
            _ => {}
        }
    }
}

/// `length(min = 1, max = 255)`. Both libraries count text in units of which a character has at least one, so that the greatest
/// number of them bounds the characters; of graphemes a character may be a part.
fn length(tokens: &TokenStream, found: &mut Constraints) {
    let is_of_graphemes = parts(tokens).iter().any(|part| part.path().is_ident("graphemes"));
    let number = |name: &str| value(tokens, name).and_then(|value| number(&value)?.as_u64());
    let exact = number("equal");
    found.min_length = number("min").or(exact);
    found.max_length = number("max").or(exact).filter(|_| !is_of_graphemes);
}

/// `range(min = 1, max = 10)`
fn range(tokens: &TokenStream, found: &mut Constraints) {
    let number = |name: &str| value(tokens, name).and_then(|value| number(&value));
    let exact = number("equal");
    found.minimum = number("min").or_else(|| exact.clone());
    found.maximum = number("max").or(exact);
    found.exclusive_minimum = number("exclusive_min");
    found.exclusive_maximum = number("exclusive_max");
}

/// Rules or arguments with commas between them.
fn parts(tokens: &TokenStream) -> Vec<Meta> {
    let parsed = Punctuated::<Meta, Token![,]>::parse_terminated.parse2(tokens.clone());
    parsed.map(|parts| parts.into_iter().collect()).unwrap_or_default()
}

/// The value of an argument, as in `min = 1`.
fn value(tokens: &TokenStream, name: &str) -> Option<Expr> {
    parts(tokens).into_iter().find_map(|part| match part {
        Meta::NameValue(pair) if pair.path.is_ident(name) => Some(pair.value),
        _ => None,
    })
}

fn number(value: &Expr) -> Option<Number> {
    match value {
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => {
            number.base10_parse::<u64>().ok().map(Number::from)
        }
        Expr::Lit(ExprLit { lit: Lit::Float(number), .. }) => Number::from_f64(number.base10_parse().ok()?),
        Expr::Unary(unary) if matches!(unary.op, syn::UnOp::Neg(_)) => {
            let positive = number(&unary.expr)?;
            match positive.as_i64() {
                Some(positive) => Some(Number::from(-positive)),
                None => Number::from_f64(-positive.as_f64()?),
            }
        }
        Expr::Group(group) => number(&group.expr),
        _ => None,
    }
}

/// The only argument, when it is a text.
fn text(tokens: &TokenStream) -> Option<String> {
    syn::parse2::<syn::LitStr>(tokens.clone()).ok().map(|text| text.value())
}

fn literal(value: Expr) -> Option<String> {
    match value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
        _ => None,
    }
}

/// Whether a regular expression of Rust's means the same in ECMAScript, which JSON Schema has.
fn is_common(pattern: &str) -> bool {
    let has_flags = pattern.match_indices("(?").any(|(at, _)| !pattern[at..].starts_with("(?:"));
    let rust_only = [r"\A", r"\z", r"\<", r"\>", "[[:", "&&", "~~", r"\x{"];
    !has_flags && !rust_only.iter().any(|word| pattern.contains(word))
}

fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for letter in text.chars() {
        if r"\^$.|?*+()[]{}/".contains(letter) {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}
