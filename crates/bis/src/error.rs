//! The one error that handlers and endpoints return. It takes any error with `?` and keeps its sources, and what a client and
//! the delivery runtime are to do with it. It sends no answer and settles no delivery.

use std::{
    borrow::Cow,
    error::Error as StdError,
    fmt::{self, Debug, Display},
};

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

/// What handlers and endpoints return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Any error, for handlers and endpoints to return.
///
/// Through `?` it takes every error that implements [`std::error::Error`], texts, and what else becomes a
/// `Box<dyn std::error::Error + Send + Sync>`, such as `anyhow::Error`. For that reason it does not implement that trait itself.
///
/// `{}` shows the outermost message, `{:#}` the whole chain on one line, `{:?}` the chain on several lines.
///
/// ```
/// fn parse(text: &str) -> bis::Result<u32> {
///     Ok(text.parse().map_err(bis::Error::permanent)?)
/// }
/// assert!(parse("x").unwrap_err().is_permanent());
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    error: Box<dyn StdError + Send + Sync>,
    permanent: bool,
    /// What a client is told, where that is more than that something failed.
    answer: Option<Box<Answer>>,
}

/// What a client is told of an error.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// The status, where the error was made with one.
    pub(crate) status: Option<StatusCode>,
    /// The text that was written for clients.
    pub(crate) detail: Option<String>,
    /// The code, where it is not the status in words.
    pub(crate) code: Option<Cow<'static, str>>,
    /// Which fields are wrong.
    pub(crate) fields: Vec<FieldError>,
    /// What else the user put into the answer.
    pub(crate) members: serde_json::Map<String, serde_json::Value>,
}

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// Where the field is, as in `items[2].sku`; empty for the value as a whole.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

impl Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.message),
            path => write!(f, "`{path}`: {}", self.message),
        }
    }
}

impl Error {
    /// An error that a retry may cure; the same as `?` makes.
    pub fn new(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self(Box::new(Inner { error: error.into(), permanent: false, answer: None }))
    }

    /// An error that no retry can cure: the event goes to the dead letters at once. Takes an error or a text.
    pub fn permanent(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self(Box::new(Inner { error: error.into(), permanent: true, answer: None }))
    }

    /// An error that is only a text.
    pub fn msg(message: impl Display) -> Self {
        Self::new(message.to_string())
    }

    /// Whether no retry can help.
    pub fn is_permanent(&self) -> bool {
        self.0.permanent
    }

    /// The same error with a sentence in front that says what was being done. Stays permanent if it was.
    #[must_use]
    pub fn context(self, context: impl Display) -> Self {
        let Inner { error, permanent, answer } = *self.0;
        let error = Box::new(WithContext { context: context.to_string(), source: error });
        Self(Box::new(Inner { error, permanent, answer }))
    }

    /// What a client is told, if the error says.
    pub(crate) fn answer(&self) -> Option<&Answer> {
        self.0.answer.as_deref()
    }

    /// What a client is told, to be changed.
    pub(crate) fn answer_mut(&mut self) -> &mut Answer {
        self.0.answer.get_or_insert_default()
    }

    /// The error and its sources, outermost first.
    pub fn chain(&self) -> impl Iterator<Item = &(dyn StdError + 'static)> {
        let first: &(dyn StdError + 'static) = &*self.0.error;
        std::iter::successors(Some(first), |error| (*error).source())
    }

    /// The texts of the chain, without those that the one before ends with: many errors name their source themselves, and then
    /// their code.
    fn texts(&self) -> Vec<String> {
        let mut texts: Vec<String> = Vec::new();
        for error in self.chain() {
            let text = error.to_string();
            let is_named = |before: &String| before.ends_with(&text) || without_code(before).ends_with(&text);
            if !texts.last().is_some_and(is_named) {
                texts.push(text);
            }
        }
        texts
    }

    /// The first error of the chain that is an `E`.
    pub fn find<E: StdError + 'static>(&self) -> Option<&E> {
        self.chain().find_map(|error| error.downcast_ref())
    }
}

/// A text without the code at its end, as in ` [BIS1002]`.
fn without_code(text: &str) -> &str {
    match text.rsplit_once(" [BIS") {
        Some((before, rest)) if rest.ends_with(']') => before,
        _ => text,
    }
}

