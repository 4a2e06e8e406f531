//! The servers that are compared: each a process of its own on a fresh folder, watched for what it uses.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bis_router::{Options, Router, SyncMode};
use tempfile::TempDir;

use crate::wire::Wire;

const FOLDER: &str = "BIS_ROUTER_BENCH_FOLDER";
const SYNC: &str = "BIS_ROUTER_BENCH_SYNC";
const START: Duration = Duration::from_secs(60);
/// Messages of a topic or channel that nsqd may keep in memory: more than any run publishes.
const MEMORY_QUEUE: usize = 1_000_000;

/// What survives after an answer; only servers of one class are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Nothing: the answer comes from memory.
    Memory,
    /// A crash of the process: the bytes are with the operating system.
    PageCache,
    /// A power cut: the bytes are synced before the answer.
    Durable,
}

impl Class {
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::PageCache => "page cache",
            Self::Durable => "synced",
        }
    }
}

/// A kind of server with its settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    RouterAlways,
    RouterNone,
    /// With nsqd's own settings: what exceeds its queue of 10,000 messages goes to files.
    NsqdDefault,
    /// With a queue that holds every message of a run.
    NsqdMemory,
    RedisAlways,
    RedisEverySecond,
    NatsDefault,
    NatsAlways,
}

impl Kind {
    pub const ALL: [Self; 8] = [
        Self::RouterAlways,
        Self::RouterNone,
        Self::NsqdDefault,
        Self::NsqdMemory,
        Self::RedisAlways,
        Self::RedisEverySecond,
        Self::NatsDefault,
        Self::NatsAlways,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::RouterAlways => "bis router",
            Self::RouterNone => "bis router --sync none",
            Self::NsqdDefault => "nsqd, default",
            Self::NsqdMemory => "nsqd, memory only",
            Self::RedisAlways => "redis appendfsync always",
            Self::RedisEverySecond => "redis appendfsync everysec",
            Self::NatsDefault => "nats-server JetStream",
            Self::NatsAlways => "nats-server sync always",
        }
    }

    pub fn class(self) -> Class {
        match self {
            Self::RouterAlways | Self::RedisAlways | Self::NatsAlways => Class::Durable,
            Self::RouterNone | Self::RedisEverySecond | Self::NatsDefault => Class::PageCache,
            Self::NsqdDefault | Self::NsqdMemory => Class::Memory,
        }
    }

    pub fn wire(self) -> Wire {
        match self {
            Self::RouterAlways | Self::RouterNone | Self::NsqdDefault | Self::NsqdMemory => Wire::Nsq,
            Self::RedisAlways | Self::RedisEverySecond => Wire::Redis,
            Self::NatsDefault | Self::NatsAlways => Wire::Nats,
        }
    }

    /// Whether the program is on this machine.
    pub fn is_here(self) -> bool {
        let program = match self.wire() {
            Wire::Nsq if matches!(self, Self::RouterAlways | Self::RouterNone) => return true,
            Wire::Nsq => "nsqd",
            Wire::Redis => "redis-server",
            Wire::Nats => "nats-server",
        };
        let mut version = Command::new(program);
        version.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        version.status().is_ok_and(|status| status.success())
    }
}

/// A running server. It is killed when dropped.
pub struct Server {
    pub kind: Kind,
    pub address: SocketAddr,
    /// The time from the start of the process until it took connections.
    pub started_in: Duration,
    process: Child,
    folder: PathBuf,
    /// Removes the folder, when it is the server's own.
    _own: Option<TempDir>,
}

impl Server {
    /// Starts one on a folder of its own.
    pub fn start(kind: Kind) -> Self {
        let folder = TempDir::new().unwrap();
        let mut server = Self::start_in(kind, folder.path());
        server._own = Some(folder);
        kind.wire().prepare(server.address);
        server
    }

