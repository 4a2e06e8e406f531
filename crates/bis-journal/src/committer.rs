//! The writer: swap the buffer, write, sync, release the answers.
//!
//! There is no artificial delay for publishes: the next batch is what arrived during the sync in progress. Operations
//! that nobody waits for ride along, or are written after a short pause. A failed sync stops the router for good.
//!
//! It has a thread of its own. Quick commits are done on the publisher's thread, see [`turns`].

mod room;
mod turns;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::files::disk::Disk;
use crate::files::footer::SegmentOffsets;
use crate::files::reserve::{self, Reserve};
use crate::files::segment::name_of;
use crate::files::writer::{Writer, Written};
use crate::journal::Journal;
use crate::options::Policy;
use crate::options::SyncMode;
use crate::repeated::Repeated;
use crate::state::{Batch, Ticket};

pub(crate) use turns::Turns;

/// How long operations that nobody waits for may lie in memory.
const IDLE_FLUSH: Duration = Duration::from_millis(10);
/// The pause after a commit that failed, so that those who try again at once do not keep the machine busy.
const FAILED_PAUSE: Duration = Duration::from_millis(10);
/// How often a router without room looks whether there is some.
const ROOM_CHECK: Duration = Duration::from_millis(200);
/// How often an idle router looks whether its folder is still there.
const PLACE_CHECK: Duration = Duration::from_secs(1);
/// How often old segments are looked at when nothing else triggers it.
const RETENTION_CHECK: Duration = Duration::from_secs(60);

pub(crate) struct Committer {
    pub(crate) journal: Arc<Journal>,
    pub(crate) writer: Writer,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) reserve: Reserve,
    pub(crate) policy: Policy,
    pub(crate) last_sync: Instant,
    /// How long the last batch took to write, in synced mode with its sync; very long when it could not be written.
    pub(crate) last_commit_took: Duration,
    pub(crate) last_retention: Instant,
    pub(crate) last_room: Instant,
    pub(crate) last_place: Instant,
    /// Lines of the log about commits and checkpoints that fail, and about a disk without room.
    pub(crate) failed_commits: Repeated,
    pub(crate) failed_checkpoints: Repeated,
    pub(crate) lack_of_room: Repeated,
    /// A commit failed, so the journal lacks operations that memory has: the next checkpoint brings them.
    pub(crate) checkpoint_due: bool,
}

/// Tells everybody when a thread that commits ends by a panic: without it, they would wait forever.
struct Watch(Arc<Journal>);

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let reason: Arc<str> =
                "the thread that writes the journal has panicked; restart the router to recover".into();
            tracing::error!(%reason, "nothing is accepted any more");
            self.0.fail(&reason);
            self.0.progress.send_modify(|progress| progress.ended = Some(reason));
        }
    }
}

impl Committer {
    /// One round of the committer's thread, after it has waited; whether it was the last.
    fn round(&mut self) -> Round {
        let (batch, drained) = {
            let mut state = self.journal.lock();
            (state.take_batch(), state.admission.drained)
        };
        let is_refused = batch.is_some_and(|batch| !self.commit(batch));
        if self.last_place.elapsed() >= PLACE_CHECK {
            // A failure is kept in the state, where everybody meets it.
            let _ = self.check_place();
        }
        self.look_for_room_if_due();
        self.sync_if_due();
        self.expire_if_due();
        match drained && !self.journal.lock().is_awaited() {
            true => Round::Last,
            false if is_refused => Round::Refused,
            false => Round::Done,
        }
    }

