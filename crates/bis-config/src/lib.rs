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
//!       "auth": { "env": "NSQ_SECRET" }
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
mod secret;

pub use address::{NotAnAddress, host_and_port};
pub use bis_core::Secret;
pub use nsq::{NsqConfig, NsqTlsConfig};
pub use secret::{MAX_SECRET_BYTES, SecretError, SecretSource};

use bis_core::{Namespace, ServiceName, codes};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The environment variable that names the file.
pub const VARIABLE: &str = bis_core::handover::CONFIG;

/// The whole file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Which part of the app this process is.
    pub app: AppConfig,
    /// The public HTTP listener.
    pub http: HttpConfig,
    /// Calls between services that live in different processes.
    pub internal: InternalConfig,
    /// Health and metrics.
    pub monitoring: MonitoringConfig,
    /// What carries the events. In the process unless set.
    pub broker: BrokerConfig,
}

/// Which part of the app a process is, and how long it may take to start and to stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AppConfig {
    /// Keeps this instance of the app apart from others on the same infrastructure. None unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Namespace>,
    /// The services that this process hosts. All unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub services: Option<Vec<ServiceName>>,
    /// How long the app may take until it is ready, once its broker is there. 30 s unless set; written as in `"30s"`.
    #[serde(with = "duration")]
    pub start_within: Duration,
    /// How long handlers and requests may take to finish after SIGTERM. 30 s unless set; written as in `"30s"`.
    #[serde(with = "duration")]
    pub stop_within: Duration,
}

impl Default for AppConfig {
    fn default() -> Self {
        let within = Duration::from_secs(30);
        Self { namespace: None, services: None, start_within: within, stop_within: within }
    }
}

/// The public HTTP listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// Where it listens; port 0 is any free one. `127.0.0.1:4000` unless set. A listener that was handed over by systemd's
    /// socket activation (`LISTEN_FDS`) goes before this.
    #[serde(deserialize_with = "listen_address", skip_serializing_if = "Option::is_none")]
    pub address: Option<SocketAddr>,
    /// How long a request may take until its answer begins, its body and an endpoint that goes on without its client
    /// included. 60 s unless set; written as in `"60s"`.
    #[serde(with = "duration")]
    pub request_timeout: Duration,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self { address: None, request_timeout: Duration::from_secs(60) }
    }
}

/// Calls between services that live in different processes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InternalConfig {
    /// Where this process takes calls from the app's other processes. It takes none unless set.
    #[serde(deserialize_with = "listen_address", skip_serializing_if = "Option::is_none")]
    pub address: Option<SocketAddr>,
    /// The secret that both sides of a call must know. Needed with `address` and with `services`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretSource>,
    /// Where services that this process does not host are called, by name: `http://host:port`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<ServiceName, String>,
}

impl InternalConfig {
    /// The secret, once it was read.
    pub fn known_secret(&self) -> Option<&Secret> {
        self.secret.as_ref().and_then(SecretSource::known)
    }
}

/// Health and metrics, for monitoring the process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MonitoringConfig {
    /// The address where `/livez`, `/readyz` and `/metrics` are served, without authentication. Not served unless set.
    #[serde(deserialize_with = "listen_address", skip_serializing_if = "Option::is_none")]
    pub address: Option<SocketAddr>,
}

/// What carries the events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", try_from = "OneBroker")]
pub enum BrokerConfig {
    /// Memory of this process: nothing survives it, and it is not shared with other processes.
    InProcess(InProcessConfig),
    /// Bis's router, a real nsqd, or a cluster of nsqds.
    Nsq(Box<NsqConfig>),
}

impl Default for BrokerConfig {
    fn default() -> Self {
        Self::InProcess(InProcessConfig {})
    }
}

/// A [`BrokerConfig`] as it is read: errors are then worded for the file instead of for an enum.
#[derive(Default, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "an object that names one broker, as in `{ \"nsq\": { .. } }`"
)]
struct OneBroker {
    in_process: Option<InProcessConfig>,
    nsq: Option<Box<NsqConfig>>,
}

