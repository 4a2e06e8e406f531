//! `bis router` as a server: drained under load, full disks, config files, strangers, signals, systemd.
#![expect(clippy::unwrap_used, reason = "a failure here is the failure of a test")]

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::{address, bis, get, post, wait_until};

/// A router that ends with the test.
struct Server {
    child: Child,
    http: SocketAddr,
}

impl Server {
    fn start(data: &Path, arguments: &[&str]) -> Self {
        Self::spawn(command(data).args(arguments))
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        Self { http: address(&ready, "router_http"), child }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Sequence and body of every unfinished message, by peeking.
    fn unfinished(&self) -> Vec<(String, String)> {
        let (mut found, mut after) = (Vec::new(), String::new());
        loop {
            let path = format!("/channel/peek?topic=t&channel=c&limit=1000{after}");
            let page: Value = serde_json::from_str(&get(self.http, &path).unwrap()).unwrap();
            let messages = page["messages"].as_array().unwrap();
            for message in messages {
                let text = |field: &str| message[field].as_str().unwrap().to_owned();
                found.push((text("id"), text("body_base64")));
            }
            let Some(last) = messages.last().filter(|_| page["more"] == true) else { return found };
            after = format!("&after={}", last["sequence"]);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(data: &Path) -> Command {
    let mut command = bis();
    command.args(["router", "--tcp-address=127.0.0.1:0", "--http-address=127.0.0.1:0", "--format=json"]);
    command.arg("--data-path").arg(data);
    command
}

fn refused(data: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output: Output = command(data).args(arguments).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn base64(body: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(body)
}

#[test]
fn a_drain_under_load_keeps_what_was_answered() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), &[]);
    let http = server.http;
    post(http, "/topic/create?topic=t", "").unwrap();
    post(http, "/channel/create?topic=t&channel=c", "").unwrap();
    let answered = Arc::new(Mutex::new(Vec::new()));
    let publishers: Vec<_> = (0..3)
        .map(|publisher| {
            let answered = Arc::clone(&answered);
            std::thread::spawn(move || {
                for number in 0.. {
                    let body = format!("{publisher}-{number}");
                    if post(http, "/pub?topic=t", &body).is_err() {
                        return;
                    }
                    answered.lock().unwrap().push(base64(&body));
                }
            })
        })
        .collect();
    wait_until("a load", || answered.lock().unwrap().len() > 100);
    let finishing = Arc::new(AtomicBool::new(true));
    let candidates = server.unfinished();
    let finisher = std::thread::spawn({
        let finishing = Arc::clone(&finishing);
        move || {
            let mut finished = Vec::new();
            for (id, body) in candidates.into_iter().step_by(2) {
                let path = format!("/channel/finish?topic=t&channel=c&id={id}");
                if !finishing.load(Ordering::Relaxed) || post(http, &path, "").is_err() {
                    break;
                }
                finished.push(body);
            }
            finished
        }
    });
    std::thread::sleep(Duration::from_millis(50));
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait().code(), Some(0));
    finishing.store(false, Ordering::Relaxed);
    publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
    let finished: HashSet<String> = finisher.join().unwrap().into_iter().collect();
    assert!(!finished.is_empty());

    let again = Server::start(folder.path(), &[]);
    let bodies: Vec<String> = again.unfinished().into_iter().map(|(_, body)| body).collect();
    let left: HashSet<&String> = bodies.iter().collect();
    assert_eq!(left.len(), bodies.len(), "nothing is there twice");
    for body in answered.lock().unwrap().iter() {
        assert!(left.contains(body) != finished.contains(body), "{body} is lost, or finished and there");
    }
}

#[test]
fn a_full_disk_refuses_and_goes_on_when_there_is_space() {
    let folder = tempfile::tempdir().unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=12m", "bis-test"])
        .arg(folder.path())
        .stderr(Stdio::null())
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        println!("skipped: no file system may be mounted here");
        return;
    }
    let _unmount = Unmount(folder.path());
    // The disk has room for the segment, a checkpoint and this much more.
    let ballast = folder.path().join("ballast");
    std::fs::write(&ballast, vec![1; 4 << 20]).unwrap();
    let data = folder.path().join("data");
    let mut server = Server::start(&data, &["--max-bytes-per-file", "1000000"]);
    let body = "x".repeat(100_000);
    let mut stored = 0;
    let refusal = loop {
        match post(server.http, "/pub?topic=t", &body) {
            Ok(_) => stored += 1,
            Err(error) => break error.to_string(),
        }
        assert!(stored < 200, "the disk is never full");
    };
    assert!(stored > 10 && refusal.contains("503"), "{stored}: {refusal}");
    std::fs::remove_file(&ballast).unwrap();
    wait_until("space", || post(server.http, "/pub?topic=t", &body).is_ok());
    stored += 1;
    assert_eq!(get(server.http, "/ping").unwrap(), "OK");
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait().code(), Some(0));
    let mut again = Server::start(&data, &[]);
    post(again.http, "/channel/create?topic=t&channel=c", "").unwrap();
    assert_eq!(again.unfinished().len(), stored);
    again.signal(Signal::SIGTERM);
    again.wait();
}

struct Unmount<'a>(&'a Path);

