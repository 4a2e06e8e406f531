//! In-process and router agree: the same random scripts, from seeds, are played on both, and everything that a consumer
//! can observe is compared. In-process is what people test on.
//!
//! A script takes only what is surely there, and waits out every retry before it counts, so nothing in it depends on
//! how fast either broker is.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use bis::drivers::in_process::InProcess;
use bis_broker::{Broker, Delivery, Outgoing};
use bis_conformance::{
    Inbox, bounded,
    case_words::{at_once, event, spec, topic, topology},
    skip_missing,
};
use bis_drivers::nsq::{Nsq, NsqOptions};
use libtest_mimic::Trial;

use crate::{router, trial};

const SEEDS: u64 = 8;
const STEPS: usize = 40;
/// A wait for a retry or of a delay.
const LATER: Duration = Duration::from_millis(150);
/// After it, what waited is due.
const SURELY: Duration = Duration::from_millis(700);
const KEYS: [&str; 3] = ["a", "b", "c"];

pub(crate) fn trials() -> Vec<Trial> {
    (0..SEEDS)
        .map(|seed| trial("agreement", &format!("seed_{seed}"), move || bounded("agreement", agree(seed))))
        .collect()
}

async fn agree(seed: u64) {
    let router = match router::start().await {
        Ok(router) => router,
        Err(missing) => return skip_missing("agreement", "router", &missing),
    };
    let own = play(Arc::new(InProcess::new()), seed).await;
    // In process there are no leases; here they outlive every script.
    let options = NsqOptions::new(router.server.address(0));
    let other = play(Arc::new(Nsq::start(options)), seed).await;
    for (step, (own, other)) in own.iter().zip(&other).enumerate() {
        assert_eq!(own, other, "seed {seed}, step {step}: in-process (left) and the router differ");
    }
    assert_eq!(own.len(), other.len());
}

/// A delivery as a consumer sees it.
type Seen = (String, Option<String>, u32);

fn seen(delivery: &Delivery) -> Seen {
    let data = String::from_utf8_lossy(&delivery.envelope.data).into_owned();
    (data, delivery.envelope.key.clone(), delivery.attempt)
}

/// Plays a script and returns what was seen at each step.
async fn play(broker: Arc<dyn Broker>, seed: u64) -> Vec<String> {
    let mut random = fastrand::Rng::with_seed(seed);
    let ordered = random.bool();
    broker.ensure(&topology(&["ship"], ordered)).await.expect("ensured");
    let mut inbox = open(&*broker, ordered).await;
    let mut journal = Vec::new();
    let mut held: Vec<Delivery> = Vec::new();
    // Without order, this many can be taken at once; with order, keys that are held hide what is behind them.
    let mut ready = 0_usize;
    let mut published = 0;
    for _ in 0..STEPS {
        let line = match random.u32(0..10) {
            0..=2 => {
                let count = random.usize(1..5);
                let mut events = Vec::new();
                for _ in 0..count {
                    let mut envelope = event(published.to_string());
                    envelope.key = random.bool().then(|| KEYS[random.usize(0..KEYS.len())].to_owned());
                    let late = random.u32(0..5) == 0;
                    if late {
                        // Two events of a key are in the order of their publishing only when both are due.
                        envelope.key = None;
                    }
                    let delay = if late { LATER } else { Duration::ZERO };
                    events.push(Outgoing { delay, ..at_once(envelope) });
                    ready += usize::from(!late);
                    published += 1;
                }
                format!(
                    "published {:?}",
                    broker
                        .publish(&topic(ordered), events)
                        .await
                        .into_iter()
                        .map(|result| result.map(drop))
                        .collect::<Vec<_>>()
                )
            }
            3..=5 if !ordered && ready > 0 => {
                let delivery = inbox.one().await;
                ready -= 1;
                let line = format!("took {:?}", seen(&delivery));
                held.push(delivery);
                line
            }
            6 if !held.is_empty() => {
                let delivery = held.remove(random.usize(0..held.len()));
                format!("acked {:?}: {:?}", seen(&delivery), delivery.settle.ack().await)
            }
            7 if !held.is_empty() => {
                let delivery = held.remove(random.usize(0..held.len()));
                let line = seen(&delivery);
                if random.bool() {
                    ready += 1;
                    format!("released {line:?}: {:?}", delivery.settle.release().await)
                } else {
                    format!("retried {line:?}: {:?}", delivery.settle.retry(LATER).await)
                }
            }
            8 if random.bool() => {
                // A consumer that goes gives back what it holds.
                drop(inbox);
                held.clear();
                inbox = open(&*broker, ordered).await;
                tokio::time::sleep(SURELY).await;
                ready = 0;
                format!("another consumer, then {:?}", drain(&mut inbox, ordered).await)
            }
            9 => {
                tokio::time::sleep(SURELY).await;
                ready = 0;
                let waiting = waiting(&*broker, ordered).await;
                format!("of {waiting:?}, all that is due: {:?}", drain(&mut inbox, ordered).await)
            }
            _ => continue,
        };
        journal.push(line);
    }
    drop(held);
    tokio::time::sleep(SURELY).await;
    journal.push(format!("at the end: {:?}", drain(&mut inbox, ordered).await));
    journal
}

/// What waits or is with a consumer, read in pages. How often it was delivered depends on what a driver has fetched ahead.
async fn waiting(broker: &dyn Broker, ordered: bool) -> Vec<String> {
    let (spec, page) = (spec("ship", ordered), NonZeroUsize::new(3).expect("three"));
    let (mut waiting, mut after) = (Vec::new(), None);
    loop {
        let page = broker.peek(&spec, after, page).await.expect("both can peek");
        after = page.events.last().map(|last| last.position);
        waiting
            .extend(page.events.iter().map(|one| String::from_utf8_lossy(&one.envelope.data).into_owned()));
        if !page.more {
            return waiting;
        }
    }
}

async fn open(broker: &dyn Broker, ordered: bool) -> Inbox {
    if ordered { Inbox::open_ordered(broker, "ship").await } else { Inbox::open(broker, "ship").await }
}

/// Acks whatever comes, one by one; with order as it came, else sorted, since what became due together has no order.
async fn drain(inbox: &mut Inbox, ordered: bool) -> Vec<Seen> {
    let mut all = Vec::new();
    while let Some(mut received) = inbox.receive_within(1, SURELY).await {
        let delivery = received.remove(0);
        all.push(seen(&delivery));
        delivery.settle.ack().await.expect("acked");
    }
    if ordered {
        // Between keys there is no order.
        all.sort_by(|(_, a, _), (_, b, _)| a.cmp(b));
        let keyless = all.iter().take_while(|(_, key, _)| key.is_none()).count();
        all[..keyless].sort();
    } else {
        all.sort();
    }
    all
}
