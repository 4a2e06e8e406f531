//! What an app is made of: the one list of its subsystems, and of the parts that a process and a test start. A new subsystem is
//! a line in each.

use std::{net::TcpListener, sync::Arc};

use bis_broker::Broker;
use bis_config::Config;

use super::{monitoring::Monitoring, progress::Progress};
use crate::{
    error::Result,
    events::{Bus, Connection, Deliveries, Events},
    http::{self, Http, Listeners, MakeLayers},
    instance::{Declarations, Extensions, Part, Services, Subsystem},
    lifecycle::{Background, Hooks, Lifecycle},
    state::{Creation, Replaced, State, Store},
};

/// Every subsystem, in the order of an app's description.
pub(super) static SUBSYSTEMS: [&dyn Subsystem; 4] = [&Events, &Http, &Lifecycle, &State];

/// Whether what the services declare can live in one app and fits its configuration.
pub(super) fn check(services: &Services, config: &Config) -> Result<()> {
    services.check()?;
    services.hosted(&config.app)?;
    let callers: Vec<_> = SUBSYSTEMS.iter().flat_map(|subsystem| subsystem.callers(services)).collect();
    let declared = Declarations { services, config, callers: &callers };
    SUBSYSTEMS.iter().try_for_each(|subsystem| subsystem.check(&declared))
}

/// What the subsystems keep for an app in a process.
pub(super) fn process_extensions(
    services: &Services,
    config: &Config,
    broker: Arc<dyn Broker>,
) -> Result<Extensions> {
    let store = Store::new(&services.hosted(&config.app)?, Replaced::default());
    let extensions = Extensions::default().with(Arc::new(store)).with(Bus::new(broker).with_types(services));
    Ok(with_http(extensions, services))
}

/// What the subsystems keep for an app in a test, which may play another build of the app.
#[cfg(feature = "testing")]
pub(super) fn test_extensions(
    services: &Services,
    replaced: Replaced,
    broker: Arc<dyn Broker>,
) -> Extensions {
    let store = Store::new(services, replaced);
    with_http(Extensions::default().with(Arc::new(store)).with(Bus::new(broker)), services)
}

fn with_http(extensions: Extensions, services: &Services) -> Extensions {
    let authentication = http::Authentication::of(services);
    extensions
        .with(http::Client::default())
        .with(http::Metrics::default())
        .with(authentication)
        .with(authentication.users())
}

/// The parts of a process, in the order of their start: what a part needs comes before it.
pub(super) fn of_process(
    services: &Services,
    layers: MakeLayers,
    config: &Config,
    progress: Arc<Progress>,
    inherited: Option<TcpListener>,
    when_closed: fn(),
) -> Result<Vec<Box<dyn Part>>> {
    let hosted = services.hosted(&config.app)?;
    let mut parts: Vec<Box<dyn Part>> = Vec::new();
    if let Some(address) = config.monitoring.address {
        parts.push(Box::new(Monitoring::new(address, progress)));
    }
    parts.extend(of_any(services, &hosted)?);
    parts.push(Box::new(Listeners::new(&hosted, layers, inherited, when_closed)?));
    Ok(parts)
}

/// The parts of a test: as those of a process, without what listens. It stops when it is dropped, so nothing is flushed.
#[cfg(feature = "testing")]
pub(super) fn of_test(services: &Services) -> Result<Vec<Box<dyn Part>>> {
    of_any(services, services)
}

/// The parts of a process and of a test.
fn of_any(services: &Services, hosted: &Services) -> Result<Vec<Box<dyn Part>>> {
    let mut parts: Vec<Box<dyn Part>> =
        vec![Box::new(Connection::new(services)?), Box::new(Creation::default())];
    parts.extend(Hooks::of(services, hosted).into_iter().map(|hooks| Box::new(hooks) as Box<dyn Part>));
    parts.push(Box::new(Deliveries::new(hosted)?));
    parts.push(Box::new(Background::of(hosted)));
    Ok(parts)
}