impl Drop for Unmount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn strangers_are_refused_unless_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let start = |arguments: &[&str]| {
        let output =
            bis().args(["router", "--data-path"]).arg(folder.path()).args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for (arguments, lack) in [
        (["--tcp-address=0.0.0.0:0", "--http-address=127.0.0.1:0"], "TLS is not required"),
        (["--tcp-address=127.0.0.1:0", "--http-address=:0"], "plain HTTP knows no authentication"),
    ] {
        let (code, stderr) = start(&arguments);
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stderr.contains(lack) && stderr.contains("--allow-remote"), "{stderr}");
    }
    let mut allowed = bis();
    allowed.args(["router", "--tcp-address=0.0.0.0:0", "--http-address=127.0.0.1:0", "--format=json"]);
    let server = Server::spawn(allowed.arg("--allow-remote").arg("--data-path").arg(folder.path()));
    assert_eq!(get(server.http, "/ping").unwrap(), "OK");
}

#[test]
fn a_config_file_is_read_and_its_errors_have_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("router.toml");
    let config = format!("--config={}", file.display());
    std::fs::write(&file, "msg_timeout = \"5s\"\nmax_msg_size = 10\nlog_level = \"warn\"\n").unwrap();
    // As with nsqd, a flag has one dash or two.
    for dashes in ["-", "--"] {
        let flag = |flag: &str| format!("{dashes}{flag}");
        let arguments = [&flag("config"), file.to_str().unwrap(), &flag("max-msg-size=20")];
        let server = Server::start(&folder.path().join("data"), &arguments);
        let option = |name: &str| get(server.http, &format!("/config/{name}")).unwrap();
        assert_eq!((option("msg_timeout"), option("log_level")), ("5000000000".to_owned(), "3".to_owned()));
        assert_eq!(option("max_msg_size"), "20", "a flag wins over the file");
    }
    std::fs::write(&file, "\nmsg_timeot = \"5s\"\n").unwrap();
    let (code, stderr) = refused(folder.path(), &[&config]);
    let expected = format!("error: `{}`, line 2: there is no option `msg_timeot`", file.display());
    assert!(code == Some(2) && stderr.starts_with(&expected), "{code:?} {stderr}");
    let (code, stderr) = refused(folder.path(), &["--statsd-address=127.0.0.1:8125"]);
    assert!(code == Some(2) && stderr.contains("`/metrics`"), "{code:?} {stderr}");
    let (code, _) = refused(folder.path(), &["--config=/nowhere/router.toml"]);
    assert_eq!(code, Some(3));
}

#[test]
fn systemd_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut server = Server::spawn(command(&folder.path().join("data")).env("NOTIFY_SOCKET", &path));
    let told = || {
        let mut buffer = [0; 64];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    assert_eq!(told(), "READY=1");
    server.signal(Signal::SIGINT);
    assert_eq!(told(), "STOPPING=1");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_second_signal_ends_a_drain_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), &[]);
    post(server.http, "/pub?topic=t", "answered").unwrap();
    // A request that does not end delays the drain.
    let mut slow = TcpStream::connect(server.http).unwrap();
    slow.write_all(b"POST /pub?topic=t HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf").unwrap();
    wait_until("the request is served", || post(server.http, "/pub?topic=t", "answered").is_ok());
    let began = Instant::now();
    server.signal(Signal::SIGTERM);
    wait_until("the drain", || TcpStream::connect(server.http).is_err());
    assert!(server.child.try_wait().unwrap().is_none(), "nothing holds the drain up");
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait().code(), Some(3));
    assert!(began.elapsed() < Duration::from_secs(4), "the drain went on for {:?}", began.elapsed());

    let again = Server::start(folder.path(), &[]);
    post(again.http, "/channel/create?topic=t&channel=c", "").unwrap();
    assert_eq!(again.unfinished().len(), 2, "what was answered is there, and nothing else");
}

#[test]
fn a_failed_sync_ends_the_router_with_3() {
    let folder = tempfile::tempdir().unwrap();
    let plain = command(folder.path());
    // The tracer is the child's child, so that the router is our own child; it leaves the syncs of the start alone.
    let mut traced = Command::new("strace");
    traced.args(["-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync"]);
    traced
        .args(["-e", "inject=fdatasync:error=EIO:when=12+"])
        .arg(plain.get_program())
        .args(plain.get_args());
    let works = Command::new("strace").args(["-D", "-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    if !works.is_ok_and(|status| status.success()) {
        assert!(std::env::var_os("BIS_REQUIRE_PEERS").is_none(), "there is no strace, or it may not trace");
        println!("skipped: no strace that may trace");
        return;
    }
    let mut server = Server::spawn(&mut traced);
    let mut stored = 0;
    while post(server.http, "/pub?topic=t", "x").is_ok() {
        stored += 1;
        assert!(stored < 200, "no sync fails");
    }
    assert!(stored > 0);
    assert_eq!(server.wait().code(), Some(3));
    let again = Server::start(folder.path(), &[]);
    post(again.http, "/channel/create?topic=t&channel=c", "").unwrap();
    // A refused message may be there: it is unknown whether the disk has it.
    let found = again.unfinished().len();
    assert!(found == stored || found == stored + 1, "{found} of {stored}");
}
