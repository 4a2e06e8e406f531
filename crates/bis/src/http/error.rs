//! Errors as answers: which status and text a client gets. What is not meant for clients stays in the log.

use std::{borrow::Cow, fmt::Display};

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use bis_broker::PublishError;
use serde::{Deserialize, Serialize};

use super::call::CallError;
use crate::error::Error;

/// An error that says what the client gets.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct StatusError {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
}

/// `{"error":{"message":"..","code":".."}}`
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ErrorBody<'a> {
    #[serde(borrow)]
    pub(crate) error: ErrorText<'a>,
}

/// What went wrong, for people and for programs.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ErrorText<'a> {
    /// For people.
    #[serde(borrow)]
    pub(crate) message: Cow<'a, str>,
    /// For programs: the status in words, as in `not_found`.
    #[serde(borrow)]
    pub(crate) code: Cow<'a, str>,
    /// Whether the callee says that a retry cannot help. Only in calls between the app's own processes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) permanent: bool,
    /// Whether a call between the app's own processes did not get as far as its function.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) refused: bool,
}

/// Errors of endpoints. The client gets the status, and the text in `{"error":{"message","code"}}`.
impl Error {
    /// An error that a client gets with this status and text. Its `code` is the status in words, as in `not_found`.
    ///
    /// An event that the broker did not take just now, and a call of a process that is away, is answered with 503, a call that
    /// is late with 504, every other error that none of these functions made with 500; all without the error's text, which the
    /// log has.
    pub fn status(status: StatusCode, message: impl Display) -> Self {
        Self::new(StatusError { status, message: message.to_string() })
    }

    /// 400: the request is wrong.
    pub fn bad_request(message: impl Display) -> Self {
        Self::status(StatusCode::BAD_REQUEST, message)
    }

    /// 401: it is not known who asks.
    pub fn unauthorized(message: impl Display) -> Self {
        Self::status(StatusCode::UNAUTHORIZED, message)
    }

    /// 403: who asks may not.
    pub fn forbidden(message: impl Display) -> Self {
        Self::status(StatusCode::FORBIDDEN, message)
    }

    /// 404: what is asked for does not exist.
    pub fn not_found(message: impl Display) -> Self {
        Self::status(StatusCode::NOT_FOUND, message)
    }

    /// 409: what is asked for does not fit the present state.
    pub fn conflict(message: impl Display) -> Self {
        Self::status(StatusCode::CONFLICT, message)
    }

    /// 429: too many requests.
    pub fn too_many_requests(message: impl Display) -> Self {
        Self::status(StatusCode::TOO_MANY_REQUESTS, message)
    }

    /// 503: not now.
    pub fn unavailable(message: impl Display) -> Self {
        Self::status(StatusCode::SERVICE_UNAVAILABLE, message)
    }

    /// 500: the client learns nothing more, and the log has the text.
    pub fn internal(message: impl Display) -> Self {
        Self::msg(message)
    }

    /// The status that a client gets: 500 unless the error, or one under it, was made with another, or is that an event
    /// could not be published just now (503), or that another process of the app is away (503) or late (504).
    pub fn http_status(&self) -> StatusCode {
        if let Some(call) = self.find::<CallError>() {
            return call.http_status();
        }
        match (self.find::<StatusError>(), self.find::<PublishError>()) {
            (Some(error), _) => error.status,
            (None, Some(PublishError::TooLarge { .. } | PublishError::DelayTooLong { .. }) | None) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            (None, Some(_)) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = self.http_status();
        if status.is_server_error() {
            tracing::error!(status = status.as_u16(), error = format_args!("{self:#}"), "request failed");
        }
        let message = self.find::<StatusError>().map_or(message(status), |error| &error.message);
        answer(status, message, false)
    }
}

/// What a client is told with a status whose reason is not for it.
pub(crate) fn message(status: StatusCode) -> &'static str {
    match status {
        StatusCode::SERVICE_UNAVAILABLE => "the service is not available now; try again",
        StatusCode::GATEWAY_TIMEOUT => "the service did not answer in time; try again",
        _ => "internal error",
    }
}

/// An error as JSON.
pub(crate) fn answer(status: StatusCode, message: &str, permanent: bool) -> Response {
    let error = ErrorText { message: message.into(), code: code(status), permanent, refused: false };
    (status, Json(ErrorBody { error })).into_response()
}

/// The answer to a call that does not get as far as its function. Its text is for the caller's log.
pub(crate) fn refuse_call(status: StatusCode, message: &str) -> Response {
    let error = ErrorText { message: message.into(), code: code(status), permanent: false, refused: true };
    (status, Json(ErrorBody { error })).into_response()
}

/// A status in words: `not_found`.
fn code(status: StatusCode) -> Cow<'static, str> {
    match status {
        StatusCode::INTERNAL_SERVER_ERROR => "internal".into(),
        StatusCode::PAYLOAD_TOO_LARGE => "body_too_large".into(),
        status => match status.canonical_reason() {
            Some(reason) => reason.to_ascii_lowercase().replace([' ', '-'], "_").into(),
            None => status.as_u16().to_string().into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_found_under_what_was_put_in_front() {
        assert_eq!(Error::not_found("no order").context("ship").http_status(), StatusCode::NOT_FOUND);
        assert_eq!(Error::internal("secret").http_status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(Error::permanent("no").http_status(), StatusCode::INTERNAL_SERVER_ERROR);
        let gone = || Error::from(PublishError::Unanswered { address: "a:1".into() }).context("place");
        assert_eq!(gone().http_status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(gone().into_response().status(), StatusCode::SERVICE_UNAVAILABLE);
        let large = Error::from(PublishError::TooLarge { bytes: 2, limit: 1 });
        assert_eq!(large.http_status(), StatusCode::INTERNAL_SERVER_ERROR);
    }

    #[test]
    fn codes_are_the_status_in_words() {
        assert_eq!(code(StatusCode::NOT_FOUND), "not_found");
        assert_eq!(code(StatusCode::IM_A_TEAPOT), "i'm_a_teapot");
        assert_eq!(code(StatusCode::from_u16(499).unwrap()), "499");
    }
}
