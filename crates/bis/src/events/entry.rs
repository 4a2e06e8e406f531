//! What `#[subscription]` registers, found again by the app that lists the handler's service. It holds plain data and function
//! pointers, decides nothing and runs nothing.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use bis_core::RetryPolicy;

use super::{delivery::Incoming, topic::TopicInfo};
use crate::{
    error::{Error, Result},
    instance::Position,
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

/// A handler with its topic, neither with its types.
pub struct Subscribed {
    /// What the topic says of itself.
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
