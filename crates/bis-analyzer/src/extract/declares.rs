//! Whether tokens that are not parsed may declare something of Bis's. It looks for the forms that declarations have; what
//! other macros make of other words is not seen.

use bis_syntax::Declaration;
use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::{
    syntax::{is_punct, word},
    vocabulary::{ATTRIBUTES, Vocabulary},
};

/// Whether a declaration of Bis's, or a module, may be in the tokens.
pub(super) fn declares(vocabulary: &Vocabulary, tokens: TokenStream) -> bool {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    tokens.iter().enumerate().any(|(index, token)| match token {
        TokenTree::Group(group) => {
            let is_attribute =
                group.delimiter() == Delimiter::Bracket && is_punct(previous(&tokens, index), '#');
            if is_attribute {
                attribute(vocabulary, group.stream())
            } else {
                declares(vocabulary, group.stream())
            }
        }
        TokenTree::Ident(ident) => {
            let name = word(ident);
            let next = tokens.get(index + 1);
            match &*name {
                name if Declaration::of_type(name).is_some() => is_punct(next, '<') || is_punct(next, ':'),
                "mod" => matches!(next, Some(TokenTree::Ident(_))) || is_punct(next, '$'),
                "include" => is_punct(next, '!'),
                name => is_punct(next, '!') && matches!(vocabulary.word(name), Some("service" | "app")),
            }
        }
        _ => false,
    })
}

/// Whether an attribute is one of ours, or derives an event.
fn attribute(vocabulary: &Vocabulary, tokens: TokenStream) -> bool {
    let mut is_derive = false;
    let mut last: Option<Box<str>> = None;
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => {
                is_derive |= ident == "derive";
                last = Some(word(&ident));
            }
            TokenTree::Group(group) if is_derive => return contains(group.stream(), vocabulary, &["Event"]),
            TokenTree::Group(group) if last.as_deref() == Some("cfg_attr") => {
                return contains(group.stream(), vocabulary, &ATTRIBUTES)
                    || contains(group.stream(), vocabulary, &["Event"]);
            }
            TokenTree::Punct(punct) if punct.as_char() == ':' => {}
            _ => break,
        }
    }
    last.is_some_and(|last| vocabulary.word(&last).is_some_and(|word| ATTRIBUTES.contains(&word)))
}

fn contains(tokens: TokenStream, vocabulary: &Vocabulary, words: &[&str]) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => vocabulary.word(&word(&ident)).is_some_and(|word| words.contains(&word)),
        TokenTree::Group(group) => contains(group.stream(), vocabulary, words),
        _ => false,
    })
}

fn previous(tokens: &[TokenTree], index: usize) -> Option<&TokenTree> {
    index.checked_sub(1).and_then(|index| tokens.get(index))
}
