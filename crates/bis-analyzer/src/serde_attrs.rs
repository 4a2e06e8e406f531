//! Serde's attributes, as far as they change the JSON: <https://serde.rs/attributes.html>.

use proc_macro2::TokenStream;
use syn::{Attribute, Expr, ExprLit, Lit, Meta, Token, punctuated::Punctuated};

use crate::summary::Sided;

/// One option of `#[serde(..)]`.
#[derive(Debug)]
pub(crate) enum SerdeOption {
    Flag(String),
    /// `rename = ".."`, or `rename(serialize = "..", deserialize = "..")` with one of the two sides or both.
    Value(String, Sided<Option<String>>),
}

/// The options of all `#[serde(..)]` attributes.
pub(crate) fn options(attrs: &[Attribute]) -> Vec<SerdeOption> {
    let mut found = Vec::new();
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("serde")) {
        let Meta::List(list) = &attr.meta else { continue };
        let Ok(parts) = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated) else {
            continue;
        };
        for part in parts {
            let name = part.path().get_ident().map(ToString::to_string).unwrap_or_default();
            match part {
                Meta::Path(_) => found.push(SerdeOption::Flag(name)),
                Meta::NameValue(pair) => {
                    let text = text(&pair.value);
                    found.push(SerdeOption::Value(name, Sided { written: text.clone(), read: text }));
                }
                Meta::List(list) => found.push(SerdeOption::Value(name, sides(list.tokens))),
            }
        }
    }
    found
}

fn sides(tokens: TokenStream) -> Sided<Option<String>> {
    use syn::parse::Parser;
    let parts = Punctuated::<Meta, Token![,]>::parse_terminated.parse2(tokens).unwrap_or_default();
    let side = |name: &str| {
        parts.iter().find_map(|part| match part {
            Meta::NameValue(pair) if pair.path.is_ident(name) => text(&pair.value),
            _ => None,
        })
    };
    Sided { written: side("serialize"), read: side("deserialize") }
}

fn text(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
        _ => None,
    }
}
