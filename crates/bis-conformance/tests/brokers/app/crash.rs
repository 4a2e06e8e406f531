//! An event that ends its process whenever it is handled: it becomes a dead letter in the end, and takes no other event with
//! it, neither of its own subscription nor of another one of the process.

use std::{collections::BTreeSet, num::NonZeroUsize, sync::Arc, time::SystemTime};

use bis_broker::{Broker, Outgoing, TopicSpec};
use bis_conformance::{bounded, skip_missing};
use bis_core::{DeadReason, Envelope, EventId, TopicName};
use libtest_mimic::Trial;

use super::{
    cases::{dead_letters, spec},
    process::{App, CONCURRENCY},
};
use crate::{peer::Single, router, trial};

/// How often an event is tried, as the app declares it.
const ATTEMPTS: usize = 3;

pub(crate) fn trials() -> Vec<Trial> {
    let name = "an_event_that_kills_its_process_buries_nobody_else";
    vec![trial("router", name, || bounded(name, an_event_that_kills_its_process_buries_nobody_else()))]
}

/// Publishes jobs of these kinds, as another client of the broker.
pub(crate) async fn publish(
    broker: &Arc<dyn Broker>,
    topic: &'static str,
    kinds: impl Iterator<Item = String>,
) {
    let envelope = |kind: String| {
        let data = serde_json::json!({ "kind": kind }).to_string();
        Envelope::new(EventId::generate(), "/test", "Job", SystemTime::now(), data.into_bytes().into())
    };
    let outgoing = |kind| Outgoing { envelope: Arc::new(envelope(kind)), delay: std::time::Duration::ZERO };
    let events = kinds.map(outgoing).collect();
    for result in broker.publish(&TopicSpec::new(TopicName::from_static(topic)), events).await {
        result.expect("published");
    }
}

/// What lines that begin with `word` are about.
fn about(lines: &[String], word: &str) -> BTreeSet<String> {
    lines.iter().filter_map(|line| Some(line.strip_prefix(word)?.split(' ').next()?.to_owned())).collect()
}

async fn an_event_that_kills_its_process_buries_nobody_else() {
    let site = match router::start().await {
        Ok(site) => site,
        Err(missing) => {
            return skip_missing("router", "an_event_that_kills_its_process_buries_nobody_else", &missing);
        }
    };
    App::start(&site).await.stop().await;
    let client = bis_conformance::Peer::client(&site).await;
    let jobs = (0..51).map(|number| if number == 7 { "abort".into() } else { format!("short-{number}") });
    publish(&client, "jobs", jobs).await;
    publish(&client, "notes", (0..10).map(|number| format!("note-{number}"))).await;
    let said = runs_until_a_letter(&site, &client).await;
    assert_eq!((about(&said, "finished ").len(), about(&said, "noted ").len()), (50, 10), "{said:?}");
    // The first crash does not show which event caused it.
    let aborted = said.iter().filter(|line| line.starts_with("started abort")).count();
    assert!(aborted <= ATTEMPTS + 1, "{said:?}");
    for line in said.iter().filter(|line| line.starts_with("started short") || line.starts_with("noted ")) {
        assert!(line.contains("attempt 1"), "a healthy event came closer to the dead letters: {line}");
    }
    // What came back with the culprit was given out again, and nothing else was.
    let again = said.iter().filter(|line| line.starts_with("started short")).count() - 50;
    assert!(again <= 2 * CONCURRENCY * (ATTEMPTS + 1), "{again} started again");

    let letters = dead_letters(&client, 1).await;
    let letter = &letters[0];
    assert_eq!(&letter.event.data[..], br#"{"kind":"abort"}"#, "{letter:?}");
    assert_eq!(letter.reason, DeadReason::Exhausted);
    assert!(letter.error.contains("the process died"), "{}", letter.error);
    assert!(letter.error.ends_with(" [BIS1043]"), "{}", letter.error);
    // There is one letter: nothing is left once the broker knows that it was read.
    while letters_kept(&client).await > 0 {
        tokio::task::yield_now().await;
    }
}

async fn letters_kept(client: &Arc<dyn Broker>) -> usize {
    let store = spec(TopicName::DEAD, "store");
    client.peek(&store, None, NonZeroUsize::MIN).await.expect("shown").events.len()
}

/// Starts the app again and again until there is a dead letter and everything else is handled. Returns what it said.
async fn runs_until_a_letter(site: &Single, client: &Arc<dyn Broker>) -> Vec<String> {
    let mut said = Vec::new();
    for _ in 0..3 * ATTEMPTS {
        let all = |lines: &[String]| {
            let both = [(50, "finished "), (10, "noted ")];
            both.iter().all(|(count, word)| about(&said, word).union(&about(lines, word)).count() == *count)
        };
        let lines = App::run_until(site, async |lines| all(lines) && letters_kept(client).await > 0).await;
        let is_done = all(&lines);
        said.extend(lines);
        if is_done && letters_kept(client).await > 0 {
            return said;
        }
    }
    panic!("it goes on and on: {said:?}");
}