impl TryFrom<OneBroker> for BrokerConfig {
    type Error = &'static str;

    fn try_from(broker: OneBroker) -> Result<Self, Self::Error> {
        match (broker.in_process, broker.nsq) {
            (Some(in_process), None) => Ok(Self::InProcess(in_process)),
            (None, Some(nsq)) => Ok(Self::Nsq(nsq)),
            (None, None) => Err("it names no broker; write `in_process` or `nsq`, or leave `broker` out"),
            (Some(_), Some(_)) => Err("it names two brokers; write `in_process` or `nsq`"),
        }
    }
}

/// The in-process broker has nothing to set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InProcessConfig {}

/// Why the configuration could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration `{}`, named by `{VARIABLE}`, cannot be read: {source} [{}]", path.display(), codes::CONFIG_UNREADABLE)]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file does not match the documented format.
    #[error("the configuration `{}` is not valid: {key}{source} [{}]", path.display(), codes::CONFIG_INVALID)]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The key whose value is wrong, as in `` `http.address`: ``, or nothing for the file as a whole.
        key: String,
        /// What is valid there, its line and column.
        source: serde_json::Error,
    },
    /// A secret could not be read from where the configuration says.
    #[error("the configuration is not valid: {0}")]
    Secret(#[from] SecretError),
    /// The parts do not fit together.
    #[error("the configuration is not valid: {0} [{code}]", code = codes::CONFIG_INVALID)]
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

    /// The configuration in a file, each secret read from where it is.
    ///
    /// # Errors
    /// When the file or a secret cannot be read, or is not valid.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let mut config = Self::read_shape(path)?;
        if let Some(secret) = &mut config.internal.secret {
            *secret = SecretSource::Literal(secret.read("internal.secret")?);
        }
        if let BrokerConfig::Nsq(nsq) = &mut config.broker
            && let Some(auth) = &mut nsq.auth
        {
            *auth = SecretSource::Literal(auth.read("broker.nsq.auth")?);
        }
        Ok(config)
    }

    /// The configuration in a file, for a tool that runs elsewhere than the app: secrets stay where they are.
    ///
    /// # Errors
    /// When the file cannot be read or is not valid.
    pub fn read_shape(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        let config = Self::parse(&text).map_err(|(key, source)| ConfigError::Invalid {
            path: path.to_owned(),
            key,
            source,
        })?;
        config.check()?;
        Ok(config)
    }

    /// The configuration that a text holds, or the key that is wrong and why.
    fn parse(text: &str) -> Result<Self, (String, serde_json::Error)> {
        let mut json = serde_json::Deserializer::from_str(text);
        let config = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let path = error.path().to_string();
            // The path of the file as a whole is a dot.
            let key = if path == "." { String::new() } else { format!("`{path}`: ") };
            (key, error.into_inner())
        })?;
        json.end().map_err(|error| (String::new(), error))?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let calls = self.internal.address.is_some() || !self.internal.services.is_empty();
        if calls && self.internal.secret.is_none() {
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

/// Where a process listens, which is an address and never a name.
fn listen_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    let wrong = |text: String| {
        let text = format!("`{text}` is not an IP address and a port, as in `127.0.0.1:4000`");
        serde::de::Error::custom(text)
    };
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| text.parse().map_err(|_| wrong(text))).transpose()
}

