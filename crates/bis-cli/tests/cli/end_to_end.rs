//! End to end, with the real SDK and the real router: `bis new`, its tests, `bis run`, events, a handover under load, dead
//! letters and resending them, and faults on demand.
#![expect(clippy::unwrap_used, reason = "a failure here is the failure of a test")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::{Run, address, bis, get, post, wait_until};

/// One folder for the compiled dependencies, kept between test runs.
pub(crate) const TARGET: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/apps");

/// What a command prints with `--format json`.
#[track_caller]
fn ask(app: &Path, arguments: &[&str]) -> Value {
    let output = bis().args(arguments).args(["--format", "json"]).current_dir(app).output();
    let output = output.unwrap_or_else(|error| panic!("cannot run `bis`: {error}"));
    assert!(output.status.success(), "bis {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("no JSON: {error}"))
}

fn place(address: std::net::SocketAddr, quantity: u32) -> String {
    let body = json!({ "item": "tea", "quantity": quantity }).to_string();
    let answer = post(address, "/orders", &body).unwrap_or_else(|error| panic!("an order was lost: {error}"));
    let order: Value = serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer}"));
    order["order_id"].as_str().unwrap_or_default().to_owned()
}

/// How many events wait or are being handled in a subscription.
fn backlog(app: &Path, topic: &str) -> i64 {
    let topics = ask(app, &["topic", "ls"]);
    let list = topics["topics"].as_array().cloned().unwrap_or_default();
    let found = list.into_iter().find(|entry| entry["name"] == topic).unwrap_or_default();
    let subscriptions = found["subscriptions"].as_array().cloned().unwrap_or_default();
    subscriptions
        .iter()
        .map(|one| {
            ["depth", "in_flight", "deferred"].iter().filter_map(|field| one[*field].as_i64()).sum::<i64>()
        })
        .sum()
}

#[test]
fn a_new_application_runs_hands_over_and_replays() {
    let folder = tempfile::tempdir().unwrap();
    let app = folder.path().join("hello-orders");
    assert!(bis().args(["new", "hello-orders"]).current_dir(folder.path()).status().unwrap().success());
    let mut tests = Command::new(env!("CARGO"));
    tests.args(["test", "--quiet", "--tests"]).env("CARGO_TARGET_DIR", TARGET).current_dir(&app);
    let tested = tests.output().unwrap();
    assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stderr));

    build(&app, &[]);
    let mut run = Run::start_in(&app, Path::new(TARGET), &[]);
    let ready = run.wait_for("ready");
    let http = address(&ready, "app");
    shipped(http, &place(http, 1));
    hand_over_under_load(&app, &run, http);
    dead_letters(&app, http);
    tail_and_publish(&app);

    place(http, 0);
    wait_until("a dead letter", || letters(&app) == 1);
    run.signal(Signal::SIGINT);
    run.wait_for("stopped");
    assert_eq!(run.wait().code(), Some(0));
    for (arguments, kept) in [(&[][..], 1), (&["--namespace", "other"], 0), (&["--fresh"], 0)] {
        started_again(&app, arguments, kept);
    }
    faults(&app);
}

/// Builds in advance what `bis run` will build, so that it has all its time for starting.
fn build(app: &Path, arguments: &[&str]) {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet"]).args(arguments).env("CARGO_TARGET_DIR", TARGET).current_dir(app);
    assert!(cargo.status().unwrap().success());
}

