//! Writing a rule's body with what its variables stand for.

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};

use super::{
    matching::{Binding, Bindings},
    rules::{Piece, Repeat, variables},
};

/// How many tokens one call may become.
const MAX_TOKENS: usize = 20_000;

/// The body's tokens; `None` where it repeats what was not repeated, or grows too large.
pub(super) fn transcribe(body: &[Piece], bindings: &Bindings, call: Span, home: &str) -> Option<TokenStream> {
    let mut writer = Writer { call, home, left: MAX_TOKENS };
    writer.pieces(body, bindings)
}

struct Writer<'a> {
    call: Span,
    home: &'a str,
    left: usize,
}

impl Writer<'_> {
    fn pieces(&mut self, pieces: &[Piece], bindings: &Bindings) -> Option<TokenStream> {
        let mut out = TokenStream::new();
        for piece in pieces {
            self.left = self.left.checked_sub(1)?;
            match piece {
                Piece::Token(token) => {
                    let mut token = token.clone();
                    token.set_span(self.call);
                    out.extend([token]);
                }
                Piece::Crate => {
                    out.extend([TokenTree::Ident(Ident::new(self.home, self.call))]);
                }
                Piece::Group(delimiter, inner) => {
                    let mut group = Group::new(*delimiter, self.pieces(inner, bindings)?);
                    group.set_span(self.call);
                    out.extend([TokenTree::Group(group)]);
                }
                Piece::Variable(name, _) => match bindings.get(name)? {
                    Binding::One(tokens) => out.extend(tokens.clone()),
                    Binding::Many(_) => return None,
                },
                Piece::Repeat(repeat) => out.extend(self.repeat(repeat, bindings)?),
            }
        }
        Some(out)
    }

    fn repeat(&mut self, repeat: &Repeat, bindings: &Bindings) -> Option<TokenStream> {
        let mut used = Vec::new();
        variables(&repeat.pieces, &mut used);
        let lengths = used.iter().filter_map(|name| match bindings.get(*name) {
            Some(Binding::Many(values)) => Some(values.len()),
            _ => None,
        });
        let count = lengths.min()?;
        let mut out = TokenStream::new();
        for index in 0..count {
            if index > 0 {
                out.extend(repeat.separator.iter().cloned().map(|mut token| {
                    token.set_span(self.call);
                    token
                }));
            }
            // Only what this repetition uses: a copy of everything at each turn would take quadratic time.
            let turn: Bindings = used
                .iter()
                .filter_map(|name| match bindings.get(*name)? {
                    Binding::Many(values) => Some(((*name).to_owned(), values[index].clone())),
                    one @ Binding::One(_) => Some(((*name).to_owned(), one.clone())),
                })
                .collect();
            out.extend(self.pieces(&repeat.pieces, &turn)?);
        }
        Some(out)
    }
}
