//! The header `WWW-Authenticate`, which every answer 401 must have (<https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1>): what
//! the error states, else what the app's `#[auth]` function states, else `Bearer` with the app's name as its realm.
//!
//! `Bearer` (<https://www.rfc-editor.org/rfc/rfc6750#section-3>) is the default because it makes no promise that is not kept: browsers
//! ignore it, where `Basic` would have them ask for a password. It must be followed by a parameter, and the realm is the one that
//! says nothing about what was wrong.

use axum::http::{HeaderValue, StatusCode, header::WWW_AUTHENTICATE, response};

use super::Authentication;
use crate::{
    error::Error,
    instance::{self, Instance},
};

impl Error {
    /// The same error, whose answer has this header `WWW-Authenticate` in place of the app's own if its status is 401: what kind of
    /// credentials is needed, and what is wrong with those that came.
    ///
    /// ```
    /// # use bis::Error;
    /// let error = Error::unauthorized("the token has expired").with_challenge(r#"Bearer error="invalid_token""#);
    /// ```
    #[must_use]
    pub fn with_challenge(mut self, challenge: impl Into<String>) -> Self {
        self.answer_mut().challenge = Some(challenge.into());
        self
    }
}

/// Adds the header that an answer to `error` must have.
pub(in crate::http) fn add(answer: &mut response::Response<axum::body::Body>, error: &Error) {
    if answer.status() == StatusCode::UNAUTHORIZED {
        answer.headers_mut().insert(WWW_AUTHENTICATE, of(error));
    }
}

fn of(error: &Error) -> HeaderValue {
    let stated = error.answer().and_then(|answer| HeaderValue::from_str(answer.challenge.as_deref()?).ok());
    stated.unwrap_or_else(|| match instance::current() {
        Ok(instance) => of_app(&instance),
        Err(_) => bearer("app"),
    })
}

fn of_app(instance: &Instance) -> HeaderValue {
    let entry = instance.extension::<Authentication>().entry();
    match entry.and_then(|entry| entry.challenge) {
        Some(challenge) => HeaderValue::from_static(challenge),
        None => bearer(instance.source_of(None).trim_start_matches('/')),
    }
}

/// An app's name is kebab-case, so that it needs no escapes.
fn bearer(realm: &str) -> HeaderValue {
    let challenge = HeaderValue::from_str(&format!("Bearer realm=\"{realm}\""));
    challenge.unwrap_or(HeaderValue::from_static("Bearer realm=\"app\""))
}
