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

/// The connection to the broker. It opens when the instance is made, and closes after every part that publishes.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    instance: Option<Arc<Instance>>,
}

impl Part for Connection {
    fn name(&self) -> String {
        "the connection to the broker".into()
    }

    fn start<'a>(&'a mut self, host: &'a Host) -> BoxFuture<'a, Result<()>> {
        self.instance = Some(host.instance.clone());
        Box::pin(async { Ok(()) })
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
    /// The subscriptions of the app.
    all: Vec<Arc<Subscription>>,
    /// Those of the process.
    hosted: Vec<Arc<Subscription>>,
    /// Once they have started.
    workers: Option<Workers>,
}

impl Deliveries {
    /// Those to the services that are `hosted`; the broker also keeps the events for the other `services` of the app.
    pub(crate) fn new(services: &Services, hosted: &Services) -> Result<Self, InvalidName> {
        let declared = entry::subscriptions(services).into_iter();
        let all: Vec<_> = declared.map(entry::Declared::into_subscription).collect::<Result<_, _>>()?;
        let hosted = all.iter().filter(|subscription| hosted.has(subscription.service)).cloned().collect();
        Ok(Self { all, hosted, workers: None })
    }
}

impl Part for Deliveries {
    fn name(&self) -> String {
        "the deliveries".into()
    }

    fn start<'a>(&'a mut self, host: &'a Host) -> BoxFuture<'a, Result<()>> {
        Box::pin(async {
            self.workers = Some(runtime::subscribe(&host.instance, &self.all, &self.hosted).await?);
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
