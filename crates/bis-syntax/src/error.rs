//! The collected mistakes: what is wrong, where, and what to write instead. It never stops at the first.

use proc_macro2::Span;
use quote::ToTokens;

/// What a mistake is about. The analyser gives each kind its own code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The arguments do not have the form of the grammar.
    Syntax,
    /// An option that does not exist, or is given twice.
    Option,
    /// A name that is not kebab-case.
    Name,
    /// A string that is not a duration.
    Duration,
    /// A value out of its range, or not a literal where one is needed.
    Value,
    /// A handler whose signature cannot be called.
    Handler,
    /// An HTTP path or method.
    Route,
    /// How many parameters of its path an endpoint takes.
    PathParameters,
    /// An attribute of an event type.
    Event,
    /// Who may call an endpoint, and what it takes from the caller.
    Access,
}

/// One mistake.
#[derive(Debug, Clone)]
pub struct Error {
    /// What it is about.
    pub kind: ErrorKind,
    /// Where it begins and ends. In a macro on stable Rust the two join to one region; in the analyser they have lines.
    pub span: (Span, Span),
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

/// Every mistake found so far.
#[derive(Debug, Default)]
pub struct Errors {
    errors: Vec<Error>,
}

impl Errors {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// How many were found.
    pub fn len(&self) -> usize {
        self.errors.len()
    }

    /// Notes a mistake at a span.
    pub fn push_at(&mut self, kind: ErrorKind, span: Span, message: impl Into<String>, help: Option<String>) {
        self.errors.push(Error { kind, span: (span, span), message: message.into(), help });
    }

    /// Notes a mistake at `tokens`.
    pub fn push(&mut self, kind: ErrorKind, tokens: impl ToTokens, message: impl Into<String>) {
        self.add(kind, tokens, message.into(), None);
    }

    /// Notes a mistake at `tokens`, with what to write instead.
    pub fn push_help(
        &mut self,
        kind: ErrorKind,
        tokens: impl ToTokens,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.add(kind, tokens, message.into(), Some(help.into()));
    }

    fn add(&mut self, kind: ErrorKind, tokens: impl ToTokens, message: String, help: Option<String>) {
        let mut tokens = tokens.to_token_stream().into_iter();
        let first = tokens.next().map_or_else(Span::call_site, |token| token.span());
        let last = tokens.last().map_or(first, |token| token.span());
        self.errors.push(Error { kind, span: (first, last), message, help });
    }

    /// The mistakes in the order in which they were found.
    pub fn into_vec(self) -> Vec<Error> {
        self.errors
    }

    /// All mistakes as one `syn` error, whose `to_compile_error` shows each; `None` when there are none.
    pub fn into_syn_error(self) -> Option<syn::Error> {
        let mut errors = self.errors.into_iter().map(Error::into_syn);
        let mut all = errors.next()?;
        all.extend(errors);
        Some(all)
    }
}

impl Error {
    fn into_syn(self) -> syn::Error {
        let text = match self.help {
            Some(help) => format!("{}: {help}", self.message),
            None => self.message,
        };
        // `new_spanned` takes the region from the first to the last token, which two tokens with our spans make.
        let (first, last) = self.span;
        let mut tokens = proc_macro2::TokenStream::new();
        tokens.extend([first, last].map(|span| {
            let mut token =
                proc_macro2::TokenTree::Punct(proc_macro2::Punct::new('.', proc_macro2::Spacing::Alone));
            token.set_span(span);
            token
        }));
        syn::Error::new_spanned(tokens, text)
    }
}
