//! What the committer does on a full disk. It gives up the reserve, so that settlements and checkpoints have room, removes what
//! is handled, however long it was to be kept, and takes publishes again once the reserve is kept anew.
//!
//! What is not handled is never removed here.

use std::time::Instant;

use super::{Committer, ROOM_CHECK, Refusal};
use crate::files::reserve;
use crate::files::writer::Written;
use crate::state::Batch;

/// Handlers' publishes may take this part of the reserve.
const LENT_PART: u64 = 3;
/// The active segment is sealed from this length on when that lets it go; a fourth of a full one is enough.
const WORTH_SEALING: u64 = 1024 * 1024;

impl Committer {
    /// Keeps the reserve from the start on; without room for it, publishes are refused from the start on.
    pub(super) fn keep_reserve(&mut self) {
        match self.reserve.keep() {
            Ok(()) => {}
            Err(error) if reserve::is_full(&error) => {
                self.make_room();
            }
            Err(error) => {
                tracing::warn!(%error, "no room is kept for a full disk, which may then never free itself");
            }
        }
    }

    /// Writes a batch. When there is no room, what may go is removed first; a batch with a publish that may not use the
    /// reserve never takes it.
    pub(super) fn write_with_room(&mut self, batch: &mut Batch) -> Result<Written, Refusal> {
        {
            let state = self.journal.lock();
            if let Some(reason) = &state.admission.failure {
                return Err(Refusal::Failed(reason.clone()));
            }
            if let Some(reason) = state.admission.no_room.as_ref().filter(|_| batch.is_ordinary) {
                return Err(Refusal::Full(reason.clone()));
            }
        }
        match self.write(batch) {
            Err(Refusal::Full(reason)) if !self.make_room() && batch.is_ordinary => {
                let told = self.journal.lock().admission.no_room.clone();
                Err(Refusal::Full(told.unwrap_or(reason)))
            }
            Err(Refusal::Full(_)) => self.write(batch),
            written => written,
        }
    }

    /// Writes what a refused batch holds beside messages, into the reserve: what consumers have settled must not come back.
    pub(super) fn write_settlements(&mut self, batch: &Batch) -> bool {
        batch.without_messages().is_none_or(|mut settlements| self.write_durably(&mut settlements).is_ok())
    }

    pub(super) fn is_out_of_room(&self) -> bool {
        self.journal.lock().admission.no_room.is_some()
    }

    /// Gives up the reserve. From now on only handlers may publish.
    pub(super) fn run_out_of_room(&mut self) {
        if let Err(error) = self.reserve.release() {
            tracing::warn!(%error, "the reserve could not be given up");
        }
        self.journal.lock().run_out_of_room(self.reserve.bytes() / LENT_PART);
    }

    /// The disk is full: gives up the reserve and removes what may go. Returns whether there is room for publishes then.
    fn make_room(&mut self) -> bool {
        if !self.is_out_of_room() {
            self.run_out_of_room();
        }
        self.look_for_room()
    }

    pub(super) fn look_for_room_if_due(&mut self) {
        if self.last_room.elapsed() >= ROOM_CHECK && self.is_out_of_room() {
            self.look_for_room();
        }
    }

    /// Whether there is room for publishes: consumers may have caught up, or somebody has removed something.
    pub(super) fn look_for_room(&mut self) -> bool {
        self.last_room = Instant::now();
        self.reclaim();
        if self.checkpoint_due {
            self.checkpoint_due = self.checkpoint().is_err();
        }
        if self.reserve.keep().is_err() {
            self.tell();
            return false;
        }
        self.journal.lock().admission.no_room = None;
        if self.lack_of_room.end() {
            tracing::info!("there is room on the disk again; publishes are taken");
        }
        true
    }

    fn tell(&mut self) {
        let mut state = self.journal.lock();
        // It changes as consumers go on.
        let reason = state.lack_of_room();
        state.admission.no_room = Some(reason.clone());
        drop(state);
        if self.lack_of_room.is_due().is_some() {
            tracing::error!(%reason, "publishes are refused until there is room");
        }
    }

    /// Seals the active segment. Settlements may have used up what was kept for its footers; then it takes the part of checkpoints,
    /// of which it leaves what they need unless messages are tiny: the segment goes at once, and nothing else would free the disk.
    fn seal_without_room(&mut self) -> Result<(), Refusal> {
        match self.seal() {
            Err(Refusal::Full(_)) => {
                let _ = self.reserve.release_last();
                let sealed = self.seal();
                let _ = self.reserve.keep_last();
                sealed
            }
            sealed => sealed,
        }
    }

    /// Removes segments that every channel has handled, the active one too.
    fn reclaim(&mut self) {
        let written = self.writer.position().offset;
        let may_seal = written >= WORTH_SEALING.min(self.writer.segment_bytes() / 4);
        if may_seal && self.journal.lock().active_may_go() && self.seal_without_room().is_err() {
            // Without room for its footers it stays. The commit that needed the room says that there is none.
            return;
        }
        let enough = self.reserve.bytes() + self.writer.segment_bytes();
        let leaving = self.journal.lock().handled_segments(enough);
        // The mover makes more of them handled.
        self.journal.expired.notify_one();
        if !leaving.is_empty() && self.remove(&leaving) {
            tracing::warn!(
                segments = leaving.len(),
                "the disk is full: handled segments were removed before their time"
            );
        }
    }
}
