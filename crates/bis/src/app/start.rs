//! Starting an app's parts on a given broker and clock, the same for a process and for a test: the routers and the
//! deliveries. Listeners and signals are others' business.

use std::{panic::Location, sync::Arc};

use bis_core::{InvalidName, ServiceName};
use tokio::runtime::Handle;

use super::{App, consistency};
use crate::{
    events::{
        NotScalar,
        runtime::{self, Workers},
    },
    http::{RouteError, Routers},
    instance::{Instance, Position},
};

/// Why an app could not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// There is nothing to run.
    #[error("the app has no service: list its modules, as in `bis::app!(services: [orders])`")]
    NoService,
    /// The configuration names a service that the app does not list.
    #[error("`app.services` names `{name}`, which this app does not have; it has {known}")]
    UnknownService {
        /// The name.
        name: ServiceName,
        /// Those that there are.
        known: String,
    },
    /// The configuration says where to call a service that the app does not list.
    #[error("`internal.services` names `{name}`, which this app does not have; it has {known}")]
    UnknownCallee {
        /// The name.
        name: ServiceName,
        /// Those that there are.
        known: String,
    },
    /// A handler of this process calls a service that it does not know where to find.
    #[error(
        "`{caller}` calls `{callee}` of the service `{service}`, which this process neither hosts nor finds: set its address in `internal.services.{service}`, or add it to `app.services`"
    )]
    UnknownAddress {
        /// The function that calls.
        caller: String,
        /// The function that is called.
        callee: String,
        /// Its service.
        service: &'static str,
    },
    /// Two services have one name.
    #[error(
        "the service `{name}` is declared twice, at {first} and at {second}; give one of them another name"
    )]
    SameService {
        /// The name.
        name: &'static str,
        /// The one.
        first: Position,
        /// The other.
        second: Position,
    },
    /// Two topics have one name.
    #[error(
        "the topic `{name}` is declared twice, at {first} and at {second}: {difference}; give one of them another name"
    )]
    SameTopic {
        /// The name.
        name: &'static str,
        /// The one.
        first: &'static Location<'static>,
        /// The other.
        second: &'static Location<'static>,
        /// In what they differ.
        difference: String,
    },
    /// Two subscriptions of a topic have one name.
    #[error(
        "the topic `{topic}` has two subscriptions named `{name}`, at {first} and at {second}; give one of them another name, as each event would reach only one of the two"
    )]
    SameSubscription {
        /// The topic.
        topic: &'static str,
        /// The name.
        name: &'static str,
        /// The one.
        first: Position,
        /// The other.
        second: Position,
    },
    /// A subscription's name is none.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// An event's key or attribute cannot be one.
    #[error("topic `{topic}`: {source}")]
    NotScalar {
        /// The topic.
        topic: &'static str,
        /// The field.
        source: NotScalar,
    },
    /// Routes do not stand together.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// Deliveries cannot start.
    #[error(transparent)]
    Deliveries(#[from] runtime::StartError),
}

/// What runs of an app.
#[derive(Debug)]
pub(crate) struct Parts {
    /// What answers requests.
    pub(crate) routers: Routers,
    /// What handles events.
    pub(crate) workers: Workers,
}

impl Parts {
    /// Starts the services that the instance's configuration names. Waits until the broker has every subscription of the
    /// app and each one of this process is consumed. Handlers of events run on the runtime `handlers`.
    pub(crate) async fn start(
        app: &App,
        instance: &Arc<Instance>,
        handlers: &Handle,
    ) -> Result<Self, StartError> {
        consistency::check(app, &instance.config)?;
        let hosted = app.hosted(&instance.config)?;
        let routers = Routers::new(&hosted, instance.config.internal.known_secret())?;
        let mut all = Vec::new();
        for declared in app.subscriptions() {
            let topic = &declared.subscribed.topic;
            (topic.check_scalars)().map_err(|source| StartError::NotScalar { topic: topic.name, source })?;
            all.push(declared.into_subscription()?);
        }
        let is_hosted = |name: &str| hosted.iter().any(|service| service.name == name);
        let own: Vec<_> =
            all.iter().filter(|subscription| is_hosted(subscription.service)).cloned().collect();
        let workers = runtime::start(instance, &all, &own, handlers).await?;
        Ok(Self { routers, workers })
    }
}
