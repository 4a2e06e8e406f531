//! Messages whose consumer vanished: only one that ends its process collects attempts, and it does not hold up other messages.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::num::NonZeroU64;
use std::time::Duration;

use bis_broker::channel::{
    Channel, ConsumerId, Facts, Handout, Limits, Parting, ProcessId, Recalled, Source, Suspects, Taker, Time,
    Vanishing,
};

const A: ConsumerId = ConsumerId(1);
const B: ConsumerId = ConsumerId(2);
const LEASE: Duration = Duration::from_secs(60);

/// A store in memory, keyed or not.
struct Store {
    count: u64,
    keys: Option<u64>,
}

impl Source for Store {
    type Error = Infallible;

    fn facts(&mut self, sequence: u64) -> Result<Option<Facts>, Infallible> {
        assert!(sequence < self.count, "the channel asks for what it was shown");
        Ok(Some(Facts { due: Time::ZERO, key: self.keys.map(|keys| sequence % keys) }))
    }
}

fn at(seconds: u64) -> Time {
    Time::ZERO.plus(Duration::from_secs(seconds))
}

fn channel(count: u64) -> (Channel, Store) {
    let mut channel = Channel::new(0, Limits::default());
    channel.extend(count);
    (channel, Store { count, keys: None })
}

/// The process of a consumer: each is its own.
fn process_of(consumer: ConsumerId) -> ProcessId {
    ProcessId(NonZeroU64::new(consumer.0 + 1).expect("it is above zero"))
}

/// The next message for a consumer that holds one suspect at a time, and nothing new beside one that was blamed, as an owner
/// sees to.
fn next(channel: &mut Channel, store: &mut Store, consumer: ConsumerId) -> Option<Handout> {
    if (0..store.count).any(|sequence| channel.is_blamed(sequence, consumer)) {
        return None;
    }
    let holds_one = channel.holders_of_suspects().any(|holder| holder == consumer);
    let suspects = if holds_one { Suspects::Withheld } else { Suspects::Allowed };
    let vanishing = Vanishing::Suspects(Some(process_of(consumer)));
    let taker = Taker { consumer, until: at(1).plus(LEASE), vanishing, suspects };
    channel.next(store, taker, at(1)).unwrap()
}

fn all(channel: &mut Channel, store: &mut Store, consumer: ConsumerId) -> Vec<(u64, u32)> {
    let handouts = std::iter::from_fn(|| next(channel, store, consumer));
    handouts.map(|handout| (handout.sequence, handout.attempt)).collect()
}

#[test]
fn what_a_vanished_consumer_held_comes_back_uncounted_and_one_at_a_time() {
    let (mut channel, mut store) = channel(3);
    assert_eq!(all(&mut channel, &mut store, A), [(0, 1), (1, 1), (2, 1)]);
    let back = channel.disconnect(A, Parting::Vanished);
    let suspect = |sequence| Recalled { sequence, suspect: true, ..Recalled::default() };
    assert_eq!(back, [suspect(0), suspect(1), suspect(2)]);
    assert_eq!(all(&mut channel, &mut store, A), [(0, 1)], "the others wait for their turn");
    assert_eq!(all(&mut channel, &mut store, B), [(1, 1)], "each consumer has a turn of its own");
    channel.finish(0, A).unwrap();
    assert_eq!(all(&mut channel, &mut store, A), [(2, 1)]);
}

#[test]
fn only_the_suspect_that_was_out_has_used_up_an_attempt() {
    let (mut channel, mut store) = channel(3);
    all(&mut channel, &mut store, A);
    channel.disconnect(A, Parting::Vanished);
    store.count = 5;
    channel.extend(5);
    let handed_out = all(&mut channel, &mut store, A);
    assert_eq!(handed_out.iter().copied().collect::<BTreeSet<_>>(), [(0, 1), (3, 1), (4, 1)].into());
    let back = channel.disconnect(A, Parting::Vanished);
    let counts = back.iter().map(|back| (back.sequence, back.attempts, back.crashes)).collect::<Vec<_>>();
    assert_eq!(counts, [(0, 1, 1), (3, 0, 0), (4, 0, 0)]);
    assert_eq!(all(&mut channel, &mut store, A), [(1, 1)], "those who have waited longer come first");
}

