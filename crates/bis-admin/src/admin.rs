//! Access to an app's events, in two ways: through the router's HTTP API, and through the driver that the app itself
//! uses. The driver is opened when it is first needed.

use std::{sync::Arc, time::Duration};

use bis_broker::{Broker, SubscriptionSpec, Topology};
use bis_config::{AppConfig, BrokerConfig, Config, NsqConfig};
use bis_core::{Namespace, SubscriptionName, TopicName};
use bis_drivers::nsq::NsqOptions;
use bis_nsq::client::HttpAddress;
use tokio::{sync::OnceCell, time::timeout};

use crate::api::{Api, RouterError};

/// How long the broker may take to answer the driver for the first time.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// The addresses of a router.
#[derive(Debug, Clone)]
pub struct Place {
    /// Its HTTP API.
    pub api: HttpAddress,
    /// The address of its TCP listener. Uses the port that the API reports unless set.
    pub broker: Option<NsqConfig>,
    /// The namespace of the app (`app.namespace`) on a shared router. Only its topics are seen then.
    pub namespace: Option<Namespace>,
}

/// Carries out operations on one router. Topics have the names that the app gives them; without a namespace, these are the
/// names on the router.
pub struct Admin {
    pub(crate) api: Api,
    place: Place,
    broker: OnceCell<Arc<dyn Broker>>,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Admin {
    /// Does not connect yet.
    pub fn new(place: Place) -> Self {
        let api = Api::new(place.api.clone(), place.namespace.clone());
        Self { api, place, broker: OnceCell::new() }
    }

    /// The driver, once it has connected: only then does it know what the broker can do.
    pub(crate) async fn broker(&self) -> Result<&dyn Broker, RouterError> {
        let broker = self.broker.get_or_try_init(|| async {
            let nsq = self.nsq().await?;
            let app = AppConfig { namespace: self.place.namespace.clone(), ..AppConfig::default() };
            let config = Config { app, broker: BrokerConfig::Nsq(Box::new(nsq)), ..Config::default() };
            let broker = bis_drivers::open(&config)?;
            let met = timeout(CONNECT_LIMIT, broker.ensure(&Topology::default())).await;
            let address = self.api.address().to_string();
            met.map_err(|_| RouterError::Late { address, limit: CONNECT_LIMIT })??;
            Ok::<_, RouterError>(broker)
        });
        Ok(broker.await?.as_ref())
    }

    /// The driver's settings, without connecting to a broker.
    pub(crate) async fn options(&self) -> Result<NsqOptions, RouterError> {
        Ok(NsqOptions::of_config(&self.nsq().await?)?)
    }

    /// The connection settings. Asks the router first, so that a missing router is an error at once.
    async fn nsq(&self) -> Result<NsqConfig, RouterError> {
        let port = self.api.tcp_port().await?;
        Ok(self.place.broker.clone().unwrap_or_else(|| {
            let address = self.api.address().to_string();
            let host = address.trim_start_matches("http://").rsplit_once(':').map_or("", |(host, _)| host);
            NsqConfig { address: Some(format!("{host}:{port}")), ..NsqConfig::default() }
        }))
    }

    /// Disconnects from the broker once everything that was sent is answered.
    pub async fn close(&self) {
        if let Some(broker) = self.broker.get() {
            broker.close().await;
        }
    }
}

/// The subscription's name in the driver's inquiries.
pub(crate) fn spec(topic: &TopicName, name: &SubscriptionName) -> SubscriptionSpec {
    SubscriptionSpec { topic: topic.clone(), name: name.clone(), ordered: false }
}
