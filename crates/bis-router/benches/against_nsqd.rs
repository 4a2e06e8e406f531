//! The same raw client against this router and nsqd, each in a process of its own: publishes answered a second, and
//! messages published, delivered and finished a second. Prints ratios within a class of durability.
//!
//! `cargo bench -p bis-router`; nsqd is taken from `NSQD` or the path, and left out when it is not there.

#![expect(clippy::unwrap_used, reason = "a benchmark stops at the first surprise")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command as Process, Stdio};
use std::time::{Duration, Instant};

use bis_nsq::Command;
use bis_router::SyncMode;
use support::{Client, name};

const CONNECTIONS: usize = 4;
const BODY_BYTES: usize = 200;
const WINDOW: usize = 256;
const FOLDER: &str = "BIS_ROUTER_BENCH_FOLDER";
const SYNC: &str = "BIS_ROUTER_BENCH_SYNC";

fn main() {
    if let Ok(folder) = std::env::var(FOLDER) {
        return serve(Path::new(&folder));
    }
    let nsqd = std::env::var("NSQD").unwrap_or_else(|_| "nsqd".to_owned());
    let has_nsqd = Process::new(&nsqd).arg("--version").stdout(Stdio::null()).status().is_ok();
    println!("{CONNECTIONS} connections, {BODY_BYTES}-byte messages, window {WINDOW}; events a second");
    println!("{:34} {:>12} {:>12} {:>16}", "", "publish w256", "publish w1", "pub+deliver+FIN");
    let durable = run("router, sync always", 200_000, |folder| router(folder, "always"));
    let plain = run("router, sync none", 200_000, |folder| router(folder, "none"));
    if has_nsqd {
        let memory = run("nsqd, in memory", 200_000, |folder| nsqd_with(&nsqd, folder, &[]));
        let synced = ["--mem-queue-size=0", "--sync-every=1"];
        let synced =
            run("nsqd, mem-queue 0, sync-every 1", 2_000, |folder| nsqd_with(&nsqd, folder, &synced));
        ratio("router sync none : nsqd in memory", plain, memory);
        ratio("router sync always : nsqd in memory", durable, memory);
        ratio("router sync always : nsqd synced", durable, synced);
    }
}

type Figures = [f64; 3];

fn ratio(what: &str, ours: Figures, theirs: Figures) {
    let [a, b, c] = std::array::from_fn(|at| ours[at] / theirs[at]);
    println!("{what:34} {a:>11.2}x {b:>11.2}x {c:>15.2}x");
}

/// Three runs, each on a server of its own; the median of each figure.
fn run(what: &str, count: usize, start: impl Fn(&Path) -> (Child, SocketAddr)) -> Figures {
    let mut figures: [Vec<f64>; 3] = Default::default();
    for _ in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let (mut server, address) = start(folder.path());
        figures[0].push(publish(address, count, WINDOW));
        figures[1].push(publish(address, count / 20, 1));
        figures[2].push(publish_and_consume(address, count / 2));
        server.kill().unwrap();
        server.wait().unwrap();
    }
    let median = figures.map(|mut runs| {
        runs.sort_by(f64::total_cmp);
        runs[1]
    });
    println!("{what:34} {:>12.0} {:>12.0} {:>16.0}", median[0], median[1], median[2]);
    median
}

/// Publishes on all connections, so many unanswered at a time.
fn publish(address: SocketAddr, count: usize, window: usize) -> f64 {
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| publish_on(address, "publish", count / CONNECTIONS, window));
        }
    });
    count as f64 / started.elapsed().as_secs_f64()
}

fn publish_on(address: SocketAddr, topic: &str, count: usize, window: usize) {
    let mut client = Client::connect(address);
    let mut one = bytes::BytesMut::new();
    Command::Publish { topic: name(topic), body: vec![b'x'; BODY_BYTES].into() }.encode(&mut one);
    let half = (window / 2).max(1);
    let batch = one.repeat(half);
    let (mut sent, mut answered) = (0, 0);
    while answered < count {
        while sent < count && sent - answered + half <= window {
            let now = half.min(count - sent);
            client.send_raw(&batch[..now * one.len()]);
            sent += now;
        }
        assert_eq!(client.response(), "OK");
        answered += 1;
    }
}

/// The time from the first publish until the last message is finished.
fn publish_and_consume(address: SocketAddr, count: usize) -> f64 {
    let started = Instant::now();
    std::thread::scope(|scope| {
        let share = count / 2;
        for _ in 0..2 {
            scope.spawn(move || publish_on(address, "flow", share, WINDOW));
        }
        scope.spawn(move || {
            let mut client = Client::subscribe(address, "flow", "all", 1000);
            let mut finished = Vec::new();
            for _ in 0..share * 2 {
                finished.push(client.message());
                if finished.len() == 100 {
                    let mut bytes = bytes::BytesMut::new();
                    finished.drain(..).for_each(|message| Command::Finish(message.id).encode(&mut bytes));
                    client.send_raw(&bytes);
                }
            }
        });
    });
    count as f64 / started.elapsed().as_secs_f64()
}

fn serve(folder: &Path) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut options = support::options(folder);
        options.sync = std::env::var(SYNC).unwrap().parse::<SyncMode>().unwrap();
        let router = bis_router::Router::start(options).await.unwrap();
        println!("listens on {}", router.tcp_address());
        tokio::time::sleep(Duration::from_secs(600)).await;
    });
}

fn router(folder: &Path, sync: &str) -> (Child, SocketAddr) {
    let mut process = Process::new(std::env::current_exe().unwrap());
    process.env(FOLDER, folder).env(SYNC, sync).stdout(Stdio::piped());
    let mut child = process.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listens on ").unwrap().parse().unwrap();
    (child, address)
}

fn nsqd_with(nsqd: &str, folder: &Path, flags: &[&str]) -> (Child, SocketAddr) {
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (tcp, http) = (free(), free());
    let child = Process::new(nsqd)
        .arg(format!("--tcp-address={tcp}"))
        .arg(format!("--http-address={http}"))
        .arg(format!("--data-path={}", folder.display()))
        .args(flags)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let until = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(tcp).is_err() {
        assert!(Instant::now() < until, "nsqd did not start");
        std::thread::sleep(Duration::from_millis(20));
    }
    (child, tcp)
}