#[test]
fn new_messages_go_on_beside_a_suspect() {
    let (mut channel, mut store) = channel(1);
    all(&mut channel, &mut store, A);
    channel.disconnect(A, Parting::Vanished);
    assert_eq!(all(&mut channel, &mut store, A), [(0, 1)]);
    store.count = 4;
    channel.extend(4);
    assert_eq!(all(&mut channel, &mut store, A), [(1, 1), (2, 1), (3, 1)]);
    assert!(channel.has_more() || channel.depth() == 0);
}

fn given(channel: &mut Channel, store: &mut Store) -> Option<(u64, bool)> {
    next(channel, store, A).map(|handout| (handout.sequence, handout.suspect))
}

#[test]
fn an_answer_clears_the_suspicion_and_a_release_does_not() {
    let (mut channel, mut store) = channel(3);
    all(&mut channel, &mut store, A);
    channel.disconnect(A, Parting::Vanished);
    assert_eq!(given(&mut channel, &mut store), Some((0, true)));
    channel.retry(0, A, at(5), at(1)).unwrap();
    assert_eq!(given(&mut channel, &mut store), Some((1, true)));
    channel.postpone(1, A, at(5), at(1)).unwrap();
    assert_eq!(given(&mut channel, &mut store), Some((2, true)));
    channel.release(2, A).unwrap();
    let recalled = [0, 1, 2].map(|sequence| channel.recalled(sequence).unwrap());
    let expected = [(1, at(5), false), (0, at(5), false), (0, Time::ZERO, true)];
    assert_eq!(recalled.map(|recalled| (recalled.attempts, recalled.due, recalled.suspect)), expected);
}

#[test]
fn what_runs_out_of_its_lease_is_a_suspect_too() {
    let (mut channel, mut store) = channel(2);
    all(&mut channel, &mut store, A);
    assert_eq!(channel.tick(at(1).plus(LEASE)).len(), 2);
    assert_eq!(all(&mut channel, &mut store, A), [(0, 1)]);
    let back = channel.tick(at(2).plus(2 * LEASE));
    assert_eq!(back, [Recalled { attempts: 1, suspect: true, crashes: 1, ..Recalled::default() }]);
}

#[test]
fn a_restart_keeps_suspicion_and_adds_none() {
    let (mut channel, mut store) = channel(4);
    next(&mut channel, &mut store, A);
    next(&mut channel, &mut store, A);
    channel.disconnect(A, Parting::Vanished);
    all(&mut channel, &mut store, A);
    let mut again = Channel::restore(&channel.snapshot(), Limits::default());
    again.extend(4);
    let handed_out = all(&mut again, &mut store, A);
    let (suspects, others) = handed_out.split_at(handed_out.len() - 1);
    let seen: BTreeSet<_> = suspects.iter().chain(others).copied().collect();
    assert_eq!(seen, [(0, 1), (2, 1), (3, 1)].into(), "1 is a suspect and waits; nothing was counted");
}

#[test]
fn a_process_that_lives_acquits_what_it_had() {
    let (mut channel, mut store) = channel(4);
    assert_eq!(all(&mut channel, &mut store, A).len(), 4);
    channel.retry(3, A, Time::ZERO, at(1)).unwrap();
    channel.disconnect(A, Parting::Vanished);
    // One of them is with another process by now, which does not matter to its previous holder.
    assert_eq!(all(&mut channel, &mut store, B), [(3, 2), (0, 1)]);
    assert_eq!(channel.acquit(process_of(B)), [], "that one is not accused of anything");
    let back = channel.acquit(process_of(A));
    assert_eq!(back.iter().map(|back| back.sequence).collect::<Vec<_>>(), [1, 2, 0]);
    assert!(back.iter().all(|back| *back == Recalled { sequence: back.sequence, ..Recalled::default() }));
    assert_eq!(channel.acquit(process_of(A)), []);
    assert_eq!(all(&mut channel, &mut store, A), [(1, 1), (2, 1)], "all at once");
    for sequence in [0, 3] {
        channel.finish(sequence, B).unwrap();
    }
    for sequence in [1, 2] {
        channel.finish(sequence, A).unwrap();
    }
    assert_eq!((channel.unfinished(), channel.has_suspects()), (0, false));
}

