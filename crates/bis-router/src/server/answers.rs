//! A connection's answers in the order of its commands. One that promises something waits for its commit, and all
//! behind it wait with it.

use std::collections::VecDeque;

use bis_nsq::{ErrorCode, OK, ProtocolError, encode_error, encode_response};
use bytes::{Bytes, BytesMut};

use crate::state::{Progress, Ticket};

/// A client that has so many answers due is not read from.
const MAX_PENDING: usize = 8192;
/// A client that has sent so many bytes that are not answered is not read from.
const MAX_PENDING_BYTES: usize = 8 * 1024 * 1024;

/// An answer in line.
pub(super) enum Answer {
    /// Can go.
    Now(Bytes),
    /// An error that can go.
    Error(String),
    /// `OK`, or the error that the commit's failure makes, once the ticket is decided.
    Stored { ticket: Ticket, bytes: usize, refusal: fn(&str) -> ProtocolError },
    /// `OK` for a subscription, which begins with it.
    Subscribed { ticket: Ticket },
}

/// What became of the answers that could go.
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
    /// The bytes of messages whose answers wait.
    bytes: usize,
}

impl Answers {
    pub(super) fn push(&mut self, answer: Answer) {
        if let Answer::Stored { bytes, .. } = &answer {
            self.bytes += bytes;
        }
        self.line.push_back(answer);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.line.is_empty()
    }

    /// Whether further commands may be read.
    pub(super) fn has_room(&self) -> bool {
        self.line.len() < MAX_PENDING && self.bytes < MAX_PENDING_BYTES
    }

    /// Moves the answers that can go to the bytes to send.
    pub(super) fn send(&mut self, progress: &Progress, unsent: &mut BytesMut) -> Sent {
        let mut sent = Sent::default();
        while let Some(answer) = self.line.front() {
            let outcome = match answer {
                Answer::Now(_) | Answer::Error(_) => Ok(()),
                Answer::Stored { ticket, .. } | Answer::Subscribed { ticket } => {
                    let Some(outcome) = progress.outcome(*ticket) else { break };
                    outcome
                }
            };
            match (self.line.pop_front(), outcome) {
                (Some(Answer::Now(data)), _) => encode_response(unsent, &data),
                (Some(Answer::Error(text)), _) => encode_error(unsent, &text),
                (Some(Answer::Stored { bytes, .. }), Ok(())) => {
                    self.bytes -= bytes;
                    encode_response(unsent, OK);
                }
                (Some(Answer::Stored { bytes, refusal, .. }), Err(reason)) => {
                    self.bytes -= bytes;
                    encode_error(unsent, &refusal(&reason).to_string());
                    sent.is_failed = true;
                }
                (Some(Answer::Subscribed { .. }), Ok(())) => {
                    sent.is_subscribed = true;
                    encode_response(unsent, OK);
                }
                (Some(Answer::Subscribed { .. }), Err(reason)) => {
                    let error =
                        ProtocolError::new(ErrorCode::SubscribeFailed, format!("SUB failed {reason}"));
                    encode_error(unsent, &error.to_string());
                    sent.is_failed = true;
                }
                (None, _) => break,
            }
        }
        sent
    }
}