/// A normal build has no faults and says so; `bis run --chaos` builds one that has them.
fn faults(app: &Path) {
    let program = Path::new(TARGET).join("debug/hello-orders");
    let mut usual = Command::new(program);
    let mut usual = usual.env("BIS_CHAOS", "7").stderr(Stdio::piped()).spawn().unwrap();
    wait_until("a refusal", || usual.try_wait().unwrap().is_some());
    let refused = usual.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{text}");
    for part in ["`BIS_CHAOS`", "`bis run --chaos SEED`", "`cargo build --features bis/testing`", "[BIS1016]"]
    {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
    build(app, &["--features", "bis/testing"]);
    let mut run = Run::start_in(app, Path::new(TARGET), &["--chaos", "7,restarts=0"]);
    run.wait_for("ready");
    run.wait_for_stderr("faults are injected");
    run.signal(Signal::SIGINT);
    assert_eq!(run.wait().code(), Some(0));
}

fn shipped(http: std::net::SocketAddr, order: &str) {
    wait_until("an order to be shipped", || {
        get(http, &format!("/orders/{order}")).is_ok_and(|order| order.contains("\"shipped\""))
    });
}

/// Orders are placed continuously; every request is answered, and every event is eventually handled.
fn hand_over_under_load(app: &Path, run: &Run, http: std::net::SocketAddr) {
    let stop = AtomicBool::new(false);
    let placed = thread::scope(|scope| {
        let client = scope.spawn(|| {
            let mut placed = 0;
            while !stop.load(Ordering::SeqCst) {
                place(http, 1);
                placed += 1;
                thread::sleep(Duration::from_millis(2));
            }
            placed
        });
        let file = app.join("src/orders.rs");
        let source = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, source.replace("\"placed\".to_owned()", "\"received\".to_owned()")).unwrap();
        run.wait_for("restarted");
        run.wait_for("drained");
        stop.store(true, Ordering::SeqCst);
        client.join().unwrap()
    });
    assert!(placed > 10);
    wait_until("every event to be handled", || {
        backlog(app, "order-placed") == 0 && backlog(app, "order-shipped") == 0
    });
    assert_eq!(ask(app, &["dead", "ls"])["letters"], json!([]));
    let body = post(http, "/orders", r#"{"item":"tea","quantity":1}"#).unwrap();
    assert!(body.contains("\"received\""), "the new program answers: {body}");
}

fn dead_letters(app: &Path, http: std::net::SocketAddr) {
    let order = place(http, 0);
    wait_until("a dead letter", || {
        ask(app, &["dead", "ls"])["letters"].as_array().is_some_and(|l| l.len() == 1)
    });
    let listed = ask(app, &["dead", "ls"]);
    assert_eq!(listed["groups"][0]["error"], "there is nothing to ship");
    let id = listed["letters"][0]["id"].as_str().unwrap();
    assert_eq!(ask(app, &["dead", "show", id])["event"]["data"]["order_id"], order.as_str());
    assert_eq!(ask(app, &["dead", "resend", "--all", "--dry-run"])["resent"], json!([id]));
    assert_eq!(
        ask(app, &["dead", "ls"])["letters"].as_array().map(Vec::len),
        Some(1),
        "a dry run changes nothing"
    );
    let edited = app.join("edited.json");
    std::fs::write(&edited, json!({ "order_id": order, "item": "tea", "quantity": 3 }).to_string()).unwrap();
    assert_eq!(ask(app, &["dead", "resend", id, "--edit", &edited.to_string_lossy()])["resent"], json!([id]));
    shipped(http, &order);
    assert_eq!(ask(app, &["dead", "ls"])["letters"], json!([]));
}

fn tail_and_publish(app: &Path) {
    let tail = bis()
        .args(["topic", "tail", "order-placed", "--limit", "1", "--format", "json"])
        .current_dir(app)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("the follower's channel", || {
        let topics = ask(app, &["topic", "ls"]).to_string();
        topics.contains("bis-tail-")
    });
    let order = "0191d6f8-0000-7000-8000-000000000001";
    let event = json!({ "order_id": order, "item": "tea", "quantity": 1 }).to_string();
    let published = ask(app, &["topic", "publish", "order-placed", &event]);
    let seen: Value = serde_json::from_slice(&tail.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(
        (&seen["id"], &seen["key"], &seen["type"]),
        (&published["id"], &json!(order), &json!("OrderPlaced"))
    );
    wait_until("the subscriber to have handled it too", || backlog(app, "order-placed") == 0);
}

/// The router's journal outlives the command, belongs to a namespace, and is deleted on request.
fn started_again(app: &Path, arguments: &[&str], kept: usize) {
    let mut run = Run::start_in(app, Path::new(TARGET), arguments);
    let router = address(&run.wait_for("ready"), "router_http").to_string();
    let listed = ask(app, &["dead", "ls", "--router-http", &router]);
    assert_eq!(listed["letters"].as_array().map(Vec::len), Some(kept), "{arguments:?}");
    run.signal(Signal::SIGTERM);
    assert_eq!(run.wait().code(), Some(0));
}

/// How many dead letters there are.
fn letters(app: &Path) -> usize {
    ask(app, &["dead", "ls"])["letters"].as_array().map_or(0, Vec::len)
}
