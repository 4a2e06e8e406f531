//! The channel's rules, one by one, through its public face.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::convert::Infallible;
use std::time::Duration;

use bis_broker::channel::{
    Channel, ConsumerId, Facts, FinishIdleError, Handout, Limits, Recalled, Source, Standing, Time,
};

const A: ConsumerId = ConsumerId(1);
const B: ConsumerId = ConsumerId(2);

/// A store in memory; `None` is a message that is gone.
struct Store(Vec<Option<Facts>>);

impl Store {
    fn plain(count: usize) -> Self {
        Self(vec![Some(Facts::default()); count])
    }

    fn keyed(keys: &[u64]) -> Self {
        Self(keys.iter().map(|key| Some(Facts { key: Some(*key), due: Time::ZERO })).collect())
    }

    fn end(&self) -> u64 {
        self.0.len() as u64
    }
}

impl Source for Store {
    type Error = Infallible;

    fn facts(&mut self, sequence: u64) -> Result<Option<Facts>, Infallible> {
        Ok(self.0[usize::try_from(sequence).unwrap()])
    }
}

fn at(seconds: u64) -> Time {
    Time::ZERO.plus(Duration::from_secs(seconds))
}

fn channel(store: &Store) -> Channel {
    let mut channel = Channel::new(0, Limits::default());
    channel.extend(store.end());
    channel
}

/// The next handout at a time, with a lease of a minute.
fn next(channel: &mut Channel, store: &mut Store, consumer: ConsumerId, now: u64) -> Option<(u64, u32)> {
    let handout = channel.next(store, consumer, at(now), at(now + 60)).unwrap();
    handout.map(|Handout { sequence, attempt }| (sequence, attempt))
}

#[test]
fn messages_come_in_order_and_finish() {
    let mut store = Store::plain(3);
    let mut channel = channel(&store);
    assert_eq!(channel.depth(), 3);
    assert_eq!(next(&mut channel, &mut store, A, 1), Some((0, 1)));
    assert_eq!(next(&mut channel, &mut store, B, 1), Some((1, 1)));
    assert_eq!((channel.depth(), channel.in_flight()), (1, 2));
    channel.finish(1, B).unwrap();
    assert_eq!(channel.floor(), 0);
    channel.finish(0, A).unwrap();
    assert_eq!(channel.floor(), 2);
    assert!(channel.finish(0, A).is_err(), "a message finishes once");
    assert_eq!(next(&mut channel, &mut store, A, 1), Some((2, 1)));
    assert!(channel.finish(2, B).is_err(), "only its consumer finishes a message");
    assert_eq!(next(&mut channel, &mut store, A, 1), None);
}

#[test]
fn a_retry_waits_for_its_time_and_counts() {
    let mut store = Store::plain(1);
    let mut channel = channel(&store);
    next(&mut channel, &mut store, A, 1);
    channel.retry(0, A, at(10), at(1)).unwrap();
    assert_eq!((channel.deferred(), channel.next_deadline()), (1, Some(at(10))));
    assert_eq!(next(&mut channel, &mut store, A, 9), None);
    assert_eq!(next(&mut channel, &mut store, A, 10), Some((0, 2)));
    channel.retry(0, A, Time::ZERO, at(10)).unwrap();
    assert_eq!(next(&mut channel, &mut store, B, 10), Some((0, 3)));
}

#[test]
fn a_release_is_not_counted() {
    let mut store = Store::plain(1);
    let mut channel = channel(&store);
    next(&mut channel, &mut store, A, 1);
    assert_eq!(channel.release(0, A), Ok(0));
    assert_eq!(next(&mut channel, &mut store, A, 1), Some((0, 1)));
}

