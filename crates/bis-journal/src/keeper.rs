//! Opening and closing a journal: its folder's lock, recovery, the committer and the background tasks.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::clock::{Clock, SystemClock};
use crate::committer::{Committer, Turns};
use crate::files::damage::Damage;
use crate::files::disk::Disk;
use crate::files::folder::{self, Folder};
use crate::files::reserve::{self, Reserve};
use crate::files::salt::Salt;
use crate::journal::Journal;
use crate::options::{Options, Policy};
use crate::repeated::Repeated;
use crate::state::restore;
use crate::{mover, scrubber};

/// How much room is kept for a full disk, beside that for checkpoints: footers of a segment, settlements, few dead letters.
const RESERVE_BYTES: u64 = 4 * 1024 * 1024;
/// The largest segment: offsets in it are 32 bits.
const MAX_SEGMENT_BYTES: u64 = 1024 * 1024 * 1024;

/// Why a journal was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the folder.
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
}

/// Keeps a journal open. [`Keeper::close`] is the clean way to end; dropping it waits for the committer.
pub struct Keeper {
    journal: Arc<Journal>,
    damage: Vec<Damage>,
    /// The scrubber and the mover.
    tasks: JoinSet<()>,
    committer: Option<JoinHandle<io::Result<()>>>,
    _lock: Vec<File>,
}

impl Keeper {
    /// Locks the folder, recovers the journal, and begins to commit. Call it on a tokio runtime with time; the background tasks
    /// run there, commits on a thread of their own.
    ///
    /// # Errors
    /// When the folder is in use or cannot be used, or the journal cannot be read.
    pub async fn open(options: &Options) -> Result<Self, OpenError> {
        let path = &options.folder;
        let disk = folder::make(path).and_then(|()| Folder::open(path));
        let disk = disk.map_err(|source| OpenError::Folder { path: path.clone(), source })?;
        Self::open_on(Arc::new(disk), options).await
    }

    /// Opens a journal on any disk; the folder is locked nevertheless.
    ///
    /// # Errors
    /// The same as those of [`Keeper::open`].
    pub async fn open_on(disk: Arc<dyn Disk>, options: &Options) -> Result<Self, OpenError> {
        let path = &options.folder;
        let lock = lock_folder(path)?;
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
        .map_err(|source| OpenError::Journal { path: path.clone(), source })?;
        let mut state = restored.state;
        state.dedup.set_window(options.dedup_window);
        state.backlog.limit = options.backlog;
        state.backlog.segment_bytes = segment_bytes;
        state.bound_backlog();
        let journal = Arc::new(Journal::new(state, clock));
        let policy = Policy {
            sync: options.sync,
            retention: options.retention,
            retention_bytes: options.retention_bytes,
        };
        let committer = Committer {
            journal: Arc::clone(&journal),
            writer: restored.writer,
            reserve: Reserve::new(Arc::clone(&disk), RESERVE_BYTES),
            disk,
            policy,
            last_sync: Instant::now(),
            last_commit_took: Duration::MAX,
            last_retention: Instant::now(),
            last_room: Instant::now(),
            last_place: Instant::now(),
            failed_commits: Repeated::default(),
            failed_checkpoints: Repeated::default(),
            lack_of_room: Repeated::default(),
            checkpoint_due: restored.checkpoint_due,
        };
        let turns = Arc::new(Turns::new(committer));
        journal.set_at_once(Arc::downgrade(&turns) as Weak<_>);
        let committer = std::thread::Builder::new()
            .name("bis-router-commit".to_owned())
            .spawn(move || turns.run())
            .map_err(|source| OpenError::Journal { path: path.clone(), source })?;
        let mut tasks = JoinSet::new();
        tasks.spawn(scrubber::run(Arc::clone(&journal)));
        tasks.spawn(mover::run(Arc::clone(&journal), policy));
        Ok(Self { journal, damage: restored.damage, tasks, committer: Some(committer), _lock: lock })
    }

    /// The journal.
    #[must_use]
    pub fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    /// What was found damaged or gone: reported, set aside, and not part of any topic.
    #[must_use]
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// Writes what is left and a checkpoint, which makes the next start short. Nobody may use the journal any more.
    ///
    /// # Errors
    /// When the journal could not be closed; what was answered is safe nevertheless.
    pub async fn close(mut self) -> io::Result<()> {
        self.end();
        self.tasks.shutdown().await;
        let Some(committer) = self.committer.take() else { return Ok(()) };
        let ended = tokio::task::spawn_blocking(move || committer.join()).await;
        match ended {
            Ok(Ok(result)) => result,
            _ => Err(io::Error::other("the committer panicked")),
        }
    }

    fn end(&self) {
        self.journal.stop();
        self.journal.lock().admission.drained = true;
        self.journal.kick();
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.end();
        if let Some(committer) = self.committer.take() {
            // The folder's lock must not be given up while the committer still writes.
            let _ = committer.join();
        }
    }
}

/// Locks the folder itself, so that no second process uses it whatever happens to the files in it, and the file `lock` for
/// file systems that lock files alone.
fn lock_folder(path: &Path) -> Result<Vec<File>, OpenError> {
    let folder_error = |source| OpenError::Folder { path: path.to_owned(), source };
    let folder = File::open(path).map_err(folder_error)?;
    let mut file = File::options();
    let file = file.create(true).truncate(false).write(true).mode(0o600).open(path.join("lock"));
    let file = file.map_err(folder_error)?;
    match folder.try_lock() {
        Err(TryLockError::WouldBlock) => return Err(OpenError::FolderInUse(path.to_owned())),
        Err(TryLockError::Error(error)) => tracing::debug!(%error, "the data folder itself cannot be locked"),
        Ok(()) => {}
    }
    match file.try_lock() {
        Ok(()) => Ok(vec![folder, file]),
        Err(TryLockError::WouldBlock) => Err(OpenError::FolderInUse(path.to_owned())),
        Err(TryLockError::Error(source)) => Err(folder_error(source)),
    }
}