    /// Starts one on a folder that stays.
    pub fn start_in(kind: Kind, folder: &Path) -> Self {
        let began = Instant::now();
        let (process, address) = match kind {
            Kind::RouterAlways => router(folder, "always"),
            Kind::RouterNone => router(folder, "none"),
            Kind::NsqdDefault => nsqd(folder, None),
            Kind::NsqdMemory => nsqd(folder, Some(MEMORY_QUEUE)),
            Kind::RedisAlways => redis(folder, "always"),
            Kind::RedisEverySecond => redis(folder, "everysec"),
            Kind::NatsDefault => nats(folder, ""),
            Kind::NatsAlways => nats(folder, "sync_interval: always"),
        };
        let (started_in, folder) = (Duration::ZERO, folder.to_owned());
        let mut server = Self { kind, address, started_in, process, folder, _own: None };
        while TcpStream::connect(address).is_err() {
            assert!(began.elapsed() < START, "{} did not start", kind.name());
            std::thread::sleep(Duration::from_millis(5));
        }
        server.started_in = began.elapsed();
        server
    }

    /// Stops the benchmark when what is named for its memory has put messages into files after all.
    pub fn check_name(&self) {
        if self.kind != Kind::NsqdMemory {
            return;
        }
        for file in fs::read_dir(&self.folder).unwrap().map(Result::unwrap) {
            let is_queue = file.file_name().to_string_lossy().contains(".diskqueue.");
            let is_spilled = is_queue && file.metadata().unwrap().len() > 0;
            assert!(!is_spilled, "`{}` wrote messages to {file:?}", self.kind.name());
        }
    }

    /// What it has used so far.
    pub fn usage(&self) -> Usage {
        let pid = self.process.id();
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // After the name in parentheses; user and system time are the 14th and 15th field, in hundredths of a second.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        Usage {
            cpu_seconds: (ticks(11) + ticks(12)) / 100.0,
            resident: number_after(&status, "VmRSS:") * 1024.0,
        }
    }

    /// Ends it at once and waits.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// What a process has used.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    pub cpu_seconds: f64,
    /// Bytes of memory, now.
    pub resident: f64,
}

fn number_after(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0.0)
}

/// Is the router, when this program was started as one.
pub fn run_as_router() -> bool {
    let Ok(folder) = std::env::var(FOLDER) else { return false };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut options = Options::new(folder);
        options.tcp_address.set_port(0);
        options.http_address.set_port(0);
        options.journal.sync = std::env::var(SYNC).unwrap().parse::<SyncMode>().unwrap();
        let router = Router::start(options).await.unwrap();
        println!("listens on {}", router.tcp_address());
        // Bounded, in case nobody ends it.
        tokio::time::sleep(Duration::from_secs(600)).await;
    });
    true
}

fn router(folder: &Path, sync: &str) -> (Child, SocketAddr) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let mut process = command.env(FOLDER, folder).env(SYNC, sync).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listens on ").unwrap().parse().unwrap();
    (process, address)
}

fn nsqd(folder: &Path, queue: Option<usize>) -> (Child, SocketAddr) {
    let (tcp, http) = (free_address(), free_address());
    let mut command = Command::new("nsqd");
    command.arg(format!("--tcp-address={tcp}")).arg(format!("--http-address={http}"));
    command.arg(format!("--data-path={}", folder.display()));
    command.args(queue.map(|queue| format!("--mem-queue-size={queue}")));
    (quiet(command), tcp)
}

fn redis(folder: &Path, appendfsync: &str) -> (Child, SocketAddr) {
    let address = free_address();
    let mut command = Command::new("redis-server");
    command.args(["--port", &address.port().to_string(), "--bind", "127.0.0.1", "--save", ""]);
    command.args(["--appendonly", "yes", "--appendfsync", appendfsync, "--dir"]).arg(folder);
    (quiet(command), address)
}

fn nats(folder: &Path, setting: &str) -> (Child, SocketAddr) {
    let address = free_address();
    let store = folder.join("store");
    let text = format!("listen: {address}\njetstream {{ store_dir: {store:?}\n{setting} }}\n");
    let config = folder.join("nats.conf");
    fs::write(&config, text).unwrap();
    let mut command = Command::new("nats-server");
    command.arg("-c").arg(config);
    (quiet(command), address)
}

fn quiet(mut command: Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
