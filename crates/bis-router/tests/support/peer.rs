//! A server to test from outside: the router, or the nsqd on this machine, each on free ports and a folder of its own.
//! A test that is written once runs against both; nothing here looks inside either.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command as Process, Stdio};
use std::time::{Duration, Instant};

use bis_router::{ClientCertificates, Handle, Options, Router, SyncMode, Tls, TlsRequired};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::Client;
use super::http::{self, Answer};

/// Which server a test runs against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    Nsqd,
    Router,
}

/// What a test needs to be different from the defaults, which are nsqd's for both.
#[derive(Debug, Clone)]
pub struct Settings {
    pub max_message_bytes: usize,
    pub max_body_bytes: usize,
    pub max_ready_count: u32,
    pub message_timeout: Duration,
    pub max_message_timeout: Duration,
    pub max_heartbeat_interval: Duration,
    pub max_requeue_delay: Duration,
    pub snappy: bool,
    pub deflate: bool,
    pub max_deflate_level: u32,
    pub max_channel_consumers: Option<usize>,
    pub tls: Option<TlsSettings>,
    pub auth_addresses: Vec<String>,
}

/// TLS, from files.
#[derive(Debug, Clone)]
pub struct TlsSettings {
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub root_ca: PathBuf,
    pub required: TlsRequired,
    pub client_certificates: ClientCertificates,
}

impl Default for Settings {
    fn default() -> Self {
        let options = Options::new("");
        Self {
            max_message_bytes: options.max_message_bytes,
            max_body_bytes: options.max_body_bytes,
            max_ready_count: options.max_ready_count,
            message_timeout: options.message_timeout,
            max_message_timeout: options.max_message_timeout,
            max_heartbeat_interval: options.max_heartbeat_interval,
            // nsqd's; the router's own default is longer.
            max_requeue_delay: Duration::from_secs(60 * 60),
            snappy: true,
            deflate: true,
            max_deflate_level: 6,
            max_channel_consumers: None,
            tls: None,
            auth_addresses: Vec::new(),
        }
    }
}

/// A running server; it ends when this is dropped.
pub struct Server {
    pub tcp: SocketAddr,
    pub http: SocketAddr,
    /// Only with TLS.
    pub https: Option<SocketAddr>,
    running: Running,
    _folder: TempDir,
}

enum Running {
    Nsqd(Child),
    Router(Box<(Option<Handle>, Runtime)>),
}

impl Peer {
    /// Starts the server with its defaults.
    pub fn start(self) -> Server {
        self.start_with(&Settings::default())
    }

    pub fn start_with(self, settings: &Settings) -> Server {
        match self {
            Self::Nsqd => nsqd(settings),
            Self::Router => router(settings),
        }
    }
}

impl Server {
    /// A new connection, nothing sent but the magic.
    pub fn connect(&self) -> Client {
        Client::connect(self.tcp)
    }

    /// A connection that has subscribed and is ready for this many.
    pub fn subscribe(&self, topic: &str, channel: &str, ready: u32) -> Client {
        Client::subscribe(self.tcp, topic, channel, ready)
    }

    /// Publishes on a connection of its own.
    pub fn publish(&self, topic: &str, body: &str) {
        self.connect().publish(topic, body.to_owned());
    }

    /// A GET request to the HTTP API.
    pub fn get(&self, path: &str) -> Answer {
        http::get(self.http, path)
    }

    /// A POST request to the HTTP API.
    pub fn post(&self, path: &str, body: impl AsRef<[u8]>) -> Answer {
        http::post(self.http, path, body)
    }

    /// A POST request that does something and says nothing.
    #[track_caller]
    pub fn order(&self, path: &str) {
        let answer = self.post(path, "");
        assert_eq!((answer.status, answer.body.as_str()), (200, ""), "{path}");
    }

    /// What `/stats` says about a topic's first channel.
    pub fn channel(&self, topic: &str) -> Value {
        let stats = self.get(&format!("/stats?format=json&topic={topic}")).json();
        stats["topics"][0]["channels"][0].clone()
    }

    /// Waits until a count of the topic's first channel is what is expected: what a client sent without being
    /// answered takes a moment.
    #[track_caller]
    pub fn becomes(&self, topic: &str, field: &str, expected: u64) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.channel(topic)[field] != expected && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(self.channel(topic)[field], expected, "{field}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        match &mut self.running {
            Running::Nsqd(child) => {
                // A test that failed has its own panic to report.
                let _ = child.kill();
                let _ = child.wait();
            }
            Running::Router(running) => {
                let (handle, runtime) = &mut **running;
                if let Some(handle) = handle.take() {
                    let stopped = runtime.block_on(handle.shutdown());
                    assert!(stopped.is_ok() || std::thread::panicking(), "the router stopped: {stopped:?}");
                }
            }
        }
    }
}

/// Runs one test against `peer`; skips with a line when nsqd is not on this machine, or fails then if
/// `BIS_REQUIRE_PEERS=1`.
pub fn run(peer: Peer, name: &str, test: fn(Peer)) {
    if peer == Peer::Nsqd && !has_nsqd(name) {
        return;
    }
    test(peer);
}

/// Whether nsqd is on this machine; says that the test is skipped when it is not.
pub fn has_nsqd(name: &str) -> bool {
    let version = Process::new("nsqd").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if version.is_ok_and(|status| status.success()) {
        return true;
    }
    let required = std::env::var_os("BIS_REQUIRE_PEERS").is_some_and(|value| value == "1");
    assert!(!required, "nsqd not found, and `BIS_REQUIRE_PEERS=1` asks for it");
    println!("skipped: nsqd not found; test `{name}` did not run against it");
    false
}

