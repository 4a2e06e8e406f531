//! Starting and stopping a router: journal, listeners, drain.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bis_journal::{Damage, Keeper, OpenError};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::options::{BoundError, Options, RemoteError};
use crate::server::tls::TlsError;
use crate::server::{self, Addresses, Server, Trust};

/// How long a shutdown waits for connections to end by themselves.
const DRAIN: Duration = Duration::from_secs(5);
/// The router. [`Router::start`] is all there is to it.
#[derive(Debug)]
pub struct Router;

/// Why a router did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The journal cannot be opened.
    #[error(transparent)]
    Journal(#[from] OpenError),
    /// The address cannot be listened on.
    #[error("cannot listen on `{address}`; is another program using the port?")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// TLS or authorization cannot be used as the options say.
    #[error("cannot use TLS as the options say")]
    Tls(#[source] TlsError),
    /// A limit is raised too far.
    #[error(transparent)]
    Bound(#[from] BoundError),
    /// The address is open to other machines, and that was not allowed.
    #[error(transparent)]
    Remote(#[from] RemoteError),
}

/// Why a stop was not clean. Nothing that was answered is lost; the next start recovers.
#[derive(Debug, thiserror::Error)]
pub enum ShutdownError {
    /// The last commit or checkpoint failed.
    #[error("the journal was not closed cleanly; the next start recovers from it")]
    Journal(#[source] io::Error),
}

/// Why a running router accepts nothing any more. A restart recovers what the disk has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Failure(String);

/// A running router. Dropping it stops the router without draining; [`Handle::shutdown`] is the clean way.
pub struct Handle {
    tcp_address: SocketAddr,
    http_address: SocketAddr,
    https_address: Option<SocketAddr>,
    // Dropped first, so that nobody uses the journal when it ends.
    listeners: JoinSet<()>,
    keeper: Keeper,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = formatter.debug_struct("Handle");
        debug.field("tcp_address", &self.tcp_address).field("http_address", &self.http_address);
        debug.finish_non_exhaustive()
    }
}

impl Router {
    /// Recovers the journal, listens, and returns once clients can connect. Call it on a tokio runtime with time and
    /// I/O; connections run there, commits on a thread of their own.
    ///
    /// # Errors
    /// When the folder is in use or cannot be used, or an address cannot be listened on.
    pub async fn start(options: Options) -> Result<Handle, StartError> {
        options.check_bounds()?;
        options.check_reach()?;
        let trust = Trust::new(&options).map_err(StartError::Tls)?;
        let keeper = Keeper::open(&options.journal).await?;
        Self::start_with(keeper, options, trust).await
    }

    /// Serves an open journal.
    async fn start_with(keeper: Keeper, options: Options, trust: Trust) -> Result<Handle, StartError> {
        raise_descriptor_limit();
        let journal = Arc::clone(keeper.journal());
        let tcp = listen(options.tcp_address).await?;
        let http = listen(options.http_address).await?;
        let https = match options.https_address.filter(|_| trust.tls.is_some()) {
            Some(address) => Some(listen(address).await?),
            None => None,
        };
        {
            let mut state = journal.lock();
            state.hold_new_topics(!options.lookup.tcp_addresses.is_empty());
            server::ephemeral::forget(&mut state);
            state.hold_again();
        }
        journal.kick();
        let address_of = |listener: &TcpListener, asked| listener.local_addr().unwrap_or(asked);
        let addresses = Addresses {
            tcp: address_of(&tcp, options.tcp_address),
            http: address_of(&http, options.http_address),
            https: https.as_ref().and_then(|listener| listener.local_addr().ok()),
        };
        let server = Arc::new(Server::new(Arc::clone(&journal), options, addresses, trust));
        let mut listeners = JoinSet::new();
        listeners.spawn(server::listen_tcp(Arc::clone(&server), tcp));
        listeners.spawn(server::lookup::run(Arc::clone(&server)));
        if let Some(https) = https {
            listeners.spawn(server::listen_https(Arc::clone(&server), https));
        }
        listeners.spawn(server::listen_http(server, http));
        let Addresses { tcp: tcp_address, http: http_address, https: https_address } = addresses;
        tracing::info!(%tcp_address, %http_address, https_address = https_address.map(tracing::field::display), "the router listens");
        Ok(Handle { tcp_address, http_address, https_address, keeper, listeners })
    }
}

impl Handle {
    /// Where NSQ clients connect.
    #[must_use]
    pub fn tcp_address(&self) -> SocketAddr {
        self.tcp_address
    }

    /// Where the HTTP API answers.
    #[must_use]
    pub fn http_address(&self) -> SocketAddr {
        self.http_address
    }

    /// Where the HTTP API answers over TLS, if it does.
    #[must_use]
    pub fn https_address(&self) -> Option<SocketAddr> {
        self.https_address
    }

    /// What the start found damaged or gone in the journal: reported, set aside, and not part of any topic.
    #[must_use]
    pub fn damage(&self) -> &[Damage] {
        self.keeper.damage()
    }

    /// Resolves when the router has failed for good: a sync failed, or the thread that writes the journal died. From then
    /// on every publish is refused with the reason, and what is finished is not written. Nothing that was answered is
    /// lost. The program that runs the router should report it, shut it down, and start another one, which recovers from the disk.
    /// Never resolves otherwise; cancelling it changes nothing.
    pub async fn failed(&self) -> Failure {
        Failure(self.keeper.journal().failed().await.to_string())
    }

    /// Stops: no new publishes, connections are closed after what they were promised is answered, settlements are
    /// written, a checkpoint makes the next start short. Takes a few seconds at most.
    ///
    /// # Errors
    /// When the journal could not be closed; what was answered is safe nevertheless.
    pub async fn shutdown(mut self) -> Result<(), ShutdownError> {
        self.keeper.journal().stop();
        let drained = async { while self.listeners.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            self.listeners.abort_all();
        }
        self.keeper.close().await.map_err(ShutdownError::Journal)
    }
}

/// Lets the process have as many descriptors as it may: each client takes one.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })
}

#[cfg(test)]
mod tests;
