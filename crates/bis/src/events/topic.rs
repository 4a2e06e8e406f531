//! Topics: what a program declares about a stream of events of one type. A topic holds no state; publishing finds the
//! running app.

use std::{fmt, panic::Location};

use bis_broker::TopicSpec;
use bis_core::{Retention, TopicName, codes, redaction::Sensitive};

use super::{
    delivery::{Delivery, Incoming},
    event::{Codec, Event, NotScalar},
    listen::Listen,
    publish::{self, Publish, PublishError, Published},
};
use crate::error::{Error, Result};

/// A stream of events of one type, declared as a static:
///
/// ```
/// use bis::prelude::*;
///
/// #[derive(Event, Serialize, Deserialize)]
/// pub struct OrderPlaced {
///     #[event(key)]
///     pub order_id: u64,
/// }
///
/// pub static PLACED: Topic<OrderPlaced> = Topic::new("order-placed").ordered();
/// ```
pub struct Topic<T> {
    spec: TopicSpec,
    position: &'static Location<'static>,
    codec: Codec<T>,
}

/// A topic's declaration without its type. `Topic::<T>::info` makes it.
#[derive(Debug, Clone, Copy)]
pub struct TopicInfo {
    /// Its name in the app, kebab-case.
    pub name: &'static str,
    /// The name of the event's type.
    pub event: &'static str,
    /// The parts of the event that no error text may show.
    pub sensitive: fn() -> Sensitive,
    /// Whether events carry an identity.
    pub identity: bool,
    /// Whether events of one key are handled one at a time and in order.
    pub ordered: bool,
    /// How long what was handled is kept.
    pub retention: Retention,
    /// Where the topic is declared.
    pub position: &'static Location<'static>,
    /// The whole path of the event's type, as `std::any::type_name` gives it.
    pub type_name: &'static str,
    /// Whether the types of the event's key and attributes can be scalars.
    pub check_scalars: fn() -> Result<(), NotScalar>,
}

impl<T: Event> Topic<T> {
    /// Declares a topic. Events are unordered and kept for 7 days or 10 GB once everyone has handled them.
    ///
    /// # Panics
    /// When `name` is not kebab-case of at most 63 bytes; in a static that is a compile error.
    #[track_caller]
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self {
            spec: TopicSpec::new(TopicName::from_static(name)),
            position: Location::caller(),
            codec: Codec::new(),
        }
    }
}

impl<T> Topic<T> {
    /// Events of one key are handled one at a time, in the order in which they were published. A broker that cannot
    /// do that refuses the topic at start.
    ///
    /// # Panics
    /// When the event type has no field under `#[event(key)]`; in a static that is a compile error.
    #[track_caller]
    #[must_use]
    pub const fn ordered(mut self) -> Self {
        assert!(
            self.codec.has_key,
            "an ordered topic needs events with a key: put `#[event(key)]` on a field of the event's type"
        );
        self.spec.ordered = true;
        self
    }

    /// How long events are kept after every subscription has handled them. 7 days or 10 GB unless set.
    #[must_use]
    pub const fn retention(mut self, retention: Retention) -> Self {
        self.spec.retention = retention;
        self
    }

    /// The topic's name.
    pub const fn name(&self) -> &TopicName {
        &self.spec.name
    }

