//! What `#[subscription]` registers, found again by the app that lists the handler's service. It holds plain data and function
//! pointers, decides nothing and runs nothing.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use bis_core::{InvalidName, RetryPolicy, SubscriptionName, TopicName};

use super::{delivery::Incoming, runtime::Subscription, topic::TopicInfo};
use crate::{
    error::{Error, Result},
    instance::{Position, ServiceEntry, Services},
};

/// What a handler returns, boxed.
pub type HandlerFuture = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// A handler of events, as `#[subscription]` declares it.
pub struct SubscriptionEntry {
    /// The path of the module that holds the handler, its crate first.
    pub module: &'static str,
    /// The handler's name.
    pub function: &'static str,
    /// Where.
    pub position: Position,
    /// The subscription's name within its topic, kebab-case.
    pub name: &'static str,
    /// How deliveries are retried.
    pub retry: RetryPolicy,
    /// How long the handler may run on one delivery or batch.
    pub timeout: Duration,
    /// How many handlers of this subscription run at once in a process.
    pub concurrency: usize,
    /// The topic and the handler; made once per app.
    pub subscribed: fn() -> Subscribed,
    /// The paths that the handler calls, as it writes them.
    pub calls: &'static [&'static str],
}

/// A handler with its topic, both type-erased.
pub struct Subscribed {
    /// What the topic declares about itself.
    pub topic: TopicInfo,
    /// The handler.
    pub handler: ErasedHandler,
}

/// A handler that takes undecoded deliveries.
#[derive(Clone)]
pub enum ErasedHandler {
    /// For one delivery. The outer error is that the data did not decode: the handler has not been called.
    One(Arc<dyn Fn(Incoming) -> Result<HandlerFuture> + Send + Sync>),
    /// For a batch.
    Batch {
        /// The most deliveries in one batch.
        max: usize,
        /// How long the first delivery waits for others.
        wait: Duration,
        /// Calls the handler with those deliveries that decode.
        call: Arc<dyn Fn(Vec<Incoming>) -> BatchCall + Send + Sync>,
    },
}

/// A batch that was decoded.
pub struct BatchCall {
    /// The handler on what decoded; `None` when nothing did.
    pub future: Option<HandlerFuture>,
    /// What did not decode: its index in the batch, and why.
    pub undecodable: Vec<(usize, Error)>,
}

inventory::collect!(SubscriptionEntry);

/// A subscription of an app as it was declared.
pub(crate) struct Declared {
    pub(crate) entry: &'static SubscriptionEntry,
    pub(crate) service: &'static ServiceEntry,
    pub(crate) subscribed: Subscribed,
}

impl Declared {
    /// What the runtime delivers to.
    pub(crate) fn into_subscription(self) -> Result<Arc<Subscription>, InvalidName> {
        let Self { entry, service, subscribed } = self;
        Ok(Arc::new(Subscription {
            topic: TopicName::parse(subscribed.topic.name)?,
            name: SubscriptionName::parse(entry.name)?,
            service: service.name,
            retry: entry.retry,
            timeout: entry.timeout,
            concurrency: entry.concurrency,
            declared: subscribed.topic,
            handler: subscribed.handler,
        }))
    }
}

/// Every subscription of these services with its declaration, in a stable order.
pub(crate) fn subscriptions(services: &Services) -> Vec<Declared> {
    let mut declared: Vec<Declared> = inventory::iter::<SubscriptionEntry>
        .into_iter()
        .filter_map(|entry| {
            let service = services.of(entry.module)?;
            Some(Declared { entry, service, subscribed: (entry.subscribed)() })
        })
        .collect();
    declared.sort_by_key(|declared| (declared.subscribed.topic.name, declared.entry.name));
    declared
}
