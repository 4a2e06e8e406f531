//! How long the HTTP API waits for its clients. Plain data.

use std::time::Duration;

/// How long an HTTP client may take. A slower one is disconnected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpTimeouts {
    /// For a request's head, from its first byte on, and before the first request of a connection; 10 s unless set.
    pub head: Duration,
    /// For a request's body; 60 s unless set.
    pub body: Duration,
    /// Between requests on a connection that is kept; 2 min unless set. Longer than clients keep theirs (Go: 90 s), so that
    /// none sends a request to a connection that is being closed.
    pub idle: Duration,
    /// To take anything of an answer; 30 s unless set.
    pub answer: Duration,
}

impl Default for HttpTimeouts {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            body: Duration::from_secs(60),
            idle: Duration::from_secs(120),
            answer: Duration::from_secs(30),
        }
    }
}
