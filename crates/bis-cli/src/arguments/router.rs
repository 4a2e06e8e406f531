//! The flags of `bis router`: nsqd's with the same meanings, and Bis's own. The config file has the same names, with
//! `_` for `-`.

use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use bis_core::parse_duration;
use bis_router::{
    AuthMethod, BacklogPolicy, ClientCertificates, LogLevel, SyncMode, TlsRequired, TlsVersion,
};
use clap::{Args, ValueEnum};

use crate::format::Format;

/// Arguments of `bis router`. What is not given has the router's default.
#[derive(Debug, Args)]
pub(crate) struct Router {
    /// File with options in nsqd's names, as nsqd's own config file; flags win over it
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Address of the NSQ protocol; `:4150` is every interface
    #[arg(long, default_value = "127.0.0.1:4150", value_parser = address)]
    pub(crate) tcp_address: SocketAddr,
    /// Address of the HTTP API
    #[arg(long, default_value = "127.0.0.1:4151", value_parser = address)]
    pub(crate) http_address: SocketAddr,
    /// Address of the HTTP API over TLS; 127.0.0.1:4152 with a certificate, empty for none
    #[arg(long)]
    pub(crate) https_address: Option<String>,
    /// Allow addresses that other machines can reach, although not every client is known
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = yes_or_no, action = clap::ArgAction::Set)]
    pub(crate) allow_remote: bool,
    /// Folder of the journal
    #[arg(long, default_value = "bis-router-data")]
    pub(crate) data_path: PathBuf,
    /// When a publish is answered: `always` after it is on the disk, `interval=100ms`, or `none`
    #[arg(long, default_value = "always", value_parser = parsed::<SyncMode>)]
    pub(crate) sync: SyncMode,
    /// Size at which a segment of the journal is sealed, in bytes
    #[arg(long)]
    pub(crate) max_bytes_per_file: Option<u64>,
    /// How long messages are kept that every channel has handled
    #[arg(long, value_parser = parse_duration)]
    pub(crate) retention: Option<Duration>,
    /// How many bytes of messages are kept that every channel has handled
    #[arg(long)]
    pub(crate) retention_bytes: Option<u64>,
    /// Most bytes of the journal that may wait to be handled; the disk is the bound unless given
    #[arg(long)]
    pub(crate) backlog_bytes: Option<u64>,
    /// What happens then: `refuse` publishes, or `drop-oldest` messages
    #[arg(long, value_name = "POLICY", value_parser = parsed::<BacklogPolicy>)]
    pub(crate) backlog_policy: Option<BacklogPolicy>,
    /// How many events are remembered, so that one published again under its id is stored once; 0 for none
    #[arg(long)]
    pub(crate) dedup_window: Option<usize>,

    /// Largest message, in bytes
    #[arg(long)]
    pub(crate) max_msg_size: Option<usize>,
    /// Largest body of a command, in bytes
    #[arg(long)]
    pub(crate) max_body_size: Option<usize>,
    /// Time after which a message that nobody finished is delivered again
    #[arg(long, value_parser = parse_duration)]
    pub(crate) msg_timeout: Option<Duration>,
    /// Longest time that a client may ask for with its own message timeout and TOUCH
    #[arg(long, value_parser = parse_duration)]
    pub(crate) max_msg_timeout: Option<Duration>,
    /// Longest delay of a deferred publish or a requeue
    #[arg(long, value_parser = parse_duration)]
    pub(crate) max_req_timeout: Option<Duration>,
    /// Most messages that a client may ask for at once
    #[arg(long)]
    pub(crate) max_rdy_count: Option<u32>,
    /// Most consumers of one channel; 0 for any number
    #[arg(long)]
    pub(crate) max_channel_consumers: Option<usize>,
    /// Longest time between heartbeats that a client may ask for
    #[arg(long, value_parser = parse_duration)]
    pub(crate) max_heartbeat_interval: Option<Duration>,
    /// Largest output buffer that a client may ask for, in bytes
    #[arg(long)]
    pub(crate) max_output_buffer_size: Option<usize>,
    /// Longest wait in the output buffer that a client may ask for
    #[arg(long, value_parser = parse_duration)]
    pub(crate) max_output_buffer_timeout: Option<Duration>,
    /// Shortest wait in the output buffer that a client may ask for
    #[arg(long, value_parser = parse_duration)]
    pub(crate) min_output_buffer_timeout: Option<Duration>,
    /// Wait in the output buffer of clients that ask for none
    #[arg(long, value_parser = parse_duration)]
    pub(crate) output_buffer_timeout: Option<Duration>,

    /// PEM file of the certificate
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// PEM file of the certificate's key
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_key: Option<PathBuf>,
    /// PEM file of the authorities that clients' certificates are checked against
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_root_ca_file: Option<PathBuf>,
    /// Certificates of clients: `require` or `require-verify`
    #[arg(long, value_name = "POLICY", value_parser = parsed::<ClientCertificates>)]
    pub(crate) tls_client_auth_policy: Option<ClientCertificates>,
    /// Require TLS: `true`, `false`, or `tcp-https` for all but plain HTTP
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parsed::<TlsRequired>)]
    pub(crate) tls_required: Option<TlsRequired>,
    /// Oldest version of TLS: `tls1.2` or `tls1.3`
    #[arg(long, value_parser = parsed::<TlsVersion>)]
    pub(crate) tls_min_version: Option<TlsVersion>,
    /// Let clients ask for deflate
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = yes_or_no)]
    pub(crate) deflate: Option<bool>,
    /// Highest level of deflate, 1 to 9
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=9))]
    pub(crate) max_deflate_level: Option<u32>,
    /// Let clients ask for snappy
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = yes_or_no)]
    pub(crate) snappy: Option<bool>,

    /// Server that is asked what clients may do, `host:port` or a URL; may be given several times
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) auth_http_address: Vec<String>,
    /// How it is asked: `get` or `post`
    #[arg(long, value_name = "METHOD", value_parser = parsed::<AuthMethod>)]
    pub(crate) auth_http_request_method: Option<AuthMethod>,
    /// How long to wait for a connection to it, and to nsqlookupd's HTTP API
    #[arg(long, value_parser = parse_duration)]
    pub(crate) http_client_connect_timeout: Option<Duration>,
    /// How long to wait for their answer
    #[arg(long, value_parser = parse_duration)]
    pub(crate) http_client_request_timeout: Option<Duration>,

    /// TCP address of an nsqlookupd to register with; may be given several times
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) lookupd_tcp_address: Vec<String>,
    /// Host by which clients are told to reach this router; by default the machine's name
    #[arg(long, value_name = "HOST")]
    pub(crate) broadcast_address: Option<String>,
    /// NSQ port that clients are told; by default the one that is listened on
    #[arg(long, value_name = "PORT")]
    pub(crate) broadcast_tcp_port: Option<u16>,
    /// HTTP port that clients are told; by default the one that is listened on
    #[arg(long, value_name = "PORT")]
    pub(crate) broadcast_http_port: Option<u16>,

    /// How much is logged: `debug`, `info`, `warn`, `error` or `fatal`
    #[arg(long, default_value = "info", value_parser = parsed::<LogLevel>)]
    pub(crate) log_level: LogLevel,
    /// How it is logged, on stderr
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) other: Nsqd,
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object a line
    Json,
}