/// Makes each listed function (of a [`Peer`]) a test against nsqd and one against the router.
#[macro_export]
macro_rules! against_both {
    ($($test:ident,)+) => {
        mod nsqd {
            $(#[test] fn $test() {
                $crate::support::peer::run($crate::support::peer::Peer::Nsqd, stringify!($test), super::$test);
            })+
        }
        mod router {
            $(#[test] fn $test() {
                $crate::support::peer::run($crate::support::peer::Peer::Router, stringify!($test), super::$test);
            })+
        }
    };
}

fn router(settings: &Settings) -> Server {
    let folder = tempfile::tempdir().unwrap();
    let mut options = super::options(folder.path());
    options.journal.sync = SyncMode::None;
    options.max_message_bytes = settings.max_message_bytes;
    options.max_body_bytes = settings.max_body_bytes;
    options.max_ready_count = settings.max_ready_count;
    options.message_timeout = settings.message_timeout;
    options.max_message_timeout = settings.max_message_timeout;
    options.max_heartbeat_interval = settings.max_heartbeat_interval;
    options.max_requeue_delay = settings.max_requeue_delay;
    options.compression.snappy = settings.snappy;
    options.compression.deflate = settings.deflate;
    options.compression.max_deflate_level = settings.max_deflate_level;
    options.max_channel_consumers = settings.max_channel_consumers;
    options.auth.addresses.clone_from(&settings.auth_addresses);
    if let Some(tls) = &settings.tls {
        options.https_address = Some("127.0.0.1:0".parse().unwrap());
        options.tls = Tls {
            certificate: Some(tls.certificate.clone()),
            key: Some(tls.key.clone()),
            root_ca: Some(tls.root_ca.clone()),
            required: tls.required,
            client_certificates: tls.client_certificates,
            ..Tls::default()
        };
    }
    options.lookup.broadcast_address = Some("127.0.0.1".to_owned());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let handle = runtime.block_on(Router::start(options)).unwrap();
    let (tcp, http, https) = (handle.tcp_address(), handle.http_address(), handle.https_address());
    Server { tcp, http, https, running: Running::Router(Box::new((Some(handle), runtime))), _folder: folder }
}

fn nsqd(settings: &Settings) -> Server {
    let folder = tempfile::tempdir().unwrap();
    let millis = |duration: Duration| format!("{}ms", duration.as_millis());
    let mut child = Process::new("nsqd")
        .arg(format!("--data-path={}", folder.path().display()))
        .args(["--tcp-address=127.0.0.1:0", "--http-address=127.0.0.1:0", "--broadcast-address=127.0.0.1"])
        .arg(format!("--max-msg-size={}", settings.max_message_bytes))
        .arg(format!("--max-body-size={}", settings.max_body_bytes))
        .arg(format!("--max-rdy-count={}", settings.max_ready_count))
        .arg(format!("--msg-timeout={}", millis(settings.message_timeout)))
        .arg(format!("--max-msg-timeout={}", millis(settings.max_message_timeout)))
        .arg(format!("--max-req-timeout={}", millis(settings.max_requeue_delay)))
        .arg(format!("--max-heartbeat-interval={}", millis(settings.max_heartbeat_interval)))
        .args(nsqd_flags(settings))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let (mut tcp, mut http, mut https) = (None, None, None);
    // They come in any order.
    while tcp.is_none() || http.is_none() || (settings.tls.is_some() && https.is_none()) {
        let mut line = String::new();
        assert_ne!(log.read_line(&mut line).unwrap(), 0, "nsqd ended before it listened");
        let address = || line.trim_end().rsplit(' ').next().and_then(|address| address.parse().ok());
        if line.contains("TCP: listening on") {
            tcp = address();
        } else if line.contains("HTTP: listening on") {
            http = address();
        } else if line.contains("HTTPS: listening on") {
            https = address();
        }
    }
    // A full pipe would stop nsqd, a closed one end it. The log is not always text: it quotes clients.
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    let (tcp, http) = (tcp.unwrap(), http.unwrap());
    Server { tcp, http, https, running: Running::Nsqd(child), _folder: folder }
}

fn nsqd_flags(settings: &Settings) -> Vec<String> {
    let mut flags = vec![
        format!("--snappy={}", settings.snappy),
        format!("--deflate={}", settings.deflate),
        format!("--max-deflate-level={}", settings.max_deflate_level),
        format!("--max-channel-consumers={}", settings.max_channel_consumers.unwrap_or(0)),
    ];
    flags.extend(settings.auth_addresses.iter().map(|address| format!("--auth-http-address={address}")));
    if let Some(tls) = &settings.tls {
        flags.push("--https-address=127.0.0.1:0".to_owned());
        flags.push(format!("--tls-cert={}", tls.certificate.display()));
        flags.push(format!("--tls-key={}", tls.key.display()));
        flags.push(format!("--tls-root-ca-file={}", tls.root_ca.display()));
        flags.push(match tls.required {
            TlsRequired::No => "--tls-required=false".to_owned(),
            TlsRequired::ExceptHttp => "--tls-required=tcp-https".to_owned(),
            TlsRequired::Yes => "--tls-required=true".to_owned(),
        });
        flags.push(match tls.client_certificates {
            ClientCertificates::NotAsked => "--tls-client-auth-policy=".to_owned(),
            ClientCertificates::Any => "--tls-client-auth-policy=require".to_owned(),
            ClientCertificates::Verified => "--tls-client-auth-policy=require-verify".to_owned(),
        });
    }
    flags
}