#[test]
fn a_lease_runs_out_unless_it_is_extended() {
    let mut store = Store::plain(1);
    let mut channel = channel(&store);
    next(&mut channel, &mut store, A, 0);
    channel.touch(0, A, at(100)).unwrap();
    assert_eq!(channel.tick(at(60)), 0);
    assert_eq!(channel.next_deadline(), Some(at(100)));
    assert_eq!(channel.tick(at(100)), 1);
    assert!(channel.finish(0, A).is_err());
    assert_eq!(channel.in_flight_with(A), 0);
    assert_eq!(next(&mut channel, &mut store, B, 100), Some((0, 2)));
}

#[test]
fn a_disconnect_gives_everything_back_at_once() {
    let mut store = Store::plain(3);
    let mut channel = channel(&store);
    next(&mut channel, &mut store, A, 1);
    next(&mut channel, &mut store, B, 1);
    next(&mut channel, &mut store, A, 1);
    assert_eq!(channel.disconnect(A), 2);
    assert_eq!(channel.disconnect(A), 0);
    assert_eq!(next(&mut channel, &mut store, B, 1), Some((0, 2)));
    assert_eq!(next(&mut channel, &mut store, B, 1), Some((2, 2)));
    assert_eq!(channel.in_flight_with(B), 3);
}

#[test]
fn what_fails_again_and_again_does_not_starve_the_rest() {
    let mut store = Store::plain(4);
    let mut channel = channel(&store);
    let mut seen = Vec::new();
    for _ in 0..8 {
        let (sequence, _) = next(&mut channel, &mut store, A, 1).unwrap();
        seen.push(sequence);
        channel.retry(sequence, A, Time::ZERO, at(1)).unwrap();
    }
    for sequence in 0..4 {
        assert!(seen.contains(&sequence), "{sequence} never came: {seen:?}");
    }
}

#[test]
fn one_message_of_a_key_is_in_flight_at_a_time() {
    let mut store = Store::keyed(&[7, 7, 8, 7]);
    let mut channel = channel(&store);
    assert_eq!(next(&mut channel, &mut store, A, 1), Some((0, 1)));
    assert_eq!(next(&mut channel, &mut store, A, 1), Some((2, 1)));
    assert_eq!(next(&mut channel, &mut store, A, 1), None);
    assert_eq!(channel.depth(), 2);
    channel.retry(0, A, at(10), at(1)).unwrap();
    assert_eq!(next(&mut channel, &mut store, A, 5), None, "a retry keeps its key");
    assert_eq!(next(&mut channel, &mut store, A, 10), Some((0, 2)));
    channel.finish(0, A).unwrap();
    assert_eq!(next(&mut channel, &mut store, A, 10), Some((1, 1)));
    assert_eq!(next(&mut channel, &mut store, A, 10), None);
    channel.finish(1, A).unwrap();
    assert_eq!(next(&mut channel, &mut store, A, 10), Some((3, 1)));
}

#[test]
fn a_delayed_publish_comes_at_its_time_and_keeps_nobody() {
    let mut store = Store::keyed(&[7, 7]);
    store.0[0] = Some(Facts { due: at(10), key: Some(7) });
    let mut channel = channel(&store);
    assert_eq!(next(&mut channel, &mut store, A, 1), Some((1, 1)));
    assert_eq!(channel.deferred(), 1);
    assert_eq!(next(&mut channel, &mut store, A, 10), None, "its key is taken now");
    channel.finish(1, A).unwrap();
    assert_eq!(next(&mut channel, &mut store, A, 10), Some((0, 1)));
}

#[test]
fn the_bound_on_held_messages_stops_the_cursor() {
    let mut store = Store::keyed(&[7, 7, 7, 7, 8]);
    let mut channel = Channel::new(0, Limits { held: 3 });
    channel.extend(store.end());
    assert_eq!(next(&mut channel, &mut store, A, 1), Some((0, 1)));
    assert_eq!(next(&mut channel, &mut store, A, 1), None);
    assert!(channel.is_stalled());
    let mut in_flight = 0;
    for _ in 0..4 {
        channel.finish(in_flight, A).unwrap();
        in_flight = next(&mut channel, &mut store, A, 1).unwrap().0;
    }
    assert!(!channel.is_stalled());
}

