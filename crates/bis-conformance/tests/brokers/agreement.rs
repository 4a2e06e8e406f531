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
    let inbox = open(&*broker, ordered).await;
    let mut game = Game { broker, random, ordered, inbox, held: Vec::new(), ready: 0, published: 0 };
    let mut journal = Vec::new();
    for _ in 0..STEPS {
        journal.extend(game.step().await);
    }
    game.held.clear();
    tokio::time::sleep(SURELY).await;
    journal.push(format!("at the end: {:?}", drain(&mut game.inbox, ordered).await));
    journal
}

struct Game {
    broker: Arc<dyn Broker>,
    random: fastrand::Rng,
    ordered: bool,
    inbox: Inbox,
    held: Vec<Delivery>,
    /// Without order, this many can be taken at once; with order, keys that are held hide what is behind them.
    ready: usize,
    published: u32,
}

impl Game {
    /// What one random step did, if it was one that could be done.
    async fn step(&mut self) -> Option<String> {
        match self.random.u32(0..10) {
            0..=2 => Some(self.publish().await),
            3..=5 if !self.ordered && self.ready > 0 => {
                let delivery = self.inbox.one().await;
                self.ready -= 1;
                let line = format!("took {:?}", seen(&delivery));
                self.held.push(delivery);
                Some(line)
            }
            6 if !self.held.is_empty() => {
                let delivery = self.pick();
                Some(format!("acked {:?}: {:?}", seen(&delivery), delivery.settle.ack().await))
            }
            7 if !self.held.is_empty() => Some(self.give_back().await),
            8 if self.random.bool() => {
                // A consumer that goes gives back what it holds.
                self.inbox = open(&*self.broker, self.ordered).await;
                self.held.clear();
                tokio::time::sleep(SURELY).await;
                self.ready = 0;
                Some(format!("another consumer, then {:?}", drain(&mut self.inbox, self.ordered).await))
            }
            9 => {
                tokio::time::sleep(SURELY).await;
                self.ready = 0;
                let waiting = waiting(&*self.broker, self.ordered).await;
                let drained = drain(&mut self.inbox, self.ordered).await;
                Some(format!("of {waiting:?}, all that is due: {drained:?}"))
            }
            _ => None,
        }
    }

    async fn publish(&mut self) -> String {
        let mut events = Vec::new();
        for _ in 0..self.random.usize(1..5) {
            let mut envelope = event(self.published.to_string());
            envelope.key = self.random.bool().then(|| KEYS[self.random.usize(0..KEYS.len())].to_owned());
            let late = self.random.u32(0..5) == 0;
            if late {
                // Two events of a key are in the order of their publishing only when both are due.
                envelope.key = None;
            }
            let delay = if late { LATER } else { Duration::ZERO };
            events.push(Outgoing { delay, ..at_once(envelope) });
            self.ready += usize::from(!late);
            self.published += 1;
        }
        let results = self.broker.publish(&topic(self.ordered), events).await;
        format!("published {results:?}")
    }

    async fn give_back(&mut self) -> String {
        let delivery = self.pick();
        let line = seen(&delivery);
        if self.random.bool() {
            self.ready += 1;
            format!("released {line:?}: {:?}", delivery.settle.release().await)
        } else {
            format!("retried {line:?}: {:?}", delivery.settle.retry(LATER).await)
        }
    }

    fn pick(&mut self) -> Delivery {
        let nth = self.random.usize(0..self.held.len());
        self.held.remove(nth)
    }
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
