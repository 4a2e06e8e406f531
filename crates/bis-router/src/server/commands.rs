//! What each command does, with nsqd's rules and words. It runs under the state's lock and never waits.

use std::sync::Arc;
use std::time::Duration;

use bis_broker::channel::Time;
use bis_nsq::{
    CLOSE_WAIT, Command, ErrorCode, Extension, FEATURE_HEADERS, FEATURE_ORDERED, FEATURE_PEEK,
    FEATURE_RELEASE, Identify, IdentifyReply, Limits, MessageId, Name, OK, ProtocolError,
};
use bytes::Bytes;

use super::VERSION;
use super::connection::{Answer, Connection, Stage};
use crate::journal::record;
use crate::state::delivery::Subscription;
use crate::state::topic::{ClientInfo, DeliveryOrder};
use crate::state::{MessageFacts, State};

/// What is offered to clients that ask for Bis's extension.
const FEATURES: &[&str] = &[FEATURE_RELEASE, FEATURE_HEADERS, FEATURE_ORDERED, FEATURE_PEEK];

/// nsqd's words for a message that the client does not hold.
const NOT_IN_FLIGHT: &str = "ID not in flight";

impl Connection {
    /// Carries out a command; an error is sent, and ends the connection if it is fatal.
    pub(super) fn execute(&mut self, command: Command, state: &mut State) -> Result<(), ProtocolError> {
        match command {
            Command::Publish { topic, body } => {
                self.store(state, &topic, &[body], &MessageFacts::default(), ProtocolError::publish_failed)
            }
            Command::MultiPublish { topic, bodies } => {
                let facts = MessageFacts::default();
                self.store(state, &topic, &bodies, &facts, ProtocolError::multi_publish_failed)
            }
            Command::DeferredPublish { topic, delay, body } => {
                let due = self.server.shared.clock.now().plus(delay);
                let facts = MessageFacts { due, ..MessageFacts::default() };
                self.store(state, &topic, &[body], &facts, ProtocolError::deferred_publish_failed)
            }
            Command::HeadedPublish { topic, headers, body } => {
                let due = match headers.delay {
                    Duration::ZERO => Time::ZERO,
                    delay => self.server.shared.clock.now().plus(delay),
                };
                let key = headers.key.as_deref().map(record::key_hash);
                let facts = MessageFacts { due, key, event: headers.event.unwrap_or_default() };
                self.store(state, &topic, &[body], &facts, ProtocolError::headed_publish_failed)
            }
            Command::Finish(id) => {
                let subscription = self.subscribed("FIN")?;
                let finished = sequence(id).and_then(|sequence| state.finish(subscription, sequence).ok());
                self.look_again();
                finished.ok_or_else(|| ProtocolError::finish_failed(id, NOT_IN_FLIGHT))
            }
            Command::Requeue { id, delay } => {
                let now = self.server.shared.clock.now();
                let subscription = self.subscribed("REQ")?;
                let requeued =
                    sequence(id).and_then(|sequence| state.requeue(subscription, sequence, delay, now).ok());
                self.look_again();
                requeued.ok_or_else(|| ProtocolError::requeue_failed(id, NOT_IN_FLIGHT))
            }
            Command::Touch(id) => {
                let (now, longest) =
                    (self.server.shared.clock.now(), self.server.options.max_message_timeout);
                let subscription = self.subscribed("TOUCH")?;
                let touched =
                    sequence(id).and_then(|sequence| state.touch(subscription, sequence, now, longest).ok());
                touched.ok_or_else(|| ProtocolError::touch_failed(id, NOT_IN_FLIGHT))
            }
            Command::Release(id) => {
                let subscription = self.subscribed("RELEASE")?;
                let released = sequence(id).and_then(|sequence| state.release(subscription, sequence).ok());
                self.look_again();
                released.ok_or_else(|| ProtocolError::release_failed(id, NOT_IN_FLIGHT))
            }
            Command::Ready(count) => match self.stage {
                Stage::Fresh => Err(ProtocolError::out_of_place("RDY")),
                Stage::Closing => Ok(()),
                Stage::Subscribed => {
                    state.set_ready(self.subscribed("RDY")?, count);
                    self.look_again();
                    Ok(())
                }
            },
            Command::Subscribe { topic, channel, ordered } => {
                let order = if ordered { DeliveryOrder::ByKey } else { DeliveryOrder::Any };
                self.subscribe(state, &topic, &channel, order)
            }
            Command::Identify(body) => self.identify(&body),
            Command::Auth(_) if self.stage != Stage::Fresh => Err(ProtocolError::out_of_place("AUTH")),
            Command::Auth(_) => Err(ProtocolError::new(ErrorCode::AuthDisabled, "AUTH disabled")),
            Command::Close => {
                if self.stage != Stage::Subscribed {
                    return Err(ProtocolError::out_of_place("CLS"));
                }
                self.stage = Stage::Closing;
                self.answer(Answer::Now(Bytes::from_static(CLOSE_WAIT)));
                Ok(())
            }
            Command::Nop => Ok(()),
        }
    }

