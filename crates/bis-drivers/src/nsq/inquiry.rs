//! Looking into a subscription and moving it, for a broker of one server. Several servers number their messages each for
//! itself, so that there is no place to look at or to go back to.

use std::{
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bis_broker::{
    EnsureError, InquiryError, Page, ReplayFrom, Replayed, SubscriptionSpec, TopicSpec, Waiting, WaitingState,
};
use bis_core::{Capabilities, Retention};
use bis_nsq::{
    FEATURE_PEEK, WaitingMessage,
    client::{self, ConnectError},
};

use tokio::time::sleep;

use super::{Nsq, cluster::with_remedy, consumer::envelope, publishing::is_want_of_room};

/// How soon a server that could not be reached is told again how long to keep a topic.
const RETAIN_AGAIN: Duration = Duration::from_millis(500);

impl Nsq {
    pub(super) async fn peek_page(
        &self,
        subscription: &SubscriptionSpec,
        after: Option<u64>,
        limit: NonZeroUsize,
    ) -> Result<Page, InquiryError> {
        let options = self.inquired(|can| can.peek, InquiryError::NO_PEEK).await?;
        let limit = u32::try_from(limit.get()).unwrap_or(u32::MAX);
        let (topic, channel) = (self.topic(&subscription.topic), Self::channel(&subscription.name));
        let page = client::peek(&options, &topic, &channel, limit, after).await;
        let page = page.map_err(|error| inquiry_error(&options.address, error))?;
        Ok(Page { events: page.messages.into_iter().map(waiting).collect(), more: page.more })
    }

    pub(super) async fn replay_from(
        &self,
        subscription: &SubscriptionSpec,
        from: ReplayFrom,
    ) -> Result<Replayed, InquiryError> {
        let options = self.inquired(|can| can.replay, InquiryError::NO_REPLAY).await?;
        let from = match from {
            ReplayFrom::Position(position) => bis_nsq::ReplayFrom::Sequence(position),
            ReplayFrom::Time(time) => bis_nsq::ReplayFrom::Time(nanoseconds(time)),
        };
        let (topic, channel) = (self.topic(&subscription.topic), Self::channel(&subscription.name));
        let replayed = client::replay(&options, &topic, &channel, from).await;
        let replayed = replayed.map_err(|error| inquiry_error(&options.address, error))?;
        Ok(Replayed { from: replayed.from, events: replayed.messages })
    }

    /// Tells the one server how long to keep what was handled of a topic.
    pub(super) async fn retain(&self, topic: &TopicSpec) -> Result<(), EnsureError> {
        let [address] = &self.cluster.options.servers[..] else {
            return Err(Self::no_retention(&topic.name));
        };
        let options = self.cluster.options.client_for(address);
        let Retention { max_age, max_bytes } = topic.retention;
        let name = self.topic(&topic.name);
        let mut failures = 0_u32;
        while let Err(error) = client::retain(&options, &name, max_age, max_bytes).await {
            match error {
                ConnectError::Lacks(_) => return Err(Self::no_retention(&topic.name)),
                _ if self.cluster.is_closed() => return Err(EnsureError::Closed),
                // One that stops, or has no room, takes it later.
                ConnectError::Refused(refusal) if !is_want_of_room(&refusal) => {
                    return Err(EnsureError::Refused(with_remedy(&refusal.to_string())));
                }
                error => {
                    failures += 1;
                    options.outages.unreachable(address, &error, failures.is_power_of_two());
                    sleep(RETAIN_AGAIN).await;
                }
            }
        }
        Ok(())
    }

    /// How to reach the one server, once it is known that it can.
    async fn inquired(
        &self,
        can: impl FnOnce(&Capabilities) -> bool,
        refusal: InquiryError,
    ) -> Result<client::Options, InquiryError> {
        if self.cluster.is_closed() {
            return Err(InquiryError::Closed);
        }
        let [address] = &self.cluster.options.servers[..] else { return Err(refusal) };
        let options = self.cluster.options.client_for(address);
        let known = match self.capabilities.get() {
            Some(known) => known,
            None => {
                let server = client::identify(&options).await;
                self.learn(&server.map_err(|error| inquiry_error(address, error))?)
            }
        };
        if can(known) { Ok(options) } else { Err(refusal) }
    }
}

fn waiting(message: WaitingMessage) -> Waiting {
    let published = SystemTime::UNIX_EPOCH + Duration::from_nanos(message.timestamp_ns);
    Waiting {
        position: message.sequence,
        envelope: Arc::new(envelope(&message.body, message.id, published)),
        attempts: message.attempts,
        state: match message.state {
            bis_nsq::WaitingState::Ready => WaitingState::Ready,
            bis_nsq::WaitingState::Deferred => WaitingState::Deferred,
            bis_nsq::WaitingState::InFlight => WaitingState::InFlight,
        },
    }
}

/// Nanoseconds since 1970; earlier times count as 1970.
fn nanoseconds(time: SystemTime) -> u64 {
    let since_1970 = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX)
}

fn inquiry_error(address: &str, error: ConnectError) -> InquiryError {
    match error {
        ConnectError::Refused(refusal) => InquiryError::Refused(refusal.to_string()),
        // Another kind of server has replaced the one that was asked what it can do.
        ConnectError::Lacks(FEATURE_PEEK) => InquiryError::NO_PEEK,
        ConnectError::Lacks(_) => InquiryError::NO_REPLAY,
        other => InquiryError::Unreachable { address: address.to_owned(), reason: other.to_string() },
    }
}
