//! Arguments of an attribute: positional ones first, then `name = value` and `name(..)`, separated by commas.
//!
//! They are split at commas before anything is parsed, so that one bad argument does not hide the next.

use std::time::Duration;

use proc_macro2::{Delimiter, Ident, Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Expr, ExprLit, Lit, LitStr};

use crate::{ErrorKind, Errors, closest, kebab_case};

/// One argument.
pub(crate) enum Argument {
    /// `name = value`
    Assign(Ident, TokenStream),
    /// `name(..)`
    List(Ident, TokenStream),
    /// Anything else.
    Plain(TokenStream),
}

/// A duration written as text, with its place.
#[derive(Debug, Clone)]
pub struct DurationOption {
    /// The duration.
    pub value: Duration,
    /// Where it is.
    pub span: Span,
}

/// A size written as text, with its place.
#[derive(Debug, Clone)]
pub struct SizeOption {
    /// The size in bytes.
    pub value: u64,
    /// Where it is.
    pub span: Span,
}

/// A whole number, with its place.
#[derive(Debug, Clone)]
pub struct IntegerOption {
    /// The number.
    pub value: u64,
    /// Where it is.
    pub span: Span,
}

/// Splits tokens at the commas of the outermost level.
pub(crate) fn arguments(tokens: TokenStream) -> Vec<Argument> {
    let mut parts: Vec<Vec<TokenTree>> = vec![Vec::new()];
    for token in tokens {
        match &token {
            TokenTree::Punct(punct) if punct.as_char() == ',' => parts.push(Vec::new()),
            _ => parts.last_mut().expect("it starts with one part").push(token),
        }
    }
    parts.into_iter().filter(|part| !part.is_empty()).map(argument).collect()
}

fn argument(part: Vec<TokenTree>) -> Argument {
    match &part[..] {
        [TokenTree::Group(group)] if group.delimiter() == Delimiter::None => {
            argument(group.stream().into_iter().collect())
        }
        [TokenTree::Ident(name), TokenTree::Punct(punct), value @ ..] if punct.as_char() == '=' => {
            Argument::Assign(name.clone(), ungrouped(value.iter().cloned().collect()))
        }
        [TokenTree::Ident(name), TokenTree::Group(group)] if group.delimiter() == Delimiter::Parenthesis => {
            Argument::List(name.clone(), group.stream())
        }
        _ => Argument::Plain(part.into_iter().collect()),
    }
}

/// Tokens without the invisible groups that they are wrapped in as a whole: what a fragment such as `$name:literal` of a
/// `macro_rules!` becomes.
pub(crate) fn ungrouped(tokens: TokenStream) -> TokenStream {
    let mut inner = tokens.clone().into_iter();
    match (inner.next(), inner.next()) {
        (Some(TokenTree::Group(group)), None) if group.delimiter() == Delimiter::None => {
            ungrouped(group.stream())
        }
        _ => tokens,
    }
}

/// The options of one attribute or group: which exist, which were seen.
pub(crate) struct Known {
    owner: &'static str,
    names: &'static [&'static str],
    seen: Vec<String>,
}

