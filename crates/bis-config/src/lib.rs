//! The configuration of a running app: one JSON file, named by `BIS_CONFIG`, which maps what the code declares to real
//! infrastructure. Every part is optional; without a file everything runs in the process. Unknown keys are refused.
//!
//! This is the whole shape of the file. The app reads it, `bis run` writes it, and drivers read their part of it; nothing
//! here connects to anything.
//!
//! ```json
//! {
//!   "app": { "namespace": "dev", "services": ["orders"], "stop_within": "30s" },
//!   "http": { "address": "127.0.0.1:4000" },
//!   "internal": { "address": "127.0.0.1:0", "secret": "..", "services": { "cart": "http://10.0.0.7:4101" } },
//!   "broker": { "nsq": { "address": "127.0.0.1:4150" } }
//! }
//! ```
//!
//! A cluster of nsqds, found through nsqlookupd, over TLS (feature `nsq-tls`), with a secret from the environment:
//!
//! ```json
//! {
//!   "broker": {
//!     "nsq": {
//!       "lookupd": ["http://10.0.0.1:4161", "http://10.0.0.2:4161"],
//!       "tls": { "ca_file": "/etc/nsq/ca.pem", "certificate_file": "/etc/nsq/app.pem", "key_file": "/etc/nsq/app.key" },
//!       "auth": { "secret_env": "NSQ_SECRET" }
//!     }
//!   }
//! }
//! ```

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

mod address;
mod nsq;

pub use address::{NotAnAddress, host_and_port};
pub use nsq::{NsqAuthConfig, NsqConfig, NsqTlsConfig};

use bis_core::{Namespace, ServiceName};
use serde::{Deserialize, Deserializer};

/// The environment variable that names the file.
pub const VARIABLE: &str = "BIS_CONFIG";

/// The whole file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Which part of the app this process is.
    pub app: AppConfig,
    /// The public HTTP listener.
    pub http: HttpConfig,
    /// Calls between services that live in different processes.
    pub internal: InternalConfig,
    /// What carries the events. In the process unless set.
    pub broker: BrokerConfig,
}

/// Which part of the app a process is, and how it stops.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AppConfig {
    /// Keeps this instance of the app apart from others on the same infrastructure. None unless set.
    pub namespace: Option<Namespace>,
    /// The services that this process hosts. All unless set.
    pub services: Option<Vec<ServiceName>>,
    /// How long handlers and requests may take to finish after SIGTERM. 30 s unless set; written as in `"30s"`.
    #[serde(deserialize_with = "duration")]
    pub stop_within: Duration,
}

impl Default for AppConfig {
    fn default() -> Self {
        Self { namespace: None, services: None, stop_within: Duration::from_secs(30) }
    }
}

/// The public HTTP listener.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// Where it listens; port 0 is any free one. `127.0.0.1:4000` unless set. A listener that was handed over by systemd's
    /// socket activation (`LISTEN_FDS`) goes before this.
    pub address: Option<SocketAddr>,
    /// How long a request may take until its answer begins, its body and an endpoint that goes on without its client
    /// included. 60 s unless set; written as in `"60s"`.
    #[serde(deserialize_with = "duration")]
    pub request_timeout: Duration,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self { address: None, request_timeout: Duration::from_secs(60) }
    }
}

/// Calls between services that live in different processes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InternalConfig {
    /// Where this process takes calls from the app's other processes. It takes none unless set.
    pub address: Option<SocketAddr>,
    /// What both sides of a call must know. Needed with `address` and with `services`.
    pub secret: Option<Secret>,
    /// Where services that this process does not host are called, by name: `http://host:port`.
    pub services: BTreeMap<ServiceName, String>,
}

/// A text that no log shows.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What carries the events.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BrokerConfig {
    /// Memory of this process: nothing survives it, and no other process takes part.
    InProcess(InProcessConfig),
    /// Bis's router, a real nsqd, or a cluster of nsqds.
    Nsq(Box<NsqConfig>),
}

impl Default for BrokerConfig {
    fn default() -> Self {
        Self::InProcess(InProcessConfig {})
    }
}

/// The in-process broker has nothing to set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InProcessConfig {}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration `{}`, named by `{VARIABLE}`, cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not what is documented.
    #[error("the configuration `{}` is not valid: {source}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The key, its line and column, and what is valid there.
        source: serde_json::Error,
    },
    /// The parts do not fit together.
    #[error("the configuration is not valid: {0}")]
    Inconsistent(String),
}

