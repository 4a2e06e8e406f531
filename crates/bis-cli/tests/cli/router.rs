//! `bis router` as a replacement for nsqd: flags, addresses, foreign events, a restart, a taken port.
#![expect(clippy::unwrap_used, reason = "a failure here is the failure of a test")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::support::{bis, post, wait_until};

/// A router that ends with the test.
pub(crate) struct Router {
    child: Child,
    pub(crate) tcp: String,
    pub(crate) http: String,
}

impl Router {
    fn start(data: &Path) -> Self {
        Self::start_with(data, &["--max-msg-size", "1000"])
    }

    pub(crate) fn start_with(data: &Path, flags: &[&str]) -> Self {
        let mut child = bis()
            .args([
                "router",
                "--tcp-address",
                "127.0.0.1:0",
                "--http-address",
                "127.0.0.1:0",
                "--format",
                "json",
            ])
            .args(["--msg-timeout", "30s", "--sync", "interval=100ms", "--data-path"])
            .arg(data)
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(ready["event"], "ready");
        let text = |field: &str| ready[field].as_str().unwrap().trim_start_matches("http://").to_owned();
        Self { child, tcp: text("router"), http: text("router_http") }
    }

    pub(crate) fn run(&self, arguments: &[&str], stdin: &[u8]) -> Output {
        let mut child = bis()
            .args(arguments)
            .args(["--router", &self.tcp, "--router-http", &self.http, "--format", "json"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(stdin).unwrap();
        child.wait_with_output().unwrap()
    }

    pub(crate) fn topics(&self) -> Value {
        serde_json::from_slice(&self.run(&["topic", "ls"], b"").stdout).unwrap()
    }

    fn stop(mut self) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn raw_events_go_through_and_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let router = Router::start(folder.path());
    let published = router.run(&["topic", "publish", "raw-events", "-", "--raw"], b"\xff\x00 no text");
    assert!(published.status.success(), "{}", String::from_utf8_lossy(&published.stderr));
    router.stop();

    let router = Router::start(folder.path());
    let kept = &router.topics()["topics"][0];
    assert_eq!((&kept["name"], &kept["depth"]), (&json!("raw-events"), &json!(1)));
    let refused = router.run(&["topic", "publish", "raw-events", "-", "--raw"], &[b'x'; 2000]);
    assert_eq!(refused.status.code(), Some(3));
    let stderr = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(stderr.starts_with("error: the router at `"), "{stderr}");
}

#[test]
fn what_a_paused_topic_holds_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    let router = Router::start(folder.path());
    let ask = |path: &str| post(router.http.parse().unwrap(), path, "").unwrap();
    ask("/topic/create?topic=orders");
    ask("/channel/create?topic=orders&channel=ship");
    ask("/channel/create?topic=orders&channel=tell");
    router.run(&["topic", "publish", "orders", "1", "--raw"], b"");
    ask("/channel/pause?topic=orders&channel=tell");
    ask("/topic/pause?topic=orders");
    router.run(&["topic", "publish", "orders", "2", "--raw"], b"");
    router.run(&["topic", "publish", "orders", "3", "--raw"], b"");
    let topics = router.topics();
    let topic = &topics["topics"][0];
    assert_eq!((&topic["depth"], &topic["paused"]), (&json!(2), &json!(true)));
    assert_eq!(
        (&topic["subscriptions"][0]["depth"], &topic["subscriptions"][0]["paused"]),
        (&json!(1), &json!(false))
    );
    let listed = bis().args(["topic", "ls", "--router-http", &router.http]).output().unwrap();
    let text = String::from_utf8(listed.stdout).unwrap();
    let rows: Vec<Vec<&str>> =
        text.lines().skip(1).map(|line| line.split_whitespace().take(4).collect()).collect();
    let expected =
        [["orders", "-", "(paused)", "2"], ["orders", "ship", "1", "0"], ["orders", "tell", "(paused)", "1"]];
    assert_eq!(rows, expected, "{text}");
}

/// Apps that share a router are distinguished by their namespace, over HTTP (listing, raw bytes, removing) and through the
/// driver.
#[test]
fn a_namespace_has_its_own_topics_on_a_router_that_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let router = Router::start(folder.path());
    for topic in ["orders", "prod_orders"] {
        post(router.http.parse().unwrap(), &format!("/topic/create?topic={topic}"), "").unwrap();
        let path = format!("/channel/create?topic={topic}&channel=ship");
        post(router.http.parse().unwrap(), &path, "").unwrap();
    }
    let run = |arguments: &[&str]| {
        let output = router.run(&[arguments, &["--namespace", "prod"]].concat(), b"");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    run(&["topic", "publish", "orders", "1", "--raw"]);
    run(&["topic", "publish", "orders", "{}"]);
    let listed = run(&["topic", "ls"]);
    let names: Vec<&Value> =
        listed["topics"].as_array().unwrap().iter().map(|topic| &topic["name"]).collect();
    assert_eq!(names, ["orders"]);
    assert_eq!(listed["topics"][0]["subscriptions"][0]["depth"], 2);
    assert_eq!(run(&["topic", "replay", "orders", "ship", "--all"])["events"], 2);
    run(&["topic", "rm", "orders", "--yes"]);
    let left = router.topics();
    let names: Vec<&Value> = left["topics"].as_array().unwrap().iter().map(|topic| &topic["name"]).collect();
    assert_eq!(names, ["orders"], "the other app's topic stays");
    assert_eq!(left["topics"][0]["subscriptions"][0]["depth"], 0);
}

#[test]
fn what_was_handled_is_replayed_to_one_subscription() {
    let folder = tempfile::tempdir().unwrap();
    let router = Router::start(folder.path());
    let ask = |path: &str| post(router.http.parse().unwrap(), path, "").unwrap();
    ask("/topic/create?topic=orders");
    ask("/channel/create?topic=orders&channel=ship");
    ask("/channel/create?topic=orders&channel=tell");
    for event in ["1", "2", "3"] {
        router.run(&["topic", "publish", "orders", event, "--raw"], b"");
    }
    for channel in ["ship", "tell"] {
        ask(&format!("/channel/empty?topic=orders&channel={channel}"));
    }
    let replay = |arguments: &[&str]| router.run(&[&["topic", "replay"], arguments].concat(), b"");
    let replayed = |arguments: &[&str]| -> Value {
        let output = replay(arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let first = replayed(&["orders", "ship", "--from", "1"]);
    let expected = json!({ "topic": "orders", "subscription": "ship", "from": 1, "events": 2 });
    assert_eq!(first, expected);
    assert_eq!(replayed(&["orders", "ship", "--all"])["events"], 3);
    assert_eq!(replayed(&["orders", "ship", "--since", "0s"])["events"], 0);
    assert_eq!(replayed(&["orders", "ship", "--since", "1h"])["events"], 3);
    let depth = |index: usize| router.topics()["topics"][0]["subscriptions"][index]["depth"].clone();
    assert_eq!((depth(0), depth(1)), (json!(3), json!(0)));

    let refused = |arguments: &[&str], code: i32, text: &str| {
        let output = replay(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert!(stderr.contains(text), "{stderr}");
    };
    refused(&["orders", "shop", "--all"], 4, "there are: `ship`, `tell`");
    refused(&["order", "ship", "--all"], 4, "there are: `orders`");
    refused(&["orders", "ship"], 2, "--since <WHEN>");
    refused(&["orders", "ship", "--since", "yesterday"], 2, "write how long ago");
}

#[test]
fn a_foreign_event_is_shown_as_bare_data() {
    let folder = tempfile::tempdir().unwrap();
    let router = Router::start(folder.path());
    router.run(&["topic", "publish", "raw-events", "kept", "--raw"], b"");
    let refused = router.run(&["topic", "tail", "raw-events"], b"");
    assert_eq!(refused.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("keeps 1 event for its first subscription"));
    post(router.http.parse().unwrap(), "/channel/create?topic=raw-events&channel=first", "").unwrap();
    let tail = bis()
        .args(["topic", "tail", "raw-events", "--limit", "2", "--reveal", "--format", "json"])
        .args(["--router", &router.tcp, "--router-http", &router.http])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("the follower's channel", || router.topics().to_string().contains("bis-tail-"));
    for body in [&b"text"[..], b"\xff\x00"] {
        router.run(&["topic", "publish", "raw-events", "-", "--raw"], body);
    }
    let output = tail.wait_with_output().unwrap();
    let lines: Vec<Value> =
        output.stdout.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    assert_eq!(lines[0]["data"], "text");
    assert_eq!(lines[1]["data"], json!({ "base64": "/wA=" }));
    assert_eq!(lines[1]["id"].as_str().map(str::len), Some(16));
    let topics = router.topics();
    let first = topics["topics"][0]["subscriptions"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["name"] == "first")
        .unwrap();
    assert_eq!(first["depth"], 3, "following takes nothing away");
}

#[test]
fn a_taken_port_and_a_used_folder_are_errors() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let start = |arguments: &[&str]| {
        bis().arg("router").args(arguments).arg("--data-path").arg(folder.path()).output().unwrap()
    };
    let output = start(&["--tcp-address", &address, "--http-address", "127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains(&format!("cannot listen on `{address}`")));
    let _router = Router::start(folder.path());
    let output = start(&["--tcp-address", "127.0.0.1:0", "--http-address", "127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("is in use by another router"));
    let output = start(&["--sync", "sometimes"]);
    assert_eq!(output.status.code(), Some(2));
}
