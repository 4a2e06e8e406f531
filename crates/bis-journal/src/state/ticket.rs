//! A commit to wait for. Whoever waits holds its outcome, so that nothing has to be remembered for them: a commit that is
//! not known to be stored is undecided or failed, however long ago it was.

use std::sync::{Arc, OnceLock};

/// What became of a commit: it holds, or why not.
pub type Outcome = Result<(), Arc<str>>;

/// A commit, as those see it who wait for it. Clones share its outcome.
#[derive(Debug, Clone, Default)]
pub struct Ticket(Arc<OnceLock<Outcome>>);

impl Ticket {
    /// The ticket of something that is in the journal already.
    pub(crate) fn stored() -> Self {
        Self(Arc::new(OnceLock::from(Ok(()))))
    }

    /// Decides it. The first outcome counts.
    pub(crate) fn decide(&self, outcome: Outcome) {
        // There is one committer, which decides a batch once.
        let _ = self.0.set(outcome);
    }

    /// The outcome; `None` while it is open.
    pub(crate) fn outcome(&self) -> Option<&Outcome> {
        self.0.get()
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
