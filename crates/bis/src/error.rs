//! The one error that handlers and endpoints return. It takes any error with `?` and keeps its sources, and what a client and
//! the delivery runtime are to do with it. It sends no answer and settles no delivery.

use std::{
    borrow::Cow,
    error::Error as StdError,
    fmt::{self, Debug, Display},
    time::Duration,
};

use axum::http::StatusCode;

mod fields;

pub use fields::FieldError;

/// What handlers and endpoints return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Any error, for handlers and endpoints to return.
///
/// Through `?` it takes every error that implements [`std::error::Error`], texts, and what else becomes a
/// `Box<dyn std::error::Error + Send + Sync>`, such as `anyhow::Error`. For that reason it does not implement that trait itself.
///
/// `{}` shows the outermost message, `{:#}` the whole chain on one line, `{:?}` the chain on several lines.
///
/// # What an error means
///
/// An endpoint and a subscription's handler return the same errors, and each reads them in its own way. What is wrong with the request
/// itself is wrong with the event too, so it goes to the dead letters at once; what a change of state may cure is retried.
///
/// | Error | An endpoint answers | The event of a handler is |
/// |---|---|---|
/// | any error through `?`, [`msg`](Self::msg), [`internal`](Self::internal), a panic | 500, without the text | retried |
/// | [`permanent`](Self::permanent) | 500, without the text; or the status of the error that it was given | a dead letter at once |
/// | [`bad_request`](Self::bad_request) | 400 | a dead letter at once |
/// | [`invalid`](Self::invalid) | 422 with the fields | a dead letter at once |
/// | [`unauthorized`](Self::unauthorized), [`forbidden`](Self::forbidden) | 401, 403 | retried: rights can be given |
/// | [`not_found`](Self::not_found) | 404 | retried: events overtake each other, so it may be there later |
/// | [`conflict`](Self::conflict) | 409 | retried |
/// | [`too_many_requests`](Self::too_many_requests), [`unavailable`](Self::unavailable) | 429, 503 | retried |
/// | [`status`](Self::status), [`with_status`](Self::with_status) | that status | a dead letter at once for 400, 405, 406, 410, 413, 414, 415 and 422, else retried |
/// | any of them, [`retry_after`](Self::retry_after) | the same, with `Retry-After` | retried, not before that wait is over |
/// | an event that a broker did not take just now | 503, without the text | run again, and the attempt does not count |
/// | an event that [cannot be published](crate::PublishError) otherwise | 500, without the text | retried; one that is not valid is a dead letter at once |
/// | a called service that is away, or late | 503, 504, without the text | retried |
/// | an error that a called service returned | the same as if it had been returned here | the same, and every attempt counts |
///
/// [`Error::permanent`] and [`Error::retry_after`] decide for any error, whatever its status: the later one counts.
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
    retry: Retry,
    /// What a client is told, where that is more than a general failure.
    answer: Option<Box<Answer>>,
}

/// Whether and when what failed is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Retry {
    /// As the kind of error has it.
    Usual,
    Never,
    After(Duration),
}

/// What a client is told about an error.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// The status, where the error was made with one.
    pub(crate) status: Option<StatusCode>,
    /// The text that was written for clients.
    pub(crate) detail: Option<String>,
    /// The code, where it is not the status in words.
    pub(crate) code: Option<Cow<'static, str>>,
    /// The header `WWW-Authenticate` of an answer 401, where it is not the app's own.
    pub(crate) challenge: Option<String>,
    /// Which fields are wrong.
    pub(crate) fields: Vec<FieldError>,
    /// What else the user put into the answer.
    pub(crate) members: serde_json::Map<String, serde_json::Value>,
}

impl Error {
    /// An error that a retry may cure; the same as `?` makes.
    pub fn new(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self(Box::new(Inner { error: error.into(), retry: Retry::Usual, answer: None }))
    }

    /// An error that no retry can cure: the event goes to the dead letters at once. Takes a text or any error, an
    /// [`Error`] too, which keeps all else: `result.map_err(Error::permanent)?`.
    pub fn permanent(error: impl Into<Self>) -> Self {
        let mut error = error.into();
        error.0.retry = Retry::Never;
        error
    }

    /// The same error, which may be cured after this wait.
    ///
    /// A handler's event is tried again after it, and up to a quarter later, so that events which failed together do not come
    /// back together; but within `min_backoff` and `max_backoff` of its subscription. A client is told with the header
    /// `Retry-After`, in whole seconds.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.0.retry = Retry::After(wait);
        self
    }

    /// The wait of [`Error::retry_after`].
    pub fn retry_wait(&self) -> Option<Duration> {
        match self.0.retry {
            Retry::After(wait) => Some(wait),
            Retry::Usual | Retry::Never => None,
        }
    }

    /// An error that is only a text.
    pub fn msg(message: impl Display) -> Self {
        Self::new(message.to_string())
    }

    /// Whether no retry can help.
    pub fn is_permanent(&self) -> bool {
        match self.0.retry {
            Retry::Never => true,
            Retry::After(_) => false,
            Retry::Usual => {
                self.answer().and_then(|answer| answer.status).is_some_and(is_final)
                    || self.is_invalid_event()
            }
        }
    }

    /// The same error with a sentence in front that says what was being done. Its status, its text for clients and whether a retry
    /// can help stay.
    #[must_use]
    pub fn context(self, context: impl Display) -> Self {
        let Inner { error, retry, answer } = *self.0;
        let error = Box::new(WithContext { context: context.to_string(), source: error });
        Self(Box::new(Inner { error, retry, answer }))
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

/// Whether what is refused with this status is wrong in itself, and so is refused each time.
fn is_final(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_REQUEST
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::NOT_ACCEPTABLE
            | StatusCode::GONE
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::URI_TOO_LONG
            | StatusCode::UNSUPPORTED_MEDIA_TYPE
            | StatusCode::UNPROCESSABLE_ENTITY
    )
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

/// States what was being done when an error occurred, on a result with any error or on an option.
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
    fn the_status_decides_unless_the_error_says_otherwise() {
        let wait = Duration::from_secs(60);
        let permanent: [fn(&'static str) -> Error; 2] =
            [Error::bad_request, |text| Error::status(StatusCode::GONE, text)];
        let curable: [fn(&'static str) -> Error; 4] =
            [Error::forbidden, Error::not_found, Error::conflict, Error::msg];
        for make in permanent {
            assert!(make("x").context("ship").is_permanent());
            assert!(!make("x").retry_after(wait).is_permanent());
            assert!(!make("x").with_status(StatusCode::CONFLICT).is_permanent());
        }
        for make in curable {
            assert!(!make("x").context("ship").is_permanent());
            assert!(Error::permanent(make("x")).context("ship").is_permanent());
            assert!(Error::permanent(make("x").retry_after(wait)).is_permanent());
            assert!(make("x").with_status(StatusCode::BAD_REQUEST).is_permanent());
        }
        assert_eq!(Error::msg("x").retry_after(wait).context("ship").retry_wait(), Some(wait));
        assert_eq!(Error::permanent(Error::conflict("x")).answer().unwrap().detail.as_deref(), Some("x"));
    }

    #[test]
    fn context_keeps_an_error_permanent() {
        assert!(Error::permanent("no such order").context("ship").is_permanent());
        assert!(!Error::msg("late").context("ship").is_permanent());
        assert_eq!(None::<u32>.error_context("no amount").unwrap_err().to_string(), "no amount");
    }
}
