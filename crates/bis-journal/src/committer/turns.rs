//! Whose turn it is to commit: one at a time, the committer's thread or a publisher's.
//!
//! Publishers that wait for each answer are answered without a change of threads, which takes longer than a write into the
//! operating system's cache, and as long as the sync of a quick disk. One alone commits at once. Of several, the first leads: it
//! waits until those who are ready to publish have done so, and commits for all of them. A publisher that comes during a commit
//! follows, and leads when that is done, if its own has not been committed by then. What may take long is left to the
//! committer's thread.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::{Committer, FAILED_PAUSE, IDLE_FLUSH, PLACE_CHECK, ROOM_CHECK, Round, Watch};
use crate::journal::{Commit, CommitsAtOnce, Journal};
use crate::options::SyncMode;

/// Up to this many bytes are written by the thread that brings them.
const AT_ONCE_BYTES: usize = 16 * 1024;
/// A disk that took no longer for the last commit with its sync is quick enough to be waited for.
const QUICK_SYNC: Duration = Duration::from_micros(200);
/// The same without a sync. A write into the operating system's cache only takes longer when that is held up.
const QUICK_WRITE: Duration = Duration::from_millis(5);

/// The committer, and who may commit.
pub(crate) struct Turns {
    committer: Mutex<Committer>,
    journal: Arc<Journal>,
    sync: SyncMode,
    /// The last publisher.
    last_publisher: AtomicU64,
}

impl Turns {
    pub(crate) fn new(committer: Committer) -> Self {
        let (journal, sync) = (Arc::clone(&committer.journal), committer.policy.sync);
        Self { committer: Mutex::new(committer), journal, sync, last_publisher: AtomicU64::new(u64::MAX) }
    }

    /// The committer's thread: commits until the router stops, then writes everything and a checkpoint.
    pub(crate) fn run(&self) -> io::Result<()> {
        let _watch = Watch(Arc::clone(&self.journal));
        self.take()?.keep_reserve();
        loop {
            self.wait_for_work();
            let mut committer = self.take()?;
            match committer.round() {
                Round::Done => {}
                Round::Refused => {
                    drop(committer);
                    std::thread::sleep(FAILED_PAUSE);
                }
                Round::Last => return committer.stop(),
            }
        }
    }

