//! One HTTP question to another server, with bounds in time and size. It follows no redirect and keeps no connection.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::header::{ACCEPT, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// The largest answer that is read, in bytes.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum GetError {
    /// Nobody answered in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The address cannot be connected to.
    #[error("cannot connect: {0}")]
    Connect(#[source] std::io::Error),
    /// The other side speaks no HTTP, or stopped in the middle.
    #[error("{0}")]
    Http(#[from] hyper::Error),
    /// The question cannot be asked so.
    #[error("{0}")]
    Request(#[from] hyper::http::Error),
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
pub(super) async fn get(
    address: &str,
    path: &str,
    timeouts: Timeouts,
) -> Result<(StatusCode, Bytes), GetError> {
    let asked = tokio::time::timeout(timeouts.request, ask(address, path, timeouts.connect));
    asked.await.map_err(|_| GetError::Timeout(timeouts.request))?
}

async fn ask(address: &str, path: &str, connect: Duration) -> Result<(StatusCode, Bytes), GetError> {
    let connected = tokio::time::timeout(connect, TcpStream::connect(address)).await;
    let stream = connected.map_err(|_| GetError::Timeout(connect))?.map_err(GetError::Connect)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path)
        .header(HOST, address)
        .header(ACCEPT, "application/vnd.nsq; version=1.0")
        .body(Empty::<Bytes>::new())?;
    let answered = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await.map_err(GetError::Body)?;
        Ok((status, body.to_bytes()))
    };
    tokio::pin!(answered);
    tokio::select! {
        answer = &mut answered => answer,
        // The connection is driven until the answer is there; when it ends first, the answer says why.
        _ = connection => answered.await,
    }
}
