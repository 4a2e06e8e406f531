//! Which broker `bis check` checks for: the one on the command line, otherwise that of the app's
//! configuration. Nothing here connects.

use std::ffi::OsStr;
use std::path::Path;

use anyhow::Result;
use bis_config::{BrokerConfig, Config};
use bis_core::BrokerKind;
use clap::ValueEnum;

use crate::exit;
use crate::failure::Failure;
use crate::print::BOLD_YELLOW;

/// A broker on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Broker {
    /// A real nsqd with its default settings
    Nsqd,
    /// Bis's router with its default settings
    Router,
    /// The memory of the app's own process
    InProcess,
}

impl From<Broker> for BrokerKind {
    fn from(broker: Broker) -> Self {
        match broker {
            Broker::Nsqd => Self::Nsqd,
            Broker::Router => Self::Router,
            Broker::InProcess => Self::InProcess,
        }
    }
}

/// The broker to check for; `None` when neither the command line nor a configuration names one.
pub(crate) fn chosen(broker: Option<Broker>) -> Result<Option<BrokerKind>> {
    if let Some(broker) = broker {
        return Ok(Some(broker.into()));
    }
    match std::env::var_os(bis_config::VARIABLE).filter(|path| !path.is_empty()) {
        Some(path) => of_config(&path).map(Some),
        None => Ok(None),
    }
}

fn of_config(path: &OsStr) -> Result<BrokerKind> {
    let path = Path::new(path);
    // Secrets are only available where the app runs.
    let config = Config::read_shape(path).map_err(|error| {
        Failure::new(exit::SURROUNDINGS, error.to_string())
            .help("correct it, unset it, or say which broker is meant with `--broker`")
    })?;
    match config.broker {
        BrokerConfig::InProcess(_) => Ok(BrokerKind::InProcess),
        BrokerConfig::Nsq(nsq) => {
            let address = nsq.servers().chain(&nsq.lookupd).next().map_or("", String::as_str);
            anstream::eprintln!(
                "{BOLD_YELLOW}note{BOLD_YELLOW:#}: `{}` has the broker at `{address}`, which is taken for Bis's router; \
                 check with `--broker nsqd` when it is an nsqd",
                path.display()
            );
            Ok(BrokerKind::Router)
        }
    }
}