    /// The next turn. An error means that one before ended by a panic, which everybody was told.
    fn take(&self) -> io::Result<MutexGuard<'_, Committer>> {
        self.committer.lock().map_err(|_| io::Error::other("a commit panicked"))
    }

    /// Waits until there is something to commit, or to look after. That others commit meanwhile, and tell this thread of what
    /// they take at once, puts nothing off.
    fn wait_for_work(&self) {
        let began = Instant::now();
        let mut state = self.journal.lock();
        let mut dirty_since = None;
        loop {
            let dirty_for = state.is_dirty().then(|| dirty_since.get_or_insert_with(Instant::now).elapsed());
            let is_due = dirty_for.is_some_and(|dirty_for| dirty_for >= IDLE_FLUSH);
            if state.admission.drained || state.is_awaited() || is_due {
                return;
            }
            let longest = match self.sync {
                _ if state.admission.no_room.is_some() => ROOM_CHECK,
                SyncMode::Interval(interval) if state.is_unsynced => interval,
                _ => PLACE_CHECK,
            };
            let left = longest.saturating_sub(began.elapsed());
            if left.is_zero() {
                return;
            }
            let wait = dirty_for.map_or(left, |dirty_for| left.min(IDLE_FLUSH.saturating_sub(dirty_for)));
            let waited = self.journal.work.wait_timeout(state, wait);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl CommitsAtOnce for Turns {
    fn begin(&self, publisher: u64, bytes: usize) -> Commit {
        let is_alone = self.last_publisher.swap(publisher, Ordering::Relaxed) == publisher;
        if bytes > AT_ONCE_BYTES || self.sync == SyncMode::Always && !has_other_threads() {
            return Commit::Later;
        }
        if is_alone { self.commit_at_once() } else { Commit::Gather }
    }

    fn commit_at_once(&self) -> Commit {
        let mut committer = match self.committer.try_lock() {
            Ok(committer) => committer,
            Err(TryLockError::WouldBlock) => return Commit::Busy,
            Err(TryLockError::Poisoned(_)) => return Commit::Later,
        };
        let _watch = Watch(Arc::clone(&self.journal));
        let is_done = committer.commit_at_once();
        drop(committer);
        let mut state = self.journal.lock();
        // What was defined is defined once more, by the committer's thread.
        let (is_awaited, is_flush_due) = (state.is_awaited(), state.take_flush());
        drop(state);
        if is_awaited && is_done {
            // Somebody may have found this thread committing after the last change had been announced.
            self.journal.progress.send_modify(|_| {});
        }
        if is_awaited && !is_done || is_flush_due { Commit::Later } else { Commit::Done }
    }
}

/// Whether the runtime goes on while this thread waits for the disk.
fn has_other_threads() -> bool {
    Handle::try_current().is_ok_and(|runtime| runtime.metrics().num_workers() > 1)
}

impl Committer {
    /// Commits what waits if that is a small write and nothing else is due with it; whether it did.
    fn commit_at_once(&mut self) -> bool {
        let quick = if self.policy.sync == SyncMode::Always { QUICK_SYNC } else { QUICK_WRITE };
        let mut state = self.journal.lock();
        let is_quick = state.is_awaited()
            && state.uncommitted() <= AT_ONCE_BYTES
            && !state.admission.drained
            && state.admission.failure.is_none()
            && state.admission.no_room.is_none()
            && !self.checkpoint_due
            && self.last_commit_took <= quick
            && self.writer.has_filled(2 * AT_ONCE_BYTES);
        let was_unsynced = state.is_unsynced;
        let Some(batch) = is_quick.then(|| state.take_batch()).flatten() else { return false };
        drop(state);
        self.commit(batch);
        if !was_unsynced && self.writer.is_unsynced() {
            // From now on there is something to sync after a while.
            self.journal.kick();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tempfile::TempDir;

    use super::*;
    use crate::keeper::Keeper;
    use crate::options::Options;
    use crate::state::{MessageFacts, Ticket};

    /// The publishers of a test must be answered within this time; a wake-up that got lost would leave them waiting.
    const PATIENCE: Duration = Duration::from_secs(60);

    async fn opened(folder: &TempDir, sync: SyncMode) -> Keeper {
        let mut options = Options::new(folder.path());
        options.sync = sync;
        Keeper::open(&options).await.unwrap()
    }

    fn publish(journal: &Journal, publisher: u64) -> (Ticket, Commit) {
        let date = journal.clock().date();
        let mut state = journal.lock();
        let published = state.publish("orders", [&b"a message"[..]], &MessageFacts::default(), date);
        let bytes = state.uncommitted();
        drop(state);
        let commit = journal.commit(publisher, bytes);
        (published.unwrap().place.ticket().clone(), commit)
    }

    /// Does the rest of a commit, and waits until it is decided.
    async fn follow(journal: &Journal, ticket: Ticket, mut commit: Commit) {
        let mut progress = journal.progress();
        while progress.borrow_and_update().outcome(&ticket).is_none() {
            match commit {
                Commit::Gather => {
                    tokio::task::yield_now().await;
                    commit = journal.commit_gathered();
                }
                Commit::Done => progress.changed().await.unwrap(),
                Commit::Busy | Commit::Later => {
                    progress.changed().await.unwrap();
                    commit = Commit::Gather;
                }
            }
        }
    }

    #[tokio::test]
    async fn a_small_write_is_done_by_the_thread_that_brings_it() {
        let folder = TempDir::new().unwrap();
        let keeper = opened(&folder, SyncMode::None).await;
        let mut at_once = 0;
        for _ in 0..200 {
            let (ticket, _) = publish(keeper.journal(), 1);
            at_once += u32::from(ticket.is_decided());
            keeper.journal().decided(ticket).await.unwrap();
        }
        assert!(at_once > 100, "only {at_once} of 200 were committed at once");
        keeper.close().await.unwrap();
    }

    #[tokio::test]
    async fn what_others_commit_does_not_put_off_the_sync() {
        let folder = TempDir::new().unwrap();
        let keeper = opened(&folder, SyncMode::Interval(Duration::from_millis(500))).await;
        let journal = keeper.journal();
        // A checkpoint syncs the first.
        for _ in 0..2 {
            let (ticket, commit) = publish(journal, 1);
            follow(journal, ticket, commit).await;
        }
        let synced = async {
            let mut often = tokio::time::interval(Duration::from_millis(1));
            while journal.lock().is_unsynced {
                often.tick().await;
                // Somebody notifies it of what another has committed by then.
                journal.kick();
            }
        };
        tokio::time::timeout(PATIENCE, synced).await.expect("it is never synced");
        keeper.close().await.unwrap();
    }

    #[tokio::test]
    async fn the_first_of_several_commits_for_all_who_are_ready() {
        let folder = TempDir::new().unwrap();
        let keeper = opened(&folder, SyncMode::None).await;
        let journal = keeper.journal();
        let mut shared = 0;
        for _ in 0..200 {
            let commits = journal.counts().commits;
            let published: Vec<_> = (0..4).map(|publisher| publish(journal, publisher)).collect();
            let is_done = journal.commit_gathered() == Commit::Done;
            let is_one = journal.counts().commits == commits + 1;
            let are_decided = published.iter().all(|(ticket, _)| ticket.is_decided());
            shared += u32::from(is_done && is_one && are_decided);
            for (ticket, commit) in published {
                follow(journal, ticket, commit).await;
            }
        }
        assert!(shared > 100, "only {shared} of 200 were one commit for four");
        keeper.close().await.unwrap();
    }

    async fn check_that_all_are_answered(sync: SyncMode) {
        let folder = TempDir::new().unwrap();
        let keeper = opened(&folder, sync).await;
        let publishers = (0..4).map(|publisher| {
            let journal = Arc::clone(keeper.journal());
            tokio::spawn(async move {
                for _ in 0..300 {
                    let (ticket, commit) = publish(&journal, publisher);
                    follow(&journal, ticket, commit).await;
                }
            })
        });
        let publishers: Vec<_> = publishers.collect();
        for publisher in publishers {
            tokio::time::timeout(PATIENCE, publisher).await.expect("a publisher waits forever").unwrap();
        }
        let stored = {
            let state = keeper.journal().lock();
            state.number_of("orders").and_then(|number| Some(state.topic(number)?.end))
        };
        assert_eq!(stored, Some(1200));
        keeper.close().await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn those_who_find_another_one_committing_are_answered() {
        check_that_all_are_answered(SyncMode::None).await;
        check_that_all_are_answered(SyncMode::Always).await;
    }
}
