//! `layers`: a list of expressions in brackets, in `#[api]`, `service!` and `app!`. What an expression makes is rustc's to check.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Expr, parse::Parser, punctuated::Punctuated, spanned::Spanned};

use crate::{
    ErrorKind, Errors,
    options::{source_like, ungrouped},
};

/// The form of the list, for messages.
pub(crate) const EXAMPLE: &str = "[CompressionLayer::new()]";

/// The expressions of a list, the outermost layer first. What is not an expression is reported.
pub(crate) fn list(tokens: &TokenStream, errors: &mut Errors) -> Vec<Expr> {
    let mut inner = ungrouped(tokens.clone()).into_iter();
    let items = match (inner.next(), inner.next()) {
        (Some(TokenTree::Group(group)), None) if group.delimiter() == Delimiter::Bracket => group.stream(),
        _ => {
            errors.push_help(
                ErrorKind::Syntax,
                tokens,
                format!("`layers` is a list, not `{}`", source_like(tokens)),
                format!("write the layers in brackets, the outermost first, as in `{EXAMPLE}`"),
            );
            return Vec::new();
        }
    };
    match Punctuated::<Expr, syn::Token![,]>::parse_terminated.parse2(items) {
        Ok(layers) => layers.into_iter().collect(),
        Err(_) => {
            errors.push_help(
                ErrorKind::Syntax,
                tokens,
                format!("`{}` is not a list of layers", source_like(tokens)),
                format!("write expressions, separated by commas, as in `{EXAMPLE}`"),
            );
            Vec::new()
        }
    }
}

/// A layer as it is written, on one line.
pub fn layer_text(layer: &Expr) -> String {
    let written = layer.span().source_text().filter(|text| !text.is_empty());
    let text = written.unwrap_or_else(|| source_like(&layer.to_token_stream()));
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
