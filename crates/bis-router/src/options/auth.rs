//! What the router can be told about authorization: whom to ask, and how. Plain data; it asks nobody.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Authorization of NSQ clients by HTTP servers, as on nsqd. Off unless an address is given.
///
/// Addresses may have a password. Whatever shows them, `Debug` included, shows it as `***`.
#[derive(Clone)]
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

impl fmt::Debug for Auth {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<_> = self.addresses.iter().map(|address| shown(address)).collect();
        let mut debug = formatter.debug_struct("Auth");
        debug.field("addresses", &shown).field("method", &self.method);
        debug.field("connect_timeout", &self.connect_timeout);
        debug.field("request_timeout", &self.request_timeout).finish()
    }
}

/// An address as people may see it: without its password, and without the values behind a `?`. It need not be one that
/// can be asked.
pub(crate) fn shown(address: &str) -> String {
    let (scheme, rest) = address.find("://").map_or(("", address), |at| address.split_at(at + 3));
    let (user, rest) = rest.rsplit_once('@').map_or((None, rest), |(user, rest)| (Some(user), rest));
    let user = user.map_or(String::new(), |user| match user.split_once(':') {
        Some((name, _)) => format!("{name}:***@"),
        None => "***@".to_owned(),
    });
    match rest.split_once('?') {
        Some((path, _)) => format!("{scheme}{user}{path}?***"),
        None => format!("{scheme}{user}{rest}"),
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
    /// The question is in the URL.
    #[default]
    Get,
    /// The question is a form in the body, so that secrets stay out of access logs.
    Post,
}

/// A method that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a method for authorization requests; use `get` or `post`")]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        for (address, expected) in [
            ("127.0.0.1:4181", "127.0.0.1:4181"),
            ("https://auth.example/auth", "https://auth.example/auth"),
            ("http://user:secret@auth.example:80/auth", "http://user:***@auth.example:80/auth"),
            ("http://user:sec:r@e/t@auth.example/auth", "http://user:***@auth.example/auth"),
            ("http://secret@auth.example", "http://***@auth.example"),
            ("user:secret@auth.example:80", "user:***@auth.example:80"),
            ("http://user:sec ret@not a url", "http://user:***@not a url"),
            ("http://auth.example/auth?token=secret", "http://auth.example/auth?***"),
            ("http://user:sec?ret@auth.example", "http://user:***@auth.example"),
        ] {
            assert_eq!(shown(address), expected);
        }
        let options = Auth { addresses: vec!["http://user:secret@auth".to_owned()], ..Auth::default() };
        assert!(!format!("{options:?}").contains("secret"));
    }
}