#[test]
fn a_paused_channel_hands_out_nothing() {
    let mut store = Store::plain(1);
    let mut channel = channel(&store);
    channel.pause();
    assert_eq!(next(&mut channel, &mut store, A, 1), None);
    assert!(channel.snapshot().paused);
    channel.unpause();
    assert_eq!(next(&mut channel, &mut store, A, 1), Some((0, 1)));
}

#[test]
fn peeking_consumes_nothing_and_idle_messages_finish_by_sequence() {
    let mut store = Store::plain(5);
    store.0[3] = None;
    let mut channel = channel(&store);
    next(&mut channel, &mut store, A, 1);
    next(&mut channel, &mut store, A, 1);
    channel.retry(1, A, at(10), at(1)).unwrap();
    assert_eq!(channel.finish_idle(0), Err(FinishIdleError::InFlight(0)));
    assert_eq!(channel.finish_idle(5), Err(FinishIdleError::NotFound(5)));
    let peeked = channel.peek(&mut store, None, 10, at(1)).unwrap();
    let shown: Vec<_> = peeked.iter().map(|peeked| (peeked.sequence, peeked.standing)).collect();
    let expected = [
        (0, Standing::InFlight { consumer: A }),
        (1, Standing::Deferred { due: at(10) }),
        (2, Standing::Ready),
        (4, Standing::Ready),
    ];
    assert_eq!(shown, expected);
    channel.finish_idle(4).unwrap();
    channel.finish_idle(1).unwrap();
    assert_eq!(channel.finish_idle(4), Err(FinishIdleError::NotFound(4)));
    let after: Vec<_> =
        channel.peek(&mut store, Some(0), 10, at(1)).unwrap().iter().map(|at| at.sequence).collect();
    assert_eq!(after, [2]);
    assert_eq!(next(&mut channel, &mut store, A, 20), Some((2, 1)));
    assert_eq!(next(&mut channel, &mut store, A, 20), None);
    channel.finish(0, A).unwrap();
    channel.finish(2, A).unwrap();
    assert_eq!((channel.floor(), channel.unfinished()), (5, 0));
}

#[test]
fn emptying_drops_what_is_held_and_what_is_not() {
    let mut store = Store::plain(5);
    let mut channel = channel(&store);
    next(&mut channel, &mut store, A, 1);
    next(&mut channel, &mut store, A, 1);
    channel.retry(1, A, at(10), at(1)).unwrap();
    channel.empty();
    assert_eq!((channel.unfinished(), channel.floor()), (0, 5));
    assert!(channel.finish(0, A).is_err());
    assert_eq!(channel.next_deadline(), None);
}

#[test]
fn a_restored_channel_goes_on_where_it_stood() {
    let mut store = Store::plain(6);
    let mut first = channel(&store);
    for _ in 0..5 {
        next(&mut first, &mut store, A, 1);
    }
    first.finish(0, A).unwrap();
    first.finish(2, A).unwrap();
    first.retry(1, A, at(10), at(1)).unwrap();
    first.release(4, A).unwrap();
    let snapshot = first.snapshot();
    assert_eq!((snapshot.floor, snapshot.finished.as_slice()), (1, [(2, 3)].as_slice()));

    let mut second = Channel::restore(&snapshot, Limits::default());
    second.extend(store.end());
    assert_eq!(second.snapshot(), snapshot);
    second.recall(Recalled { sequence: 5, attempts: 4, due: Time::ZERO });
    second.recall(Recalled { sequence: 2, attempts: 4, due: Time::ZERO });
    second.recall_finished(3);
    let mut handed_out = Vec::new();
    while let Some(handout) = next(&mut second, &mut store, B, 2) {
        handed_out.push(handout);
    }
    assert_eq!(handed_out, [(4, 1), (5, 5)]);
    assert_eq!(next(&mut second, &mut store, B, 10), Some((1, 2)));
}
