//! Taking the messages of one publish. Many small messages take many times their bytes once each has
//! its record: what is too much for one commit goes into several, one after the other.

use std::sync::Arc;

use crate::files::record::RECORD_HEADER;
use crate::journal::Journal;
use crate::state::{MessageFacts, Ticket};

/// A publish with at most this many bytes of records is stored whole or not at all.
pub const MAX_WHOLE_BYTES: usize = 16 * 1024 * 1024;
/// How many bytes of records a larger publish adds to a commit at most, unless a single message has more. Small, since several
/// commits are in memory at once.
const PIECE_BYTES: usize = 4 * 1024 * 1024;

/// How many bytes this many messages take in a commit, if their bodies have this many bytes together.
#[must_use]
pub fn stored_bytes(messages: usize, bytes: usize) -> usize {
    messages * RECORD_HEADER + bytes
}

impl Journal {
    /// Stores the messages, and waits until they are. When it fails, only pieces that were stored before are there.
    ///
    /// # Errors
    /// Why they are not stored.
    pub async fn store<'a>(
        &self,
        topic: &str,
        messages: impl Iterator<Item = &'a [u8]> + Clone,
        facts: &MessageFacts,
    ) -> Result<(), Arc<str>> {
        let bytes: usize = messages.clone().map(|message| stored_bytes(1, message.len())).sum();
        let most = if bytes <= MAX_WHOLE_BYTES { MAX_WHOLE_BYTES } else { PIECE_BYTES };
        let mut messages = messages.peekable();
        loop {
            let ticket = match take_piece(self, topic, &mut messages, most, facts)? {
                Taken::Piece(ticket) => ticket,
                Taken::Crowded(ticket) => {
                    // Whether that commit holds is for its own publishers.
                    let _ = self.decided(ticket).await;
                    continue;
                }
            };
            self.kick();
            self.decided(ticket).await?;
            if messages.peek().is_none() {
                return Ok(());
            }
        }
    }
}

enum Taken {
    /// Some messages, or the topic alone, are decided with this commit.
    Piece(Ticket),
    /// No room before this commit is decided.
    Crowded(Ticket),
}

fn take_piece<'a>(
    journal: &Journal,
    topic: &str,
    messages: &mut std::iter::Peekable<impl Iterator<Item = &'a [u8]>>,
    most: usize,
    facts: &MessageFacts,
) -> Result<Taken, Arc<str>> {
    let date = journal.clock().date();
    let mut state = journal.lock();
    // Earlier than others wait: what comes may be large.
    if state.uncommitted() >= most {
        return Ok(Taken::Crowded(state.ticket()));
    }
    let mut taken = 0;
    let piece = std::iter::from_fn(|| {
        let bytes = stored_bytes(1, messages.peek()?.len());
        if taken > 0 && taken + bytes > most {
            return None;
        }
        taken += bytes;
        messages.next()
    });
    let accepted = state.publish(topic, piece, facts, date)?;
    Ok(Taken::Piece(if taken > 0 { accepted.place.ticket().clone() } else { state.last_awaited() }))
}
