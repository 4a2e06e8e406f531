//! What each command does, with nsqd's rules and words. It runs under the state's lock and never waits.

use std::sync::Arc;
use std::time::Duration;

use bis_broker::channel::{Time, Vanishing};
use bis_journal::{
    DeliveryOrder, Joining, MAX_WHOLE_BYTES, MessageFacts, Refusal, Retention, State, Subscription, key_hash,
    stored_bytes,
};
use bis_nsq::{Bodies, CLOSE_WAIT, Command, ErrorCode, Headers, MessageId, Name, OK, ProtocolError};
use bytes::Bytes;

use super::answers::{Answer, Said};
use super::connection::Connection;
use super::gate::Stage;
use super::inquiry;

impl Connection {
    /// Carries out a command; an error is sent, and ends the connection if it is fatal.
    pub(super) fn execute(&mut self, command: Command, state: &mut State) -> Result<(), ProtocolError> {
        match command {
            Command::Publish { topic, body } => {
                self.store(state, "PUB", &topic, &body, &MessageFacts::default(), Said::Ok)
            }
            Command::MultiPublish { topic, bodies } => self.store_many(state, topic, bodies),
            Command::DeferredPublish { topic, delay, body } => {
                let facts = MessageFacts { due: self.at.now.plus(delay), ..MessageFacts::default() };
                self.store(state, "DPUB", &topic, &body, &facts, Said::Ok)
            }
            Command::HeadedPublish { topic, headers, body } => {
                let facts = facts(&headers, self.at.now);
                self.store(state, "HPUB", &topic, &body, &facts, headers.wants_receipt.into())
            }
            Command::Finish(id) => self.finish(state, id),
            Command::Requeue { id, delay } => self.requeue(state, id, delay),
            Command::Touch(id) => self.touch(state, id),
            Command::Release { id, delay } => self.release(state, id, delay),
            Command::Ready(_) if self.session.stage == Stage::Closing => Ok(()),
            Command::Ready(count) => {
                state.set_ready(self.subscribed("RDY")?, count);
                self.subscriber.ready(count);
                Ok(())
            }
            Command::Subscribe { topic, channel, ordered } => {
                self.permission.check("SUB", &topic, Some(&channel))?;
                let order = if ordered { DeliveryOrder::ByKey } else { DeliveryOrder::Any };
                self.subscribe(state, &topic, &channel, order)
            }
            Command::Peek { topic, channel, limit, after } => {
                self.permission.check("PEEK", &topic, Some(&channel))?;
                let server = Arc::clone(&self.server);
                self.inquire(state, async move {
                    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
                    let page = inquiry::peek(&server, &topic, &channel, limit, after).await;
                    inquiry::answer(page, ProtocolError::peek_failed)
                })
            }
            Command::Replay { topic, channel, from } => {
                self.permission.check("REPLAY", &topic, Some(&channel))?;
                let server = Arc::clone(&self.server);
                self.inquire(state, async move {
                    let replayed = inquiry::replay(&server, &topic, &channel, from).await;
                    inquiry::answer(replayed, ProtocolError::replay_failed)
                })
            }
            Command::Retain { topic, max_age, max_bytes } => {
                self.permission.check("RETAIN", &topic, None)?;
                let ticket = state
                    .retain(topic.as_str(), Retention { max_age, max_bytes })
                    .map_err(|reason| ProtocolError::publish_failed("RETAIN", &reason))?;
                self.outbox.answers.stored(ticket, "RETAIN", 0);
                Ok(())
            }
            Command::Identify(body) => {
                let reply = self.session.identify(&self.server, &body)?;
                self.start_heartbeats();
                self.outbox.answers.push(Answer::Now(reply));
                Ok(())
            }
            Command::Auth(secret) => self.permission.authorize(&secret),
            Command::Close => {
                state.close(self.subscribed("CLS")?);
                self.session.stage = Stage::Closing;
                self.outbox.answers.push(Answer::Now(Bytes::from_static(CLOSE_WAIT)));
                Ok(())
            }
            Command::Nop => Ok(()),
        }
    }

    fn finish(&mut self, state: &mut State, id: MessageId) -> Result<(), ProtocolError> {
        let subscription = self.subscribed("FIN")?;
        let finished = with_sequence(id, |sequence| state.finish(subscription, sequence));
        self.subscriber.look = true;
        finished.map_err(|refusal| ProtocolError::finish_failed(id, words(refusal)))
    }

    fn requeue(&mut self, state: &mut State, id: MessageId, delay: Duration) -> Result<(), ProtocolError> {
        let now = self.at.now;
        let subscription = self.subscribed("REQ")?;
        let requeued = with_sequence(id, |sequence| state.requeue(subscription, sequence, delay, now));
        self.subscriber.look = true;
        requeued.map_err(|refusal| ProtocolError::requeue_failed(id, words(refusal)))
    }

    fn touch(&mut self, state: &mut State, id: MessageId) -> Result<(), ProtocolError> {
        let (now, longest) = (self.at.now, self.server.options.max_message_timeout);
        let subscription = self.subscribed("TOUCH")?;
        let touched = with_sequence(id, |sequence| state.touch(subscription, sequence, now, longest));
        touched.map_err(|refusal| ProtocolError::touch_failed(id, words(refusal)))
    }

