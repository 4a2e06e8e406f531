//! `IDENTIFY`: what a client asks for, what it is granted, and the layers that begin after the answer.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroU64;
use std::time::Duration;

use bis_broker::channel::ProcessId;
use bis_nsq::{
    ErrorCode, Extension, FEATURE_DEDUP, FEATURE_HEADERS, FEATURE_HISTORY, FEATURE_ORDERED, FEATURE_PEEK,
    FEATURE_POSTPONE, FEATURE_RECEIPT, FEATURE_RELEASE, FEATURE_REPLAY, FEATURE_RESERVE, FEATURE_RETENTION,
    Identify, IdentifyReply, Limits, OK, ProtocolError, Ranges,
};
use bytes::Bytes;
use tokio_rustls::rustls::{ProtocolVersion, ServerConnection};

use super::client::{ClientInfo, TlsFacts};
use super::session::Session;
use super::transport::Compressor;
use super::{Server, VERSION};
use crate::options::Options;

/// What is offered to clients that ask for Bis's extension.
const FEATURES: &[&str] = &[
    FEATURE_RELEASE,
    FEATURE_POSTPONE,
    FEATURE_HEADERS,
    FEATURE_ORDERED,
    FEATURE_PEEK,
    FEATURE_REPLAY,
    FEATURE_RESERVE,
    FEATURE_RECEIPT,
    FEATURE_HISTORY,
    FEATURE_RETENTION,
];
/// The level of deflate for clients that name none.
const DEFLATE_LEVEL: u32 = 6;

/// What applies to a connection. A later `IDENTIFY` changes only what it names.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    /// The time between heartbeats; none are sent without.
    pub(super) heartbeat: Option<Duration>,
    pub(super) message_timeout: Duration,
    /// The percentage of messages delivered; 0 means all.
    pub(super) sample_rate: u32,
    output_buffer_bytes: i64,
    output_buffer_timeout: Duration,
}

/// Layers that begin once everything before them is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Upgrade {
    pub(super) tls: bool,
    pub(super) compressor: Option<Compressor>,
}

impl Terms {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            heartbeat: Some(Limits::DEFAULT_HEARTBEAT),
            message_timeout: options.message_timeout,
            sample_rate: 0,
            output_buffer_bytes: Limits::DEFAULT_OUTPUT_BUFFER_BYTES as i64,
            output_buffer_timeout: options.output_buffer_timeout,
        }
    }

    /// Takes what the client asks for; the numbers are checked.
    fn take(&mut self, asked: &Identify) {
        match asked.heartbeat_interval {
            0 => {}
            -1 => self.heartbeat = None,
            millis => self.heartbeat = Some(from_millis(millis)),
        }
        match asked.output_buffer_timeout {
            0 => {}
            // A wait of -1 is none at all, as on nsqd.
            millis => self.output_buffer_timeout = from_millis(millis),
        }
        match asked.output_buffer_size {
            0 => {}
            -1 => {
                self.output_buffer_bytes = 1;
                self.output_buffer_timeout = Duration::ZERO;
            }
            bytes => self.output_buffer_bytes = bytes,
        }
        self.sample_rate = u32::try_from(asked.sample_rate).unwrap_or(0);
        if asked.msg_timeout > 0 {
            self.message_timeout = from_millis(asked.msg_timeout);
        }
    }
}

