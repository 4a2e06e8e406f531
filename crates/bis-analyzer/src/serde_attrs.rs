//! Serde's attributes, as far as they change the JSON: <https://serde.rs/attributes.html>.

use proc_macro2::TokenStream;
use syn::{Attribute, Expr, ExprLit, Lit, Meta, Token, punctuated::Punctuated};

/// One option of `#[serde(..)]`.
#[derive(Debug)]
pub(crate) enum SerdeOption {
    Flag(String),
    Value(String, String),
}

/// The options of all `#[serde(..)]` attributes. Of `rename(serialize = "..", deserialize = "..")` the serialized side
/// counts: it is what goes over the wire.
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
                    found.extend(text(&pair.value).map(|text| SerdeOption::Value(name, text)))
                }
                Meta::List(list) => {
                    found.extend(serialize_side(list.tokens).map(|text| SerdeOption::Value(name, text)));
                }
            }
        }
    }
    found
}

fn serialize_side(tokens: TokenStream) -> Option<String> {
    use syn::parse::Parser;
    let parts = Punctuated::<Meta, Token![,]>::parse_terminated.parse2(tokens).ok()?;
    parts.iter().find_map(|part| match part {
        Meta::NameValue(pair) if pair.path.is_ident("serialize") => text(&pair.value),
        _ => None,
    })
}

fn text(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
        _ => None,
    }
}
