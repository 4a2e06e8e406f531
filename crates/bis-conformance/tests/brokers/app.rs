//! A whole app, and clients that know nothing of Bis, on brokers that are processes: dead letters, panics, SIGTERM,
//! foreign bytes. The app's process is this test program again, running [`process`] alone.

use std::{
    collections::BTreeMap,
    env,
    path::Path,
    process::{ExitCode, Stdio},
    time::Duration,
};

use bis::{drivers::nsq::NsqOptions, prelude::*};
use bis_broker::{Broker, Outgoing, SubscriptionSpec, TopicSpec, Topology};
use bis_core::{DeadLetter, DeadReason, Envelope, Retention, SubscriptionName, TopicName};
use bis_nsq::{Name, client};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use crate::spawned::Spawned;

/// Makes [`process`] an app.
const APP: &str = "BIS_CONFORMANCE_APP";
const PATIENCE: Duration = Duration::from_secs(30);
const JOBS: TopicName = TopicName::from_static("jobs");

mod work {
    use super::*;

    bis::service!("work");

    #[derive(Event, Serialize, Deserialize)]
    pub(crate) struct Job {
        pub(crate) kind: String,
    }

    static JOBS: Topic<Job> = Topic::new("jobs");

    #[subscription(JOBS, name = "work", retry(max = 3, min_backoff = "100ms", max_backoff = "200ms"))]
    async fn work(job: Delivery<Job>) -> Result<()> {
        println!("started {} attempt {}", job.kind, job.attempt());
        match job.kind.as_str() {
            "panic" => panic!("as asked"),
            "permanent" => Err(Error::permanent("never")),
            "slow" => {
                bis::time::sleep(Duration::from_secs(1)).await;
                println!("finished {}", job.kind);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

mod whole {
    use super::work;
    bis::app!(services: [work]);
}

/// The app's process when started as one; as a test among the others it does nothing.
#[test]
fn process() -> ExitCode {
    if env::var_os(APP).is_some() { whole::app().main() } else { ExitCode::SUCCESS }
}

struct App {
    child: Child,
    lines: tokio::io::Lines<BufReader<ChildStdout>>,
    _folder: tempfile::TempDir,
}

impl App {
    async fn start(broker: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("config.json");
        write_config(&config, broker);
        let mut child = Command::new(env::current_exe().expect("a running program has a path"))
            .args(["app::process", "--exact", "--nocapture", "--test-threads=1"])
            .env(APP, "1")
            .env("BIS_CONFIG", config)
            .env("BIS_READY_FD", "1")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("the app starts");
        let lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        let mut app = Self { child, lines, _folder: folder };
        app.expect("\"ready\"").await;
        app
    }

    async fn expect(&mut self, part: &str) {
        while !self.line().await.expect("the app runs on").contains(part) {}
    }

    async fn line(&mut self) -> Option<String> {
        timeout(PATIENCE, self.lines.next_line()).await.expect("a line comes in time").expect("text")
    }
}

fn write_config(path: &Path, broker: &str) {
    let config =
        format!(r#"{{"http":{{"address":"127.0.0.1:0"}},"broker":{{"nsq":{{"address":"{broker}"}}}}}}"#);
    std::fs::write(path, config).expect("the folder can be written");
}

fn topology() -> Topology {
    let retention = Retention::DEFAULT;
    let subscription =
        |topic, name| SubscriptionSpec { topic, name: SubscriptionName::from_static(name), ordered: false };
    Topology {
        topics: vec![TopicSpec { name: JOBS, ordered: false, retention }],
        subscriptions: vec![subscription(JOBS, "work")],
    }
}

fn driver(broker: &Spawned) -> bis::drivers::nsq::Nsq {
    bis::drivers::nsq::Nsq::start(NsqOptions::new(broker.address()))
}

fn job(kind: &str) -> Outgoing {
    let data = format!(r#"{{"kind":"{kind}"}}"#);
    let now = std::time::SystemTime::now();
    let envelope = Envelope::new(bis::EventId::generate(), "/test", "Job", now, data.into());
    Outgoing { envelope: envelope.into(), delay: Duration::ZERO }
}

async fn publish(broker: &dyn Broker, kinds: &[&str]) {
    let results = broker.publish(&JOBS, kinds.iter().map(|kind| job(kind)).collect()).await;
    results.into_iter().for_each(|result| result.expect("published"));
}

async fn publish_raw(broker: &Spawned, body: &'static [u8]) {
    let raw = client::Publisher::start(client::Options::new(broker.address()));
    let topic = Name::new("jobs").expect("a name");
    let command = bis_nsq::Command::Publish { topic, body: body.into() };
    raw.publish(command).await.expect("published");
}

/// Reads `count` dead letters as any NSQ client could.
async fn dead_letters(broker: &Spawned, count: usize) -> Vec<DeadLetter> {
    let (topic, channel) = (Name::new("bis.dead").expect("a name"), Name::new("store").expect("a name"));
    let mut raw = client::Consumer::start(client::Options::new(broker.address()), topic, channel);
    let mut letters = Vec::new();
    while letters.len() < count {
        for message in
            timeout(PATIENCE, raw.receive(10)).await.expect("letters come").expect("the consumer lives")
        {
            let envelope =
                Envelope::from_json(message.body().clone()).expect("a letter travels in an envelope");
            letters.push(serde_json::from_slice(&envelope.data).expect("a dead letter"));
            message.finish().expect("finished");
        }
    }
    letters
}

/// A panic is an error of one event; what is tried no more is kept, bytes and all; the rest is handled.
pub(crate) async fn what_cannot_be_handled_is_kept_as_a_dead_letter(broker: &Spawned) {
    let mut app = App::start(broker.address()).await;
    let driver = driver(broker);
    publish(&driver, &["panic", "permanent", "good"]).await;
    publish_raw(broker, b"\xff\x00 no envelope").await;
    app.expect("panic attempt 3").await;
    let letters: BTreeMap<Vec<u8>, DeadLetter> = dead_letters(broker, 3)
        .await
        .into_iter()
        .map(|letter| (letter.event.data.to_vec(), letter))
        .collect();
    let check = |data: &[u8], reason: DeadReason, attempts: u32| {
        let letter = &letters[data];
        assert_eq!((letter.reason, letter.attempts), (reason, attempts), "{letter:?}");
        assert_eq!((letter.topic.as_str(), letter.subscription.as_str()), ("jobs", "work"));
    };
    check(br#"{"kind":"panic"}"#, DeadReason::Exhausted, 3);
    check(br#"{"kind":"permanent"}"#, DeadReason::Permanent, 1);
    check(b"\xff\x00 no envelope", DeadReason::Undecodable, 1);
    driver.close().await;
}

/// SIGTERM lets the handler finish and flushes its ack: it does not run again.
pub(crate) async fn a_stop_finishes_what_was_started_and_no_more(broker: &Spawned) {
    let driver = driver(broker);
    driver.ensure(&topology()).await.expect("ensured");
    let mut app = App::start(broker.address()).await;
    publish(&driver, &["slow"]).await;
    app.expect("started slow attempt 1").await;
    let id = app.child.id().expect("it runs").to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().await.expect("`kill` runs").success());
    app.expect("finished slow").await;
    let status = timeout(PATIENCE, app.child.wait()).await.expect("it stops in time").expect("waited for");
    assert!(status.success(), "{status}");
    publish(&driver, &["good"]).await;
    let mut next = App::start(broker.address()).await;
    let line = loop {
        let line = next.line().await.expect("the app runs on");
        if line.contains("started") {
            break line;
        }
    };
    assert!(line.contains("started good attempt 1"), "{line}");
    driver.close().await;
}

/// What we publish is one CloudEvents object that any NSQ client can read.
pub(crate) async fn other_clients_read_what_we_publish(broker: &Spawned) {
    let driver = driver(broker);
    driver.ensure(&topology()).await.expect("ensured");
    publish(&driver, &["good"]).await;
    let (topic, channel) = (Name::new("jobs").expect("a name"), Name::new("work").expect("a name"));
    let mut raw = client::Consumer::start(client::Options::new(broker.address()), topic, channel);
    let message =
        timeout(PATIENCE, raw.receive(1)).await.expect("it comes").expect("the consumer lives").remove(0);
    let object: serde_json::Value = serde_json::from_slice(message.body()).expect("JSON");
    assert_eq!((&object["specversion"], &object["type"]), (&"1.0".into(), &"Job".into()));
    assert_eq!(object["data"], serde_json::json!({"kind": "good"}));
    message.finish().expect("finished");
    driver.close().await;
}
