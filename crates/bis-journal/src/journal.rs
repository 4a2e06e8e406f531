//! An open journal, as its users see it: the state behind its lock, and what can be waited for.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use tokio::sync::{Notify, watch};

use crate::clock::Clock;
use crate::files::fetch::{Fetched, Missing};
use crate::metrics::{JournalCounts, JournalMetrics};
use crate::state::{Progress, State, Ticket};

/// Something that can commit on the thread of those who have something to commit.
pub(crate) trait CommitsAtOnce: Send + Sync {
    /// Somebody has something to commit, and this many bytes wait by now.
    fn begin(&self, publisher: u64, bytes: usize) -> Commit;

    /// Commits all that waits, if that is quickly done.
    fn commit_at_once(&self) -> Commit;
}

/// What is left to do for somebody who has something to commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// Nothing: it is committed, or will be by the committer's thread.
    Done,
    /// To call [`Journal::commit_gathered`] once those who are ready to publish have done so: then one commit is for all.
    Gather,
    /// To call it again when [`Journal::progress`] changes and it is not decided yet: somebody else is committing.
    Busy,
    /// To tell the committer's thread.
    Later,
}

/// A journal that is open: what its users and its committer share.
pub struct Journal {
    state: Mutex<State>,
    pub(crate) work: Condvar,
    at_once: OnceLock<Weak<dyn CommitsAtOnce>>,
    pub(crate) progress: watch::Sender<Progress>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: JournalMetrics,
    /// Old segments are being looked at, and those that may go removed.
    pub(crate) expired: Notify,
    stopping: watch::Sender<bool>,
    failure: watch::Sender<Option<Arc<str>>>,
}

impl Journal {
    pub(crate) fn new(state: State, clock: Arc<dyn Clock>) -> Self {
        let (progress, _) = watch::channel(Progress::default());
        let (stopping, _) = watch::channel(false);
        let (failure, _) = watch::channel(None);
        Self {
            state: Mutex::new(state),
            work: Condvar::new(),
            at_once: OnceLock::new(),
            progress,
            clock,
            metrics: JournalMetrics::default(),
            expired: Notify::new(),
            stopping,
            failure,
        }
    }

    /// The state. Never hold it across an await.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        // A panic under the lock leaves the state as it was between two steps; the journal has the truth.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.wake_up(self.clock.suspended());
        state
    }

    /// From now on this committer commits at once what it can.
    pub(crate) fn set_at_once(&self, committer: Weak<dyn CommitsAtOnce>) {
        self.at_once.get_or_init(|| committer);
    }

    /// Tells the committer that there is something to write.
    pub fn kick(&self) {
        self.work.notify_one();
    }

    /// Begins to commit what somebody waits for: on this thread if that is quickly done, and else on the committer's. `publisher`
    /// is a number of its own for everybody who publishes, and `bytes` is how much is [uncommitted](State::uncommitted).
    pub fn commit(&self, publisher: u64, bytes: usize) -> Commit {
        self.commit_with(|committer| committer.begin(publisher, bytes))
    }

    /// Goes on with what [`Journal::commit`] began.
    pub fn commit_gathered(&self) -> Commit {
        self.commit_with(|committer| committer.commit_at_once())
    }

    fn commit_with(&self, commit: impl FnOnce(&dyn CommitsAtOnce) -> Commit) -> Commit {
        let committer = self.at_once.get().and_then(Weak::upgrade);
        match committer.map_or(Commit::Later, |committer| commit(&*committer)) {
            Commit::Later => {
                self.kick();
                Commit::Done
            }
            other => other,
        }
    }

    /// Nothing is accepted from now on; connections end after what they were promised.
    pub fn stop(&self) {
        self.lock().admission.stopping = true;
        self.stopping.send_replace(true);
    }

    /// Resolves when the journal stops.
    pub async fn stopped(&self) {
        let mut stopping = self.stopping.subscribe();
        // An error means that the journal is gone, which is a stop too.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    }

    /// Nothing is accepted from now on, and everyone who waits for [`Journal::failed`] is told why.
    pub(crate) fn fail(&self, reason: &Arc<str>) {
        self.lock().admission.failure = Some(Arc::clone(reason));
        self.failure.send_replace(Some(Arc::clone(reason)));
    }

    /// Resolves when the journal has failed for good, with the reason.
    pub async fn failed(&self) -> Arc<str> {
        let mut failure = self.failure.subscribe();
        let failed = failure.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
        // The sender is in `self`, so that it is there as long as anybody waits.
        failed.unwrap_or_else(|| "the journal is gone".into())
    }

    /// Reads what the log lacks, without the lock. A failure is counted and reported.
    ///
    /// # Errors
    /// The disk's. The message is where it was; try again after a while.
    pub async fn fetch(&self, missing: Missing) -> io::Result<Fetched> {
        let (segment, topic, sequence) = (missing.segment.number, missing.topic, missing.sequence);
        let read = tokio::task::spawn_blocking(move || missing.read()).await;
        let read = read.map_err(io::Error::other).flatten();
        if let Err(error) = &read {
            let now = self.clock.now();
            let state = &mut *self.lock();
            let wanted = state.topics.get(&topic).map(|topic| (&topic.name, sequence));
            state.log.read_failed(segment, wanted, error, now.0);
        }
        read
    }

    /// How far commits are; it changes whenever one is decided.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// The clock that the journal goes by.
    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// What the committer has done since the start.
    pub fn counts(&self) -> JournalCounts {
        self.metrics.read()
    }

    /// Waits until the ticket is decided.
    ///
    /// # Errors
    /// Why the commit failed, or why no commit will be decided any more.
    pub async fn decided(&self, ticket: Ticket) -> Result<(), Arc<str>> {
        let mut progress = self.progress.subscribe();
        loop {
            if let Some(outcome) = progress.borrow_and_update().outcome(&ticket) {
                return outcome;
            }
            if progress.changed().await.is_err() {
                return Err("exiting".into());
            }
        }
    }
}