    /// Whether the batch is in the journal.
    fn commit(&mut self, mut batch: Batch) -> bool {
        let ticket = batch.ticket.clone();
        let began = Instant::now();
        match self.write_with_room(&mut batch) {
            Ok(written) => {
                self.last_commit_took = began.elapsed();
                self.journal.metrics.committed(batch.buffer.len());
                let consumers = {
                    let mut state = self.journal.lock();
                    state.is_unsynced = self.writer.is_unsynced();
                    state.committed(batch, written)
                };
                // Publishers are woken first, so that they have their answers before consumers have the messages.
                self.decide(&ticket, Ok(()));
                consumers.iter().for_each(|consumer| consumer.notify_one());
                if self.checkpoint_due {
                    self.checkpoint_due = self.checkpoint().is_err();
                }
                true
            }
            Err(refusal) => {
                // The next is left to the committer's thread, which pauses after a failure.
                self.last_commit_took = Duration::MAX;
                let reason = refusal.reason();
                if let Some(before) = self.failed_commits.is_due() {
                    tracing::error!(%reason, before, "a commit failed; its publishes are refused");
                }
                self.journal.metrics.failed();
                let is_settled = refusal.is_full() && self.write_settlements(&batch);
                self.checkpoint_due |= !is_settled;
                self.journal.lock().refused(&batch);
                self.decide(&ticket, Err(reason));
                false
            }
        }
    }

    fn write(&mut self, batch: &mut Batch) -> Result<Written, Refusal> {
        if self.writer.is_full_for(batch.buffer.len()) {
            self.roll()?;
        }
        self.write_durably(&mut batch.buffer)
    }

    fn write_durably(&mut self, buffer: &mut [u8]) -> Result<Written, Refusal> {
        let written = self.writer.write(buffer)?;
        if self.policy.sync == SyncMode::Always {
            self.sync()?;
        }
        self.check_place()?;
        Ok(written)
    }

    /// Seals the segment, begins the next, and writes a checkpoint, so that a start has little to read.
    fn roll(&mut self) -> Result<(), Refusal> {
        self.seal()?;
        if !self.expire() && self.checkpoint().is_err() {
            self.checkpoint_due = true;
        }
        // What could not be kept before may be kept now; there is room, or the next write says that there is none.
        if !self.is_out_of_room() {
            let _ = self.reserve.keep();
        }
        Ok(())
    }

    /// Seals the segment and begins the next.
    fn seal(&mut self) -> Result<(), Refusal> {
        let offsets: SegmentOffsets = self.journal.lock().log.active_offsets().clone();
        let now = self.journal.clock().date();
        // What was answered must be durable before the seal: a sync that fails while sealing is tried again.
        self.sync()?;
        let sealed = self.disk.open_on_demand(&self.writer.segment().name())?;
        let bytes = self.writer.roll(&offsets, now.0)?;
        let definitions = {
            let mut state = self.journal.lock();
            state.log.rolled(sealed, bytes, (self.writer.segment(), self.writer.file()), now.0);
            state.bound_backlog();
            state.definitions()
        };
        if let Some(mut definitions) = definitions {
            self.writer.write(&mut definitions)?;
        }
        Ok(())
    }

    /// Makes everything written durable, unless a sync failed before: what that said to be on the disk may not be, and no
    /// other sync can tell.
    fn sync(&mut self) -> Result<(), Refusal> {
        if let Some(reason) = self.journal.lock().admission.failure.clone() {
            return Err(Refusal::Failed(reason));
        }
        self.last_sync = Instant::now();
        let synced = self.writer.sync();
        self.journal.metrics.synced(self.last_sync.elapsed());
        self.journal.lock().is_unsynced = self.writer.is_unsynced();
        synced.map_err(|error| {
            let reason: Arc<str> =
                format!("the journal could not be synced ({error}); restart the router to recover").into();
            tracing::error!(%reason, "nothing is accepted any more");
            self.journal.fail(&reason);
            Refusal::Failed(reason)
        })
    }

    /// Fails for good when what is written cannot be found any more: it must not be answered, and what is there now may be
    /// another router's.
    fn check_place(&mut self) -> Result<(), Refusal> {
        self.last_place = Instant::now();
        let Err(what) = self.writer.file().check_place() else { return Ok(()) };
        let reason: Arc<str> = format!("{what}; put the data folder back, or start the router anew").into();
        if self.journal.lock().admission.failure.is_none() {
            tracing::error!(%reason, "nothing is accepted any more");
            self.journal.fail(&reason);
        }
        Err(Refusal::Failed(reason))
    }

