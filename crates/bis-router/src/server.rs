//! The listeners: who connects, by which protocol. What they may do stands in the modules below.

mod commands;
mod connection;
mod http;
mod stats;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::committer::Shared;
use crate::options::Options;

/// What clients see as version: the nsqd that the protocol is compatible with, and ours.
pub(crate) const VERSION: &str = concat!("1.3.0-bis.", env!("CARGO_PKG_VERSION"));
/// The pause after an accept that failed, for want of file descriptors most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What all connections share.
pub(crate) struct Server {
    pub(crate) shared: Arc<Shared>,
    pub(crate) options: Options,
    pub(crate) tcp_address: SocketAddr,
    pub(crate) http_address: SocketAddr,
    /// Seconds since 1970.
    pub(crate) started: u64,
}

impl Server {
    pub(crate) fn new(
        shared: Arc<Shared>,
        options: Options,
        tcp_address: SocketAddr,
        http_address: SocketAddr,
    ) -> Self {
        Self { shared, options, tcp_address, http_address, started: unix_seconds() }
    }
}

/// Serves NSQ clients until the router stops, and waits for their connections to end.
pub(crate) async fn listen_tcp(server: Arc<Server>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    let stopped = server.shared.stopped();
    tokio::pin!(stopped);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, remote)) => {
                    connections.spawn(connection::serve(Arc::clone(&server), stream, remote));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
            () = &mut stopped => break,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Serves the HTTP API until the router stops.
pub(crate) async fn listen_http(server: Arc<Server>, listener: TcpListener) {
    let stopping = Arc::clone(&server.shared);
    let routes = http::routes(server);
    let served =
        axum::serve(listener, routes).with_graceful_shutdown(async move { stopping.stopped().await });
    if let Err(error) = served.await {
        tracing::error!(%error, "the HTTP API stopped");
    }
}

/// Now, in seconds since 1970; for display only.
pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