/// Options of nsqd that have no effect here: they are accepted with a warning, so that scripts and files for nsqd work.
#[derive(Debug, Args)]
pub(crate) struct Nsqd {
    #[arg(long, hide = true)]
    mem_queue_size: Option<String>,
    #[arg(long, hide = true)]
    sync_every: Option<String>,
    #[arg(long, hide = true)]
    sync_timeout: Option<String>,
    #[arg(long, hide = true)]
    queue_scan_worker_pool_max: Option<String>,
    #[arg(long, hide = true)]
    queue_scan_selection_count: Option<String>,
    #[arg(long, hide = true)]
    node_id: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    worker_id: Option<String>,
    #[arg(long, hide = true)]
    log_prefix: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    verbose: Option<String>,
    #[arg(long, hide = true)]
    e2e_processing_latency_percentile: Vec<String>,
    #[arg(long, hide = true)]
    e2e_processing_latency_window_time: Option<String>,
    #[arg(long, hide = true)]
    statsd_address: Option<String>,
    #[arg(long, hide = true)]
    statsd_prefix: Option<String>,
    #[arg(long, hide = true)]
    statsd_interval: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    statsd_mem_stats: Option<String>,
    #[arg(long, hide = true)]
    statsd_udp_packet_size: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    statsd_exclude_ephemeral: Option<String>,
}

