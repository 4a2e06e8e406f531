//! The rules of a `macro_rules!` as written: matchers and bodies.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// `(matcher) => { body }`
pub(in crate::extract) struct Rule {
    pub(super) matcher: Vec<Piece>,
    pub(super) body: Vec<Piece>,
}

/// A part of a matcher or of a body.
pub(super) enum Piece {
    Token(TokenTree),
    Group(Delimiter, Vec<Piece>),
    /// `$name:kind` in a matcher, `$name` in a body.
    Variable(String, Option<String>),
    Repeat(Repeat),
    /// `$crate`
    Crate,
}

/// `$( .. ) separator operator`
pub(super) struct Repeat {
    pub(super) pieces: Vec<Piece>,
    pub(super) separator: Vec<TokenTree>,
    pub(super) operator: char,
}

/// Reads what is in the braces of a `macro_rules!`.
pub(super) fn parse(tokens: TokenStream) -> Option<Vec<Rule>> {
    let mut tokens = tokens.into_iter().peekable();
    let mut rules = Vec::new();
    while tokens.peek().is_some() {
        let TokenTree::Group(matcher) = tokens.next()? else { return None };
        for arrow in ['=', '>'] {
            if !matches!(tokens.next()?, TokenTree::Punct(punct) if punct.as_char() == arrow) {
                return None;
            }
        }
        let TokenTree::Group(body) = tokens.next()? else { return None };
        rules.push(Rule { matcher: pieces(matcher.stream(), true)?, body: pieces(body.stream(), false)? });
        if matches!(tokens.peek(), Some(TokenTree::Punct(punct)) if punct.as_char() == ';') {
            tokens.next();
        }
    }
    Some(rules)
}

fn pieces(tokens: TokenStream, is_matcher: bool) -> Option<Vec<Piece>> {
    let mut tokens = tokens.into_iter().peekable();
    let mut pieces = Vec::new();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(dollar) if dollar.as_char() == '$' => match tokens.next()? {
                TokenTree::Ident(name) if name == "crate" => pieces.push(Piece::Crate),
                TokenTree::Ident(name) => {
                    let kind = if is_matcher { Some(kind(&mut tokens)?) } else { None };
                    pieces.push(Piece::Variable(name.to_string(), kind));
                }
                TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis => {
                    let inner = self::pieces(group.stream(), is_matcher)?;
                    pieces.push(Piece::Repeat(repeat(inner, &mut tokens)?));
                }
                // `${count(..)}` and `$$` are not stable.
                _ => return None,
            },
            TokenTree::Group(group) => {
                pieces.push(Piece::Group(group.delimiter(), self::pieces(group.stream(), is_matcher)?));
            }
            token => pieces.push(Piece::Token(token)),
        }
    }
    Some(pieces)
}

type Tokens = std::iter::Peekable<proc_macro2::token_stream::IntoIter>;

/// `:kind` after `$name`.
fn kind(tokens: &mut Tokens) -> Option<String> {
    match (tokens.next()?, tokens.next()?) {
        (TokenTree::Punct(colon), TokenTree::Ident(kind)) if colon.as_char() == ':' => Some(kind.to_string()),
        _ => None,
    }
}

/// What follows `$( .. )`: a separator of some tokens, and the operator.
fn repeat(pieces: Vec<Piece>, tokens: &mut Tokens) -> Option<Repeat> {
    let mut separator = Vec::new();
    loop {
        match tokens.next()? {
            TokenTree::Punct(punct) if matches!(punct.as_char(), '*' | '+' | '?') => {
                // `$(..)+*` has `+` for its separator.
                let next = tokens.peek();
                let is_separator = separator.is_empty()
                    && punct.as_char() != '?'
                    && matches!(next, Some(TokenTree::Punct(next)) if matches!(next.as_char(), '*' | '+'));
                if !is_separator {
                    return Some(Repeat { pieces, separator, operator: punct.as_char() });
                }
                separator.push(TokenTree::Punct(punct));
            }
            token if separator.len() < 3 => separator.push(token),
            _ => return None,
        }
    }
}

/// Whether a token of the input is the one that a rule asks for.
pub(super) fn is_same(token: &TokenTree, other: &TokenTree) -> bool {
    match (token, other) {
        (TokenTree::Punct(a), TokenTree::Punct(b)) => a.as_char() == b.as_char(),
        (TokenTree::Ident(a), TokenTree::Ident(b)) => a == b,
        (TokenTree::Literal(a), TokenTree::Literal(b)) => a.to_string() == b.to_string(),
        _ => false,
    }
}

/// The variables of some pieces.
pub(super) fn variables<'a>(pieces: &'a [Piece], names: &mut Vec<&'a str>) {
    for piece in pieces {
        match piece {
            Piece::Variable(name, _) => names.push(name),
            Piece::Group(_, inner) => variables(inner, names),
            Piece::Repeat(repeat) => variables(&repeat.pieces, names),
            Piece::Token(_) | Piece::Crate => {}
        }
    }
}
