//! What an app promises on every broker: panics, concurrency, leases, dead letters, SIGTERM, kills, and that clients that
//! know nothing of Bis can take part.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
    sync::Arc,
    time::SystemTime,
};

use bis_broker::{Broker, SubscriptionSpec};
use bis_core::{DeadLetter, DeadReason, Envelope, EventId, SubscriptionName, TopicName, dead_letter::Store};
use bis_nsq::{Name, client};
use bytes::Bytes;
use tokio::time::timeout;

use super::process::{App, CONCURRENCY, PATIENCE};
use crate::peer::Site;

/// The jobs of lines that begin with `word`.
fn jobs(lines: &[String], word: &str) -> Vec<String> {
    let jobs = lines.iter().filter_map(|line| line.strip_prefix(word)?.trim().split(' ').next());
    jobs.map(str::to_owned).collect()
}

/// The others are handled, the one is tried again, and the process survives.
pub(super) async fn a_panic_hurts_nobody_else(site: &dyn Site) {
    let mut app = App::start(site).await;
    app.publish("panic", 1).await;
    app.publish("good", 1).await;
    let mut lines = app.until("finished good").await;
    if !lines.iter().any(|line| line.contains("panic attempt 3")) {
        lines.extend(app.until("panic attempt 3").await);
    }
    for attempt in 1..=3 {
        assert!(lines.iter().any(|line| line.contains(&format!("panic attempt {attempt} "))), "{lines:?}");
    }
    app.publish("better", 1).await;
    app.until("finished better").await;
    app.stop().await;
}

/// All slots are used, and not one more.
pub(super) async fn no_more_handlers_run_than_allowed(site: &dyn Site) {
    let mut app = App::start(site).await;
    app.publish("short", 40).await;
    let mut lines = Vec::new();
    while jobs(&lines, "finished").len() < 40 {
        lines.extend(app.until("finished").await);
    }
    let running = |line: &String| line.split_once("running ")?.1.parse::<usize>().ok();
    assert_eq!(lines.iter().filter_map(running).max(), Some(CONCURRENCY));
    app.stop().await;
}

/// The lease is a second, the handler takes three and a half: it runs once.
pub(super) async fn a_handler_longer_than_its_lease_keeps_its_event(site: &dyn Site) {
    let mut app = App::start(site).await;
    app.publish("long", 1).await;
    let mut lines = app.until("finished long").await;
    lines.extend(app.stop().await);
    assert_eq!(jobs(&lines, "started"), ["long"]);
}

pub(super) fn spec(topic: TopicName, name: &'static str) -> SubscriptionSpec {
    SubscriptionSpec { topic, name: SubscriptionName::from_static(name), ordered: false }
}

/// Reads `count` dead letters, as another client of the broker.
pub(super) async fn dead_letters(broker: &Arc<dyn Broker>, count: usize) -> Vec<DeadLetter> {
    let mut consumer = broker.subscribe(&spec(TopicName::DEAD, "store")).await.expect("subscribed");
    let mut messages = Vec::new();
    loop {
        let received = timeout(PATIENCE, consumer.receive(NonZeroUsize::MIN)).await.expect("letters come");
        for delivery in received.expect("the consumer lives") {
            messages.push(((), Some(Envelope::clone(&delivery.envelope))));
            delivery.settle.ack().await.expect("acked");
        }
        let letters = Store::read(messages.clone()).letters;
        if letters.len() == count {
            return letters.into_iter().map(|kept| kept.letter).collect();
        }
    }
}

/// Publishes a body as it is, as a client does that knows nothing of Bis.
async fn publish_raw(site: &dyn Site, body: impl Into<Bytes>) {
    let raw = client::Publisher::start(client::Options::new(site.servers()[0].address(0)));
    let topic = Name::new("jobs").expect("a name");
    raw.publish(bis_nsq::Command::Publish { topic, body: body.into() }).await.expect("published");
}

/// What is no longer retried is kept, bytes and all, with the reason.
pub(super) async fn what_cannot_be_handled_is_kept_as_a_dead_letter(site: &dyn Site) {
    let app = App::start(site).await;
    for kind in ["panic", "permanent", "good"] {
        app.publish(kind, 1).await;
    }
    publish_raw(site, &b"\xff\x00 no envelope"[..]).await;
    let letters: BTreeMap<Vec<u8>, DeadLetter> = dead_letters(&site.client().await, 3)
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
    app.stop().await;
}

