//! How a call between two processes of an app looks on the wire, for both of its sides.
//!
//! `POST /_bis/call/shop::orders::place`, a JSON array of the arguments; the answer is the JSON of the result, or a status
//! and problem details with what only the app's processes are told (`http::problem`).

use std::time::Duration;

use axum::http::HeaderMap;

/// Before the function's path.
pub(super) const CALL_PREFIX: &str = "/_bis/call/";
/// The secret that both processes know.
pub(super) const SECRET: &str = "bis-secret";
/// How long the caller still waits, in milliseconds.
pub(super) const DEADLINE_MS: &str = "bis-deadline-ms";
/// The service that calls.
pub(super) const CALLER: &str = "bis-caller";
/// Who asked for what the caller does: the app's user type as JSON.
pub(super) const IDENTITY: &str = "bis-identity";
/// How long a call may take when its caller has no deadline.
pub(super) const DEFAULT_DEADLINE: Duration = Duration::from_secs(30);
/// The most that arguments or a result take: 16 MiB.
pub(super) const MAX_CALL_BYTES: usize = 16 * 1024 * 1024;

/// How long the caller still waits.
pub(super) fn deadline(headers: &HeaderMap) -> Option<Duration> {
    let millis = headers.get(DEADLINE_MS)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_millis(millis))
}
