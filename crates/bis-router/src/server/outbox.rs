//! What is to be sent to a client: answers in line, bytes that can go, and how long the client has taken none of them.

use std::time::Duration;

use bis_journal::Progress;
use bytes::BytesMut;
use tokio::time::Instant;

use super::answers::{Answers, Sent};

/// A client that does not read what was sent gets no more messages beyond this many bytes.
const MAX_UNSENT: usize = 512 * 1024;

/// The server's side of a connection.
#[derive(Default)]
pub(super) struct Outbox {
    pub(super) answers: Answers,
    pub(super) unsent: BytesMut,
    /// The client will take no more.
    pub(super) is_cut: bool,
    /// Since when bytes wait to be sent without any having gone.
    behind_since: Option<Instant>,
}

impl Outbox {
    /// Moves the answers that can go to the bytes to send.
    pub(super) fn send_answers(&mut self, progress: &Progress) -> Sent {
        let sent = self.answers.send(progress, &mut self.unsent);
        if self.is_cut {
            self.unsent.clear();
        }
        sent
    }

    /// Whether there is room for messages.
    pub(super) fn has_room(&self) -> bool {
        self.unsent.len() < MAX_UNSENT
    }

    /// Whether there is room for the answers to further commands.
    pub(super) fn has_room_for_answers(&self) -> bool {
        self.answers.has_room() && self.has_room()
    }

    /// Keeps account of how long the client takes nothing.
    pub(super) fn note_progress(&mut self, is_behind: bool, has_written: bool) {
        match is_behind {
            true if has_written || self.behind_since.is_none() => self.behind_since = Some(Instant::now()),
            true => {}
            false => self.behind_since = None,
        }
    }

    /// When the client has taken nothing for too long.
    pub(super) fn stall(&self, heartbeat: Option<Duration>) -> Option<Instant> {
        Some(self.behind_since? + heartbeat?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::answers::Answer;

    #[test]
    fn a_client_that_takes_nothing_stalls_and_one_that_takes_some_does_not() {
        let heartbeat = Some(Duration::from_secs(30));
        let mut outbox = Outbox::default();
        assert_eq!(outbox.stall(heartbeat), None);
        outbox.note_progress(true, false);
        assert!(outbox.stall(heartbeat).is_some() && outbox.stall(None).is_none());
        let earlier = Instant::now().checked_sub(Duration::from_secs(20)).unwrap();
        outbox.behind_since = Some(earlier);
        outbox.note_progress(true, false);
        assert_eq!(outbox.stall(heartbeat), Some(earlier + Duration::from_secs(30)));
        outbox.note_progress(true, true);
        assert!(outbox.stall(heartbeat) > Some(earlier + Duration::from_secs(30)));
        outbox.note_progress(false, true);
        assert_eq!(outbox.stall(heartbeat), None);
    }

    #[test]
    fn nothing_is_kept_for_a_client_that_takes_no_more() {
        let mut outbox = Outbox { is_cut: true, ..Outbox::default() };
        outbox.answers.push(Answer::Fatal("E_BAD_TOPIC".to_owned()));
        assert!(outbox.send_answers(&Progress::default()).is_failed);
        assert!(outbox.unsent.is_empty() && outbox.answers.is_empty());
    }
}
