//! Random operations on a channel, compared after each step with a model that is too simple to be wrong.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use bis_broker::channel::{
    Channel, ConsumerId, Facts, Limits, Parting, Rewound, Source, Standing, Suspects, Taker, Time, Vanishing,
};

const KEYS: u64 = 4;
const CONSUMERS: u64 = 3;
const LEASE: u64 = 20;
/// Far enough ahead to be listed, and not held.
const FAR: u64 = 1 << 36;

/// xorshift64*: enough randomness for a test, and the same on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }
}

#[derive(Default)]
struct Store(Vec<Option<Facts>>);

impl Source for Store {
    type Error = Infallible;

    fn facts(&mut self, sequence: u64) -> Result<Option<Facts>, Infallible> {
        Ok(self.0[usize::try_from(sequence).unwrap()])
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Waiting,
    Deferred(u64),
    InFlight(u64, u64),
}

/// What must be true: where each unfinished message is, how many attempts it has made, the one under way included, and which
/// are suspects.
#[derive(Default)]
struct Model(BTreeMap<u64, (Place, u32)>, BTreeSet<u64>);

impl Model {
    fn settle(&mut self, now: u64, vanishing: Vanishing) {
        self.vanish(vanishing, |_, until| until <= now);
        for (place, _) in self.0.values_mut() {
            if matches!(*place, Place::Deferred(due) if due <= now) {
                *place = Place::Waiting;
            }
        }
    }

    /// What is in flight and is meant comes back without an answer.
    fn vanish(&mut self, vanishing: Vanishing, is_meant: impl Fn(u64, u64) -> bool) {
        for (sequence, (place, attempts)) in &mut self.0 {
            if matches!(*place, Place::InFlight(by, until) if is_meant(by, until)) {
                *place = Place::Waiting;
                if vanishing != Vanishing::Counts && self.1.insert(*sequence) {
                    *attempts -= 1;
                }
            }
        }
    }

    fn count(&self, wanted: impl Fn(Place) -> bool) -> u64 {
        self.0.values().filter(|(place, _)| wanted(*place)).count() as u64
    }
}

struct Run {
    random: Random,
    store: Store,
    channel: Channel,
    model: Model,
    now: u64,
    keyed: bool,
    vanishing: Vanishing,
    /// How often messages came again, which lets an earlier one follow a later one of its key.
    reopened: u32,
}

impl Run {
    fn publish(&mut self) {
        let sequence = self.store.0.len() as u64;
        let key = self.keyed.then(|| self.random.below(KEYS));
        let due = match self.random.below(10) {
            0 | 1 => self.now + self.random.below(30),
            2 => self.now + FAR + self.random.below(30),
            _ => 0,
        };
        let gone = self.random.below(20) == 0;
        self.store.0.push((!gone).then_some(Facts { due: Time(due), key }));
        self.channel.extend(sequence + 1);
        if !gone {
            let place = if due > self.now { Place::Deferred(due) } else { Place::Waiting };
            self.model.0.insert(sequence, (place, 0));
        }
    }

    fn hand_out(&mut self, consumer: u64) {
        let until = self.now + LEASE;
        let handout = loop {
            let taker = Taker {
                consumer: ConsumerId(consumer),
                until: Time(until),
                vanishing: self.vanishing,
                suspects: Suspects::Allowed,
            };
            let handout = self.channel.next(&mut self.store, taker, Time(self.now)).unwrap();
            if handout.is_some() || !self.channel.is_looking() {
                break handout;
            }
        };
        self.model.settle(self.now, self.vanishing);
        let Some(handout) = handout else {
            if !self.keyed {
                let waiting = self.model.count(|place| place == Place::Waiting);
                assert_eq!(waiting, 0, "a message waits but none was handed out");
            }
            return;
        };
        let key = self.store.0[usize::try_from(handout.sequence).unwrap()].unwrap().key;
        if key.is_some() {
            for (sequence, (place, attempts)) in &self.model.0 {
                let same_key = self.store.0[usize::try_from(*sequence).unwrap()].unwrap().key == key;
                let in_flight = matches!(place, Place::InFlight(..));
                assert!(!(same_key && in_flight), "two of a key in flight");
                let overtaken = *sequence < handout.sequence && *attempts == 0 && *place == Place::Waiting;
                let was_delayed =
                    self.store.0[usize::try_from(*sequence).unwrap()].unwrap().due != Time::ZERO;
                assert!(
                    !(same_key && overtaken && handout.attempt == 1) || was_delayed || self.reopened > 0,
                    "a key out of order"
                );
            }
        }
        let (place, attempts) =
            self.model.0.get_mut(&handout.sequence).expect("handed out but not unfinished");
        assert_eq!(*place, Place::Waiting, "handed out but not waiting");
        *attempts += 1;
        assert_eq!(handout.attempt, *attempts);
        assert_eq!(handout.suspect, self.model.1.contains(&handout.sequence));
        *place = Place::InFlight(consumer, until);
    }

