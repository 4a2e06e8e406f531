//! Starting and stopping a router: folder lock, recovery, listeners, committer, drain.

use std::fs::{File, TryLockError};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::clock::{Clock, SystemClock};
use crate::committer::{Committer, Policy, Shared};
use crate::journal::damage::Damage;
use crate::journal::disk::Disk;
use crate::journal::folder::{self, Folder};
use crate::journal::reserve::{self, Reserve};
use crate::journal::salt::Salt;
use crate::options::{BoundError, Options, RemoteError};
use crate::repeated::Repeated;
use crate::server::tls::TlsError;
use crate::server::{self, Addresses, Server, Trust};
use crate::state::restore;

/// How long a shutdown waits for connections to end by themselves.
const DRAIN: Duration = Duration::from_secs(5);
/// How much room is kept for a full disk, beside that for checkpoints: footers of a segment, settlements, few dead letters.
const RESERVE_BYTES: u64 = 4 * 1024 * 1024;
/// The largest segment: offsets in it are 32 bits.
const MAX_SEGMENT_BYTES: u64 = 1024 * 1024 * 1024;

/// The router. [`Router::start`] is all there is to it.
#[derive(Debug)]
pub struct Router;

/// Why a router did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another router has the folder.
    #[error("`{0}` is in use by another router; stop that one or choose another data folder")]
    FolderInUse(PathBuf),
    /// The folder cannot be made or locked.
    #[error("cannot use `{path}` as data folder; check that it is a folder that can be written")]
    Folder {
        /// Which folder.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The journal cannot be read or gone on with.
    #[error("cannot open the journal in `{path}`")]
    Journal {
        /// Which folder.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
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
    damage: Vec<Damage>,
    shared: Arc<Shared>,
    listeners: JoinSet<()>,
    committer: Option<JoinHandle<io::Result<()>>>,
    _lock: Vec<File>,
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
        let path = &options.data_folder;
        let disk = folder::make(path).and_then(|()| Folder::open(path));
        let disk = disk.map_err(|source| StartError::Folder { path: path.clone(), source })?;
        Self::start_on(Arc::new(disk), options).await
    }

    /// Starts on any disk; the folder is locked nevertheless.
    async fn start_on(disk: Arc<dyn Disk>, options: Options) -> Result<Handle, StartError> {
        let path = options.data_folder.clone();
        let trust = Trust::new(&options).map_err(StartError::Tls)?;
        let lock = lock_folder(&path)?;
        raise_descriptor_limit();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
        let segment_bytes = options.segment_bytes.min(MAX_SEGMENT_BYTES);
        let (recovery_disk, now) = (Arc::clone(&disk), clock.date());
        let restored = tokio::task::spawn_blocking(move || {
            let restore = || restore::restore(&recovery_disk, segment_bytes, now, Salt::random());
            restore().or_else(|error| {
                if !reserve::is_full(&error) {
                    return Err(error);
                }
                reserve::release(&*recovery_disk)?;
                restore()
            })
        })
        .await
        .map_err(io::Error::other)
        .and_then(|restored| restored)
        .map_err(|source| StartError::Journal { path: path.clone(), source })?;
        let tcp = listen(options.tcp_address).await?;
        let http = listen(options.http_address).await?;
        let https = match options.https_address.filter(|_| trust.tls.is_some()) {
            Some(address) => Some(listen(address).await?),
            None => None,
        };
        let mut state = restored.state;
        state.dedup.set_window(options.dedup_window);
        state.backlog.limit = options.backlog;
        state.backlog.segment_bytes = segment_bytes;
        state.bound_backlog();
        state.holds_new_topics = !options.lookup.tcp_addresses.is_empty();
        state.forget_ephemeral();
        state.hold_again();
        let shared = Arc::new(Shared::new(state, clock));
        let policy = Policy {
            sync: options.sync,
            retention: options.retention,
            retention_bytes: options.retention_bytes,
        };
        let committer = Committer {
            shared: Arc::clone(&shared),
            writer: restored.writer,
            reserve: Reserve::new(Arc::clone(&disk), RESERVE_BYTES),
            disk,
            policy,
            last_sync: Instant::now(),
            last_retention: Instant::now(),
            last_room: Instant::now(),
            last_place: Instant::now(),
            failed_commits: Repeated::default(),
            failed_checkpoints: Repeated::default(),
            lack_of_room: Repeated::default(),
            checkpoint_due: restored.checkpoint_due,
        };
        let committer = std::thread::Builder::new()
            .name("bis-router-commit".to_owned())
            .spawn(move || committer.run())
            .map_err(|source| StartError::Journal { path, source })?;
        let address_of = |listener: &TcpListener, asked| listener.local_addr().unwrap_or(asked);
        let addresses = Addresses {
            tcp: address_of(&tcp, options.tcp_address),
            http: address_of(&http, options.http_address),
            https: https.as_ref().and_then(|listener| listener.local_addr().ok()),
        };
        let server = Arc::new(Server::new(Arc::clone(&shared), options, addresses, trust));
        let mut listeners = JoinSet::new();
        listeners.spawn(crate::scrubber::run(Arc::clone(&shared)));
        listeners.spawn(crate::mover::run(Arc::clone(&shared), policy));
        listeners.spawn(server::listen_tcp(Arc::clone(&server), tcp));
        listeners.spawn(server::lookup::run(Arc::clone(&server)));
        if let Some(https) = https {
            listeners.spawn(server::listen_https(Arc::clone(&server), https));
        }
        listeners.spawn(server::listen_http(server, http));
        let Addresses { tcp: tcp_address, http: http_address, https: https_address } = addresses;
        tracing::info!(%tcp_address, %http_address, https_address = https_address.map(tracing::field::display), "the router listens");
        Ok(Handle {
            tcp_address,
            http_address,
            https_address,
            damage: restored.damage,
            shared,
            listeners,
            committer: Some(committer),
            _lock: lock,
        })
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
        &self.damage
    }

    /// Resolves when the router has failed for good: a sync failed, or the thread that writes the journal died. From then
    /// on every publish is refused with the reason, and what is finished is not written. Nothing that was answered is
    /// lost. Whoever runs the router should say so, shut it down, and start another one, which recovers from the disk.
    /// Never resolves otherwise; cancelling it changes nothing.
    pub async fn failed(&self) -> Failure {
        Failure(self.shared.failed().await.to_string())
    }

    /// Stops: no new publishes, connections are closed after what they were promised is answered, settlements are
    /// written, a checkpoint makes the next start short. Takes a few seconds at most.
    ///
    /// # Errors
    /// When the journal could not be closed; what was answered is safe nevertheless.
    pub async fn shutdown(mut self) -> Result<(), ShutdownError> {
        self.shared.stop();
        let drained = async { while self.listeners.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            self.listeners.abort_all();
        }
        self.shared.lock().drained = true;
        self.shared.kick();
        let Some(committer) = self.committer.take() else { return Ok(()) };
        let ended = tokio::task::spawn_blocking(move || committer.join()).await;
        match ended {
            Ok(Ok(result)) => result.map_err(ShutdownError::Journal),
            _ => Err(ShutdownError::Journal(io::Error::other("the committer panicked"))),
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.stop();
        self.shared.lock().drained = true;
        self.shared.kick();
        if let Some(committer) = self.committer.take() {
            // The folder's lock must not be given up while the committer still writes.
            let _ = committer.join();
        }
    }
}

/// Locks the folder itself, so that no second router uses it whatever happens to the files in it, and the file `lock` for
/// file systems that lock files alone.
fn lock_folder(path: &PathBuf) -> Result<Vec<File>, StartError> {
    let folder_error = |source| StartError::Folder { path: path.clone(), source };
    let folder = File::open(path).map_err(folder_error)?;
    let mut file = File::options();
    let file = file.create(true).truncate(false).write(true).mode(0o600).open(path.join("lock"));
    let file = file.map_err(folder_error)?;
    match folder.try_lock() {
        Err(TryLockError::WouldBlock) => return Err(StartError::FolderInUse(path.clone())),
        Err(TryLockError::Error(error)) => tracing::debug!(%error, "the data folder itself cannot be locked"),
        Ok(()) => {}
    }
    match file.try_lock() {
        Ok(()) => Ok(vec![folder, file]),
        Err(TryLockError::WouldBlock) => Err(StartError::FolderInUse(path.clone())),
        Err(TryLockError::Error(source)) => Err(folder_error(source)),
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
