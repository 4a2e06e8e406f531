//! A minimal HTTP client, just enough for the APIs of NSQ servers: no TLS, one connection per request, a bounded answer.
//!
//! It speaks HTTP/1.0, so that an answer ends with its connection and never comes in chunks. A program that links this
//! does not need an HTTP library for one request every few seconds.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The largest answer; a lookup server that lists 10,000 nodes with 100 topics each stays below it.
const MAX_ANSWER_BYTES: u64 = 64 * 1024 * 1024;

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address cannot be used.
    #[error("`{0}` is not an address of the form `http://host:port`")]
    Address(String),
    /// Nothing listens there, or the connection broke.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// It took too long.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The answer is not HTTP.
    #[error("the answer is not HTTP; is this the HTTP address of the server?")]
    Malformed,
    /// The server answered with an error status.
    #[error("the server answered with status {status}: {text}")]
    Status {
        /// The HTTP status code.
        status: u16,
        /// The start of the body.
        text: String,
    },
}

/// An HTTP server, `http://host:port`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HttpAddress(String);

impl HttpAddress {
    /// Reads `http://host:port`, or `host:port`.
    ///
    /// # Errors
    /// When it is neither; `https` is not supported.
    pub fn parse(text: &str) -> Result<Self, HttpError> {
        let wrong = || HttpError::Address(text.to_owned());
        let host = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        let (name, port) = host.rsplit_once(':').ok_or_else(wrong)?;
        let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'/' | b'?' | b'#' | b'@');
        if name.is_empty() || !name.bytes().all(plain) || port.parse::<u16>().is_err() {
            return Err(wrong());
        }
        Ok(Self(host.to_owned()))
    }

    /// Sends `body` to `path`, which begins with `/`, and returns the body of an answer with status 200.
    ///
    /// # Errors
    /// When there is no such answer within `patience`.
    pub async fn request(
        &self,
        method: &'static str,
        path: &str,
        body: &[u8],
        patience: Duration,
    ) -> Result<Vec<u8>, HttpError> {
        let answer = timeout(patience, self.exchange(method, path, body));
        read(&answer.await.map_err(|_| HttpError::Timeout(patience))??)
    }

    async fn exchange(&self, method: &str, path: &str, body: &[u8]) -> Result<Vec<u8>, std::io::Error> {
        let mut stream = TcpStream::connect(&self.0).await?;
        // The version in `Accept` makes old servers answer without an envelope around the data.
        let request = format!(
            "{method} {path} HTTP/1.0\r\nHost: {}\r\nAccept: application/vnd.nsq; version=1.0\r\nContent-Length: {}\r\n\r\n",
            self.0,
            body.len(),
        );
        stream.write_all(request.as_bytes()).await?;
        let sent = stream.write_all(body).await;
        let mut answer = Vec::new();
        let answered = stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer).await;
        // A server that refuses a large body may answer and close before it has read all of it.
        if answer.is_empty() {
            sent?;
            answered?;
        }
        Ok(answer)
    }
}

impl std::fmt::Display for HttpAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "http://{}", self.0)
    }
}

/// The body of an answer.
fn read(answer: &[u8]) -> Result<Vec<u8>, HttpError> {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").ok_or(HttpError::Malformed)?;
    let head = std::str::from_utf8(&answer[..end]).map_err(|_| HttpError::Malformed)?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1."));
    let status = status.and_then(|line| line.split(' ').nth(1)).and_then(|word| word.parse().ok());
    let status: u16 = status.ok_or(HttpError::Malformed)?;
    let body = &answer[end + 4..];
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    if length.is_some_and(|length| length != body.len()) {
        return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
    }
    if status == 200 {
        return Ok(body.to_vec());
    }
    let text = String::from_utf8_lossy(&body[..body.len().min(200)]).trim().to_owned();
    Err(HttpError::Status { status, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for good in ["http://10.0.0.1:4161", "nsqlookupd-1.internal:4161", "http://[::1]:4161/"] {
            assert!(HttpAddress::parse(good).is_ok(), "{good}");
        }
        for bad in ["https://a:1", "a", "http://:1", "http://a:99999", "http://a:1/x", "a b:1", "u@a:1", ""] {
            assert!(HttpAddress::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_answer_is_taken_whole_or_not_at_all() {
        assert_eq!(read(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi").unwrap(), b"hi");
        assert_eq!(read(b"HTTP/1.1 200 OK\r\n\r\nhi").unwrap(), b"hi");
        assert!(matches!(read(b"HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\nhi"), Err(HttpError::Io(_))));
        assert!(matches!(read(b"HTTP/1.0 200 OK\r\n"), Err(HttpError::Malformed)));
        assert!(matches!(read(b"\0\0\0\x06\0\0\r\n\r\n"), Err(HttpError::Malformed)));
        let Err(HttpError::Status { status, text }) = read(b"HTTP/1.1 404 Not Found\r\n\r\nNO_TOPIC") else {
            panic!("404 is no answer");
        };
        assert_eq!((status, text.as_str()), (404, "NO_TOPIC"));
    }
}