impl Nsqd {
    /// Whether statistics should be sent to a statsd, which is not supported.
    pub(crate) fn wants_statsd(&self) -> bool {
        self.statsd_address.as_ref().is_some_and(|address| !address.is_empty())
    }

    /// The given ones, each with what replaces it.
    pub(crate) fn without_effect(&self) -> Vec<(&'static str, &'static str)> {
        let durability = "the router writes every message to its journal; `--sync` says when it is answered";
        let inside = "the router needs no such limit";
        let latency = "it is not measured";
        let statsd = "`/metrics` is for Prometheus; there is no statsd";
        [
            ("--mem-queue-size", self.mem_queue_size.is_some(), durability),
            ("--sync-every", self.sync_every.is_some(), durability),
            ("--sync-timeout", self.sync_timeout.is_some(), durability),
            ("--queue-scan-worker-pool-max", self.queue_scan_worker_pool_max.is_some(), inside),
            ("--queue-scan-selection-count", self.queue_scan_selection_count.is_some(), inside),
            ("--node-id", self.node_id.is_some(), "message ids are sequence numbers"),
            ("--worker-id", self.worker_id.is_some(), "message ids are sequence numbers"),
            ("--log-prefix", self.log_prefix.is_some(), "log lines have no prefix"),
            ("--verbose", self.verbose.is_some(), "`--log-level` does it"),
            (
                "--e2e-processing-latency-percentile",
                !self.e2e_processing_latency_percentile.is_empty(),
                latency,
            ),
            (
                "--e2e-processing-latency-window-time",
                self.e2e_processing_latency_window_time.is_some(),
                latency,
            ),
            ("--statsd-prefix", self.statsd_prefix.is_some(), statsd),
            ("--statsd-interval", self.statsd_interval.is_some(), statsd),
            ("--statsd-mem-stats", self.statsd_mem_stats.is_some(), statsd),
            ("--statsd-udp-packet-size", self.statsd_udp_packet_size.is_some(), statsd),
            ("--statsd-exclude-ephemeral", self.statsd_exclude_ephemeral.is_some(), statsd),
        ]
        .into_iter()
        .filter_map(|(flag, is_given, instead)| is_given.then_some((flag, instead)))
        .collect()
    }
}

/// An address in nsqd's format: `127.0.0.1:4150`, `localhost:4150`, or `:4150` for every interface.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    if let Some(Ok(port)) = text.strip_prefix(':').map(str::parse) {
        return Ok((Ipv4Addr::UNSPECIFIED, port).into());
    }
    let found = text.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    found.ok_or_else(|| format!("`{text}` is not an address; write it like `127.0.0.1:4150`"))
}

fn parsed<T: std::str::FromStr>(text: &str) -> Result<T, T::Err> {
    text.parse()
}

/// A boolean in one of Go's spellings.
fn yes_or_no(word: &str) -> Result<bool, String> {
    match word {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("`{word}` is neither `true` nor `false`")),
    }
}
