//! What a channel costs: time per message for handing out and finishing, and memory per message that is held or listed.
//!
//! `cargo bench -p bis-broker --bench channel`. Each time is the median of a few runs; memory is the growth of the
//! process's resident set (Linux only).

#![expect(clippy::unwrap_used, reason = "a benchmark stops at the first surprise")]

use std::collections::VecDeque;
use std::convert::Infallible;
use std::hint::black_box;
use std::time::{Duration, Instant};

use bis_broker::channel::{Channel, ConsumerId, Facts, Limits, Source, Suspects, Taker, Time, Vanishing};

const MESSAGES: u64 = 2_000_000;
const WINDOW: usize = 1000;
const RUNS: usize = 5;
const CONSUMER: ConsumerId = ConsumerId(1);

/// A store whose messages all follow one rule.
struct Store(fn(u64) -> Facts);

impl Source for Store {
    type Error = Infallible;

    fn facts(&mut self, sequence: u64) -> Result<Option<Facts>, Infallible> {
        Ok(Some((self.0)(sequence)))
    }
}

const PLAIN: Store = Store(|_| Facts { due: Time::ZERO, key: None });
const KEYED: Store = Store(|sequence| Facts { due: Time::ZERO, key: Some(sequence * 7919) });
const ONE_KEY: Store = Store(|_| Facts { due: Time::ZERO, key: Some(1) });
/// In a second, and in a little over an hour.
const SOON: Store = Store(|sequence| Facts { due: Time(1_000_000_000 + sequence), key: None });
const LATE: Store = Store(|sequence| Facts { due: Time(4_000_000_000_000 + sequence), key: None });

fn channel(end: u64) -> Channel {
    let mut channel = Channel::new(0, Limits::default());
    channel.extend(end);
    channel
}

fn next(channel: &mut Channel, store: &mut Store, now: u64) -> Option<u64> {
    let taker = Taker {
        consumer: CONSUMER,
        until: Time(now + 60_000_000_000),
        vanishing: Vanishing::Suspects(None),
        suspects: Suspects::Allowed,
    };
    let Ok(handout) = channel.next(store, taker, Time(now));
    handout.map(|handout| handout.sequence)
}

/// Nanoseconds per message when a window of messages is in flight, finished in this order of places in the window.
fn settle(mut store: Store, mut place: impl FnMut(u64) -> usize) -> f64 {
    let mut channel = channel(MESSAGES);
    let mut window = VecDeque::with_capacity(WINDOW);
    let began = Instant::now();
    for now in 0..MESSAGES {
        if window.len() == WINDOW {
            let sequence: u64 = window.swap_remove_front(place(now)).unwrap();
            channel.finish(sequence, CONSUMER).unwrap();
        }
        window.push_back(next(&mut channel, &mut store, now).unwrap());
    }
    let took = began.elapsed();
    black_box(&channel);
    took.as_nanos() as f64 / MESSAGES as f64
}

fn median(mut run: impl FnMut() -> f64) -> f64 {
    let mut runs: Vec<f64> = (0..RUNS).map(|_| run()).collect();
    runs.sort_unstable_by(f64::total_cmp);
    runs[RUNS / 2]
}

/// The resident set, in bytes.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<f64>().ok());
    kilobytes.unwrap_or(f64::NAN) * 1024.0
}

/// Bytes per message of a channel that `fill` brings into a state, with how many there are, and how long it took.
fn memory(messages: u64, fill: impl FnOnce(&mut Channel)) -> (f64, Duration) {
    let mut channel = channel(messages);
    let before = resident();
    let began = Instant::now();
    fill(&mut channel);
    let took = began.elapsed();
    let grown = resident() - before;
    black_box(&channel);
    (grown / messages as f64, took)
}

/// Lets the channel look at everything, however many calls it takes.
fn walk(channel: &mut Channel, store: &mut Store, until: impl Fn(&Channel) -> bool) {
    for _ in 0..1_000_000 {
        if until(channel) {
            return;
        }
        next(channel, store, 0);
    }
}

fn main() {
    println!("next + finish, window {WINDOW}, ns a message (median of {RUNS} runs of {MESSAGES}):");
    println!("  in order                {:8.1}", median(|| settle(PLAIN, |_| 0)));
    let shuffled = |now: u64| (now.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize % WINDOW;
    println!("  in no order             {:8.1}", median(|| settle(PLAIN, shuffled)));
    println!("  in order, each its key  {:8.1}", median(|| settle(KEYED, |_| 0)));
    println!("bytes a message:");
    let million = 900_000;
    let (bytes, _) = memory(million, |channel| while next(channel, &mut Store(PLAIN.0), 0).is_some() {});
    println!("  in flight               {bytes:8.1}");
    let (bytes, _) = memory(million, |channel| {
        walk(channel, &mut Store(SOON.0), |channel| channel.deferred() as u64 == million);
    });
    println!("  due in a second         {bytes:8.1}");
    let (bytes, took) = memory(million, |channel| {
        walk(channel, &mut Store(LATE.0), |channel| channel.deferred() as u64 == million);
    });
    println!("  due in an hour          {bytes:8.1}  ({took:?})");
    let (bytes, took) = memory(million, |channel| {
        for _ in 0..2000 {
            next(channel, &mut Store(ONE_KEY.0), 0);
        }
    });
    println!("  parked behind one key   {bytes:8.1}  ({took:?})");
    let (bytes, _) = memory(million, |channel| {
        (1..million).step_by(2).for_each(|sequence| channel.recall_finished(sequence));
    });
    println!("  every second finished   {bytes:8.1}");
}