/// Serde of a duration as the configuration writes it: `"30s"`.
mod duration {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&bis_core::format_duration(*duration))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        bis_core::parse_duration(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod page;
#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, String> {
        let config = Config::parse(text).map_err(|(key, error)| format!("{key}{error}"))?;
        config.check().map_err(|error| error.to_string())?;
        Ok(config)
    }

    #[test]
    fn the_documented_file_is_read() {
        let text = r#"{
            "app": { "namespace": "dev", "services": ["orders"], "start_within": "1m", "stop_within": "5s" },
            "http": { "address": "127.0.0.1:0" },
            "internal": { "address": "127.0.0.1:0", "secret": "s", "services": { "cart": "http://10.0.0.7:4101" } },
            "broker": { "nsq": { "address": "127.0.0.1:4150" } }
        }"#;
        let config = read(text).unwrap();
        assert_eq!(config.app.start_within, Duration::from_secs(60));
        assert_eq!(config.app.stop_within, Duration::from_secs(5));
        assert!(
            matches!(config.broker, BrokerConfig::Nsq(ref nsq) if nsq.address.as_deref() == Some("127.0.0.1:4150"))
        );
        assert_eq!(format!("{:?}", config.internal.secret), "Some(Literal(Secret(..)))");
    }

    #[test]
    fn nothing_is_the_default() {
        let config = read("{}").unwrap();
        assert_eq!(config, Config::default());
        assert_eq!(config.app.start_within, Duration::from_secs(30));
        assert_eq!(config.app.stop_within, Duration::from_secs(30));
        assert_eq!(config.broker, BrokerConfig::InProcess(InProcessConfig {}));
    }

    #[test]
    fn what_is_written_is_read_as_the_same() {
        let text = r#"{
            "app": { "namespace": "dev", "services": ["orders"], "stop_within": "1m30s" },
            "http": { "address": "127.0.0.1:0", "request_timeout": "500ms" },
            "internal": { "secret": { "env": "S" }, "services": { "cart": "http://10.0.0.7:4101" } },
            "broker": { "nsq": { "lookupd": ["http://a:1"], "lookupd_interval": "30s", "lease": "10s",
                "tls": { "ca_file": "/ca.pem" }, "auth": { "file": "/s" } } }
        }"#;
        for config in [read(text).unwrap(), Config::default()] {
            let written = serde_json::to_string(&config).unwrap();
            assert_eq!(read(&written).unwrap(), config, "{written}");
            assert!(!written.contains("null"), "{written}");
        }
    }

    #[test]
    fn secrets_are_read_with_the_file_and_left_alone_with_its_shape() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bis.json");
        let write = |text: &str| std::fs::write(&path, text).unwrap();
        write(
            r#"{"internal": {"secret": {"env": "CARGO_PKG_NAME"}},
                "broker": {"nsq": {"address": "a:1", "auth": {"env": "CARGO_PKG_VERSION"}}}}"#,
        );
        let config = Config::read(&path).unwrap();
        let BrokerConfig::Nsq(nsq) = &config.broker else { panic!("{config:?}") };
        let known =
            |source: &Option<SecretSource>| source.as_ref().unwrap().known().unwrap().reveal().to_owned();
        assert_eq!(known(&config.internal.secret), "bis-config");
        assert_eq!(known(&nsq.auth), env!("CARGO_PKG_VERSION"));
        for (text, key) in [
            (r#"{"internal": {"secret": {"env": "BIS_TEST_NONE"}}}"#, "`internal.secret`"),
            (r#"{"broker": {"nsq": {"address": "a:1", "auth": {"file": "/no/such"}}}}"#, "`broker.nsq.auth`"),
        ] {
            write(text);
            let error = Config::read(&path).unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
            Config::read_shape(&path).unwrap();
        }
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
        check_refused(
            r#"{"http": {"address": "localhost:1"}}"#,
            &["`http.address`: `localhost:1`", "IP address"],
        );
        check_refused(r#"{"http": {"request_timeout": 5}}"#, &["`http.request_timeout`: "]);
        check_refused(r#"{"internal": {"secret": {"vault": "x"}}}"#, &["`internal.secret`: "]);
        check_refused("{} {}", &["trailing"]);
    }

    #[test]
    fn a_broker_is_one_of_them() {
        check_refused(r#"{"broker": "nsq"}"#, &["`broker`: ", "an object that names one broker"]);
        check_refused(r#"{"broker": {}}"#, &["`broker`: it names no broker"]);
        let two = r#"{"broker": {"in_process": {}, "nsq": {"address": "a:1"}}}"#;
        check_refused(two, &["`broker`: it names two brokers"]);
    }
}