#[test]
fn a_process_that_lives_takes_back_what_it_blamed() {
    let (mut channel, mut store) = channel(1);
    all(&mut channel, &mut store, A);
    channel.disconnect(A, Parting::Vanished);
    all(&mut channel, &mut store, A);
    let blamed = Recalled { attempts: 1, suspect: true, crashes: 1, ..Recalled::default() };
    assert_eq!(channel.disconnect(A, Parting::Vanished), [blamed]);
    assert_eq!(channel.acquit(process_of(A)), [Recalled::default()]);
    let handout = next(&mut channel, &mut store, A).unwrap();
    assert_eq!((handout.attempt, handout.crashes, handout.suspect), (1, 0, false));
}

#[test]
fn a_consumer_that_is_dismissed_says_nothing_about_what_it_held() {
    let (mut channel, mut store) = channel(2);
    all(&mut channel, &mut store, A);
    channel.disconnect(A, Parting::Vanished);
    assert_eq!(all(&mut channel, &mut store, A), [(0, 1)]);
    let suspect = Recalled { suspect: true, ..Recalled::default() };
    assert_eq!(channel.disconnect(A, Parting::Dismissed), [suspect], "a suspect that still is one");
    store.count = 3;
    channel.extend(3);
    assert_eq!(all(&mut channel, &mut store, A), [(2, 1), (1, 1)]);
    let back = channel.disconnect(A, Parting::Dismissed);
    assert_eq!(back[1], Recalled { sequence: 2, ..Recalled::default() });
}

#[test]
fn nothing_new_can_spoil_the_run_of_a_suspect_that_was_blamed() {
    // Every second new message kills the process, and one is harmless that was there at the first crash.
    let (mut channel, mut store) = channel(2);
    let (harmless, mut crashes) = (0, 0);
    while (channel.unfinished_between(0, 1)).next().is_some() {
        store.count += 2;
        channel.extend(store.count);
        let process = ConsumerId(100 + crashes);
        let held = all(&mut channel, &mut store, process);
        let dies = held.iter().any(|(sequence, _)| sequence % 2 == 1);
        if !dies {
            held.iter().for_each(|(sequence, _)| channel.finish(*sequence, process).unwrap());
        }
        let back = channel.disconnect(process, Parting::Vanished);
        let blamed = back.iter().find(|back| back.sequence == harmless).map_or(0, |back| back.crashes);
        assert!(blamed <= 1, "blamed {blamed} times after {crashes} crashes");
        crashes += 1;
        assert!(crashes < 50, "it goes on and on");
    }
}

/// Random crowds with some poison among them, in one process that is started again whenever it dies.
#[test]
fn the_culprits_and_nobody_else_collect_attempts() {
    for seed in 1..200_u64 {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut below = |bound: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % bound
        };
        let (count, room, most) = (51, 1 + below(20), 3);
        let poison: BTreeSet<u64> = (0..1 + below(3)).map(|_| below(count)).collect();
        let (mut channel, mut store) = channel(count);
        if seed % 3 == 0 {
            store.keys = Some(7);
        }
        let (mut dead, mut crashes, mut unlucky) = (BTreeSet::new(), 0_usize, 0_u32);
        while channel.unfinished() > 0 {
            // A process: it takes what it has room for and works it off in any order, until poison is among it.
            let consumer = ConsumerId(crashes as u64);
            let mut held: Vec<Handout> = Vec::new();
            loop {
                while (held.len() as u64) < room
                    && let Some(handout) = next(&mut channel, &mut store, consumer)
                {
                    held.push(handout);
                }
                if held.is_empty() {
                    break;
                }
                let handout = held.swap_remove(usize::try_from(below(held.len() as u64)).unwrap());
                if handout.attempt > most {
                    dead.insert(handout.sequence);
                } else if poison.contains(&handout.sequence) {
                    break;
                }
                channel.finish(handout.sequence, consumer).unwrap();
            }
            let healthy = |back: &&Recalled| !poison.contains(&back.sequence);
            let back = channel.disconnect(consumer, Parting::Vanished);
            unlucky = unlucky.max(back.iter().filter(healthy).map(|back| back.attempts).max().unwrap_or(0));
            crashes += 1;
            assert!(crashes < 100, "seed {seed}: it goes on and on");
        }
        assert_eq!(dead, poison, "seed {seed}");
        // Each poison message crashes once as one of many and then alone; the last process finds nothing left.
        assert!(crashes <= poison.len() * 4 + 1, "seed {seed}: {crashes} crashes");
        // One that crashes as one of many may do so beside a suspect.
        assert!((unlucky as usize) < poison.len(), "seed {seed}");
    }
}
