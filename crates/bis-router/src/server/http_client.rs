//! One HTTP request to another server, plain or over TLS, with bounds in time and size. It follows no redirect and keeps no
//! connection.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, ToSocketAddrs};

/// The data that NSQ's own servers answer with, without an envelope around it.
pub(super) const NSQ_DATA: &str = "application/vnd.nsq; version=1.0";
/// The largest answer to [`get`], in bytes.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// Nobody answered in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The address cannot be connected to.
    #[error("cannot connect: {0}")]
    Connect(#[source] io::Error),
    /// The other side does not speak HTTP, or stopped in the middle.
    #[error("{0}")]
    Http(#[from] hyper::Error),
    /// The request cannot be made this way.
    #[error("{0}")]
    Request(#[from] hyper::http::Error),
    /// The server refused.
    #[error("the answer's status is {0}")]
    Status(StatusCode),
    /// The answer is too large or was cut off.
    #[error("{0}")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// How long to wait: for a connection, and for all of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timeouts {
    pub(super) connect: Duration,
    pub(super) request: Duration,
}

/// Asks `http://address/path`, as nsqd asks other servers.
pub(super) async fn get(address: &str, path: &str, timeouts: Timeouts) -> Result<Bytes, AskError> {
    let asked = async {
        let request = Request::get(path).header(HOST, address).header(ACCEPT, NSQ_DATA);
        let request = request.body(Full::default())?;
        let stream = connect(address, timeouts.connect).await?;
        exchange(stream, request, MAX_ANSWER_BYTES).await
    };
    let answer = tokio::time::timeout(timeouts.request, asked).await;
    answer.map_err(|_| AskError::Timeout(timeouts.request))?
}

/// Connects in time.
pub(super) async fn connect(address: impl ToSocketAddrs, patience: Duration) -> Result<TcpStream, AskError> {
    let connected = tokio::time::timeout(patience, TcpStream::connect(address)).await;
    connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(AskError::Connect)
}

/// Sends a request over an existing connection, and takes an answer with status 200 and at most this many bytes.
pub(super) async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
    max_bytes: usize,
) -> Result<Bytes, AskError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answered = async {
        let response = sender.send_request(request).await?;
        if response.status() != StatusCode::OK {
            return Err(AskError::Status(response.status()));
        }
        let body = Limited::new(response.into_body(), max_bytes).collect().await;
        Ok(body.map_err(AskError::Body)?.to_bytes())
    };
    tokio::pin!(answered);
    tokio::select! {
        answer = &mut answered => answer,
        // The connection is driven until the answer is there; when it ends first, the answer says why.
        _ = connection => answered.await,
    }
}
