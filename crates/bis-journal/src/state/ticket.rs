//! A commit to wait for. Each waiter holds its outcome, so that nothing has to be remembered for them: a commit that is
//! not known to be stored is undecided or failed, however long ago it was.

use std::sync::{Arc, OnceLock};

use bis_broker::NumberMap;

/// The outcome of a commit: it succeeded, or why not.
pub type Outcome = Result<(), Arc<str>>;

/// A commit, as seen by those who wait for it. Clones share its outcome.
#[derive(Debug, Clone, Default)]
pub struct Ticket(Arc<Commit>);

#[derive(Debug, Default)]
struct Commit {
    outcome: OnceLock<Outcome>,
    renumbered: OnceLock<Renumbered>,
}

/// By how much the messages of a commit moved forward in each topic, because the commit before it failed.
type Renumbered = NumberMap<u32, u64>;

impl Ticket {
    /// The ticket of something that is in the journal already.
    pub(crate) fn stored() -> Self {
        Self(Arc::new(Commit { outcome: OnceLock::from(Ok(())), renumbered: OnceLock::new() }))
    }

    /// Decides it. The first outcome counts.
    pub(crate) fn decide(&self, outcome: Outcome) {
        // There is one committer, which decides a batch once.
        let _ = self.0.outcome.set(outcome);
    }

    /// The outcome; `None` while it is open.
    pub(crate) fn outcome(&self) -> Option<&Outcome> {
        self.0.outcome.get()
    }

    /// The commit before it failed: the messages that this one has by now take the places of that one's.
    pub(crate) fn renumber(&self, by: Renumbered) {
        // There is one commit before each.
        let _ = self.0.renumbered.set(by);
    }

    /// The place of a message that has this sequence by now.
    pub(crate) fn place(&self, topic: u32, sequence: u64) -> Place {
        let is_renumbered = self.0.renumbered.get().is_some();
        Place { ticket: self.clone(), topic, sequence, is_renumbered }
    }

    /// Whether it is decided, one way or the other.
    pub(crate) fn is_decided(&self) -> bool {
        self.outcome().is_some()
    }

    /// Whether it is known to be in the journal.
    pub(crate) fn is_stored(&self) -> bool {
        self.outcome().is_some_and(Result::is_ok)
    }
}

/// Where a message is in its topic, once its commit holds.
#[derive(Debug, Clone)]
pub struct Place {
    ticket: Ticket,
    topic: u32,
    sequence: u64,
    /// Its sequence was given after the commit before had failed, and stays.
    is_renumbered: bool,
}

impl Place {
    /// The sequence of a message of which nothing else is known than that it was taken.
    pub(crate) const UNKNOWN: u64 = u64::MAX;

    /// The commit that decides whether the message is stored.
    #[must_use]
    pub fn ticket(&self) -> &Ticket {
        &self.ticket
    }

    /// Its sequence, final once the ticket is decided. `None` for one that was taken before a start, whose event is all that
    /// is remembered of it.
    #[must_use]
    pub fn sequence(&self) -> Option<u64> {
        if self.sequence == Self::UNKNOWN {
            return None;
        }
        let renumbered = self.ticket.0.renumbered.get().filter(|_| !self.is_renumbered);
        let by = renumbered.and_then(|by| by.get(&self.topic)).copied().unwrap_or(0);
        Some(self.sequence - by)
    }
}

impl PartialEq for Ticket {
    /// Whether they are of the same commit.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// How far commits are, for those who wait for one.
#[derive(Debug, Default)]
pub struct Progress {
    /// How many commits were decided: a change tells those who wait to look at their tickets.
    pub(crate) decided: u64,
    /// Why no further ticket will be decided: the committer is gone.
    pub(crate) ended: Option<Arc<str>>,
}

impl Progress {
    /// The outcome of a ticket, once it is decided or never will be.
    #[must_use]
    pub fn outcome(&self, ticket: &Ticket) -> Option<Outcome> {
        ticket.outcome().cloned().or_else(|| self.ended.clone().map(Err))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_moves_forward_when_the_commit_before_fails() {
        let ticket = Ticket::default();
        let (before, other_topic) = (ticket.place(1, 7), ticket.place(2, 7));
        ticket.renumber([(1, 3)].into_iter().collect());
        let (after, unknown) = (ticket.place(1, 5), Ticket::stored().place(1, Place::UNKNOWN));
        let places = [before, other_topic, after, unknown];
        assert_eq!(places.map(|place| place.sequence()), [Some(4), Some(7), Some(5), None]);
    }
}