    fn store(
        &mut self,
        state: &mut State,
        topic: &Name,
        bodies: &[Bytes],
        facts: &MessageFacts,
        refusal: fn(&str) -> ProtocolError,
    ) -> Result<(), ProtocolError> {
        let now = self.server.shared.clock.now();
        let ticket = state
            .publish(topic, bodies.iter().map(|body| &body[..]), facts, now)
            .map_err(|reason| refusal(&reason))?;
        self.presence.published(topic, bodies.len());
        let bytes = bodies.iter().map(Bytes::len).sum();
        self.answer(Answer::Stored { ticket, bytes, refusal });
        Ok(())
    }

    fn subscribe(
        &mut self,
        state: &mut State,
        topic: &Name,
        channel: &Name,
        order: DeliveryOrder,
    ) -> Result<(), ProtocolError> {
        if self.stage != Stage::Fresh {
            return Err(ProtocolError::out_of_place("SUB"));
        }
        if self.heartbeat.is_none() {
            return Err(ProtocolError::subscribe_without_heartbeats());
        }
        state.check_open().map_err(|reason| {
            ProtocolError::new(ErrorCode::SubscribeFailed, format!("SUB failed {reason}"))
        })?;
        let (client, wake) = (Arc::clone(&self.client), Arc::clone(&self.wake));
        let subscription = state.subscribe(topic, channel, order, client, wake, self.message_timeout);
        self.subscription = Some(subscription);
        self.stage = Stage::Subscribed;
        // What was made for it must be durable before it is promised; otherwise nothing is to be waited for.
        let ticket = if state.is_awaited() { state.ticket() } else { 0 };
        self.answer(Answer::Subscribed { ticket });
        Ok(())
    }

    fn identify(&mut self, body: &[u8]) -> Result<(), ProtocolError> {
        if self.stage != Stage::Fresh {
            return Err(ProtocolError::out_of_place("IDENTIFY"));
        }
        let asked = Identify::parse(body)?;
        self.heartbeat = match asked.heartbeat_interval {
            -1 => None,
            0 => Some(Limits::DEFAULT_HEARTBEAT),
            millis => Some(from_millis(millis)),
        };
        if asked.msg_timeout > 0 {
            self.message_timeout =
                from_millis(asked.msg_timeout).min(self.server.options.max_message_timeout);
        }
        self.client = Arc::new(ClientInfo {
            client_id: asked.client_id.clone(),
            hostname: asked.hostname.clone(),
            user_agent: asked.user_agent.clone(),
            ..(*self.client).clone()
        });
        self.presence.identified(Arc::clone(&self.client));
        if !asked.feature_negotiation {
            self.answer(Answer::Now(Bytes::from_static(OK)));
            return Ok(());
        }
        self.limits.extensions = asked.bis.is_some();
        let reply = self.reply_to(&asked);
        self.answer(Answer::Now(Bytes::from(reply.to_json())));
        Ok(())
    }

    /// What is granted. TLS and compression are not: a client goes on without, or gives up, as it likes.
    fn reply_to(&self, asked: &Identify) -> IdentifyReply {
        let granted = |asked: i64, default: i64| if asked == 0 { default } else { asked };
        let default_timeout = to_millis(Limits::DEFAULT_OUTPUT_BUFFER_TIMEOUT);
        IdentifyReply {
            max_rdy_count: i64::from(self.limits.max_rdy_count),
            version: VERSION.to_owned(),
            max_msg_timeout: to_millis(self.server.options.max_message_timeout),
            msg_timeout: to_millis(self.message_timeout),
            output_buffer_size: granted(asked.output_buffer_size, Limits::DEFAULT_OUTPUT_BUFFER_BYTES as i64),
            output_buffer_timeout: granted(asked.output_buffer_timeout, default_timeout),
            topology_region: asked.topology_region.clone(),
            topology_zone: asked.topology_zone.clone(),
            bis: asked.bis.as_ref().map(|_| self.offer()),
            ..IdentifyReply::default()
        }
    }

    /// What is offered beyond NSQ, with the limits that nsqd's reply has no words for.
    fn offer(&self) -> Extension {
        Extension {
            max_delay: to_millis(self.server.options.max_requeue_delay),
            max_message_bytes: i64::try_from(self.server.options.max_message_bytes).unwrap_or(i64::MAX),
            ..Extension::offer(FEATURES)
        }
    }

    fn subscribed(&self, command: &str) -> Result<&Subscription, ProtocolError> {
        self.subscription.as_ref().ok_or_else(|| ProtocolError::out_of_place(command))
    }
}

fn sequence(id: MessageId) -> Option<u64> {
    id.to_number()
}

fn from_millis(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

fn to_millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
