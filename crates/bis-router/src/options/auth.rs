//! What the router can be told about authorization: whom to ask, and how. Plain data; it asks nobody.

use std::str::FromStr;
use std::time::Duration;

/// Authorization of NSQ clients by HTTP servers, as on nsqd. Off unless there is an address.
#[derive(Debug, Clone)]
pub struct Auth {
    /// Whom to ask: `host:port`, which is asked at `/auth`, or a whole `http` or `https` URL. Several are tried in turn
    /// until one answers.
    pub addresses: Vec<String>,
    /// How to ask; `GET` unless set.
    pub method: AuthMethod,
    /// How long to wait for a connection; 2 s unless set.
    pub connect_timeout: Duration,
    /// How long to wait for an answer, the connection included; 5 s unless set.
    pub request_timeout: Duration,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            addresses: Vec::new(),
            method: AuthMethod::Get,
            connect_timeout: Duration::from_secs(2),
            request_timeout: Duration::from_secs(5),
        }
    }
}

impl Auth {
    /// Whether clients must authorize themselves.
    #[must_use]
    pub fn is_required(&self) -> bool {
        !self.addresses.is_empty()
    }
}

/// How an authorization server is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AuthMethod {
    /// The question stands in the URL.
    #[default]
    Get,
    /// The question is a form in the body, so that secrets stay out of access logs.
    Post,
}

/// A method that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no method for authorization requests; use `get` or `post`")]
pub struct AuthMethodError(String);

impl FromStr for AuthMethod {
    type Err = AuthMethodError;

    /// Reads `get` or `post`, in small or capital letters.
    fn from_str(word: &str) -> Result<Self, AuthMethodError> {
        match word.to_ascii_lowercase().as_str() {
            "get" => Ok(Self::Get),
            "post" => Ok(Self::Post),
            _ => Err(AuthMethodError(word.to_owned())),
        }
    }
}