impl Known {
    /// `owner` is how messages call the attribute: `#[subscription]`, `retry(..)`.
    pub(crate) fn new(owner: &'static str, names: &'static [&'static str]) -> Self {
        Self { owner, names, seen: Vec::new() }
    }

    /// Whether `name` exists and comes for the first time; reports it when not.
    pub(crate) fn accept(&mut self, name: &Ident, errors: &mut Errors) -> bool {
        let text = name.to_string();
        if !self.names.contains(&text.as_str()) {
            let help = match closest(&text, self.names.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("it has {}", list(self.names)),
            };
            errors.push_help(ErrorKind::Option, name, format!("{} has no option `{text}`", self.owner), help);
            return false;
        }
        if self.seen.contains(&text) {
            errors.push_help(ErrorKind::Option, name, format!("`{text}` is given twice"), "keep one of them");
            return false;
        }
        self.seen.push(text);
        true
    }

    /// Reports an option that is written in the wrong form: `retry = ..` for `retry(..)`.
    pub(crate) fn wrong_form(&self, name: &Ident, example: &str, errors: &mut Errors) {
        errors.push_help(
            ErrorKind::Syntax,
            name,
            format!("`{name}` is written in another way in {}", self.owner),
            format!("write `{example}`"),
        );
    }

    /// Reports an argument that is not an option.
    pub(crate) fn unexpected(&self, tokens: &TokenStream, errors: &mut Errors) {
        let help = if self.names.is_empty() {
            format!("{} takes no further arguments", self.owner)
        } else {
            format!("{} has {}", self.owner, list(self.names))
        };
        errors.push_help(ErrorKind::Syntax, tokens, format!("unexpected `{}`", source_like(tokens)), help);
    }
}

/// Tokens as text without the spaces that token streams put around punctuation.
pub(crate) fn source_like(tokens: &impl ToTokens) -> String {
    tokens
        .to_token_stream()
        .to_string()
        .replace(" :: ", "::")
        .replace(" ,", ",")
        .replace(" (", "(")
        .replace(" < ", "<")
        .replace(" >", ">")
        .replace("& ", "&")
}

/// `a`, `b` and `c`, each in backticks.
pub(crate) fn list(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

/// The text literal in `tokens`; `example` shows one.
pub(crate) fn text(tokens: &TokenStream, what: &str, example: &str, errors: &mut Errors) -> Option<LitStr> {
    match literal(tokens) {
        Some(Lit::Str(text)) => Some(text),
        _ => {
            let (message, help) = (
                format!("{what} must be a string literal, not `{}`", source_like(tokens)),
                format!("write `\"{example}\"`"),
            );
            errors.push_help(ErrorKind::Value, tokens, message, help);
            None
        }
    }
}

/// The duration in `tokens`, such as `"30s"`.
pub(crate) fn duration(name: &Ident, tokens: &TokenStream, errors: &mut Errors) -> Option<DurationOption> {
    let literal = text(tokens, &format!("`{name}`"), "30s", errors)?;
    let value = literal.value();
    match bis_core::parse_duration(&value) {
        Ok(duration) if duration > Duration::ZERO => {
            Some(DurationOption { value: duration, span: literal.span() })
        }
        Ok(_) => {
            errors.push_help(
                ErrorKind::Duration,
                &literal,
                format!("`{name}` is zero"),
                "write at least `\"1ms\"`",
            );
            None
        }
        Err(_) => {
            let help = match propose_duration(&value) {
                Some(proposal) => format!("write `\"{proposal}\"`"),
                None => "write a whole number and a unit (`ms`, `s`, `m`, `h` or `d`), as in `\"30s\"` or \
                         `\"1h30m\"`"
                    .to_owned(),
            };
            errors.push_help(ErrorKind::Duration, &literal, format!("`{value}` is not a duration"), help);
            None
        }
    }
}

/// The size in `tokens`, such as `"10MB"`.
pub(crate) fn size(name: &Ident, tokens: &TokenStream, errors: &mut Errors) -> Option<SizeOption> {
    let literal = text(tokens, &format!("`{name}`"), "10MB", errors)?;
    let value = literal.value();
    match bis_core::parse_size(&value) {
        Ok(value) => Some(SizeOption { value, span: literal.span() }),
        Err(_) => {
            let help = match propose_size(&value) {
                Some(proposal) => format!("write `\"{proposal}\"`"),
                None => "write a whole number and a unit (`B`, `kB`, `MB`, `GB`, or `KiB`, `MiB`, `GiB`), as in `\"10MB\"`".to_owned(),
            };
            errors.push_help(ErrorKind::Value, &literal, format!("`{value}` is not a size"), help);
            None
        }
    }
}

/// The whole number of at least `min` in `tokens`.
pub(crate) fn integer(
    name: &Ident,
    tokens: &TokenStream,
    (min, max): (u64, u64),
    errors: &mut Errors,
) -> Option<IntegerOption> {
    let parsed = match literal(tokens) {
        Some(Lit::Int(number)) => number.base10_parse::<u64>().ok().map(|value| (value, number.span())),
        _ => None,
    };
    match parsed {
        Some((value, span)) if (min..=max).contains(&value) => Some(IntegerOption { value, span }),
        _ => {
            errors.push_help(
                ErrorKind::Value,
                tokens,
                format!("`{name}` must be a whole number from {min} to {max}, not `{}`", source_like(tokens)),
                format!("write `{name} = {}`", 100.clamp(min, max)),
            );
            None
        }
    }
}

fn literal(tokens: &TokenStream) -> Option<Lit> {
    match syn::parse2::<Expr>(ungrouped(tokens.clone())) {
        Ok(Expr::Lit(ExprLit { lit, .. })) => Some(lit),
        _ => None,
    }
}

/// What `"10 mb"`, `"10M"` or `"512"` most likely meant.
fn propose_size(text: &str) -> Option<String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" | "byte" | "bytes" => "B",
        "k" | "kb" => "kB",
        "m" | "mb" => "MB",
        "g" | "gb" => "GB",
        "ki" | "kib" => "KiB",
        "mi" | "mib" => "MiB",
        "gi" | "gib" => "GiB",
        _ => return None,
    };
    let proposal = format!("{number}{unit}");
    bis_core::parse_size(&proposal).ok().map(|_| proposal)
}

/// What `"10 minutes"`, `"5 sec"` or `"30"` most likely meant.
fn propose_duration(text: &str) -> Option<String> {
    let text = text.trim().to_lowercase();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match kebab_case(unit).trim_end_matches('s') {
        "" if unit.trim().is_empty() || unit.trim() == "s" => "s",
        "sec" | "second" => "s",
        "m" | "min" | "minute" => "m",
        "h" | "hour" | "hr" => "h",
        "d" | "day" => "d",
        "milli" | "millisecond" | "msec" => "ms",
        _ => return None,
    };
    let proposal = format!("{number}{unit}");
    bis_core::parse_duration(&proposal).ok().map(|_| proposal)
}
