//! Whose turn it is to commit: one at a time, the committer's thread or a publisher's that finds nobody at it.
//!
//! A publisher that waits for each answer is answered without a change of threads, which takes longer than a write into the
//! operating system's cache, and as long as the sync of a quick disk. What may take long is left to the committer's thread,
//! and one that finds another committing leaves it to that one, who looks again afterwards.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::{Committer, FAILED_PAUSE, IDLE_FLUSH, PLACE_CHECK, ROOM_CHECK, Round, Watch};
use crate::journal::{AtOnce, CommitsAtOnce, Journal};
use crate::options::SyncMode;

/// So many bytes are written by the thread that brings them.
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
    /// Who published last.
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
    fn commit_at_once(&self, publisher: u64) -> AtOnce {
        let is_alone = self.last_publisher.swap(publisher, Ordering::Relaxed) == publisher;
        if self.sync == SyncMode::Always && !(is_alone && has_other_threads()) {
            return AtOnce::Later;
        }
        let mut committer = match self.committer.try_lock() {
            Ok(committer) => committer,
            Err(TryLockError::WouldBlock) => return AtOnce::Busy,
            Err(TryLockError::Poisoned(_)) => return AtOnce::Later,
        };
        let _watch = Watch(Arc::clone(&self.journal));
        let is_done = committer.commit_at_once();
        drop(committer);
        let mut state = self.journal.lock();
        // Others have left theirs to the one that was committing; and what was defined is defined once more.
        if is_done && !state.is_awaited() && !state.take_flush() { AtOnce::Done } else { AtOnce::Later }
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

    fn publish(journal: &Journal, publisher: u64) -> Ticket {
        let date = journal.clock().date();
        let published = journal.lock().publish("orders", [&b"a message"[..]], &MessageFacts::default(), date);
        journal.commit(publisher);
        published.unwrap().place.ticket().clone()
    }

    #[tokio::test]
    async fn a_small_write_is_done_by_the_thread_that_brings_it() {
        let folder = TempDir::new().unwrap();
        let keeper = opened(&folder, SyncMode::None).await;
        let mut at_once = 0;
        for _ in 0..200 {
            let ticket = publish(keeper.journal(), 1);
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
            let ticket = publish(journal, 1);
            journal.decided(ticket).await.unwrap();
        }
        let synced = async {
            let mut often = tokio::time::interval(Duration::from_millis(1));
            while journal.lock().is_unsynced {
                often.tick().await;
                // Somebody tells it of what another one has committed by then.
                journal.kick();
            }
        };
        tokio::time::timeout(PATIENCE, synced).await.expect("it is never synced");
        keeper.close().await.unwrap();
    }

    async fn check_that_all_are_answered(sync: SyncMode) {
        let folder = TempDir::new().unwrap();
        let keeper = opened(&folder, sync).await;
        let publishers = (0..4).map(|publisher| {
            let journal = Arc::clone(keeper.journal());
            tokio::spawn(async move {
                for _ in 0..300 {
                    let ticket = publish(&journal, publisher);
                    journal.decided(ticket).await.unwrap();
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
