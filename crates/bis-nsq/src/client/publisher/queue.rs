//! The accepted publishes: those that wait for a connection or for room, and those that were sent and are not answered yet.
//! Answers come in the order of the commands, so the order of the queue matches them. It sends nothing itself.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::End;
use super::error::PublishError;
use super::publish::Publish;
use crate::client::LostError;
use crate::{Frame, ProtocolError, Published};

/// The most publishes sent and not answered.
const IN_FLIGHT: usize = 4096;
/// The most publishes that wait for a connection, or for room in flight.
pub(super) const WAITING: usize = 1024;

/// The accepted publishes.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<Publish>,
    /// Each with the time when it was sent.
    in_flight: VecDeque<(Instant, Publish)>,
}

impl Queue {
    /// Whether there are no publishes.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.in_flight.is_empty()
    }

    /// Whether a publish waits for a connection.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether more may wait.
    pub(super) fn has_room_to_wait(&self) -> bool {
        self.waiting.len() < WAITING
    }

    /// Whether more may be in flight.
    pub(super) fn has_room_in_flight(&self) -> bool {
        self.in_flight.len() < IN_FLIGHT
    }

    /// Adds a publish, to be sent once there is a connection.
    pub(super) fn wait(&mut self, publish: Publish) {
        self.waiting.push_back(publish);
    }

    /// Takes the publish that has waited longest, to be sent now.
    pub(super) fn next(&mut self) -> Option<Publish> {
        self.waiting.pop_front()
    }

    /// Marks a publish as sent.
    pub(super) fn sent(&mut self, publish: Publish) {
        self.in_flight.push_back((Instant::now(), publish));
    }

    /// The deadline of the publish that has waited longest.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.waiting.front().map(|publish| publish.deadline)
    }

    /// Fails the publishes whose deadline has passed.
    pub(super) fn expire(&mut self, now: Instant, reason: &str) {
        while let Some(publish) = self.waiting.pop_front_if(|publish| publish.deadline <= now) {
            publish.end(Err(PublishError::Unreachable { reason: reason.to_owned() }));
        }
    }

    /// Fails all waiting publishes.
    pub(super) fn fail_waiting(&mut self, reason: &str) {
        for publish in self.waiting.drain(..) {
            publish.end(Err(PublishError::Unreachable { reason: reason.to_owned() }));
        }
    }

    /// The connection broke: the outcome of the publishes in flight is unknown.
    pub(super) fn fail_in_flight(&mut self) {
        for (_, publish) in self.in_flight.drain(..) {
            publish.end(Err(PublishError::Unanswered));
        }
    }

    /// The server stopped reading at a command that it refused: those after it were not accepted, and are sent again.
    pub(super) fn take_back(&mut self) {
        while let Some((_, publish)) = self.in_flight.pop_back() {
            self.waiting.push_front(publish);
        }
    }

    /// The deadline for the answer to the publish that was sent first.
    pub(super) fn answer_due(&self, patience: Duration) -> Option<Instant> {
        self.in_flight.front().map(|(sent, _)| *sent + patience)
    }

    /// Gives an answer to the publish that it belongs to. Returns why the connection can no longer be used, if so.
    pub(super) fn answer(&mut self, frame: Frame) -> Option<End> {
        let published = match &frame {
            Frame::Response(data) => Published::parse(data),
            _ => None,
        };
        let result = match (published, frame) {
            (Some(published), _) => Ok(published),
            (None, Frame::Error(data)) => Err(ProtocolError::parse(&data)),
            (None, other) => {
                tracing::debug!(?other, "ignored an answer that no publish waits for");
                return None;
            }
        };
        let Some((_, publish)) = self.in_flight.pop_front() else {
            return result.is_err().then_some(End::Lost(LostError::Closed));
        };
        match result {
            Ok(published) => {
                publish.end(Ok(published));
                None
            }
            Err(Some(refusal)) => {
                let end = refusal.is_fatal().then(|| End::Refused(refusal.clone()));
                publish.end(Err(PublishError::Refused(refusal)));
                end
            }
            Err(None) => {
                publish.end(Err(PublishError::Unanswered));
                Some(End::Lost(LostError::Closed))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::sync::oneshot::{self, Receiver};

    use super::*;
    use crate::{Command, Name};

    type Answer = Receiver<Result<Published, PublishError>>;

    fn publish(body: &'static str, deadline: Instant) -> (Publish, Answer) {
        let (answer, answered) = oneshot::channel();
        let command = Command::Publish { topic: Name::new("orders").unwrap(), body: body.into() };
        (Publish { command, answer, deadline }, answered)
    }

    /// A queue with two publishes in flight, and their answers.
    fn in_flight() -> (Queue, [Answer; 2]) {
        let mut queue = Queue::default();
        let answers = ["a", "b"].map(|body| {
            let (publish, answered) = publish(body, Instant::now());
            queue.sent(publish);
            answered
        });
        (queue, answers)
    }

    #[test]
    fn answers_come_in_the_order_of_the_commands() {
        let (mut queue, [mut first, mut second]) = in_flight();
        assert!(queue.answer(Frame::Response(Bytes::from_static(b"OK 7 duplicate"))).is_none());
        assert_eq!(first.try_recv(), Ok(Ok(Published { sequence: Some(7), is_duplicate: true })));
        assert!(second.try_recv().is_err());
        queue.fail_in_flight();
        assert_eq!(second.try_recv(), Ok(Err(PublishError::Unanswered)));
        assert!(queue.is_empty());
    }

    #[test]
    fn what_followed_a_refusal_is_sent_again() {
        let (mut queue, [mut first, mut second]) = in_flight();
        let refusal = Frame::Error(Bytes::from_static(b"E_BAD_TOPIC PUB topic name is not valid"));
        assert!(matches!(queue.answer(refusal), Some(End::Refused(_))));
        assert!(matches!(first.try_recv(), Ok(Err(PublishError::Refused(_)))));
        queue.take_back();
        assert!(second.try_recv().is_err());
        let again = queue.next().unwrap();
        assert!(matches!(again.command, Command::Publish { body, .. } if body == "b"));
    }

    #[test]
    fn who_waits_too_long_is_told_the_reason() {
        let mut queue = Queue::default();
        let now = Instant::now();
        let (early, mut late) = (publish("a", now), publish("b", now + Duration::from_secs(1)));
        let mut answered = early.1;
        queue.wait(early.0);
        queue.wait(late.0);
        queue.expire(now, "nobody is there");
        let unreachable = PublishError::Unreachable { reason: "nobody is there".to_owned() };
        assert_eq!(answered.try_recv(), Ok(Err(unreachable.clone())));
        assert!(late.1.try_recv().is_err() && queue.deadline() == Some(now + Duration::from_secs(1)));
        queue.fail_waiting("nobody is there");
        assert_eq!(late.1.try_recv(), Ok(Err(unreachable)));
    }
}
