//! Who may publish now, and why somebody may not: the journal has failed, it stops, or there is no room on the disk. What
//! settles other messages (dead letters, and what handlers publish) comes first: it may take some of the reserve, so that what
//! waits is handled and frees its room. Everybody else is refused, with the reason.

use std::sync::Arc;

use bis_core::TopicName;

/// What is in a publisher's way.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    /// Why nothing is accepted any more.
    pub(crate) failure: Option<Arc<str>>,
    pub(crate) stopping: bool,
    /// Every user has gone: the committer may write the rest and stop.
    pub(crate) drained: bool,
    /// Why only what settles other messages is accepted: the disk is full.
    pub(crate) no_room: Option<Arc<str>>,
    /// How many bytes that may still take of the reserve.
    lendable: u64,
}

impl Admission {
    /// Refuses when the journal is failed or stopping.
    pub(super) fn check_open(&self) -> Result<(), Arc<str>> {
        match &self.failure {
            Some(reason) => Err(Arc::clone(reason)),
            None if self.stopping => Err("exiting".into()),
            None => Ok(()),
        }
    }

    /// Refuses when the disk is full. What settles others may take of the reserve what can be lent.
    pub(super) fn check_room(&self, settles: bool) -> Result<(), Arc<str>> {
        match &self.no_room {
            Some(reason) if !settles || self.lendable == 0 => Err(Arc::clone(reason)),
            _ => Ok(()),
        }
    }

    /// This many bytes of records were taken.
    pub(super) fn lend(&mut self, bytes: usize) {
        self.lendable = self.lendable.saturating_sub(bytes as u64);
    }

    /// The disk is full, for this reason. Handlers may still publish this many bytes.
    pub(super) fn run_out_of_room(&mut self, reason: Arc<str>, lendable: u64) {
        self.no_room = Some(reason);
        self.lendable = lendable;
    }
}

/// Whether a topic holds dead letters, in whatever namespace.
pub(super) fn is_for_dead_letters(topic: &str) -> bool {
    let dead = TopicName::DEAD;
    let before = topic.strip_suffix(dead.as_str());
    before.is_some_and(|namespace| namespace.is_empty() || namespace.ends_with('_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_letters_are_known_in_every_namespace() {
        let is_dead = is_for_dead_letters;
        assert!(is_dead("bis.dead") && is_dead("shop-staging_bis.dead"));
        assert!(!is_dead("bis.dead-not") && !is_dead("xbis.dead") && !is_dead("orders"));
    }

    #[test]
    fn what_settles_takes_what_can_be_lent_and_no_more() {
        let mut admission = Admission::default();
        assert!(admission.check_room(false).is_ok());
        admission.run_out_of_room("the disk is full".into(), 100);
        assert!(admission.check_room(false).is_err() && admission.check_room(true).is_ok());
        admission.lend(99);
        assert!(admission.check_room(true).is_ok());
        admission.lend(2);
        assert!(admission.check_room(true).is_err());
        assert!(admission.check_open().is_ok(), "consumers go on");
        admission.stopping = true;
        assert_eq!(&*admission.check_open().unwrap_err(), "exiting");
        admission.failure = Some("the disk is gone".into());
        assert_eq!(&*admission.check_open().unwrap_err(), "the disk is gone");
    }
}
