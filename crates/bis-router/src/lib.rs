//! The durable event router that speaks NSQ.
//!
//! One process between publishers and subscribers: nsqd's TCP protocol V2 and HTTP API over one journal on disk.
//! The caller passes [`Options`] and holds a [`Handle`]:
//!
//! ```
//! # async fn run(folder: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
//! use bis_router::{Options, Router};
//!
//! let mut options = Options::new(folder);
//! options.tcp_address.set_port(0);
//! options.http_address.set_port(0);
//! let router = Router::start(options).await?;
//! println!("nsq {}, http {}", router.tcp_address(), router.http_address());
//! router.shutdown().await?;
//! # Ok(())
//! # }
//! ```
//!
//! A publish is answered when its bytes are on the disk (see [`SyncMode`]); what keeps them there is [`bis_journal`]. This crate never parses a message's body and
//! knows nothing of applications, handlers or retry policies.

mod options;
mod server;
mod service;

pub use bis_journal::{
    Backlog, BacklogPolicy, BacklogPolicyError, Damage, OpenError, SyncMode, SyncModeError,
};
pub use options::{
    Auth, AuthMethod, AuthMethodError, BoundError, ClientCertificates, Compression, HttpTimeouts, LogLevel,
    LogLevelError, LogSwitch, Lookup, MAX_BODY_BYTES, Options, RemoteError, Tls, TlsRequired, TlsVersion,
    TlsWordError,
};
pub use server::tls::{CertificateFault, TlsError};
pub use service::{Failure, Handle, Router, ShutdownError, StartError};
