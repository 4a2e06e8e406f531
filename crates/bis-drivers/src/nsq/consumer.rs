//! A subscription's share on NSQ: messages in, deliveries out, over a connection to each server that has the topic.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use bis_broker::{Answer, BoxFuture, ConsumeError, Consumer, Deliveries, Delivery, Extender, History};
use bis_core::{Envelope, EventId};
use bis_nsq::{
    MessageId, Name,
    client::{self, ConsumerHandle, Order},
};
use bytes::Bytes;
use tokio::{runtime::Handle, sync::watch, time::sleep};

use super::{
    cluster::{Server, Servers},
    delivery::{NsqExtender, settlement},
    shares::{Place, Turn},
    wait::{Wait, all, first},
};

/// How long a server may have nothing while another waits for its turn.
const TURN: Duration = Duration::from_millis(50);

/// The most connections that one subscription opens to one server. Each holds up to 2,500 deliveries.
const MAX_CONNECTIONS: usize = 64;

/// What closes every consumer of a driver; `None` when it is closed itself.
pub(super) type Handles = Arc<Mutex<Option<Vec<ConsumerHandle>>>>;

/// What is consumed, in NSQ's words.
pub(super) struct Source {
    pub(super) options: client::Options,
    pub(super) topic: Name,
    pub(super) channel: Name,
    pub(super) order: Order,
    /// What the server took before is finished without being delivered.
    pub(super) since: SystemTime,
    /// How long to wait for the servers beside the first one to confirm.
    pub(super) wait_for_others: Duration,
}

/// The connections that consume one channel.
pub(super) struct NsqConsumer {
    source: Source,
    servers: watch::Receiver<Servers>,
    handles: Handles,
    links: Vec<Link>,
    turn: Turn,
    extender: Arc<NsqExtender>,
    stopped: bool,
    /// The runtime of the connections, whichever thread asks for one more: the handlers' threads may be blocked.
    runtime: Handle,
}

/// One connection.
struct Link {
    address: String,
    client: client::Consumer,
    /// Why this server cannot be used for it.
    refused: Option<ConsumeError>,
}

/// What a wait ended with.
enum Event {
    Received(usize, Result<Vec<client::Delivery>, client::ConsumeError>),
    /// There are other servers now.
    Servers,
    Silence,
}

