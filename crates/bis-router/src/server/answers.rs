//! A connection's answers in the order of its commands. One that promises something waits for its commit, and all
//! behind it wait with it.

use std::collections::VecDeque;

use bis_journal::{Accepted, Place, Progress, Ticket};
use bis_nsq::{ErrorCode, OK, ProtocolError, Published, encode_error, encode_response};
use bytes::{Bytes, BytesMut};

/// A client that has this many answers due is not read from.
const MAX_PENDING: usize = 8192;
/// A client that has sent this many unanswered bytes is not read from.
const MAX_PENDING_BYTES: usize = 8 * 1024 * 1024;

/// An answer in line.
pub(super) enum Answer {
    /// Can go.
    Now(Bytes),
    /// An error that can go.
    Error(String),
    /// The same, and the connection ends with it.
    Fatal(String),
    /// This many times `OK`, or the error that the commit's failure makes, once the ticket is decided.
    Stored { ticket: Ticket, command: &'static str, count: usize, bytes: usize },
    /// A receipt, or the error that the commit's failure makes, once the place's ticket is decided.
    Placed { place: Place, is_duplicate: bool, command: &'static str, bytes: usize },
    /// `OK` for a subscription, which begins with it.
    Subscribed { ticket: Ticket },
}

/// What a client is told about a message that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// `OK`.
    Ok,
    /// Where it is, and whether its event was known.
    Receipt,
}

impl From<bool> for Said {
    fn from(wants_receipt: bool) -> Self {
        if wants_receipt { Self::Receipt } else { Self::Ok }
    }
}

/// What happened to the answers that could be sent.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sent {
    /// A subscription's `OK` went.
    pub(super) is_subscribed: bool,
    /// A commit failed, which ends the connection.
    pub(super) is_failed: bool,
}

#[derive(Default)]
pub(super) struct Answers {
    line: VecDeque<Answer>,
    /// How many answers are due.
    due: usize,
    /// The bytes that messages whose answers wait take until then.
    bytes: usize,
}

impl Answers {
    pub(super) fn push(&mut self, answer: Answer) {
        self.due += 1;
        self.line.push_back(answer);
    }

    /// A publish of this many bytes waits for its commit.
    pub(super) fn stored(&mut self, ticket: Ticket, command: &'static str, bytes: usize) {
        self.due += 1;
        self.bytes += bytes;
        match self.line.back_mut() {
            Some(Answer::Stored { ticket: last, command: same, count, bytes: all })
                if *last == ticket && *same == command =>
            {
                *count += 1;
                *all += bytes;
            }
            _ => self.line.push_back(Answer::Stored { ticket, command, count: 1, bytes }),
        }
    }

    /// The same, answered with a receipt.
    pub(super) fn placed(&mut self, accepted: Accepted, command: &'static str, bytes: usize) {
        self.due += 1;
        self.bytes += bytes;
        let Accepted { place, is_duplicate, .. } = accepted;
        self.line.push_back(Answer::Placed { place, is_duplicate, command, bytes });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.line.is_empty()
    }

    /// Whether further commands may be read.
    pub(super) fn has_room(&self) -> bool {
        self.due < MAX_PENDING && self.bytes < MAX_PENDING_BYTES
    }

    /// Moves the answers that can go to the bytes to send.
    pub(super) fn send(&mut self, progress: &Progress, unsent: &mut BytesMut) -> Sent {
        let mut sent = Sent::default();
        while let Some(answer) = self.line.front() {
            let outcome = match answer {
                Answer::Now(_) | Answer::Error(_) | Answer::Fatal(_) => Ok(()),
                Answer::Stored { ticket, .. } | Answer::Subscribed { ticket } => {
                    let Some(outcome) = progress.outcome(ticket) else { break };
                    outcome
                }
                Answer::Placed { place, .. } => {
                    let Some(outcome) = progress.outcome(place.ticket()) else { break };
                    outcome
                }
            };
            let Some(answer) = self.line.pop_front() else { break };
            self.due -= 1;
            match (answer, outcome) {
                (Answer::Now(data), _) => encode_response(unsent, &data),
                (Answer::Error(text), _) => encode_error(unsent, &text),
                (Answer::Fatal(text), _) => {
                    sent.is_failed = true;
                    encode_error(unsent, &text);
                }
                (Answer::Stored { command, count, bytes, .. }, outcome) => {
                    self.due -= count - 1;
                    self.bytes -= bytes;
                    sent.is_failed |= outcome.is_err();
                    let outcome = outcome.map_err(|reason| ProtocolError::publish_failed(command, &reason));
                    encode_times(unsent, count, outcome);
                }
                (Answer::Placed { place, is_duplicate, bytes, .. }, Ok(())) => {
                    self.bytes -= bytes;
                    let published = Published { sequence: place.sequence(), is_duplicate };
                    encode_response(unsent, &published.to_bytes());
                }
                (Answer::Placed { command, bytes, .. }, Err(reason)) => {
                    self.bytes -= bytes;
                    sent.is_failed = true;
                    encode_error(unsent, &ProtocolError::publish_failed(command, &reason).to_string());
                }
                (Answer::Subscribed { .. }, Ok(())) => {
                    sent.is_subscribed = true;
                    encode_response(unsent, OK);
                }
                (Answer::Subscribed { .. }, Err(reason)) => {
                    let error =
                        ProtocolError::new(ErrorCode::SubscribeFailed, format!("SUB failed {reason}"));
                    encode_error(unsent, &error.to_string());
                    sent.is_failed = true;
                }
            }
        }
        sent
    }
}

/// The same answer this many times.
fn encode_times(unsent: &mut BytesMut, count: usize, outcome: Result<(), ProtocolError>) {
    let mut answer = BytesMut::new();
    match outcome {
        Ok(()) => encode_response(&mut answer, OK),
        Err(error) => encode_error(&mut answer, &error.to_string()),
    }
    unsent.reserve(count * answer.len());
    (0..count).for_each(|_| unsent.extend_from_slice(&answer));
}