/// What becomes an [`Error`] through `?`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not become a `bis::Error`",
    label = "`bis::Error` does not take this: implement `std::error::Error` for it, or make it a text with `.map_err(..)`",
    note = "for example `.map_err(|error| Error::msg(format!(\"{{error:?}}\")))?`"
)]
pub trait IntoError: Sized {
    /// The error in a box.
    #[doc(hidden)]
    fn boxed(self) -> Box<dyn StdError + Send + Sync>;
}

#[diagnostic::do_not_recommend]
impl<E: Into<Box<dyn StdError + Send + Sync>>> IntoError for E {
    fn boxed(self) -> Box<dyn StdError + Send + Sync> {
        self.into()
    }
}

impl<E: IntoError> From<E> for Error {
    fn from(error: E) -> Self {
        Self::new(error.boxed())
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() { f.write_str(&self.texts().join(": ")) } else { Display::fmt(&self.0.error, f) }
    }
}

impl Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.texts().join("\n  caused by: "))
    }
}

/// A sentence in front of an error.
#[derive(Debug)]
struct WithContext {
    context: String,
    source: Box<dyn StdError + Send + Sync>,
}

impl Display for WithContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.context)
    }
}

impl StdError for WithContext {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.source)
    }
}

/// Says what was being done when an error came, on a result of any error or on an option.
///
/// The prelude has it. Its method is not called `context`, so that a module can use `anyhow::Context` or another crate's beside it.
///
/// ```
/// use bis::prelude::*;
///
/// fn read_prices() -> Result<String> {
///     std::fs::read_to_string("prices.toml").error_context("read the price list")
/// }
/// assert_eq!(read_prices().unwrap_err().to_string(), "read the price list");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no error that could be given a context",
    note = "`.error_context(..)` is for an `Option`, and for a `Result` whose error becomes a `bis::Error` through `?`"
)]
pub trait ErrorContext<T> {
    /// Puts a sentence in front of the error, as [`Error::context`] does; `None` becomes an error of that sentence alone. The
    /// sentence is only made where there is an error: `format_args!(..)` costs nothing else.
    ///
    /// # Errors
    /// When there was one.
    fn error_context(self, context: impl Display) -> Result<T>;
}

impl<T, E: Into<Error>> ErrorContext<T> for std::result::Result<T, E> {
    fn error_context(self, context: impl Display) -> Result<T> {
        self.map_err(|error| error.into().context(context))
    }
}

impl<T> ErrorContext<T> for Option<T> {
    fn error_context(self, context: impl Display) -> Result<T> {
        self.ok_or_else(|| Error::msg(context))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failing() -> Result<u32> {
        Ok("x".parse::<u32>()?)
    }

    #[test]
    fn sources_are_kept_and_shown() {
        let error = failing().error_context("read the amount").unwrap_err();
        assert_eq!(error.to_string(), "read the amount");
        assert_eq!(format!("{error:#}"), "read the amount: invalid digit found in string");
        assert_eq!(format!("{error:?}"), "read the amount\n  caused by: invalid digit found in string");
        assert!(error.find::<std::num::ParseIntError>().is_some());
        assert!(error.find::<fmt::Error>().is_none());
    }

    #[test]
    fn a_source_that_an_error_names_itself_is_shown_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("no amount: {source}")]
        struct Named {
            source: std::num::ParseIntError,
        }
        #[derive(Debug, thiserror::Error)]
        #[error("no amount: {source} [BIS1]")]
        struct Coded {
            source: std::num::ParseIntError,
        }
        let source = "x".parse::<u32>().unwrap_err();
        let error = Error::from(Coded { source: source.clone() }).context("ship");
        assert_eq!(format!("{error:#}"), "ship: no amount: invalid digit found in string [BIS1]");
        let error = Error::from(Named { source }).context("ship");
        assert_eq!(format!("{error:#}"), "ship: no amount: invalid digit found in string");
        assert_eq!(format!("{error:?}"), "ship\n  caused by: no amount: invalid digit found in string");
        assert_eq!(error.chain().count(), 3);
    }

    #[test]
    fn context_keeps_an_error_permanent() {
        assert!(Error::permanent("no such order").context("ship").is_permanent());
        assert!(!Error::msg("late").context("ship").is_permanent());
        assert_eq!(None::<u32>.error_context("no amount").unwrap_err().to_string(), "no amount");
    }
}