impl Session {
    /// `IDENTIFY`. Returns the answer.
    pub(super) fn identify(&mut self, server: &Server, body: &[u8]) -> Result<Bytes, ProtocolError> {
        let asked = Identify::parse(body, &ranges(&server.options))?;
        self.terms.take(&asked);
        self.set_client(ClientInfo {
            client_id: asked.client_id.clone(),
            hostname: asked.hostname.clone(),
            user_agent: asked.user_agent.clone(),
            sample_rate: self.terms.sample_rate,
            process: asked.bis.as_ref().and_then(process_of),
            wants_history: asked.bis.as_ref().is_some_and(|asked| asked.names(FEATURE_HISTORY)),
            ..(*self.client).clone()
        });
        if !asked.feature_negotiation {
            return Ok(Bytes::from_static(OK));
        }
        self.limits.extensions = asked.bis.is_some();
        let compression = server.options.compression;
        let is_compressed = self.client.snappy || self.client.deflate;
        let level = u32::try_from(asked.deflate_level).ok().filter(|level| *level > 0);
        let deflate = compression.deflate && asked.deflate && !is_compressed;
        let snappy = compression.snappy && asked.snappy && !is_compressed;
        if deflate && snappy {
            let text = "cannot enable both deflate and snappy compression";
            return Err(ProtocolError::new(ErrorCode::IdentifyFailed, text));
        }
        let level = level.filter(|_| deflate).unwrap_or(DEFLATE_LEVEL).min(compression.max_deflate_level);
        let tls = server.tls.is_some() && asked.tls_v1 && self.client.tls.is_none();
        let reply = IdentifyReply {
            tls_v1: tls,
            deflate,
            deflate_level: i64::from(level),
            max_deflate_level: i64::from(compression.max_deflate_level),
            snappy,
            bis: asked.bis.as_ref().map(|_| offer(&server.options)),
            topology_region: asked.topology_region,
            topology_zone: asked.topology_zone,
            ..reply(server, &self.terms)
        };
        let compressor = match (snappy, deflate) {
            (true, _) => Some(Compressor::Snappy),
            (_, true) => Some(Compressor::Deflate(level)),
            _ => None,
        };
        if tls || compressor.is_some() {
            self.upgrade = Some(Upgrade { tls, compressor });
        }
        Ok(Bytes::from(reply.to_json()))
    }
}

/// The process that a client claims to belong to.
fn process_of(asked: &Extension) -> Option<ProcessId> {
    let mut hasher = DefaultHasher::new();
    asked.process.hash(&mut hasher);
    NonZeroU64::new(hasher.finish()).filter(|_| !asked.process.is_empty()).map(ProcessId)
}

/// What is granted to everybody.
fn reply(server: &Server, terms: &Terms) -> IdentifyReply {
    IdentifyReply {
        max_rdy_count: i64::from(server.options.max_ready_count),
        version: VERSION.to_owned(),
        max_msg_timeout: to_millis(server.options.max_message_timeout),
        msg_timeout: to_millis(terms.message_timeout),
        sample_rate: i64::from(terms.sample_rate),
        auth_required: server.authorizer.is_some(),
        output_buffer_size: terms.output_buffer_bytes,
        output_buffer_timeout: to_millis(terms.output_buffer_timeout),
        ..IdentifyReply::default()
    }
}

/// What is offered beyond NSQ, with the limits that nsqd's reply has no fields for.
fn offer(options: &Options) -> Extension {
    let mut features = FEATURES.to_vec();
    if options.journal.dedup_window > 0 {
        features.push(FEATURE_DEDUP);
    }
    Extension {
        dedup_window: i64::try_from(options.journal.dedup_window).unwrap_or(i64::MAX),
        max_delay: to_millis(options.max_requeue_delay),
        max_message_bytes: i64::try_from(options.max_message_bytes).unwrap_or(i64::MAX),
        ..Extension::offer(&features)
    }
}

fn ranges(options: &Options) -> Ranges {
    Ranges {
        max_heartbeat: options.max_heartbeat_interval,
        max_output_buffer_bytes: options.max_output_buffer_bytes,
        min_output_buffer_timeout: options.min_output_buffer_timeout,
        max_output_buffer_timeout: options.max_output_buffer_timeout,
        max_message_timeout: options.max_message_timeout,
    }
}

/// What statistics show of a TLS session, in nsqd's words.
pub(super) fn tls_facts(connection: &ServerConnection) -> TlsFacts {
    let version = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => "TLS1.2".to_owned(),
        Some(ProtocolVersion::TLSv1_3) => "TLS1.3".to_owned(),
        other => format!("Unknown {other:?}"),
    };
    let suite = connection.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite()));
    TlsFacts { version, cipher_suite: suite.unwrap_or_default().replacen("TLS13_", "TLS_", 1) }
}

fn from_millis(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

fn to_millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
