//! The task behind a publisher: connects, sends the accepted publishes, and passes answers back, until the last publisher is
//! gone.

use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use super::error::{PublishError, is_stop};
use super::publish::{Publish, understood};
use super::queue::Queue;
use super::{Channels, End, Link, Request};
use crate::Name;
use crate::client::backoff::Backoff;
use crate::client::{ConnectError, Connection, Options, create_channel, is_final};

/// The longest pause between two attempts to connect while a publish waits for one: much shorter than publishes wait, so
/// that none fails when the server is back.
const URGENT_PAUSE: Duration = Duration::from_millis(250);

/// The background task of a publisher.
pub(super) struct Task {
    options: Options,
    requests: mpsc::Receiver<Request>,
    announce: watch::Sender<Link>,
    channels: Channels,
    /// What the server had at the last connection.
    made: Vec<(Name, Name)>,
    queue: Queue,
    backoff: Backoff,
    /// Whether no more publishes are accepted; the task ends when those it has are answered.
    closing: bool,
    close_waiters: Vec<oneshot::Sender<()>>,
}

impl Task {
    pub(super) fn new(
        options: Options,
        requests: mpsc::Receiver<Request>,
        announce: watch::Sender<Link>,
        channels: Channels,
    ) -> Self {
        Self {
            options,
            requests,
            announce,
            channels,
            made: Vec::new(),
            queue: Queue::default(),
            backoff: Backoff::default(),
            closing: false,
            close_waiters: Vec::new(),
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            let Some(connection) = self.connect().await else { break };
            let end = self.serve(connection).await;
            self.announce.send_modify(|link| link.up = false);
            match end {
                End::Lost(error) => {
                    self.options.outages.lost(&self.options.address, &error);
                    self.queue.fail_in_flight();
                }
                End::Unanswered => {
                    self.options.outages.lost(&self.options.address, &"it did not answer a publish");
                    self.queue.fail_in_flight();
                }
                End::Refused(refusal) => {
                    if is_stop(&refusal) {
                        self.options.outages.lost(&self.options.address, &refusal);
                    }
                    self.queue.take_back();
                }
                End::Close => break,
            }
        }
        self.requests.close();
        while let Ok(request) = self.requests.try_recv() {
            match request {
                Request::Publish(publish) => publish.end(Err(PublishError::Closed)),
                Request::Close(waiter) => self.close_waiters.push(waiter),
            }
        }
        for waiter in self.close_waiters {
            let _ = waiter.send(());
        }
    }

    /// Connects, however long it takes; meanwhile publishes past their deadline fail. `None` when closed.
    async fn connect(&mut self) -> Option<Connection> {
        let mut reason = String::from("not connected yet");
        loop {
            let options = self.options.clone();
            let channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let made = self.made.clone();
            let opening = open(&options, &channels, &made);
            let failed = match self.while_disconnected(opening, &reason).await? {
                Ok(connection) => {
                    self.made = channels;
                    self.backoff.reset();
                    self.options.outages.connected(&self.options.address);
                    self.announce.send_replace(Link { up: true, server: Some(connection.server().clone()) });
                    return Some(connection);
                }
                Err(error) => error,
            };
            reason = failed.to_string();
            let wait = self.backoff.next();
            let Options { address, outages, .. } = &self.options;
            outages.unreachable(address, &failed, self.backoff.is_worth_a_line());
            if matches!(&failed, ConnectError::Refused(refusal) if is_final(refusal)) {
                self.queue.fail_waiting(&reason);
            }
            self.pause(wait, &reason).await?;
        }
    }

    /// Waits before the next attempt, but for less time when a publish waits for it. `None` when closed.
    async fn pause(&mut self, mut wait: Duration, reason: &str) -> Option<()> {
        while !wait.is_zero() {
            let slice = wait.min(URGENT_PAUSE);
            self.while_disconnected(tokio::time::sleep(slice), reason).await?;
            wait = if self.queue.is_waiting() { Duration::ZERO } else { wait - slice };
        }
        Some(())
    }

    /// Awaits `work`; meanwhile accepts publishes and lets them time out. `None` when closed.
    async fn while_disconnected<T>(&mut self, work: impl Future<Output = T>, reason: &str) -> Option<T> {
        tokio::pin!(work);
        loop {
            let now = Instant::now();
            self.queue.expire(now, reason);
            if self.closing && !self.queue.is_waiting() {
                return None;
            }
            let next_deadline = self.queue.deadline().unwrap_or(now + self.options.publish_wait);
            tokio::select! {
                done = &mut work => return Some(done),
                () = sleep_until(next_deadline) => {}
                request = self.requests.recv(), if !self.closing && self.queue.has_room_to_wait() => {
                    if let Some(publish) = self.take_on(request) {
                        self.queue.wait(publish);
                    }
                }
            }
        }
    }

    /// The publish in a request, if it is one; after any other request, no more publishes are accepted.
    fn take_on(&mut self, request: Option<Request>) -> Option<Publish> {
        match request {
            Some(Request::Publish(publish)) => return Some(publish),
            Some(Request::Close(waiter)) => self.close_waiters.push(waiter),
            None => {}
        }
        self.closing = true;
        None
    }

    /// Publishes over `connection` until it ends.
    async fn serve(&mut self, mut connection: Connection) -> End {
        loop {
            while self.queue.has_room_in_flight() && connection.has_room() {
                let Some(publish) = self.queue.next() else { break };
                self.send(&mut connection, publish);
            }
            if self.closing && self.queue.is_empty() {
                connection.finish(self.options.connect_timeout).await;
                return End::Close;
            }
            let answer_due = self.queue.answer_due(self.options.answer_wait);
            let taking = !self.closing && self.queue.has_room_in_flight() && connection.has_room();
            tokio::select! {
                frame = connection.next() => match frame {
                    Ok(frame) => if let Some(end) = self.queue.answer(frame) { return end },
                    Err(error) => return End::Lost(error),
                },
                request = self.requests.recv(), if taking => {
                    if let Some(publish) = self.take_on(request) {
                        self.send(&mut connection, publish);
                        self.send_more(&mut connection);
                    }
                }
                () = sleep_until(answer_due.unwrap_or_else(Instant::now)), if answer_due.is_some() => {
                    return End::Unanswered;
                }
            }
        }
    }

    /// Accepts everything else that is already waiting, so that one write carries it all.
    fn send_more(&mut self, connection: &mut Connection) {
        while self.queue.has_room_in_flight() && connection.has_room() {
            let Ok(request) = self.requests.try_recv() else { return };
            let Some(publish) = self.take_on(Some(request)) else { return };
            self.send(connection, publish);
        }
    }

    fn send(&mut self, connection: &mut Connection, publish: Publish) {
        if !publish.is_given_up() {
            let command = understood(&publish.command, connection.server());
            connection.queue(&command);
            self.queue.sent(publish);
        }
    }
}

/// Connects and creates those of `channels` that the server does not have. `made` were created there before.
async fn open(
    options: &Options,
    channels: &[(Name, Name)],
    made: &[(Name, Name)],
) -> Result<Connection, ConnectError> {
    let connection = Connection::open(options).await?;
    let forgets = connection.server().bis.is_none();
    for (topic, channel) in channels.iter().filter(|channel| forgets || !made.contains(channel)) {
        create_channel(options, topic, channel).await?;
    }
    Ok(connection)
}
