//! Errors as answers: which status and text a client gets. What is not meant for clients stays in the log.

use std::{borrow::Cow, fmt::Display, time::Duration};

use axum::{
    http::{StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use bis_broker::PublishError;
use http_body_util::LengthLimitError;
use serde::Serialize;

use super::{
    auth::add_challenge,
    call::CallError,
    problem::{self, Internal, Problem},
};
use crate::{
    error::{Error, FieldError},
    json,
};

/// Errors with a status. The client of an endpoint gets problem details ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457.html)) with the
/// status, the text, a `code` and the `trace_id` that log lines have.
impl Error {
    /// An error that a client gets with this status and text. Its `code` is the status in words, as in `not_found`.
    ///
    /// An event that the broker did not take just now, and a call of a process that is away, is answered with 503, a call that
    /// is late with 504, every other error that none of these functions made with 500; all without the error's text, which the
    /// log has.
    pub fn status(status: StatusCode, message: impl Display) -> Self {
        let message = message.to_string();
        let mut error = Self::new(message.as_str());
        let answer = error.answer_mut();
        (answer.status, answer.detail) = (Some(status), Some(message));
        error
    }

    /// 400: the request is wrong.
    pub fn bad_request(message: impl Display) -> Self {
        Self::status(StatusCode::BAD_REQUEST, message)
    }

    /// 401: the caller is not known. The answer has a header `WWW-Authenticate`, as it must; see [`Error::with_challenge`].
    pub fn unauthorized(message: impl Display) -> Self {
        Self::status(StatusCode::UNAUTHORIZED, message)
    }

    /// 403: the caller is not allowed to.
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

    /// 422: fields of the request are wrong, each with its path, as in `items[2].sku`, and what is wrong with it. The answer
    /// lists the first 100 of them in `errors`.
    ///
    /// ```
    /// let error = bis::Error::invalid([("items[2].sku", "is not for sale any more")]);
    /// assert_eq!(error.to_string(), "not valid: `items[2].sku`: is not for sale any more");
    /// ```
    pub fn invalid<P: Into<String>, M: Into<String>>(errors: impl IntoIterator<Item = (P, M)>) -> Self {
        let fields = errors.into_iter();
        Self::invalid_fields(
            fields.map(|(path, message)| FieldError { path: path.into(), message: message.into() }),
        )
    }

    pub(crate) fn invalid_fields(fields: impl Iterator<Item = FieldError>) -> Self {
        let (fields, text) = FieldError::list(fields);
        let mut error = Self::status(StatusCode::UNPROCESSABLE_ENTITY, format_args!("not valid: {text}"));
        error.answer_mut().fields = fields;
        error
    }

    /// 429: too many requests. [`Error::retry_after`] says when there is room again.
    pub fn too_many_requests(message: impl Display) -> Self {
        Self::status(StatusCode::TOO_MANY_REQUESTS, message)
    }

    /// 503: not now. [`Error::retry_after`] says when.
    pub fn unavailable(message: impl Display) -> Self {
        Self::status(StatusCode::SERVICE_UNAVAILABLE, message)
    }

    /// 500: the client learns nothing more, and the log has the text.
    pub fn internal(message: impl Display) -> Self {
        Self::msg(message)
    }

    /// The same error under another status. Its text is for clients only if it was made for them, as by [`Error::conflict`].
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.answer_mut().status = Some(status);
        self
    }

    /// The same error with a `code` of your own, by which programs tell it from others of its status.
    ///
    /// ```
    /// let error = bis::Error::conflict("the cart is empty").with_code("cart_empty");
    /// assert_eq!(error.code(), "cart_empty");
    /// ```
    #[must_use]
    pub fn with_code(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        self.answer_mut().code = Some(code.into());
        self
    }

    /// The same error with one more member in its answer. `type`, `title` and `instance` are those of RFC 9457; the other
    /// members that every answer has (`status`, `detail`, `code`, `trace_id`, `errors`, `bis`) are not replaced.
    ///
    /// ```
    /// let error = bis::Error::conflict("`hamlet` is sold out").with_member("next_show", "2031-05-01");
    /// ```
    #[must_use]
    pub fn with_member(mut self, name: impl Into<String>, value: impl Serialize) -> Self {
        let name = name.into();
        match json::to_value(&value) {
            Ok(value) => drop(self.answer_mut().members.insert(name, value)),
            Err(error) => tracing::error!(name, %error, "a member of an error does not serialize"),
        }
        self
    }

    /// The `code` that a client gets: that of [`Error::with_code`], or the status in words, as in `not_found`.
    pub fn code(&self) -> Cow<'_, str> {
        let own = self.answer().and_then(|answer| answer.code.as_deref());
        own.map_or_else(|| problem::code(self.http_status()), Cow::Borrowed)
    }

    /// The fields that are wrong, as the answer lists them in `errors`.
    pub fn field_errors(&self) -> &[FieldError] {
        self.answer().map_or(&[], |answer| &answer.fields)
    }

    /// The status that a client gets: 500 unless the error, or one under it, was made with another, or is that an event
    /// could not be published just now (503), that another process of the app is away (503) or late (504), or that the
    /// request's body went beyond the endpoint's `body_limit` (413).
    pub fn http_status(&self) -> StatusCode {
        if let Some(status) = self.answer().and_then(|answer| answer.status) {
            return status;
        }
        if let Some(call) = self.find::<CallError>() {
            return call.http_status();
        }
        if self.find::<LengthLimitError>().is_some() {
            return StatusCode::PAYLOAD_TOO_LARGE;
        }
        match self.find::<PublishError>() {
            Some(PublishError::TooLarge { .. } | PublishError::DelayTooLong { .. }) | None => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            Some(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// What everyone may know about it.
    fn problem(&self) -> Problem {
        let mut problem = Problem::without_detail(self.http_status());
        if let Some(answer) = self.answer() {
            problem.detail = answer.detail.clone().map(Cow::Owned);
            problem.errors.clone_from(&answer.fields);
            if let Some(code) = &answer.code {
                problem.code = code.clone();
            }
            problem.add(&answer.members);
        }
        problem
    }

    /// The answer to another process of the app, which may know all of it.
    pub(super) fn into_internal_response(self) -> Response {
        let internal = Internal {
            text: format!("{self:#}"),
            permanent: self.is_permanent(),
            retry_after_ms: self.retry_wait().map(|wait| wait.as_millis().try_into().unwrap_or(u64::MAX)),
            refused: false,
            challenge: self.answer().and_then(|answer| answer.challenge.clone()),
        };
        Problem { internal: Some(internal), ..self.problem() }.into_response()
    }

    /// The error that another process of the app answered with.
    pub(crate) fn of_answer(status: StatusCode, mut problem: Problem) -> Self {
        let Internal { text, permanent, retry_after_ms, challenge, .. } =
            problem.internal.take().unwrap_or_default();
        let text = match (text.as_str(), &problem.detail) {
            ("", Some(detail)) => detail.clone().into_owned(),
            ("", None) => problem.code.clone().into_owned(),
            _ => text,
        };
        let mut error = if permanent { Self::permanent(text) } else { Self::new(text) };
        if let Some(wait) = retry_after_ms {
            error = error.retry_after(Duration::from_millis(wait));
        }
        let answer = error.answer_mut();
        (answer.status, answer.challenge) = (Some(status), challenge);
        answer.detail = problem.detail.take().map(Cow::into_owned);
        answer.code = Some(problem.code.clone()).filter(|code| *code != problem::code(status));
        answer.fields = std::mem::take(&mut problem.errors);
        answer.members = problem.into_members();
        error
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = self.http_status();
        if status.is_server_error() {
            tracing::error!(status = status.as_u16(), error = format_args!("{self:#}"), "request failed");
        }
        let mut problem = self.problem();
        problem.detail.get_or_insert_with(|| message(status).into());
        let mut response = problem.into_response();
        if let Some(wait) = self.retry_wait() {
            // A part of a second is waited for too.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        add_challenge(&mut response, &self);
        response
    }
}

/// What a client is told with a status whose reason is not for it.
pub(crate) fn message(status: StatusCode) -> &'static str {
    match status {
        StatusCode::SERVICE_UNAVAILABLE => "the service is not available now; try again",
        StatusCode::GATEWAY_TIMEOUT => "the service did not answer in time; try again",
        status if status.is_client_error() => "the request was refused",
        _ => "internal error",
    }
}

/// An error of the running request, with a text for its client.
pub(crate) fn answer(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Response {
    Problem::new(status, message).into_response()
}

/// An error answer as an error: what its text says, and its code, fields and members where it has them.
#[cfg(feature = "testing")]
pub(crate) fn error_of(status: StatusCode, headers: &axum::http::HeaderMap, body: &[u8]) -> Error {
    let error = match Problem::read(body) {
        Some(problem) => Error::of_answer(status, problem),
        None => Error::status(status, String::from_utf8_lossy(body)),
    };
    let wait = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    match wait {
        Some(seconds) => error.retry_after(Duration::from_secs(seconds)),
        None => error,
    }
}

/// The answer when a request was cut off.
pub(crate) fn late(status: StatusCode) -> Response {
    answer(status, "the request took too long")
}

/// The answer to a call that does not get as far as its function. Its text is for the caller's log.
pub(crate) fn refuse_call(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Response {
    let internal = Internal { refused: true, ..Internal::default() };
    Problem { internal: Some(internal), ..Problem::new(status, message) }.into_response()
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
}
