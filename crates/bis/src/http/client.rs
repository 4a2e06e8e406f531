//! A small HTTP/1.1 client for calls between the app's own processes: plain connections, kept for the next call.
//!
//! It is built on hyper's connections, which axum links anyway; the pooled client of hyper-util would add crates for
//! proxies, redirects and TLS hooks that no call here needs.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use bis_config::{NotAnAddress, host_and_port};
use bytes::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::wire::MAX_CALL_BYTES;

/// How many idle connections are kept to one address.
const MAX_IDLE: usize = 32;

/// Why a call got no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// The address is not one that this client can reach.
    #[error(transparent)]
    Address(#[from] NotAnAddress),
    /// There is nobody.
    #[error("cannot connect")]
    Connect(#[source] std::io::Error),
    /// The connection broke.
    #[error("the connection broke")]
    Broken(#[from] hyper::Error),
    /// The answer could not be read.
    #[error("the answer broke off, or is larger than {MAX_CALL_BYTES} bytes")]
    Answer(#[source] axum::Error),
}

/// The connections of one app.
#[derive(Default)]
pub(crate) struct Client {
    idle: Mutex<HashMap<String, Vec<SendRequest<Body>>>>,
}

impl Client {
    /// Sends a request to `base`, `http://host:port`, and reads its answer.
    ///
    /// A request is sent again, once, only where hyper says that no byte of it went out: on a kept connection that the
    /// other side had closed. Dropping the future closes the connection.
    pub(crate) async fn send(
        &self,
        base: &str,
        request: Request<Body>,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let address = host_and_port(base)?;
        let mut request = request;
        if let Some(mut connection) = self.take(address) {
            match connection.try_send_request(request).await {
                Ok(response) => return self.finish(address, connection, response).await,
                Err(mut failure) => match failure.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(failure.into_error().into()),
                },
            }
        }
        let mut connection = connect(address).await?;
        let response = connection.send_request(request).await?;
        self.finish(address, connection, response).await
    }

    async fn finish(
        &self,
        address: &str,
        connection: SendRequest<Body>,
        response: hyper::Response<hyper::body::Incoming>,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let status = response.status();
        let body = Body::new(response.into_body());
        let body = axum::body::to_bytes(body, MAX_CALL_BYTES).await.map_err(ClientError::Answer)?;
        self.keep(address, connection);
        Ok((status, body))
    }

    fn take(&self, address: &str) -> Option<SendRequest<Body>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = idle.get_mut(address)?;
        while let Some(connection) = connections.pop() {
            if !connection.is_closed() {
                return Some(connection);
            }
        }
        None
    }

    fn keep(&self, address: &str, connection: SendRequest<Body>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = idle.entry(address.to_owned()).or_default();
        if connections.len() < MAX_IDLE && !connection.is_closed() {
            connections.push(connection);
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

async fn connect(address: &str) -> Result<SendRequest<Body>, ClientError> {
    let stream = TcpStream::connect(address).await.map_err(ClientError::Connect)?;
    stream.set_nodelay(true).map_err(ClientError::Connect)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends when the sender is dropped or the other side closes; what breaks shows at the request.
    tokio::spawn(async move { connection.await.ok() });
    Ok(sender)
}
