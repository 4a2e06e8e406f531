//! The body of every error answer: problem details as RFC 9457 defines them, and what the app's own processes tell each other
//! beside. It decides no status and logs nothing.
//!
//! ```json
//! {
//!   "type": "about:blank", "title": "Conflict", "status": 409, "detail": "`hamlet` is sold out",
//!   "code": "conflict", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"
//! }
//! ```
//!
//! `type` is `about:blank` unless the app gives another: then the title is the status in words, and `code` says more, which
//! is shorter to write and to compare than a URI (<https://www.rfc-editor.org/rfc/rfc9457.html#section-4.2.1>).

use std::borrow::Cow;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{error::FieldError, instance::Scope};

/// The media type of the body.
const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");

/// The type of a problem that its status describes completely.
const BLANK: &str = "about:blank";

/// The body of an error answer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Problem {
    /// A URI that identifies the kind of problem.
    #[serde(rename = "type")]
    pub(crate) kind: Cow<'static, str>,
    /// The kind of problem, for people.
    pub(crate) title: Cow<'static, str>,
    /// The status of the answer.
    pub(crate) status: u16,
    /// What went wrong this time, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<Cow<'static, str>>,
    /// For programs: the status in words, as in `not_found`, or the app's own word.
    pub(crate) code: Cow<'static, str>,
    /// The trace that the log lines of the request name too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) trace_id: Option<String>,
    /// Which fields are wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) errors: Vec<FieldError>,
    /// What only the app's own processes are told.
    #[serde(rename = "bis", default, skip_serializing_if = "Option::is_none")]
    pub(crate) internal: Option<Internal>,
    /// What the app adds.
    #[serde(flatten)]
    pub(crate) members: Map<String, Value>,
}

/// What a process tells another process of its app about an error, and no client.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Internal {
    /// The whole text, for the caller's log.
    pub(crate) text: String,
    /// Whether a retry cannot help.
    pub(crate) permanent: bool,
    /// When a retry can help.
    pub(crate) retry_after_ms: Option<u64>,
    /// Whether the call did not get as far as its function.
    pub(crate) refused: bool,
    /// The header `WWW-Authenticate` for the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) challenge: Option<String>,
}

impl Problem {
    /// A problem of the running request.
    pub(crate) fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { detail: Some(detail.into()), ..Self::without_detail(status) }
    }

    /// A problem whose text is not for clients.
    pub(crate) fn without_detail(status: StatusCode) -> Self {
        Self {
            kind: BLANK.into(),
            title: title(status),
            status: status.as_u16(),
            detail: None,
            code: code(status),
            trace_id: Scope::with(|scope| Some(format!("{:032x}", scope?.span.trace))),
            errors: Vec::new(),
            internal: None,
            members: Map::new(),
        }
    }

    /// Adds members of the app's own. RFC 9457 defines `type`, `title` and `instance`; the other names that answers have
    /// anyway keep their meaning.
    pub(crate) fn add(&mut self, members: &Map<String, Value>) {
        for (name, value) in members {
            match (name.as_str(), value) {
                ("type", Value::String(kind)) => self.kind = kind.clone().into(),
                ("title", Value::String(title)) => self.title = title.clone().into(),
                (name, _) if RESERVED.contains(&name) => {}
                (name, value) => drop(self.members.insert(name.to_owned(), value.clone())),
            }
        }
    }

    /// All members of the app's own, `type` and `title` among them.
    pub(crate) fn into_members(self) -> Map<String, Value> {
        let mut members = self.members;
        if self.kind != BLANK {
            members.insert("type".into(), self.kind.into());
        }
        if StatusCode::from_u16(self.status).is_ok_and(|status| self.title != title(status)) {
            members.insert("title".into(), self.title.into());
        }
        members
    }

    /// What another process answered, if it is one of this app.
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }
}

/// What [`Problem::add`] does not replace.
const RESERVED: [&str; 8] = ["type", "title", "status", "detail", "code", "trace_id", "errors", "bis"];

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // Texts and JSON values always serialize.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        (status, [(header::CONTENT_TYPE, MEDIA_TYPE)], body).into_response()
    }
}

/// The status in words, for people.
fn title(status: StatusCode) -> Cow<'static, str> {
    match status.canonical_reason() {
        Some(reason) => reason.into(),
        None => format!("Status {}", status.as_u16()).into(),
    }
}

/// The status in words, for programs: `not_found`.
pub(crate) fn code(status: StatusCode) -> Cow<'static, str> {
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
    use serde_json::json;

    use super::*;

    #[test]
    fn codes_are_the_status_in_words() {
        assert_eq!(code(StatusCode::NOT_FOUND), "not_found");
        assert_eq!(code(StatusCode::IM_A_TEAPOT), "i'm_a_teapot");
        assert_eq!(code(StatusCode::from_u16(499).unwrap()), "499");
    }

    #[test]
    fn a_problem_has_the_members_of_the_standard() {
        let problem = Problem::new(StatusCode::CONFLICT, "sold out");
        let expected = json!({
            "type": "about:blank", "title": "Conflict", "status": 409, "detail": "sold out", "code": "conflict"
        });
        assert_eq!(serde_json::to_value(&problem).unwrap(), expected);
        let unnamed = Problem::without_detail(StatusCode::from_u16(499).unwrap());
        let expected = json!({ "type": "about:blank", "title": "Status 499", "status": 499, "code": "499" });
        assert_eq!(serde_json::to_value(&unnamed).unwrap(), expected);
    }

    #[test]
    fn members_of_the_app_replace_none_that_every_answer_has() {
        let mut problem = Problem::new(StatusCode::CONFLICT, "sold out");
        let members = json!({
            "type": "https://example.com/sold-out", "title": "Sold out", "seats": 0, "instance": "/shows/7",
            "status": 200, "detail": "x", "code": "x", "trace_id": "x", "errors": [], "bis": {}
        });
        problem.add(members.as_object().unwrap());
        let expected = json!({
            "type": "https://example.com/sold-out", "title": "Sold out", "status": 409, "detail": "sold out",
            "code": "conflict", "seats": 0, "instance": "/shows/7"
        });
        assert_eq!(serde_json::to_value(&problem).unwrap(), expected);
        let mut again = Problem::new(StatusCode::CONFLICT, "sold out");
        again.add(&problem.into_members());
        assert_eq!(serde_json::to_value(&again).unwrap(), expected);
    }

    #[test]
    fn what_another_build_adds_is_no_obstacle() {
        let body =
            r#"{"type":"x","title":"y","status":409,"code":"z","later":1,"bis":{"permanent":true,"new":2}}"#;
        let problem = Problem::read(body.as_bytes()).unwrap();
        assert_eq!(problem.internal, Some(Internal { permanent: true, ..Internal::default() }));
        assert_eq!(problem.members["later"], 1);
        assert!(Problem::read(b"{\"error\":\"no\"}").is_none());
    }
}
