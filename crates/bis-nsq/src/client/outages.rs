//! Logs outages of servers: one line when a server is lost and one when it is back, however many connections an app has
//! to it. All code that connects reports here instead of logging by itself. This file never decides whether or when to
//! connect.

use std::collections::HashSet;
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};

use super::ConnectError;

/// The servers that are known to be lost, shared by all clones. Holds one address per lost server.
#[derive(Debug, Clone, Default)]
pub struct Outages(Arc<Mutex<HashSet<String>>>);

/// Options that differ only in their outages are equal.
impl PartialEq for Outages {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Outages {}

impl Outages {
    /// A connection to the server ended unexpectedly.
    pub(super) fn lost(&self, address: &str, error: &dyn Display) {
        if self.begin(address) {
            tracing::warn!(%address, %error, "lost the connection to the broker; reconnecting");
        } else {
            tracing::debug!(%address, %error, "lost another connection to the broker; reconnecting");
        }
    }

    /// A connection could not be made. A server's answer is logged whenever `is_worth_a_line`, since it says what to
    /// change; a missing answer is logged once.
    pub fn unreachable(&self, address: &str, error: &ConnectError, is_worth_a_line: bool) {
        let silent = matches!(error, ConnectError::Io(_) | ConnectError::Timeout(_) | ConnectError::Lost(_));
        if self.begin(address) || (is_worth_a_line && !silent) {
            tracing::warn!(
                %address,
                %error,
                "cannot reach the broker; trying again (is it running? start one with `bis router`)"
            );
        } else {
            tracing::debug!(%address, %error, "cannot reach the broker; trying again");
        }
    }

    /// A connection was made.
    pub fn connected(&self, address: &str) {
        if self.end(address) {
            tracing::info!(%address, "connected to the broker");
        }
    }

    /// Whether the server was not known to be lost.
    fn begin(&self, address: &str) -> bool {
        let mut lost = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        !lost.contains(address) && lost.insert(address.to_owned())
    }

    /// Whether the server was known to be lost.
    fn end(&self, address: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_clones_tell_of_one_outage_once() {
        let (outages, other) = (Outages::default(), Outages::default());
        let clone = outages.clone();
        assert!(!outages.end("a:4150"), "nothing was lost yet");
        assert!(outages.begin("a:4150"));
        assert!(!clone.begin("a:4150"));
        assert!(clone.begin("b:4150"), "another server is another outage");
        assert!(other.begin("a:4150"), "another app tells of its own");
        assert!(clone.end("a:4150"));
        assert!(!outages.end("a:4150"));
        assert!(outages.begin("a:4150"), "the next outage is told again");
    }
}
