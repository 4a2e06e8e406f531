//! Which broker `bis check` checks for: the one on the command line, else that of the application's configuration. It
//! connects to none.

use std::ffi::OsStr;
use std::path::Path;

use anyhow::Result;
use bis_core::BrokerKind;
use clap::ValueEnum;
use serde_json::Value;

use crate::exit;
use crate::failure::Failure;
use crate::print::BOLD_YELLOW;

/// The variable that names the application's configuration.
const VARIABLE: &str = "BIS_CONFIG";

/// A broker on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Broker {
    /// A real nsqd with its default settings
    Nsqd,
    /// Bis's router with its default settings
    Router,
    /// The memory of the application's own process
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
    match std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
        Some(path) => of_config(&path).map(Some),
        None => Ok(None),
    }
}

fn of_config(path: &OsStr) -> Result<BrokerKind> {
    let shown = Path::new(path).display();
    let unusable = |reason: String| {
        Failure::new(exit::SURROUNDINGS, format!("`{VARIABLE}` names `{shown}`, {reason}"))
            .help("correct it, unset it, or say which broker is meant with `--broker`")
    };
    let text =
        std::fs::read_to_string(path).map_err(|error| unusable(format!("which cannot be read: {error}")))?;
    let config: Value =
        serde_json::from_str(&text).map_err(|error| unusable(format!("which is not JSON: {error}")))?;
    let broker = config.get("broker");
    match broker.and_then(|broker| broker.get("nsq")) {
        Some(nsq) => {
            let address = nsq.get("address").and_then(Value::as_str).unwrap_or("an unknown address");
            anstream::eprintln!(
                "{BOLD_YELLOW}note{BOLD_YELLOW:#}: `{shown}` has the broker at `{address}`, which is taken for Bis's router; \
                 check with `--broker nsqd` when it is an nsqd"
            );
            Ok(BrokerKind::Router)
        }
        None if broker.is_none_or(|broker| broker.get("in_process").is_some()) => Ok(BrokerKind::InProcess),
        None => Err(unusable("whose `broker` is neither `nsq` nor `in_process`".to_owned()).into()),
    }
}
