//! The arguments of a request: what is after `?` in its address, read as strictly as nsqd reads it.

use std::collections::HashMap;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::{ApiError, bad};

/// Arguments by name. Of several with one name the first counts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Arguments(HashMap<String, String>);

impl Arguments {
    /// The text of an argument that was given; it may be empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Like [`Arguments::get`], but an empty argument counts as not given.
    pub(super) fn filled(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|text| !text.is_empty())
    }

    /// A yes or no in one of nsqd's words; `None` for any other word.
    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        match self.get(name)? {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Arguments {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parse(parts.uri.query().unwrap_or_default()).ok_or_else(|| bad("INVALID_REQUEST"))
    }
}

/// Reads a query; `None` for a `%` without two hexadecimal digits and for `;`, which are errors on nsqd too.
fn parse(query: &str) -> Option<Arguments> {
    let mut arguments = HashMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        if pair.contains(';') {
            return None;
        }
        let (name, text) = pair.split_once('=').unwrap_or((pair, ""));
        let text = decode(text)?;
        arguments.entry(decode(name)?).or_insert(text);
    }
    Some(Arguments(arguments))
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => hex(rest.next()?)? << 4 | hex(rest.next()?)?,
            byte => byte,
        });
    }
    // What is not text is not a name either: it is refused where it is looked up.
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read_as_nsqd_reads_them() {
        let arguments = parse("topic=a%2eb+c&topic=second&empty&binary=1").unwrap();
        assert_eq!(arguments.get("topic"), Some("a.b c"));
        assert_eq!((arguments.get("empty"), arguments.filled("empty")), (Some(""), None));
        assert_eq!((arguments.flag("binary"), arguments.flag("topic")), (Some(true), None));
        assert_eq!(arguments.get("nothing"), None);
        assert_eq!(parse(""), Some(Arguments::default()));
        for broken in ["topic=%", "topic=%2", "topic=%zz", "a=1;b=2"] {
            assert_eq!(parse(broken), None, "{broken}");
        }
    }
}