/// The largest bodies that a broker takes, binary and text, of other systems and of ours, are kept whole.
pub(super) async fn a_letter_is_kept_however_large_its_event_is(site: &dyn Site) {
    const MAX: usize = 1024 * 1024;
    let app = App::start(site).await;
    let binary = |bytes: usize| vec![0xff; bytes];
    let ours = |data: usize| {
        let data = format!(r#"{{"kind":"permanent","rest":"{}"}}"#, "x".repeat(data));
        Envelope::new(EventId::generate(), "/other", "Job", SystemTime::UNIX_EPOCH, data.into())
    };
    let largest = MAX - ours(0).to_json().len();
    let bodies = [
        binary(800 * 1024),
        binary(MAX),
        "\\".repeat(MAX).into_bytes(),
        "7".repeat(MAX - 700).into_bytes(),
        ours(largest - (MAX - 1_047_900)).to_json(),
        ours(largest).to_json(),
    ];
    for body in &bodies {
        publish_raw(site, body.clone()).await;
    }
    let letters = dead_letters(&site.client().await, bodies.len()).await;
    for body in bodies {
        let event = Envelope::from_json(body.clone().into()).ok();
        let is_it = |letter: &DeadLetter| match &event {
            Some(event) => letter.event == *event && letter.reason == DeadReason::Permanent,
            None => letter.event.data == body && letter.reason == DeadReason::Undecodable,
        };
        assert_eq!(letters.iter().filter(|letter| is_it(letter)).count(), 1, "{} bytes", body.len());
    }
    assert!(letters.iter().all(|letter| letter.attempts == 1), "each at its first attempt");
    app.stop().await;
}

/// What is meant as a CloudEvent and is not a valid one is never handled as something else.
pub(super) async fn a_malformed_cloudevent_is_a_dead_letter(site: &dyn Site) {
    let mut app = App::start(site).await;
    let body = |wrong: &str| {
        format!(
            r#"{{"kind":"good","specversion":"1.0","id":"1","source":"/a","type":"Job","data":{{"kind":"good"}},{wrong}}}"#
        )
    };
    let wrongs = [
        (r#""time":"2026-01-31T09:00:00""#, "`time`"),
        (r#""partitionkey":7"#, "`partitionkey`"),
        (r#""id":7"#, "`id`"),
        (r#""data":null,"data_base64":"eyJraW5kIjoiZ29vZCJ9IA""#, "`data_base64`"),
        (r#""specversion":"2.0""#, "`specversion`"),
    ];
    for (wrong, _) in wrongs {
        publish_raw(site, body(wrong)).await;
    }
    let letters = dead_letters(&site.client().await, wrongs.len()).await;
    for (wrong, reason) in wrongs {
        let letter = letters.iter().find(|letter| letter.event.data == body(wrong).as_bytes());
        let letter = letter.unwrap_or_else(|| panic!("{wrong}: {letters:?}"));
        assert_eq!(letter.reason, DeadReason::Undecodable);
        assert!(letter.error.contains(reason), "{}", letter.error);
    }
    publish_raw(site, body(r#""last":{"a":1},"time":null"#)).await;
    let lines = app.until("finished good").await;
    assert_eq!(jobs(&lines, "started").len(), 1, "{lines:?}");
    app.stop().await;
}

/// SIGTERM lets the handler finish and flushes its ack: it does not run again.
pub(super) async fn a_stop_finishes_what_was_started_and_no_more(site: &dyn Site) {
    let mut app = App::start(site).await;
    app.publish("slow", 1).await;
    app.until("started slow attempt 1").await;
    assert_eq!(jobs(&app.stop().await, "finished"), ["slow"]);
    let mut next = App::start(site).await;
    next.publish("good", 1).await;
    let lines = next.until("started").await;
    assert!(lines.iter().any(|line| line.contains("started good attempt 1")), "{lines:?}");
    next.stop().await;
}

/// SIGTERM in the middle of many: what was started is finished, and nothing runs twice.
pub(super) async fn a_stop_under_load_repeats_nothing(site: &dyn Site) {
    let mut app = App::start(site).await;
    app.publish("short", 100).await;
    let mut lines = app.until("finished short-20").await;
    lines.extend(app.stop().await);
    assert_eq!(jobs(&lines, "started").len(), jobs(&lines, "finished").len(), "none is cut off");
    let mut finished = jobs(&lines, "finished");
    let mut next = App::start(site).await;
    while finished.iter().collect::<BTreeSet<_>>().len() < 100 {
        finished.extend(jobs(&next.until("finished").await, "finished"));
    }
    finished.extend(jobs(&next.stop().await, "finished"));
    assert_eq!(finished.len(), 100, "something ran twice");
}

/// SIGKILL in the middle of many: all are handled in the end, and no more run twice than were in flight.
pub(super) async fn a_killed_app_repeats_only_what_was_in_flight(site: &dyn Site) {
    let mut app = App::start(site).await;
    app.publish("short", 100).await;
    let mut lines = app.until("finished short-20").await;
    lines.extend(app.kill().await);
    let mut finished = jobs(&lines, "finished");
    let mut next = App::start(site).await;
    while finished.iter().collect::<BTreeSet<_>>().len() < 100 {
        finished.extend(jobs(&next.until("finished").await, "finished"));
    }
    finished.extend(jobs(&next.stop().await, "finished"));
    // Those that had just finished may not have been acked yet, and as many were running.
    assert!(finished.len() <= 100 + 2 * CONCURRENCY, "{} ran twice", finished.len() - 100);
}

/// What we publish is one CloudEvents object that any NSQ client can read.
pub(super) async fn other_clients_read_what_we_publish(site: &dyn Site) {
    let app = App::start(site).await;
    // A channel of a foreign client, on every server.
    let (topic, channel) = (Name::new("jobs").expect("a name"), Name::new("foreign").expect("a name"));
    let mut foreign = Vec::new();
    for server in site.servers() {
        let options = client::Options::new(server.address(0));
        let mut consumer = client::Consumer::start(options, topic.clone(), channel.clone());
        consumer.subscribed().await.expect("subscribed");
        foreign.push(consumer);
    }
    // Publishes take turns between the servers.
    for _ in 0..foreign.len() {
        app.publish("good", 1).await;
    }
    for mut consumer in foreign {
        let received = timeout(PATIENCE, consumer.receive(1)).await.expect("it comes");
        let message = received.expect("the consumer lives").remove(0);
        let object: serde_json::Value = serde_json::from_slice(message.body()).expect("JSON");
        assert_eq!((&object["specversion"], &object["type"]), (&"1.0".into(), &"Job".into()));
        assert_eq!(object["data"], serde_json::json!({"kind": "good"}));
        message.finish().expect("finished");
    }
    app.stop().await;
}