    /// A message in flight and its consumer, when there is one.
    fn pick_in_flight(&mut self) -> Option<(u64, u64)> {
        self.channel.tick(Time(self.now));
        self.model.settle(self.now, self.vanishing);
        let in_flight: Vec<(u64, u64)> = self
            .model
            .0
            .iter()
            .filter_map(|(sequence, (place, _))| match place {
                Place::InFlight(consumer, _) => Some((*sequence, *consumer)),
                _ => None,
            })
            .collect();
        let count = in_flight.len() as u64;
        (count > 0).then(|| in_flight[usize::try_from(self.random.below(count)).unwrap()])
    }

    fn answer(&mut self) {
        let Some((sequence, consumer)) = self.pick_in_flight() else { return };
        let by = ConsumerId(consumer);
        assert!(self.channel.finish(sequence, ConsumerId(99)).is_err());
        let entry = self.model.0.get_mut(&sequence).unwrap();
        match self.random.below(6) {
            0 => {
                let due = self.now + self.random.below(40);
                if self.random.below(2) == 0 {
                    self.channel.retry(sequence, by, Time(due), Time(self.now)).unwrap();
                } else {
                    entry.1 -= 1;
                    self.channel.postpone(sequence, by, Time(due), Time(self.now)).unwrap();
                }
                self.model.1.remove(&sequence);
                entry.0 = if due > self.now { Place::Deferred(due) } else { Place::Waiting };
            }
            1 => {
                entry.1 -= 1;
                self.channel.release(sequence, by).unwrap();
                entry.0 = Place::Waiting;
            }
            2 => {
                self.channel.touch(sequence, by, Time(self.now + 2 * LEASE)).unwrap();
                entry.0 = Place::InFlight(consumer, self.now + 2 * LEASE);
            }
            _ => {
                self.channel.finish(sequence, by).unwrap();
                self.model.0.remove(&sequence);
            }
        }
    }

    fn disconnect(&mut self, consumer: u64) {
        self.channel.disconnect(ConsumerId(consumer), Parting::Vanished);
        self.model.vanish(self.vanishing, |by, _| by == consumer);
    }

    fn finish_idle(&mut self) {
        self.channel.tick(Time(self.now));
        self.model.settle(self.now, self.vanishing);
        let sequence = self.random.below(self.store.0.len() as u64 + 1);
        let idle = match self.model.0.get(&sequence) {
            None => false,
            Some((place, _)) => !matches!(place, Place::InFlight(..)),
        };
        let gone = self.store.0.get(usize::try_from(sequence).unwrap()).is_some_and(Option::is_none);
        let finished = self.channel.finish_idle(sequence).is_ok();
        assert!(gone || finished == idle, "message {sequence}");
        if idle {
            self.model.0.remove(&sequence);
        }
    }

    /// Moves the cursor anywhere. The model learns what the channel cannot know: which are gone.
    fn rewind(&mut self) {
        self.channel.tick(Time(self.now));
        self.model.settle(self.now, self.vanishing);
        let to = self.random.below(self.store.0.len() as u64 + 1);
        match self.channel.rewind(to) {
            Rewound::Back { to, .. } => {
                for (sequence, facts) in (0_u64..).zip(&self.store.0).skip(usize::try_from(to).unwrap()) {
                    let in_flight = matches!(self.model.0.get(&sequence), Some((Place::InFlight(..), _)));
                    if let (Some(facts), false) = (facts, in_flight) {
                        let is_due = facts.due.0 <= self.now;
                        let place = if is_due { Place::Waiting } else { Place::Deferred(facts.due.0) };
                        self.model.0.insert(sequence, (place, 0));
                        self.model.1.remove(&sequence);
                    }
                }
                self.reopened += 1;
            }
            Rewound::Forward { from, to, .. } => self.model.0.retain(|at, _| !(from..to).contains(at)),
        }
    }

