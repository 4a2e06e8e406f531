//! A disk that is full while many publish: every publish that was answered is there after a kill, what consumers finished does
//! not come back, and once it is handled its room is free again.
//!
//! `BIS_LONG=1` has 1,500 publishers for a minute. It needs the right to mount a file system.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command as Process, Stdio};
use std::time::{Duration, Instant};

use bis_nsq::{Command, Frame};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::process::Kind;
use support::{Client, name, process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// How many publish, and for how long once the disk is full.
const SHORT: (usize, Duration) = (40, Duration::from_millis(1500));
const LONG: (usize, Duration) = (1500, Duration::from_secs(60));
/// The bytes of a body: the disk has room for some ten thousand.
const BODY_BYTES: usize = 400;
/// Those who are refused try again after this.
const PAUSE: Duration = Duration::from_millis(5);
/// Longer than anything else here takes.
const LIMIT: Duration = Duration::from_secs(60);

/// Not a test by itself: the process that the test below starts and kills.
#[test]
fn router_process() {
    process::run();
}

/// A file system that ends with the test.
struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    /// `None` when none may be mounted here.
    fn new(path: &'a Path) -> Option<Self> {
        let mut mount = Process::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=16m", "bis-test"]).arg(path).stderr(Stdio::null());
        mount.status().is_ok_and(|status| status.success()).then_some(Self(path))
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Process::new("umount").arg("-l").arg(self.0).status();
    }
}

fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
}

/// Publishes over HTTP, again and again: the bodies that were answered, and how often it was refused.
async fn publish(address: SocketAddr, publisher: usize, stop: Instant) -> (Vec<String>, usize) {
    let (mut answered, mut refused) = (Vec::new(), 0);
    let mut stream = TcpStream::connect(address).await.unwrap();
    for number in 0.. {
        if Instant::now() >= stop {
            break;
        }
        let body = format!("{:<BODY_BYTES$}", format!("{publisher}-{number}"));
        match post(&mut stream, &body).await {
            Some(true) => answered.push(body),
            Some(false) => {
                refused += 1;
                tokio::time::sleep(PAUSE).await;
            }
            None => stream = TcpStream::connect(address).await.unwrap(),
        }
    }
    (answered, refused)
}

/// Whether the publish was answered with success; `None` when the connection broke.
async fn post(stream: &mut TcpStream, body: &str) -> Option<bool> {
    let head =
        format!("POST /pub?topic=t HTTP/1.1\r\nhost: localhost\r\ncontent-length: {BODY_BYTES}\r\n\r\n");
    stream.write_all((head + body).as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    loop {
        let mut bytes = [0; 1024];
        let count = stream.read(&mut bytes).await.ok().filter(|count| *count > 0)?;
        answer.extend_from_slice(&bytes[..count]);
        let text = String::from_utf8_lossy(&answer);
        let Some((head, rest)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
        if rest.len() >= length.parse::<usize>().ok()? {
            return Some(head.starts_with("HTTP/1.1 200"));
        }
    }
}

/// Receives and finishes what there is, until the router has it in its journal.
fn handle_all(address: SocketAddr, expected: &HashSet<String>) -> HashSet<String> {
    let mut consumer = Client::subscribe(address, "t", "c", 500);
    let mut received = HashSet::new();
    while !expected.is_subset(&received) {
        let message = consumer.message();
        received.insert(String::from_utf8(message.body.to_vec()).unwrap());
        consumer.finish(&message);
    }
    // What was refused may have been stored: it is taken, too.
    while !consumer.is_quiet_so_far(Duration::from_millis(300)) {
        let message = consumer.message();
        consumer.finish(&message);
    }
    received
}

/// Publishes until that is answered: then the room of what was handled is free, and what was finished before is stored.
fn publish_again(address: SocketAddr) {
    let until = Instant::now() + LIMIT;
    loop {
        let mut client = Client::connect(address);
        client.send(&Command::Publish { topic: name("other"), body: vec![b'x'; 500_000].into() });
        if let Some(Frame::Response(_)) = client.try_frame() {
            return;
        }
        assert!(Instant::now() < until, "the disk stays full although everything is handled");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_was_answered_on_a_full_disk_is_there_and_what_was_handled_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let Some(_mounted) = Mounted::new(folder.path()) else {
        println!("skipped: no file system may be mounted here");
        return;
    };
    raise_descriptor_limit();
    let (publishers, time) = if std::env::var_os("BIS_LONG").is_some() { LONG } else { SHORT };
    let data = folder.path().join("data");
    let (mut child, tcp, http) = process::start_both(Kind::Large, &data);
    drop(Client::subscribe(tcp, "t", "c", 0));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut answered = HashSet::new();
    let mut refused = 0;
    let mut round = 0;
    // The first round may not fill a slow machine's disk.
    while refused == 0 {
        assert!(round < 20, "the disk is never full");
        let results = runtime.block_on(async {
            let stop = Instant::now() + time;
            let mut tasks = JoinSet::new();
            (0..publishers).for_each(|publisher| {
                tasks.spawn(publish(http, round * publishers + publisher, stop));
            });
            tasks.join_all().await
        });
        for (bodies, count) in results {
            answered.extend(bodies);
            refused += count;
        }
        round += 1;
    }
    child.kill().unwrap();
    child.wait().unwrap();

    let (mut child, tcp, _) = process::start_both(Kind::Large, &data);
    let received = handle_all(tcp, &answered);
    publish_again(tcp);
    child.kill().unwrap();
    child.wait().unwrap();

    let (mut child, tcp, _) = process::start_both(Kind::Large, &data);
    let mut consumer = Client::subscribe(tcp, "t", "c", 500);
    assert!(consumer.is_quiet(Duration::from_millis(500)), "what was finished came back");
    child.kill().unwrap();
    child.wait().unwrap();
    println!("{} answered and there, {refused} refused, {} received", answered.len(), received.len());
}
