//! Changes to the set of topics and channels, for those who report them to others, and new topics that are held until these
//! have said which channels they know.

use tokio::sync::watch;

use crate::name::Name;

/// What is reported about topics and channels, and waited for.
#[derive(Debug, Default)]
pub(crate) struct Topology {
    /// Counts the changes.
    changes: watch::Sender<u64>,
    /// New topics keep their messages until they are released, because somebody knows channels of theirs.
    pub(super) holds_new_topics: bool,
    /// Those that wait, and were not asked for yet.
    held: Vec<Name>,
}

impl Topology {
    /// The count of changes, to wait for the next.
    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// A topic or channel was made or deleted.
    pub(super) fn changed(&self) {
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// A topic waits to be released.
    pub(super) fn hold(&mut self, topic: Name) {
        self.held.push(topic);
    }

    /// The topics that wait, since the last call.
    pub(super) fn take_held(&mut self) -> Vec<Name> {
        std::mem::take(&mut self.held)
    }
}