    fn sync_if_due(&mut self) {
        if let SyncMode::Interval(interval) = self.policy.sync
            && self.writer.is_unsynced()
            && self.last_sync.elapsed() >= interval
        {
            // A failure is kept in the state, where everybody meets it.
            let _ = self.sync();
        }
    }

    /// Writes a checkpoint. It vouches for everything before it, which is synced first in every mode.
    fn checkpoint(&mut self) -> io::Result<()> {
        self.checkpoint_without(&[])
    }

    /// The same, of a journal that these segments are about to leave. On a full disk it takes the reserve.
    fn checkpoint_without(&mut self, leaving: &[u64]) -> io::Result<()> {
        let mut stored = self.store_without(leaving);
        if stored.as_ref().is_err_and(reserve::is_full) && !self.is_out_of_room() {
            self.run_out_of_room();
            stored = self.store_without(leaving);
        }
        if stored.as_ref().is_err_and(reserve::is_full) {
            let _ = self.reserve.release_last();
            stored = self.store_without(leaving);
            // The checkpoint before the last has left as much room.
            let _ = self.reserve.keep_last();
        }
        match stored {
            Ok(bytes) => {
                self.reserve.fit(bytes);
                Ok(())
            }
            Err(error) => {
                let Some(before) = self.failed_checkpoints.is_due() else { return Err(error) };
                tracing::warn!(
                    %error,
                    before,
                    "no checkpoint was written: nothing old is removed, and the next start reads more of the journal"
                );
                Err(error)
            }
        }
    }

    fn store_without(&mut self, leaving: &[u64]) -> io::Result<u64> {
        self.sync().map_err(|refusal| io::Error::other(refusal.reason().to_string()))?;
        let mut checkpoint = self.journal.lock().checkpoint(self.writer.position());
        checkpoint.sealed.retain(|(segment, _)| !leaving.contains(segment));
        checkpoint.store(&self.disk)
    }

    fn expire_if_due(&mut self) {
        if self.last_retention.elapsed() >= RETENTION_CHECK {
            self.expire();
        }
    }

    /// Removes the segments that may go; whether a checkpoint was written.
    fn expire(&mut self) -> bool {
        self.last_retention = Instant::now();
        self.journal.expired.notify_one();
        let expired = self.journal.lock().expired_segments(self.journal.clock().date(), &self.policy);
        !expired.is_empty() && self.remove(&expired)
    }

    /// Removes segments, after a checkpoint; whether one was written. It takes two, so that the one before the newest does not
    /// list them either: a start that needs it must not miss them, nor what they say.
    fn remove(&mut self, leaving: &[u64]) -> bool {
        if self.checkpoint_without(leaving).is_err() {
            return false;
        }
        if self.checkpoint_without(leaving).is_err() {
            return true;
        }
        for segment in leaving.iter().copied() {
            match self.disk.remove(&name_of(segment)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(segment, %error, "an old segment could not be removed");
                }
                _ => self.journal.lock().log.forget(segment),
            }
        }
        true
    }

    fn decide(&self, ticket: &Ticket, outcome: Result<(), Arc<str>>) {
        ticket.decide(outcome);
        self.journal.progress.send_modify(|progress| progress.decided += 1);
    }

    fn stop(&mut self) -> io::Result<()> {
        self.checkpoint()
    }
}

/// How a round of the committer's thread ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Round {
    Done,
    /// The batch could not be written.
    Refused,
    /// Everything is written, and nothing more will come.
    Last,
}

/// Why a batch is not in the journal.
enum Refusal {
    /// There is no room on the disk.
    Full(Arc<str>),
    Failed(Arc<str>),
}

impl Refusal {
    fn is_full(&self) -> bool {
        matches!(self, Self::Full(_))
    }

    fn reason(&self) -> Arc<str> {
        let (Self::Full(reason) | Self::Failed(reason)) = self;
        Arc::clone(reason)
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        let reason: Arc<str> = format!("the journal could not be written: {error}").into();
        if reserve::is_full(&error) { Self::Full(reason) } else { Self::Failed(reason) }
    }
}

#[cfg(test)]
mod simulation;
