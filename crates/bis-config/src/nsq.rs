//! The part of the configuration that names NSQ servers: addresses, discovery, TLS, the secret of `AUTH`. It connects
//! to none of them.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{SecretSource, address::is_host_and_port};

/// NSQ servers: Bis's router, an nsqd, or a cluster of nsqds. Needs `address`, `addresses` or `lookupd`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NsqConfig {
    /// The TCP address of the one server, `host:port`; the port is usually 4150.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The TCP addresses of several servers. Publishes go to each in turn, and to another when one is away.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// The HTTP addresses of nsqlookupd, `http://host:port`; the port is usually 4161. Events are consumed from every
    /// server that has their topic, and published to every server that is found unless addresses are set.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lookupd: Vec<String>,
    /// The approximate time between two requests to each nsqlookupd; 15 s unless set; written as in `"15s"`.
    #[serde(with = "duration", skip_serializing_if = "Option::is_none")]
    pub lookupd_interval: Option<Duration>,
    /// How long an event stays with this process without being touched, 1 s to 15 min; 30 s unless set; written as in
    /// `"30s"`. It is extended while a handler runs, so this is what a killed process delays its events by.
    #[serde(with = "duration", skip_serializing_if = "Option::is_none")]
    pub lease: Option<Duration>,
    /// Use TLS, and nothing else. Needs the feature `nsq-tls`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<NsqTlsConfig>,
    /// The secret for servers that ask for `AUTH`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<SecretSource>,
}

/// TLS settings. Files are PEM, and are read again for each connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NsqTlsConfig {
    /// The certificates of the authorities to trust; no others are. Those of a Debian system are in
    /// `/etc/ssl/certs/ca-certificates.crt`.
    pub ca_file: PathBuf,
    /// This app's own certificate, for servers that ask for one. Needs `key_file`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_file: Option<PathBuf>,
    /// The private key of `certificate_file`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// The name in the servers' certificates; the host of each one's address unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
}

impl NsqConfig {
    /// What is wrong, if anything.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.address.is_some() && !self.addresses.is_empty() {
            return Err("`broker.nsq` has `address` and `addresses`; put all into `addresses`".into());
        }
        if self.address.is_none() && self.addresses.is_empty() && self.lookupd.is_empty() {
            return Err(
                "`broker.nsq` names no server; set `address`, as in `\"127.0.0.1:4150\"`, `addresses` or `lookupd`".into()
            );
        }
        for address in self.servers() {
            if !is_host_and_port(address) {
                return Err(format!("`{address}` in `broker.nsq` is not of the form `host:port`"));
            }
        }
        for address in &self.lookupd {
            let host = address.strip_prefix("http://").unwrap_or(address).trim_end_matches('/');
            if !is_host_and_port(host) {
                return Err(format!(
                    "in `broker.nsq`: `{address}` is not an address of the form `http://host:port`"
                ));
            }
        }
        if self.lookupd_interval.is_some_and(|interval| interval < Duration::from_millis(100)) {
            return Err("`broker.nsq.lookupd_interval` is below `100ms`".into());
        }
        let leases = Duration::from_secs(1)..=Duration::from_secs(15 * 60);
        if self.lease.is_some_and(|lease| !leases.contains(&lease)) {
            return Err("`broker.nsq.lease` is not between `1s` and `15m`".into());
        }
        if let Some(tls) = &self.tls
            && tls.certificate_file.is_some() != tls.key_file.is_some()
        {
            return Err("`broker.nsq.tls` needs `certificate_file` and `key_file`, or neither".into());
        }
        Ok(())
    }

    /// The servers that are named.
    pub fn servers(&self) -> impl Iterator<Item = &String> {
        self.address.iter().chain(&self.addresses)
    }
}

/// Serde of a duration that may be left out.
mod duration {
    use super::*;

    pub(super) fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => crate::duration::serialize(duration, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        crate::duration::deserialize(deserializer).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<NsqConfig, String> {
        let config: NsqConfig = serde_json::from_str(text).map_err(|error| error.to_string())?;
        config.check()?;
        Ok(config)
    }

    #[test]
    fn a_cluster_is_read() {
        let text = r#"{
            "lookupd": ["http://10.0.0.1:4161"], "lookupd_interval": "30s",
            "tls": { "ca_file": "/ca.pem", "certificate_file": "/app.pem", "key_file": "/app.key" },
            "auth": "s3cret"
        }"#;
        let config = read(text).unwrap();
        assert_eq!(config.lookupd_interval, Some(Duration::from_secs(30)));
        assert_eq!(config.tls.as_ref().unwrap().key_file, Some(PathBuf::from("/app.key")));
        assert_eq!(config.auth, Some(SecretSource::Literal("s3cret".to_owned().into())));
        assert!(!format!("{config:?}").contains("s3cret"), "no log shows it");
        assert_eq!(read(r#"{"addresses": ["a:1", "b:1"]}"#).unwrap().servers().count(), 2);
    }

    #[track_caller]
    fn check_refused(text: &str, parts: &[&str]) {
        let error = read(text).unwrap_err();
        for part in parts {
            assert!(error.contains(part), "`{error}` lacks `{part}`");
        }
    }

    #[test]
    fn mistakes_are_refused_with_what_to_do() {
        check_refused("{}", &["names no server", "`lookupd`"]);
        check_refused(r#"{"address": "a:1", "addresses": ["b:1"]}"#, &["`addresses`"]);
        check_refused(r#"{"address": "127.0.0.1"}"#, &["`127.0.0.1`", "`host:port`"]);
        check_refused(r#"{"address": "http://a:1"}"#, &["`http://a:1`", "`host:port`"]);
        check_refused(r#"{"lookupd": ["https://a:1"]}"#, &["`https://a:1`", "`http://host:port`"]);
        check_refused(r#"{"address": "a:1", "tls": {}}"#, &["ca_file"]);
        check_refused(
            r#"{"address": "a:1", "tls": {"ca_file": "c", "key_file": "k"}}"#,
            &["`certificate_file`", "`key_file`"],
        );
        check_refused(r#"{"address": "a:1", "tls": {"ca": "c"}}"#, &["unknown field `ca`", "`ca_file`"]);
        check_refused(r#"{"address": "a:1", "auth": {"secret_env": "S"}}"#, &[r#"`{ "env": "S" }`"#]);
        check_refused(r#"{"lookupd": ["a:1"], "lookupd_interval": "15"}"#, &["15", "not a duration"]);
        check_refused(r#"{"lookupd": ["a:1"], "lookupd_interval": "1ms"}"#, &["`100ms`"]);
        check_refused(r#"{"address": "a:1", "lease": "1h"}"#, &["`broker.nsq.lease`", "`15m`"]);
    }
}