impl NsqConsumer {
    /// Waits until the first server has confirmed the subscription, and for the others as long as its source says.
    pub(super) async fn open(
        source: Source,
        servers: watch::Receiver<Servers>,
        handles: Handles,
    ) -> Result<Self, ConsumeError> {
        let (links, turn) = (Vec::new(), Turn::default());
        let runtime = Handle::current();
        let extender = Arc::new(NsqExtender);
        let mut consumer = Self { source, servers, handles, links, turn, extender, stopped: false, runtime };
        loop {
            consumer.follow(1)?;
            let waits = consumer
                .links
                .iter_mut()
                .map(|link| Box::pin(async { link.client.subscribed().await }) as Wait<'_, _>);
            tokio::select! {
                subscribed = first(waits.collect()) => match subscribed {
                    Ok(()) => {
                        consumer.wait_for_others().await;
                        return Ok(consumer);
                    }
                    // Only this connection: whether all is closed is known elsewhere.
                    Err(client::ConsumeError::Closed) => {}
                    Err(error) => return Err(consume_error(error)),
                },
                changed = consumer.servers.changed() => changed.map_err(|_| ConsumeError::Closed)?,
            }
        }
    }

    /// Waits until every server that can be reached has confirmed. One that refuses says so again when it is received from.
    async fn wait_for_others(&mut self) {
        let waits = self
            .links
            .iter_mut()
            .map(|link| Box::pin(async { drop(link.client.subscribed().await) }) as Wait<'_, _>);
        tokio::time::timeout(self.source.wait_for_others, all(waits.collect())).await.ok();
    }

    /// Opens what is missing: a connection to each server, and more to one that holds more than a connection can.
    /// A connection to a server that is no longer known is used as long as it is up.
    fn follow(&mut self, max: usize) -> Result<(), ConsumeError> {
        if self.stopped || self.handles.lock().unwrap_or_else(PoisonError::into_inner).is_none() {
            return Err(ConsumeError::Closed);
        }
        let servers = self.servers.borrow_and_update().clone();
        let topic = self.source.topic.as_str();
        let targets: Vec<&Arc<Server>> = servers.iter().filter(|server| server.is_consumed(topic)).collect();
        let is_target = |link: &Link| targets.iter().any(|server| server.address == link.address);
        self.links.retain(|link| !link.client.is_closed());
        self.links.iter().for_each(|link| link.client.set_reconnects(is_target(link)));
        for server in targets {
            let own = || self.links.iter().filter(|link| link.address == server.address);
            let held: usize = own().map(|link| link.client.unsettled()).sum();
            let capacity = own().map(|link| link.client.capacity()).min().unwrap_or(usize::MAX);
            let needed = (held + max).div_ceil(capacity.max(1)).clamp(1, MAX_CONNECTIONS);
            for _ in own().count()..needed {
                let link = self.connect(&server.address)?;
                self.links.push(link);
            }
        }
        Ok(())
    }

    fn connect(&self, address: &str) -> Result<Link, ConsumeError> {
        let Source { options, topic, channel, order, .. } = &self.source;
        let options = client::Options { address: address.to_owned(), ..options.clone() };
        let mut handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        let handles = handles.as_mut().ok_or(ConsumeError::Closed)?;
        let _entered = self.runtime.enter();
        let client = client::Consumer::start_in_order(options, topic.clone(), channel.clone(), *order);
        handles.retain(|handle| !handle.is_closed());
        handles.push(client.handle());
        Ok(Link { address: address.to_owned(), client, refused: None })
    }

    /// At least one message and at most `max`.
    async fn messages(&mut self, max: usize) -> Result<Vec<client::Delivery>, ConsumeError> {
        loop {
            self.follow(max)?;
            match self.wait(max).await? {
                Event::Received(_, Ok(messages)) if messages.is_empty() => {}
                Event::Received(_, Ok(messages)) => {
                    self.turn.delivered(messages.len());
                    return Ok(messages);
                }
                Event::Received(index, Err(error)) => self.refuse(index, consume_error(error))?,
                Event::Servers => {}
                Event::Silence => self.turn.next(),
            }
        }
    }

    async fn wait(&mut self, max: usize) -> Result<Event, ConsumeError> {
        let places: Vec<Place> = self.links.iter().map(Link::place).collect();
        let shares = self.turn.shares(&places, max);
        let takes_turns = places.iter().zip(&shares).any(|(place, share)| place.connected && *share == 0);
        let waits =
            self.links.iter_mut().zip(shares).enumerate().filter(|(_, (link, _))| link.refused.is_none());
        let waits = waits.map(|(index, (link, share))| {
            let receiving = async move { Event::Received(index, link.client.receive_or_change(share).await) };
            Box::pin(receiving) as Wait<'_, _>
        });
        tokio::select! {
            event = first(waits.collect()) => Ok(event),
            changed = self.servers.changed() => changed.map(|()| Event::Servers).map_err(|_| ConsumeError::Closed),
            () = sleep(TURN), if takes_turns => Ok(Event::Silence),
        }
    }

    /// Goes on with the other servers, if there are any.
    fn refuse(&mut self, index: usize, error: ConsumeError) -> Result<(), ConsumeError> {
        if error == ConsumeError::Closed {
            // Only this connection: whether all is closed is known elsewhere.
            return Ok(());
        }
        let Source { topic, channel, .. } = &self.source;
        let link = &mut self.links[index];
        tracing::error!(address = %link.address, %topic, %channel, %error, "a server refuses the subscription");
        link.refused = Some(error.clone());
        if self.links.iter().all(|link| link.refused.is_some()) { Err(error) } else { Ok(()) }
    }
}

impl Link {
    fn place(&self) -> Place {
        Place {
            connected: self.client.is_connected(),
            arrived: self.client.arrived(),
            room: self.client.capacity().saturating_sub(self.client.unsettled()),
        }
    }
}

fn delivery(message: client::Delivery) -> Delivery {
    Delivery {
        envelope: Arc::new(envelope(message.body(), message.id(), published(&message))),
        attempt: u32::from(message.attempts()),
        history: history(message.history()),
        lease: Some(message.lease()),
        settle: settlement(message),
    }
}

fn history(history: bis_nsq::History) -> History {
    let bis_nsq::History { generation, crashes, is_suspect } = history;
    History { generation, crashes: u32::from(crashes), is_suspect }
}

/// The event in a message: a body that is not an envelope is bare data.
pub fn envelope(body: &Bytes, id: MessageId, published: SystemTime) -> Envelope {
    Envelope::from_body(body.clone(), || EventId::of_message(id, published), published)
}

fn published(message: &client::Delivery) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(u64::try_from(message.timestamp_ns()).unwrap_or(0))
}

fn consume_error(error: client::ConsumeError) -> ConsumeError {
    match error {
        client::ConsumeError::Refused(refusal) => ConsumeError::Refused(refusal.to_string()),
        client::ConsumeError::Closed => ConsumeError::Closed,
    }
}

impl Consumer for NsqConsumer {
    fn receive(&mut self, max: NonZeroUsize) -> Answer<'_, Result<Deliveries, ConsumeError>> {
        Answer::boxed(async move {
            loop {
                let messages = self.messages(max.get()).await?;
                let (new, old): (Vec<_>, Vec<_>) =
                    messages.into_iter().partition(|message| published(message) >= self.source.since);
                // What is lost here is delivered again, and is just as old then.
                for message in old {
                    message.finish().ok();
                }
                if !new.is_empty() {
                    return Ok(new.into_iter().map(delivery).collect());
                }
            }
        })
    }

    fn extender(&self) -> Option<Arc<dyn Extender>> {
        // Each consumer has its own, which tells it apart from others.
        Some(self.extender.clone())
    }

    fn stop(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let Source { topic, channel, .. } = &self.source;
            tracing::debug!(%topic, %channel, "asked the broker for no more");
            self.stopped = true;
            let stopping = self.links.iter_mut().map(|link| Box::pin(link.client.stop()) as Wait<'_, _>);
            all(stopping.collect()).await;
        })
    }
}
