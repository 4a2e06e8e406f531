//! Dead letters on a router, as `bis dead` shows, replays and removes them. The letters are written by hand, as an
//! application writes them.
#![expect(clippy::unwrap_used, reason = "a failure here is the failure of a test")]

use std::time::{Duration, SystemTime};

use bis_core::{DeadLetter, DeadReason, Envelope, EventId, SubscriptionName, TopicName};
use serde_json::{Value, json};

use crate::router::Router;
use crate::support::post;

const LIMIT: usize = 1024 * 1024;

/// A router with a store of dead letters, and what is in it.
struct Site {
    _folder: tempfile::TempDir,
    router: Router,
}

impl Site {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let router = Router::start_with(folder.path(), &[]);
        let site = Self { _folder: folder, router };
        site.channel("bis.dead", "store");
        site
    }

    fn post(&self, path: &str, body: &[u8]) {
        let agent = ureq::Agent::new_with_defaults();
        agent.post(format!("http://{}{path}", self.router.http)).send(body).unwrap();
    }

    fn channel(&self, topic: &str, channel: &str) {
        post(self.router.http.parse().unwrap(), &format!("/topic/create?topic={topic}"), "").unwrap();
        let path = format!("/channel/create?topic={topic}&channel={channel}");
        post(self.router.http.parse().unwrap(), &path, "").unwrap();
    }

    fn keep(&self, letter: &DeadLetter) {
        for message in letter.to_messages("/shop", None, LIMIT) {
            self.post("/pub?topic=bis.dead", &message.to_json());
        }
    }

    /// What a command prints, which must succeed.
    #[track_caller]
    fn ask(&self, arguments: &[&str]) -> Value {
        let output = self.router.run(arguments, b"");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// What a command prints on stderr, which must fail.
    #[track_caller]
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.router.run(arguments, b"");
        assert!(!output.status.success(), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// The topics of all letters.
    fn letters(&self) -> Vec<String> {
        let listed = self.ask(&["dead", "ls"]);
        let letters = listed["letters"].as_array().unwrap().iter();
        letters.map(|letter| letter["topic"].as_str().unwrap().to_owned()).collect()
    }

    /// How many messages wait in a channel.
    fn depth(&self, topic: &str, channel: &str) -> i64 {
        let topics = self.router.topics();
        let topic = topics["topics"].as_array().unwrap().iter().find(|entry| entry["name"] == topic);
        let channels = topic.unwrap()["channels"].as_array().unwrap();
        channels.iter().find(|entry| entry["name"] == channel).unwrap()["depth"].as_i64().unwrap()
    }
}

/// The letter of a subscription `ship`.
fn letter(topic: &str, event: Envelope) -> DeadLetter {
    let topic = TopicName::parse(topic).unwrap();
    let ship = SubscriptionName::from_static("ship");
    DeadLetter::new(topic, ship, event, DeadReason::Exhausted, "no\nmore", 2, SystemTime::now())
}

/// An event without an envelope, as earlier builds numbered them: from 0 in every topic.
fn foreign(data: &str) -> Envelope {
    let data = data.to_owned().into_bytes().into();
    Envelope::foreign(EventId::from("0000000000000000"), SystemTime::UNIX_EPOCH, data)
}

#[test]
fn letters_of_different_events_with_one_id_are_replayed_each() {
    let site = Site::start();
    for topic in ["orders", "refunds"] {
        site.channel(topic, "ship");
        site.keep(&letter(topic, foreign("1")));
    }
    // Another event, and the same death once more.
    site.keep(&letter("orders", foreign("2")));
    site.keep(&letter("orders", foreign("2")));
    assert_eq!(site.letters(), ["orders", "refunds", "orders"]);

    // Their event's id is not enough to tell them apart; two letters more of their own ids are.
    let several = site.refused(&["dead", "replay", "0000000000000000"]);
    assert!(several.contains("several dead letters are `0000000000000000`"), "{several}");
    let listed = site.ask(&["dead", "ls"]);
    let id = listed["letters"][1]["id"].as_str().unwrap();
    assert_eq!(site.ask(&["dead", "show", &id[..6]])["topic"], "refunds");
    assert_eq!(site.ask(&["dead", "replay", &id[..6]])["replayed"], json!([id]));
    assert_eq!(site.letters(), ["orders", "orders"]);

    let all = site.ask(&["dead", "replay", "--all"]);
    assert_eq!(all["replayed"].as_array().unwrap().len(), 2);
    assert_eq!((site.depth("orders", "ship"), site.depth("refunds", "ship")), (2, 1));
    assert_eq!((site.letters().len(), site.depth("bis.dead", "store")), (0, 0));
}

#[test]
fn a_letter_of_a_large_event_is_shown_replayed_and_removed_whole() {
    let site = Site::start();
    site.channel("orders", "ship");
    let data = format!("\"{}\"", "x".repeat(1_048_200));
    let mut event = Envelope::new(EventId::generate(), "/shop", "Order", SystemTime::now(), data.into());
    event.time -= Duration::from_secs(1);
    let large = letter("orders", event);
    assert!(large.to_messages("/shop", None, LIMIT).len() > 1);
    site.keep(&large);
    assert_eq!(
        site.ask(&["dead", "show", &large.id, "--reveal"])["event"]["data"].as_str().unwrap().len(),
        1_048_200
    );
    // By its event's id too.
    assert_eq!(site.ask(&["dead", "replay", large.event.id.as_str()])["replayed"], json!([large.id]));
    assert_eq!((site.depth("orders", "ship"), site.depth("bis.dead", "store")), (1, 0));
}
