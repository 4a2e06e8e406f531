//! What the router can be told about nsqlookupd: where it is, and how this router is to be reached. Plain data.

use std::time::Duration;

/// Registration with nsqlookupd, with nsqd's meanings. Off unless there is an address.
#[derive(Debug, Clone)]
pub struct Lookup {
    /// The TCP addresses of nsqlookupd, `host:port`; the router registers with each.
    pub tcp_addresses: Vec<String>,
    /// The host by which clients are told to reach this router; the machine's name unless set.
    pub broadcast_address: Option<String>,
    /// The NSQ port that clients are told; the one that is listened on unless set.
    pub broadcast_tcp_port: Option<u16>,
    /// The HTTP port that clients are told; the one that is listened on unless set.
    pub broadcast_http_port: Option<u16>,
    /// How long to wait for a connection to nsqlookupd's HTTP API; 2 s unless set.
    pub connect_timeout: Duration,
    /// How long to wait for its answer, the connection included; 5 s unless set.
    pub request_timeout: Duration,
}

impl Default for Lookup {
    fn default() -> Self {
        Self {
            tcp_addresses: Vec::new(),
            broadcast_address: None,
            broadcast_tcp_port: None,
            broadcast_http_port: None,
            connect_timeout: Duration::from_secs(2),
            request_timeout: Duration::from_secs(5),
        }
    }
}
