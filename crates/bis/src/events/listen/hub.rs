//! The listeners of a topic share one consumer at the broker, which begins with the first of them and ends soon after the
//! last. It hands on what comes at once and waits for none of them.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bis_broker::{ConsumeError, Delivery};
use bis_core::TopicName;
use tokio::{
    runtime::Handle,
    sync::{Notify, watch},
    time::sleep,
};

use super::{
    Lagged,
    ring::{Heard, Ring},
};
use crate::{
    events::{bus::Bus, delivery::Incoming},
    instance::Instance,
};

/// How long the consumer stays when its last listener has gone, for one that comes again.
const LINGER: Duration = Duration::from_secs(2);

/// The most events that are received at once.
const BATCH: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");

/// Who listens in an app, by topic.
#[derive(Default)]
pub(crate) struct Listening {
    hubs: Mutex<HashMap<TopicName, Arc<Hub>>>,
    /// Where consumers run: code of users must not block their connections.
    upkeep: OnceLock<Handle>,
}

impl Listening {
    /// Consumers run on the current runtime.
    pub(crate) fn run_here(&self) {
        self.upkeep.get_or_init(Handle::current);
    }

    /// One more listener, for which `buffer` events wait at most.
    pub(super) fn join(&self, instance: &Arc<Instance>, topic: &TopicName, buffer: usize) -> Seat {
        let ring = Arc::new(Ring::new(buffer));
        let mut hubs = self.hubs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seat) = hubs.get(topic).and_then(|hub| hub.seat(&ring)) {
            return seat;
        }
        let hub = Arc::new(Hub::default());
        let seat = hub.seat(&ring).expect("it has just begun");
        hubs.insert(topic.clone(), hub.clone());
        let runtime = self.upkeep.get().cloned().unwrap_or_else(Handle::current);
        runtime.spawn(run(hub, instance.clone(), topic.clone()));
        seat
    }

    /// Forgets a hub that has ended.
    fn forget(&self, topic: &TopicName, ended: &Arc<Hub>) {
        let mut hubs = self.hubs.lock().unwrap_or_else(PoisonError::into_inner);
        if hubs.get(topic).is_some_and(|hub| Arc::ptr_eq(hub, ended)) {
            hubs.remove(topic);
        }
    }
}

impl fmt::Debug for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listening").finish_non_exhaustive()
    }
}

/// Whether the broker lets a hub listen; `None` while that is not known.
type Begun = Option<Result<(), ConsumeError>>;

/// The listeners of one topic.
#[derive(Default)]
struct Hub {
    seats: Mutex<Seats>,
    /// Rung when the last listener has gone.
    deserted: Notify,
    begun: watch::Sender<Begun>,
}

#[derive(Default)]
struct Seats {
    next_id: u64,
    rings: BTreeMap<u64, Arc<Ring>>,
    is_over: bool,
}

impl Hub {
    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more listener, unless the hub is over.
    fn seat(self: &Arc<Self>, ring: &Arc<Ring>) -> Option<Seat> {
        let mut seats = self.seats();
        if seats.is_over {
            return None;
        }
        let id = seats.next_id;
        seats.next_id += 1;
        seats.rings.insert(id, ring.clone());
        Some(Seat { hub: self.clone(), id, ring: ring.clone() })
    }

    /// Hands an event to everyone.
    fn put(&self, incoming: Incoming) {
        let heard = Heard::new(incoming);
        for ring in self.seats().rings.values() {
            ring.put(&heard);
        }
    }

    /// Completes, and is over, when nobody has listened for a while.
    async fn is_left(&self) {
        loop {
            self.deserted.notified().await;
            sleep(LINGER).await;
            let mut seats = self.seats();
            if seats.rings.is_empty() {
                seats.is_over = true;
                return;
            }
        }
    }

    /// Takes no more listeners, and tells the present ones.
    fn end(&self, why: ConsumeError) {
        let mut seats = self.seats();
        seats.is_over = true;
        let rings: Vec<_> = seats.rings.values().cloned().collect();
        drop(seats);
        rings.iter().for_each(|ring| ring.end());
        self.begun.send_if_modified(|begun| {
            let was_open = begun.is_none();
            begun.get_or_insert(Err(why));
            was_open
        });
    }
}

/// One listener's place among the others, until it is dropped.
pub(super) struct Seat {
    hub: Arc<Hub>,
    id: u64,
    ring: Arc<Ring>,
}

impl Seat {
    /// Completes when everything that is published from then on is heard.
    pub(super) async fn begun(&self) -> Result<(), ConsumeError> {
        let mut begun = self.hub.begun.subscribe();
        let begun = begun.wait_for(Option::is_some).await;
        // The sender is in the hub.
        begun.ok().and_then(|begun| begun.clone()).unwrap_or(Err(ConsumeError::Closed))
    }

    pub(super) fn poll(&self, context: &mut Context<'_>) -> Poll<Option<Result<Arc<Heard>, Lagged>>> {
        self.ring.poll(context)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.hub.seats();
        seats.rings.remove(&self.id);
        if seats.rings.is_empty() {
            drop(seats);
            self.hub.deserted.notify_one();
        }
    }
}

/// Listens for everyone until the last has gone, the app stops, or the broker ends it.
async fn run(hub: Arc<Hub>, instance: Arc<Instance>, topic: TopicName) {
    let bus = Bus::of(&instance);
    let ended = tokio::select! {
        biased;
        () = instance.stopping.begun() => Ok(()),
        () = hub.is_left() => Ok(()),
        ended = hear(&hub, bus, &topic) => ended,
    };
    if let Err(error) = &ended {
        tracing::error!(%topic, %error, "nobody listens to the topic any more");
    }
    hub.end(ended.err().unwrap_or(ConsumeError::Closed));
    bus.listening().forget(&topic, &hub);
}

/// Hands on what comes, forever.
async fn hear(hub: &Hub, bus: &Bus, topic: &TopicName) -> Result<(), ConsumeError> {
    let mut consumer = bus.broker().listen(topic).await?;
    hub.begun.send_replace(Some(Ok(())));
    loop {
        let received = consumer.receive(BATCH).await?;
        for delivery in received {
            take(hub, delivery).await;
        }
    }
}

async fn take(hub: &Hub, delivery: Delivery) {
    // What is sent again to one subscription is not new.
    if delivery.envelope.target.is_none() {
        hub.put(Incoming::of(&delivery));
    }
    // One that is lost here may be heard twice.
    delivery.settle.ack().await.ok();
}