impl Config {
    /// The configuration that the environment names, or the defaults when it names none.
    ///
    /// # Errors
    /// When the file cannot be read or is not valid.
    pub fn from_env() -> Result<Self, ConfigError> {
        match std::env::var_os(VARIABLE) {
            Some(path) if !path.is_empty() => Self::read(Path::new(&path)),
            _ => Ok(Self::default()),
        }
    }

    /// The configuration in a file.
    ///
    /// # Errors
    /// When the file cannot be read or is not valid.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        let config: Self = serde_json::from_str(&text)
            .map_err(|source| ConfigError::Invalid { path: path.to_owned(), source })?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let calls = self.internal.address.is_some() || !self.internal.services.is_empty();
        if calls && self.internal.secret.as_ref().is_none_or(|secret| secret.reveal().is_empty()) {
            let text = "`internal.address` and `internal.services` need `internal.secret`, the same in every process";
            return Err(ConfigError::Inconsistent(text.into()));
        }
        if self.app.services.as_ref().is_some_and(Vec::is_empty) {
            let text = "`app.services` is empty; name the services of this process, or leave it out for all";
            return Err(ConfigError::Inconsistent(text.into()));
        }
        for (service, base) in &self.internal.services {
            host_and_port(base).map_err(|error| {
                ConfigError::Inconsistent(format!(
                    "`internal.services.{service}`: {error}; calls between services are plain HTTP"
                ))
            })?;
        }
        match &self.broker {
            BrokerConfig::InProcess(_) => Ok(()),
            BrokerConfig::Nsq(nsq) => nsq.check().map_err(ConfigError::Inconsistent),
        }
    }
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    bis_core::parse_duration(&text).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod page;
#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, String> {
        let config: Config = serde_json::from_str(text).map_err(|error| error.to_string())?;
        config.check().map_err(|error| error.to_string())?;
        Ok(config)
    }

    #[test]
    fn the_documented_file_is_read() {
        let text = r#"{
            "app": { "namespace": "dev", "services": ["orders"], "stop_within": "5s" },
            "http": { "address": "127.0.0.1:0" },
            "internal": { "address": "127.0.0.1:0", "secret": "s", "services": { "cart": "http://10.0.0.7:4101" } },
            "broker": { "nsq": { "address": "127.0.0.1:4150" } }
        }"#;
        let config = read(text).unwrap();
        assert_eq!(config.app.stop_within, Duration::from_secs(5));
        assert!(
            matches!(config.broker, BrokerConfig::Nsq(ref nsq) if nsq.address.as_deref() == Some("127.0.0.1:4150"))
        );
        assert_eq!(format!("{:?}", config.internal.secret), "Some(Secret(..))");
    }

    #[test]
    fn nothing_is_the_default() {
        let config = read("{}").unwrap();
        assert_eq!(config, Config::default());
        assert_eq!(config.app.stop_within, Duration::from_secs(30));
        assert_eq!(config.broker, BrokerConfig::InProcess(InProcessConfig {}));
    }

    #[track_caller]
    fn check_refused(text: &str, parts: &[&str]) {
        let error = read(text).unwrap_err();
        for part in parts {
            assert!(error.contains(part), "`{error}` lacks `{part}`");
        }
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_place_and_the_valid_ones() {
        check_refused("{\n \"htpp\": {}}", &["htpp", "`http`", "`broker`", "line 2"]);
        check_refused(r#"{"http": {"port": 1}}"#, &["port", "`address`"]);
        check_refused(r#"{"broker": {"kafka": {}}}"#, &["kafka", "`in_process`", "`nsq`"]);
        check_refused(r#"{"broker": {"nsq": {"adress": ""}}}"#, &["adress", "`address`", "`lookupd`"]);
        check_refused(r#"{"broker": {"in_process": {"x": 1}}}"#, &["x"]);
    }

    #[test]
    fn bad_values_are_refused() {
        check_refused(r#"{"app": {"namespace": "Dev"}}"#, &["Dev", "lower-case"]);
        check_refused(r#"{"app": {"stop_within": "30"}}"#, &["30", "not a duration"]);
        check_refused(r#"{"app": {"services": []}}"#, &["app.services"]);
        check_refused(r#"{"internal": {"address": "127.0.0.1:0"}}"#, &["internal.secret"]);
        for base in
            ["10.0.0.7:4101", "https://cart:4101", "http://cart", "http://cart:4101/calls", "http://:1"]
        {
            let text = format!(r#"{{"internal": {{"secret": "s", "services": {{"cart": "{base}"}}}}}}"#);
            check_refused(&text, &["`internal.services.cart`", &format!("`{base}`"), "`http://host:port`"]);
        }
        check_refused(r#"{"http": {"address": "localhost"}}"#, &["address"]);
    }
}