    /// Publishes one event: await what this returns.
    ///
    /// Resolves with the event's id, and with what else the broker says about it, once the broker has the event, as durably as it
    /// keeps events. Dropping the future leaves open whether it has.
    ///
    /// An event that could not be read back is refused, with the field: a float that is NaN or infinite, a map whose keys are
    /// not text. Tests and debug builds also decode what was encoded, and refuse the event when that fails.
    ///
    /// ```no_run
    /// # use bis::prelude::*;
    /// # #[derive(Event, Serialize, Deserialize)] pub struct OrderPlaced { pub order_id: u64 }
    /// # pub static PLACED: Topic<OrderPlaced> = Topic::new("order-placed");
    /// # async fn f() -> Result<()> {
    /// let order = OrderPlaced { order_id: 7 };
    /// let published = PLACED.publish(&order).id("order-7").delay(Duration::from_secs(60)).await?;
    /// assert_eq!(published.id.as_str(), "order-7");
    /// # Ok(()) }
    /// ```
    pub fn publish(&self, event: &T) -> Publish<'_> {
        publish::prepare(&self.spec, &self.codec, event)
    }

    /// Publishes several events in their order and resolves with one result each: a broker may take some and not
    /// others.
    pub async fn publish_all(&self, events: &[T]) -> Vec<Result<Published, PublishError>> {
        publish::all(&self.spec, &self.codec, events).await
    }

    /// Listens to what is published on the topic from now on, by any process of the app: for what people watch, such as a stream
    /// of server-sent events. Once this has resolved, nothing that is published later is left out, as long as the broker can be
    /// reached and the listener keeps up.
    ///
    /// It is no subscription. Nothing is kept for it: what was published before, or while the broker was away, does not
    /// come. There are no retries and no dead letters, an event may come twice, and other listeners get it too. So read what
    /// there is when you have begun to listen, and then follow the events.
    ///
    /// 1,024 events wait for a listener, or as many as [`Listen::buffer`] says. One that falls behind misses the oldest and is
    /// told how many, by [`Lagged`](crate::Lagged); it holds up neither the broker nor anybody else. An event that does not
    /// decode is skipped with a line in the log. All listeners of a process share one connection's worth of events: it
    /// begins with the first of them and ends with the last, and nothing is left at the broker, however the process ends.
    ///
    /// When the app stops or hands over, listeners end, and with them what they feed.
    ///
    /// ```no_run
    /// # use bis::prelude::*;
    /// # #[derive(Event, Serialize, Deserialize)] pub struct OrderShipped { pub order_id: u64 }
    /// # pub static SHIPPED: Topic<OrderShipped> = Topic::new("order-shipped");
    /// # async fn f() -> Result<()> {
    /// let mut shipped = SHIPPED.listen().await?;
    /// while let Some(event) = shipped.next().await {
    ///     match event {
    ///         Ok(event) => println!("{} is on its way", event.order_id),
    ///         Err(bis::Lagged(missed)) => println!("and {missed} others"),
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub fn listen(&'static self) -> Listen<T> {
        Listen::new(self)
    }

    /// The parts of its events that no error text may show.
    pub(super) fn sensitive(&self) -> Sensitive {
        (self.codec.sensitive)()
    }

    /// The topic as brokers see it.
    #[cfg(feature = "testing")]
    pub(crate) const fn spec(&self) -> &TopicSpec {
        &self.spec
    }

    /// Decodes what a broker delivered.
    ///
    /// # Errors
    /// When the data is not the event's JSON; no retry can help.
    #[doc(hidden)]
    pub fn decode(&self, incoming: Incoming) -> Result<Delivery<T>> {
        if let Some(reason) = &incoming.envelope.malformed {
            let reason = format!(
                "the message is meant as a CloudEvent, and is not a valid one: {reason} [{}]",
                codes::MALFORMED
            );
            return Err(Error::permanent(reason));
        }
        match (self.codec.decode)(&incoming.envelope.data) {
            Ok(event) => Ok(Delivery::new(event, incoming)),
            Err(error) => Err(Error::permanent(error).context(format_args!(
                "the data is not a valid `{}` [{}]",
                self.codec.name,
                codes::NOT_DECODED
            ))),
        }
    }

    /// The declaration without its type.
    #[doc(hidden)]
    pub fn info(&'static self) -> TopicInfo {
        TopicInfo {
            name: self.spec.name.as_str(),
            event: self.codec.name,
            sensitive: self.codec.sensitive,
            identity: self.codec.identity,
            ordered: self.spec.ordered,
            retention: self.spec.retention,
            position: self.position,
            type_name: std::any::type_name::<T>(),
            check_scalars: self.codec.check_scalars,
        }
    }
}

impl<T> fmt::Debug for Topic<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topic")
            .field("name", &self.spec.name)
            .field("ordered", &self.spec.ordered)
            .field("retention", &self.spec.retention)
            .finish_non_exhaustive()
    }
}
