//! What is known about a client: what it says about itself, and what its connection shows. Plain data for statistics.

use bis_broker::channel::ProcessId;
use bis_journal::Process;

/// What statistics show of a client.
#[derive(Debug, Clone, Default)]
pub(super) struct ClientInfo {
    pub(super) client_id: String,
    pub(super) hostname: String,
    pub(super) user_agent: String,
    pub(super) remote_address: String,
    /// Seconds since 1970.
    pub(super) connected: u64,
    pub(super) sample_rate: u32,
    /// The process that it belongs to, when it says so.
    pub(super) process: Option<ProcessId>,
    /// Whether it is told about earlier deliveries of messages.
    pub(super) wants_history: bool,
    pub(super) snappy: bool,
    pub(super) deflate: bool,
    pub(super) tls: Option<TlsFacts>,
    /// Who it is, as an authorization server says.
    pub(super) identity: Option<ClientIdentity>,
}

impl ClientInfo {
    /// Which process it is part of.
    pub(super) fn process(&self) -> Process {
        let host = self.remote_address.rsplit_once(':').map_or("", |(host, _)| host);
        let (hostname, client) = (self.hostname.clone(), self.client_id.clone());
        Process { id: self.process, host: host.to_owned(), hostname, client }
    }
}

/// A client's TLS session, in nsqd's words.
#[derive(Debug, Clone)]
pub(super) struct TlsFacts {
    pub(super) version: String,
    pub(super) cipher_suite: String,
}

/// Whom an authorization server takes a client for.
#[derive(Debug, Clone)]
pub(super) struct ClientIdentity {
    pub(super) name: String,
    pub(super) url: String,
}
