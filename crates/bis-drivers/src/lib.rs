//! From an app's configuration to its broker. Linked by the app and by the tools around it, so that both reach every broker
//! in the same way.
//!
//! A driver moves events and settles deliveries; it knows nothing of handlers, retry policies, timeouts and dead letters.
//! The memory of an app's own process is not a broker for others, so its driver lives in the app's own crate.

pub mod nsq;

use std::sync::Arc;

use bis_broker::Broker;
use bis_config::{BrokerConfig, Config, SecretError};
use bis_core::codes;

use nsq::{Nsq, NsqOptions};

/// Why there is no driver.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Events are in the memory of the app's process, which no other process reaches.
    #[error(
        "the app's events are in the memory of its own process, where nothing else reaches them; name a broker under `broker` in the app's configuration"
    )]
    InProcess,
    /// A secret could not be read from where the configuration says.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The settings, or what they name, cannot be used.
    #[error("{0} [{code}]", code = codes::BROKER_MISCONFIGURED)]
    Settings(String),
}

/// The broker that `config` names. It connects in the background: a broker that is away is retried until it is reachable.
/// Must be called within a tokio runtime.
///
/// # Errors
/// When the configuration names none that can be connected to, or a file or variable that it names cannot be used.
pub fn open(config: &Config) -> Result<Arc<dyn Broker>, OpenError> {
    match &config.broker {
        BrokerConfig::InProcess(_) => Err(OpenError::InProcess),
        BrokerConfig::Nsq(nsq) => {
            let mut options = NsqOptions::of_config(nsq)?;
            options.namespace = config.app.namespace.clone();
            Ok(Arc::new(Nsq::start(options)))
        }
    }
}