    fn release(
        &mut self,
        state: &mut State,
        id: MessageId,
        delay: Option<Duration>,
    ) -> Result<(), ProtocolError> {
        let now = self.at.now;
        let subscription = self.subscribed("RELEASE")?;
        let released = with_sequence(id, |sequence| state.release(subscription, sequence, delay, now));
        self.subscriber.look = true;
        released.map_err(|refusal| ProtocolError::release_failed(id, words(refusal)))
    }

    fn store(
        &mut self,
        state: &mut State,
        command: &'static str,
        topic: &Name,
        body: &[u8],
        facts: &MessageFacts,
        said: Said,
    ) -> Result<(), ProtocolError> {
        self.permission.check(command, topic, None)?;
        let accepted = state
            .publish(topic.as_str(), [body], facts, self.at.date)
            .map_err(|reason| ProtocolError::publish_failed(command, &reason))?;
        self.session.presence.published(accepted.topic, 1);
        let bytes = stored_bytes(1, body.len());
        match said {
            Said::Ok => self.outbox.answers.stored(accepted.place.ticket().clone(), command, bytes),
            Said::Receipt => self.outbox.answers.placed(accepted, command, bytes),
        }
        Ok(())
    }

    /// `MPUB`. What is too much for one commit is stored while nothing else of this client is carried out.
    fn store_many(&mut self, state: &mut State, topic: Name, bodies: Bodies) -> Result<(), ProtocolError> {
        self.permission.check("MPUB", &topic, None)?;
        let failed = |reason: Arc<str>| ProtocolError::publish_failed("MPUB", &reason);
        let bytes = stored_bytes(bodies.len(), bodies.total_bytes());
        if bytes <= MAX_WHOLE_BYTES {
            let published =
                state.publish(topic.as_str(), bodies.iter(), &MessageFacts::default(), self.at.date);
            let accepted = published.map_err(failed)?;
            self.session.presence.published(accepted.topic, bodies.len() as u64);
            self.outbox.answers.stored(accepted.place.ticket().clone(), "MPUB", bytes);
            return Ok(());
        }
        let accepted =
            state.publish(topic.as_str(), [], &MessageFacts::default(), self.at.date).map_err(failed)?;
        self.session.presence.published(accepted.topic, bodies.len() as u64);
        let server = Arc::clone(&self.server);
        self.inquire(state, async move {
            match server.journal.store(topic.as_str(), bodies.iter(), &MessageFacts::default()).await {
                Ok(()) => Answer::Now(Bytes::from_static(OK)),
                Err(reason) => Answer::Fatal(failed(reason).to_string()),
            }
        })
    }

    fn subscribe(
        &mut self,
        state: &mut State,
        topic: &Name,
        channel: &Name,
        order: DeliveryOrder,
    ) -> Result<(), ProtocolError> {
        state.check_open().map_err(|reason| {
            ProtocolError::new(ErrorCode::SubscribeFailed, format!("SUB failed {reason}"))
        })?;
        let most = self.server.options.max_channel_consumers;
        if let Some(most) = most.filter(|most| state.consumers(topic.as_str(), channel.as_str()) >= *most) {
            return Err(ProtocolError::too_many_consumers(topic, channel, most));
        }
        let joining = Joining {
            order,
            process: self.session.client.process(),
            wake: Arc::clone(&self.subscriber.wake),
            timeout: self.session.terms.message_timeout,
            sample_rate: self.session.terms.sample_rate,
            sample_seed: self.session.client.connected,
            vanishing: if self.session.limits.extensions {
                Vanishing::Suspects(self.session.client.process)
            } else {
                Vanishing::Counts
            },
        };
        let subscription = state.subscribe(topic.as_str(), channel.as_str(), joining);
        self.session.presence.subscribed(subscription.consumer());
        self.subscriber.subscription = Some(subscription);
        self.session.stage = Stage::Subscribed;
        // What was made for it must be durable before it is promised.
        self.outbox.answers.push(Answer::Subscribed { ticket: state.last_awaited() });
        Ok(())
    }

    /// Answers once all that the client said before is decided, so that it finds what it published.
    fn inquire(
        &mut self,
        state: &State,
        question: impl Future<Output = Answer> + Send + 'static,
    ) -> Result<(), ProtocolError> {
        let (server, before) = (Arc::clone(&self.server), state.last_awaited());
        self.inquiry = Some(Box::pin(async move {
            // A commit that failed is answered to the clients that wait for it.
            let _ = server.journal.decided(before).await;
            question.await
        }));
        Ok(())
    }

    fn subscribed(&self, command: &str) -> Result<&Subscription, ProtocolError> {
        self.subscriber.subscription.as_ref().ok_or_else(|| ProtocolError::out_of_place(command))
    }
}

/// What a publish says about its message in headers.
fn facts(headers: &Headers, now: Time) -> MessageFacts {
    let due = match headers.delay {
        Duration::ZERO => Time::ZERO,
        delay => now.plus(delay),
    };
    MessageFacts {
        due,
        key: headers.key.as_deref().map(key_hash),
        event: headers.event.unwrap_or_default(),
        is_from_handler: headers.is_from_handler,
    }
}

/// Does something to the message of this id; an id that is not ours is not in flight.
fn with_sequence(id: MessageId, action: impl FnOnce(u64) -> Result<(), Refusal>) -> Result<(), Refusal> {
    id.to_number().map_or(Err(Refusal::NotInFlight), action)
}

/// nsqd's words for it.
fn words(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::NotInFlight => "ID not in flight",
        Refusal::NotOwned => "client does not own message",
    }
}
