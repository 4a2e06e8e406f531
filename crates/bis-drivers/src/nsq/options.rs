//! How to reach NSQ servers: the driver's settings, and what a configuration makes of them.

use std::time::Duration;

use bis_config::{NsqConfig, NsqTlsConfig};
use bis_core::Namespace;
use bis_nsq::client::{self, HttpAddress};

use crate::OpenError;

/// How to reach the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NsqOptions {
    /// The servers' TCP addresses, `host:port`. None when all are to be found through `lookupd`.
    pub servers: Vec<String>,
    /// The HTTP addresses of nsqlookupd. None unless set.
    pub lookupd: Vec<HttpAddress>,
    /// The approximate time between two requests to each nsqlookupd; 15 s unless set.
    pub lookupd_interval: Duration,
    /// The settings of every connection; each server's own address takes the place of the one in there.
    pub client: client::Options,
    /// What goes in front of topic names on the broker.
    pub namespace: Option<Namespace>,
}

impl NsqOptions {
    /// The defaults for the broker at `address` (`host:port` of its TCP listener).
    pub fn new(address: impl Into<String>) -> Self {
        Self { servers: vec![address.into()], ..Self::found_through(Vec::new()) }
    }

    /// The defaults for the servers that these nsqlookupds know.
    pub fn found_through(lookupd: Vec<HttpAddress>) -> Self {
        Self {
            servers: Vec::new(),
            lookupd,
            lookupd_interval: client::DEFAULT_INTERVAL,
            client: client::Options::new(""),
            namespace: None,
        }
    }

    /// What a configuration says. Reads the secret, and the files of TLS, so that mistakes show at the start.
    ///
    /// # Errors
    /// When a file or variable that it names cannot be used.
    pub fn of_config(config: &NsqConfig) -> Result<Self, OpenError> {
        let lookupd = config.lookupd.iter().map(|address| HttpAddress::parse(address));
        let lookupd = lookupd.collect::<Result<Vec<_>, _>>();
        let mut options = Self::found_through(lookupd.map_err(|error| unusable(&error))?);
        options.servers = config.servers().cloned().collect();
        if let Some(interval) = config.lookupd_interval {
            options.lookupd_interval = interval;
        }
        if let Some(lease) = config.lease {
            options.client.lease = lease;
        }
        if let Some(tls) = &config.tls {
            let tls = to_tls(tls);
            tls.check().map_err(|error| unusable(&error))?;
            options.client.tls = Some(tls);
        }
        if let Some(auth) = &config.auth {
            options.client.auth_secret = Some(auth.read("broker.nsq.auth")?);
        }
        Ok(options)
    }

    /// The settings of a connection to one server.
    pub fn client_for(&self, address: &str) -> client::Options {
        client::Options { address: address.to_owned(), ..self.client.clone() }
    }
}

fn unusable(error: &impl std::fmt::Display) -> OpenError {
    OpenError::Settings(format!("`broker.nsq`: {error}"))
}

/// As the client takes it.
fn to_tls(config: &NsqTlsConfig) -> client::Tls {
    let certificate = config.certificate_file.clone().zip(config.key_file.clone());
    client::Tls {
        ca_file: config.ca_file.clone(),
        certificate: certificate
            .map(|(certificate_file, key_file)| client::Certificate { certificate_file, key_file }),
        server_name: config.server_name.clone(),
    }
}
