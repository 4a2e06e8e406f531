//! The contract between a command and the app that it starts: environment variables, and the lines in which the app reports its
//! progress. Both sides use these names; they are defined only here.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// The path of the configuration file.
pub const CONFIG: &str = "BIS_CONFIG";
/// The number of the file descriptor to which the app writes a [`Progress`] per line.
pub const READY_FD: &str = "BIS_READY_FD";
/// `1`: the app prints what is linked as JSON, and exits.
pub const DESCRIBE: &str = "BIS_DESCRIBE";
/// The seed and rates of faults that the app puts between itself and its broker.
pub const CHAOS: &str = "BIS_CHAOS";
/// The filter of the app's log.
pub const LOG: &str = "BIS_LOG";
/// How many listeners the app inherits, from descriptor 3 on: systemd's variable (sd_listen_fds(3)).
pub const LISTEN_FDS: &str = "LISTEN_FDS";
/// Which process inherits them: systemd's variable.
pub const LISTEN_PID: &str = "LISTEN_PID";

/// The progress of an app: one line of JSON, with `event` as its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Progress {
    /// It takes requests, and is subscribed.
    Ready {
        /// Where it can be reached: base addresses by what they belong to, `"app": "http://127.0.0.1:4000"`.
        #[serde(flatten, deserialize_with = "texts")]
        addresses: BTreeMap<String, String>,
    },
    /// It has closed the listener that was handed over: the process that has it now gets every new connection.
    Draining,
}

/// Reads a line. An app of a later version may report more.
fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let all = BTreeMap::<String, Value>::deserialize(deserializer)?;
    Ok(all.into_iter().filter_map(|(name, value)| Some((name, value.as_str()?.to_owned()))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_an_object_with_its_event() {
        let addresses = [("app".to_owned(), "http://127.0.0.1:4000".to_owned())].into();
        let ready = Progress::Ready { addresses };
        let line = r#"{"event":"ready","app":"http://127.0.0.1:4000"}"#;
        assert_eq!(serde_json::to_string(&ready).unwrap(), line);
        assert_eq!(serde_json::to_string(&Progress::Draining).unwrap(), r#"{"event":"draining"}"#);
        for (line, read) in [
            (line, ready),
            (r#"{"event":"ready","later":1}"#, Progress::Ready { addresses: BTreeMap::new() }),
            (r#"{"event":"draining","later":1}"#, Progress::Draining),
        ] {
            assert_eq!(serde_json::from_str::<Progress>(line).unwrap(), read);
        }
    }
}