    fn skip(&mut self) {
        let from = self.random.below(self.store.0.len() as u64 + 1);
        let to = from + self.random.below(10);
        self.channel.skip(from, to);
        self.model.0.retain(|at, _| !(from..to).contains(at));
    }

    fn restart(&mut self) {
        let mut snapshot = self.channel.snapshot();
        if self.random.below(2) == 0 {
            snapshot.far.clear();
        }
        self.channel = Channel::restore(&snapshot, Limits::default());
        self.channel.extend(self.store.0.len() as u64);
        // As it was before it was handed out.
        for (place, attempts) in self.model.0.values_mut() {
            if let Place::InFlight(..) = place {
                *place = Place::Waiting;
                *attempts -= 1;
            }
        }
    }

    fn compare(&mut self) {
        self.channel.tick(Time(self.now));
        self.model.settle(self.now, self.vanishing);
        let peeked = self.channel.peek(&mut self.store, None, usize::MAX, Time(self.now)).unwrap();
        let seen: Vec<(u64, u32)> = peeked.iter().map(|peeked| (peeked.sequence, peeked.attempts)).collect();
        let expected: Vec<(u64, u32)> =
            self.model.0.iter().map(|(sequence, (_, attempts))| (*sequence, *attempts)).collect();
        assert_eq!(seen, expected);
        let in_flight = peeked.iter().filter(|at| matches!(at.standing, Standing::InFlight { .. })).count();
        assert_eq!(in_flight as u64, self.model.count(|place| matches!(place, Place::InFlight(..))));
        assert_eq!(self.channel.in_flight(), in_flight);
    }

    /// Hands out and finishes until nothing is left: nothing may be lost or stuck.
    fn drain(&mut self) {
        for _ in 0..100_000 {
            if self.model.0.is_empty() {
                break;
            }
            self.hand_out(1);
            if let Some((sequence, consumer)) = self.pick_in_flight() {
                self.channel.finish(sequence, ConsumerId(consumer)).unwrap();
                self.model.0.remove(&sequence);
            } else {
                let deadline = self.channel.next_deadline().map_or(0, |deadline| deadline.0);
                self.now = deadline.max(self.now + 1);
            }
        }
        self.hand_out(1);
        assert!(self.model.0.is_empty(), "stuck: {:?}", self.model.0);
        assert_eq!(self.channel.unfinished(), 0);
        assert_eq!(self.channel.floor(), self.store.0.len() as u64);
    }
}

fn check(seed: u64) {
    let channel = Channel::new(0, Limits::default());
    let random = Random(seed * 2 + 1);
    let mut run = Run {
        random,
        store: Store::default(),
        channel,
        model: Model::default(),
        now: 1,
        keyed: seed % 2 == 1,
        vanishing: if seed % 4 < 2 { Vanishing::Counts } else { Vanishing::Suspects(None) },
        reopened: 0,
    };
    for _ in 0..400 {
        match run.random.below(20) {
            0..6 => run.publish(),
            6..11 => {
                let consumer = run.random.below(CONSUMERS);
                run.hand_out(consumer);
            }
            11..16 => run.answer(),
            16 => {
                let consumer = run.random.below(CONSUMERS);
                run.disconnect(consumer);
            }
            17 => run.now += run.random.below(10),
            18 if run.random.below(8) == 0 => run.rewind(),
            18 if run.random.below(8) == 0 => run.skip(),
            18 if run.random.below(8) == 0 => run.now += FAR,
            18 => run.finish_idle(),
            _ => run.restart(),
        }
        run.compare();
    }
    run.drain();
}

#[test]
fn random_runs_agree_with_the_model() {
    for seed in 1..300 {
        let checked = std::panic::catch_unwind(|| check(seed));
        assert!(checked.is_ok(), "seed {seed}");
    }
}
