//! Doc comments and `#[deprecated]`: what a declaration says to those who use it.

use syn::{Attribute, Expr, ExprLit, Lit, Meta};

use crate::summary::{Docs, Text};

/// What the attributes of an item say.
pub(super) fn of(attrs: &[Attribute]) -> Docs {
    if attrs.is_empty() {
        return Docs::default();
    }
    Docs { text: text(attrs), deprecated: attrs.iter().any(|attr| attr.path().is_ident("deprecated")) }
}

/// The comment as Markdown, without the space that each line begins with.
pub(super) fn text(attrs: &[Attribute]) -> Option<Text> {
    let mut text = String::new();
    for attr in attrs {
        let Meta::NameValue(pair) = &attr.meta else { continue };
        let Expr::Lit(ExprLit { lit: Lit::Str(comment), .. }) = &pair.value else { continue };
        if pair.path.is_ident("doc") {
            add(&comment.value(), &mut text);
        }
    }
    let text = text.trim_matches('\n');
    (!text.trim().is_empty()).then(|| text.into())
}

/// Adds a comment of one line, or a block whose further lines may all begin with a star.
fn add(comment: &str, text: &mut String) {
    let starred = |line: &str| line.trim_start().starts_with('*');
    let has_stars = comment.lines().count() > 1 && comment.lines().skip(1).all(starred);
    for (index, line) in comment.split('\n').enumerate() {
        let line = match has_stars && index > 0 {
            true => line.trim_start().strip_prefix('*').unwrap_or(line),
            false => line,
        };
        text.push_str(line.strip_prefix(' ').unwrap_or(line).trim_end());
        text.push('\n');
    }
}
