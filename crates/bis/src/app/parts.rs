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
};

/// Every subsystem, in the order in which an app's description tells of them.
pub(super) static SUBSYSTEMS: [&dyn Subsystem; 2] = [&Events, &Http];

/// Whether what the services declare can live in one app and fits its configuration.
pub(super) fn check(services: &Services, config: &Config) -> Result<()> {
    services.check()?;
    services.hosted(&config.app)?;
    let callers: Vec<_> = SUBSYSTEMS.iter().flat_map(|subsystem| subsystem.callers(services)).collect();
    let declared = Declarations { services, config, callers: &callers };
    SUBSYSTEMS.iter().try_for_each(|subsystem| subsystem.check(&declared))
}

/// What the subsystems keep for an app in a process.
pub(super) fn process_extensions(services: &Services, broker: Arc<dyn Broker>) -> Extensions {
    Extensions::default().with(Bus::new(broker).with_types(services)).with(http::Client::default())
}

/// What the subsystems keep for an app in a test, which may play another build of the app.
#[cfg(feature = "testing")]
pub(super) fn test_extensions(broker: Arc<dyn Broker>) -> Extensions {
    Extensions::default().with(Bus::new(broker)).with(http::Client::default())
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
    let monitoring = config.monitoring.address.map(|address| Monitoring::new(address, progress));
    let monitoring = monitoring.map(|part| Box::new(part) as Box<dyn Part>);
    let others: [Box<dyn Part>; 3] = [
        Box::new(Connection::default()),
        Box::new(Deliveries::new(services, &hosted)?),
        Box::new(Listeners::new(&hosted, layers, inherited, when_closed)?),
    ];
    Ok(monitoring.into_iter().chain(others).collect())
}

/// The parts of a test: as those of a process, without what listens. It stops when it is dropped, so nothing is flushed.
#[cfg(feature = "testing")]
pub(super) fn of_test(services: &Services) -> Result<Vec<Box<dyn Part>>> {
    Ok(vec![Box::new(Deliveries::new(services, services)?)])
}
