//! The listeners: who connects, by which protocol. What they may do is in the modules below.

mod answers;
pub(crate) mod auth;
mod client;
pub(crate) mod clients;
mod commands;
mod connection;
mod consume;
pub(crate) mod ephemeral;
mod gate;
mod http;
mod http_client;
mod http_serve;
mod https;
mod inquiry;
mod intake;
pub(crate) mod lookup;
mod metrics;
mod negotiate;
mod outbox;
mod permission;
mod process;
mod session;
mod stats;
mod stopping;
mod stranger;
pub(crate) mod tls;
mod transport;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::serve::ListenerExt;
use bis_journal::{Journal, Repeated};
use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use self::auth::Authorizer;
use self::clients::Clients;
use self::tls::TlsError;
use crate::options::Options;

/// What clients see as version: the nsqd that the protocol is compatible with, and ours.
pub(crate) const VERSION: &str = concat!("1.3.0-bis.", env!("CARGO_PKG_VERSION"));
/// The pause after an accept that failed, for want of file descriptors most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// After how much silence the operating system probes whether a client is still there, as on nsqd, and how often after that.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What all connections share.
pub(crate) struct Server {
    pub(crate) journal: Arc<Journal>,
    pub(crate) options: Options,
    pub(crate) tcp_address: SocketAddr,
    pub(crate) http_address: SocketAddr,
    pub(crate) https_address: Option<SocketAddr>,
    /// The machine's name.
    pub(crate) hostname: String,
    /// Seconds since 1970.
    pub(crate) started: u64,
    pub(crate) clients: Arc<Clients>,
    /// What accepts TLS, if there is a certificate.
    pub(crate) tls: Option<TlsAcceptor>,
    /// Whom to ask what clients may do; everybody may do everything without.
    pub(crate) authorizer: Option<Arc<Authorizer>>,
    /// Where nsqlookupd is; the HTTP API changes it.
    pub(crate) lookup_addresses: watch::Sender<Option<Vec<String>>>,
    /// The state of the connection to each of them.
    pub(crate) lookup_standings: watch::Sender<lookup::Standings>,
}

/// What is listened on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    pub(crate) tcp: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) https: Option<SocketAddr>,
}

/// What makes clients trusted, read from the options' files before anything is listened on.
pub(crate) struct Trust {
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) authorizer: Option<Arc<Authorizer>>,
}

impl Trust {
    pub(crate) fn new(options: &Options) -> Result<Self, TlsError> {
        let tls = tls::server_config(&options.tls)?.map(TlsAcceptor::from);
        let authorizer = Authorizer::new(&options.auth, &options.tls)?.map(Arc::new);
        Ok(Self { tls, authorizer })
    }
}

impl Server {
    pub(crate) fn new(journal: Arc<Journal>, options: Options, addresses: Addresses, trust: Trust) -> Self {
        let Trust { tls, authorizer } = trust;
        Self {
            lookup_addresses: watch::Sender::new(Some(options.lookup.tcp_addresses.clone())),
            lookup_standings: watch::Sender::default(),
            journal,
            options,
            tcp_address: addresses.tcp,
            http_address: addresses.http,
            https_address: addresses.https,
            hostname: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            started: unix_seconds(),
            clients: Arc::default(),
            tls,
            authorizer,
        }
    }

    /// The host by which others reach this router.
    fn broadcast_address(&self) -> &str {
        self.options.lookup.broadcast_address.as_deref().unwrap_or(&self.hostname)
    }

    /// The NSQ port by which others reach this router.
    fn broadcast_tcp_port(&self) -> u16 {
        self.options.lookup.broadcast_tcp_port.unwrap_or(self.tcp_address.port())
    }

    /// The HTTP port by which others reach this router.
    fn broadcast_http_port(&self) -> u16 {
        self.options.lookup.broadcast_http_port.unwrap_or(self.http_address.port())
    }
}

/// Serves NSQ clients until the router stops, and waits for their connections to end.
pub(crate) async fn listen_tcp(server: Arc<Server>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    let mut failures = Repeated::default();
    let stopped = server.journal.stopped();
    tokio::pin!(stopped);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, remote)) => {
                    // A listener on `[::]` sees IPv4 clients too; they are called by their own addresses, as on nsqd.
                    let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
                    keep_alive(&stream);
                    connections.spawn(connection::serve(Arc::clone(&server), stream, remote));
                }
                Err(error) => {
                    if let Some(before) = failures.is_due() {
                        tracing::warn!(%error, before, "a connection could not be accepted");
                    }
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
    let routes = http::plain_routes(Arc::clone(&server));
    http_serve::serve(server, listener.tap_io(|stream| keep_alive(stream)), routes).await;
}

/// Serves the HTTP API over TLS until the router stops; nothing without a certificate.
pub(crate) async fn listen_https(server: Arc<Server>, listener: TcpListener) {
    let (Some(acceptor), Some(address)) = (server.tls.clone(), server.https_address) else { return };
    let routes = http::routes(Arc::clone(&server), address);
    http_serve::serve(server, https::TlsListener::new(listener, acceptor), routes).await;
}

/// Without it a client that vanished, and was not expected to send anything, would stay forever.
fn keep_alive(stream: &TcpStream) {
    let kept = sockopt::set_socket_keepalive(stream, true)
        .and_then(|()| sockopt::set_tcp_keepidle(stream, KEEP_ALIVE))
        .and_then(|()| sockopt::set_tcp_keepintvl(stream, KEEP_ALIVE));
    if let Err(error) = kept {
        tracing::debug!(%error, "it will not be noticed when a silent client vanishes");
    }
}

/// Now, in seconds since 1970; for display only.
pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
