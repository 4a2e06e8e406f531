//! The parts of an app that this room brings: the connection to the broker, and above it the deliveries.

use std::{sync::Arc, time::Duration};

use bis_broker::BoxFuture;
use bis_core::InvalidName;
use tokio::time::Instant;

use super::{
    bus::Bus,
    entry,
    runtime::{self, Stopped, Subscription, Workers},
};
use crate::{
    error::Result,
    instance::{Host, Instance, Part, Services, Stop},
};

/// How long the broker's driver may take to flush once nobody publishes or settles any more.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// The connection to the broker. It opens when the instance is made, and closes after every part that publishes. It starts before
/// they do, and then the broker has every subscription, so that none misses what is published at the start.
pub(crate) struct Connection {
    /// The subscriptions of the app.
    all: Vec<Arc<Subscription>>,
    instance: Option<Arc<Instance>>,
}

impl Connection {
    /// The part for an app with these services, those of other processes included.
    pub(crate) fn new(services: &Services) -> Result<Self, InvalidName> {
        Ok(Self { all: subscriptions(services)?, instance: None })
    }
}

fn subscriptions(services: &Services) -> Result<Vec<Arc<Subscription>>, InvalidName> {
    entry::subscriptions(services).into_iter().map(entry::Declared::into_subscription).collect()
}

impl Part for Connection {
    fn name(&self) -> String {
        "the connection to the broker".into()
    }

    /// A broker that is away is looked for until it is there.
    fn is_limited(&self) -> bool {
        false
    }

    fn start<'a>(&'a mut self, host: &'a Host) -> BoxFuture<'a, Result<()>> {
        self.instance = Some(host.instance.clone());
        Bus::of(&host.instance).listening().run_here();
        Box::pin(async { Ok(runtime::ensure(&host.instance, &self.all).await?) })
    }

    fn stop(self: Box<Self>, _: Instant) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let Some(instance) = self.instance else { return };
            if tokio::time::timeout(CLOSE_LIMIT, Bus::of(&instance).broker().close()).await.is_err() {
                tracing::warn!("the broker did not take the last answers in time; some events come again");
            }
        })
    }
}

/// The deliveries to the handlers of a process.
pub(crate) struct Deliveries {
    /// The subscriptions of the process.
    hosted: Vec<Arc<Subscription>>,
    /// Once they have started.
    workers: Option<Workers>,
}

impl Deliveries {
    /// The deliveries to the services that are `hosted` here.
    pub(crate) fn new(hosted: &Services) -> Result<Self, InvalidName> {
        Ok(Self { hosted: subscriptions(hosted)?, workers: None })
    }
}

impl Part for Deliveries {
    fn name(&self) -> String {
        "the deliveries".into()
    }

    fn start<'a>(&'a mut self, host: &'a Host) -> BoxFuture<'a, Result<()>> {
        Box::pin(async {
            self.workers = Some(runtime::subscribe(&host.instance, &self.hosted).await?);
            Ok(())
        })
    }

    fn ready(&mut self, host: &Host) -> Result<()> {
        if let Some(workers) = &mut self.workers {
            workers.run(&host.handlers);
        }
        Ok(())
    }

    fn drain(&mut self, _: Stop, _: Instant) {
        if let Some(workers) = &self.workers {
            workers.drain();
        }
    }

    fn stop(self: Box<Self>, deadline: Instant) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            if let Some(workers) = self.workers
                && workers.stop(deadline).await == Stopped::CutOff
            {
                tracing::warn!(
                    "handlers are cut off: they outlived the time to stop; their events come again"
                );
            }
        })
    }
}
