//! The HTTP API over TLS: concurrent handshakes, so that a slow one holds up nobody. It knows no route.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::Listener;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::{ACCEPT_PAUSE, keep_alive};

/// How long a client may take for its handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How many handshakes are done at once; further clients wait to be accepted.
const HANDSHAKES_AT_ONCE: usize = 256;

/// A listener whose connections speak TLS.
pub(super) struct TlsListener {
    accepted: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    address: io::Result<SocketAddr>,
    accepting: AbortHandle,
}

impl TlsListener {
    pub(super) fn new(listener: TcpListener, acceptor: TlsAcceptor) -> Self {
        let (sender, accepted) = mpsc::channel(HANDSHAKES_AT_ONCE);
        let address = listener.local_addr();
        let accepting = tokio::spawn(accept_all(listener, acceptor, sender)).abort_handle();
        Self { accepted, address, accepting }
    }
}

impl Drop for TlsListener {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        match self.accepted.recv().await {
            Some(connection) => connection,
            // The task that accepts ends only with this.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.address {
            Ok(address) => Ok(*address),
            Err(error) => Err(error.kind().into()),
        }
    }
}

async fn accept_all(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    accepted: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>,
) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES_AT_ONCE));
    loop {
        let Ok(permit) = Arc::clone(&handshakes).acquire_owned().await else { return };
        let (stream, remote) = match listener.accept().await {
            Ok(connection) => connection,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        keep_alive(&stream);
        let (acceptor, accepted) = (acceptor.clone(), accepted.clone());
        tokio::spawn(async move {
            match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => {
                    // When the router stops, nobody accepts it.
                    let _ = accepted.send((stream, remote)).await;
                }
                Ok(Err(error)) => {
                    tracing::debug!(%remote, error = error.to_string(), "a TLS handshake failed")
                }
                Err(_) => tracing::debug!(%remote, "a TLS handshake took too long"),
            }
            drop(permit);
        });
    }
}
