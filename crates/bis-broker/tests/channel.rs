//! The channel's rules, one by one, through its public interface.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::convert::Infallible;
use std::time::Duration;

use bis_broker::channel::{
    Channel, ConsumerId, Facts, FinishIdleError, Handout, Limits, Parting, Recalled, Rewound, Source,
    Standing, Suspects, Taker, Time, Vanishing,
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
    let taker =
        Taker { consumer, until: at(now + 60), vanishing: Vanishing::Counts, suspects: Suspects::Allowed };
    let handout = channel.next(store, taker, at(now)).unwrap();
    handout.map(|Handout { sequence, attempt, .. }| (sequence, attempt))
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
    assert_eq!(channel.release(0, A), Ok(()));
    assert_eq!(next(&mut channel, &mut store, A, 1), Some((0, 1)));
}

#[test]
fn a_lease_runs_out_unless_it_is_extended() {
    let mut store = Store::plain(1);
    let mut channel = channel(&store);
    next(&mut channel, &mut store, A, 0);
    channel.touch(0, A, at(100)).unwrap();
    assert_eq!(channel.tick(at(60)), []);
    assert_eq!(channel.next_deadline(), Some(at(100)));
    assert_eq!(channel.tick(at(100)).len(), 1);
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
    assert_eq!(channel.disconnect(A, Parting::Vanished).len(), 2);
    assert_eq!(channel.disconnect(A, Parting::Vanished), []);
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
    let mut store = Store::plain(5);
    let mut channel = Channel::new(0, Limits { held: 3, ..Limits::default() });
    channel.extend(store.end());
    for sequence in 0..3 {
        assert_eq!(next(&mut channel, &mut store, A, 1), Some((sequence, 1)));
    }
    assert_eq!(next(&mut channel, &mut store, A, 1), None);
    assert!(channel.is_stalled());
    channel.finish(1, A).unwrap();
    assert_eq!(next(&mut channel, &mut store, A, 1), Some((3, 1)));
    channel.finish(0, A).unwrap();
    assert_eq!(next(&mut channel, &mut store, A, 1), Some((4, 1)));
    assert!(!channel.is_stalled(), "there is nothing left to wait for");
}

#[test]
fn a_hot_key_keeps_nobody_waiting_until_its_list_is_full() {
    let mut store = Store::keyed(&[7; 20_000]);
    store.0.push(Some(Facts { key: Some(8), due: Time::ZERO }));
    let mut roomy = Channel::new(0, Limits { held: 3, ..Limits::default() });
    roomy.extend(store.end());
    assert_eq!(next(&mut roomy, &mut store, A, 1), Some((0, 1)));
    let mut calls = 0;
    let other = std::iter::from_fn(|| {
        calls += 1;
        let handout = next(&mut roomy, &mut store, A, 1);
        (handout.is_some() || roomy.is_looking()).then_some(handout)
    });
    assert_eq!(
        other.flatten().next(),
        Some((20_000, 1)),
        "the other key's message goes past the parked ones"
    );
    assert!(calls > 1, "one call does not look at everything");
    assert_eq!((roomy.depth(), roomy.in_flight()), (19_999, 2));
    let mut narrow = Channel::new(0, Limits { listed_bytes: 1000, ..Limits::default() });
    narrow.extend(store.end());
    assert_eq!(next(&mut narrow, &mut store, A, 1), Some((0, 1)));
    assert_eq!(next(&mut narrow, &mut store, A, 1), None);
    assert!(narrow.is_stalled() && !narrow.is_looking());
    for sequence in 0..19_000 {
        narrow.finish(sequence, A).unwrap();
        assert_eq!(next(&mut narrow, &mut store, A, 1), Some((sequence + 1, 1)), "in order");
    }
}

#[test]
fn what_is_due_at_a_far_time_is_listed_and_comes_then() {
    const DAY: u64 = 24 * 60 * 60;
    let mut store = Store::plain(3);
    store.0.resize(10_000, Some(Facts { due: at(DAY), key: None }));
    store.0.push(Some(Facts { due: at(2 * DAY), key: Some(1) }));
    let mut channel = Channel::new(0, Limits { held: 5, ..Limits::default() });
    channel.extend(store.end());
    for sequence in 0..3 {
        assert_eq!(next(&mut channel, &mut store, A, 1), Some((sequence, 1)));
        channel.finish(sequence, A).unwrap();
    }
    while next(&mut channel, &mut store, A, 1).is_none() && channel.is_looking() {}
    assert_eq!((channel.deferred(), channel.depth(), channel.is_stalled()), (9_998, 0, false));
    let deadline = channel.next_deadline().unwrap();
    assert!(deadline > at(DAY - 120) && deadline <= at(DAY), "{deadline:?}");
    channel.finish_idle(4).unwrap();
    assert_eq!(channel.deferred(), 9_997);

    let snapshot = channel.snapshot();
    let mut channel = Channel::restore(&snapshot, Limits { held: 5, ..Limits::default() });
    channel.extend(store.end());
    assert_eq!((channel.deferred(), channel.unfinished()), (9_997, 9_997));
    store.0.push(Some(Facts::default()));
    channel.extend(store.end());
    assert_eq!(
        next(&mut channel, &mut store, A, 2),
        Some((10_001, 1)),
        "without looking at the others again"
    );
    channel.finish(10_001, A).unwrap();
    let mut seen = Vec::new();
    while let Some((sequence, attempt)) = next(&mut channel, &mut store, A, DAY) {
        assert_eq!(attempt, 1);
        channel.finish(sequence, A).unwrap();
        seen.push(sequence);
    }
    let expected: Vec<u64> = (3..10_000).filter(|sequence| *sequence != 4).collect();
    assert_eq!(seen, expected);
    let mut now = DAY;
    while next(&mut channel, &mut store, A, now).is_none() {
        let deadline = channel.next_deadline().unwrap();
        assert!(deadline > at(now) && deadline <= at(2 * DAY), "{deadline:?} at {now}");
        now = deadline.0.div_ceil(1_000_000_000);
    }
    assert_eq!(now, 2 * DAY);
}

#[test]
fn going_back_brings_everything_again_but_what_is_in_flight() {
    let mut store = Store::plain(6);
    let mut channel = channel(&store);
    for _ in 0..5 {
        next(&mut channel, &mut store, A, 1);
    }
    channel.finish(0, A).unwrap();
    channel.finish(2, A).unwrap();
    channel.retry(3, A, at(100), at(1)).unwrap();
    channel.retry(4, A, Time::ZERO, at(1)).unwrap();
    assert_eq!(channel.rewind(2), Rewound::Back { to: 2, end: 6 });
    // Message 1 is in flight below, and stays so.
    assert_eq!((channel.floor(), channel.in_flight(), channel.depth(), channel.deferred()), (1, 1, 4, 0));
    for sequence in 2..6 {
        assert_eq!(next(&mut channel, &mut store, B, 1), Some((sequence, 1)), "as if for the first time");
    }
    channel.finish(2, B).unwrap();
    assert_eq!(channel.rewind(0), Rewound::Back { to: 0, end: 6 });
    assert_eq!((channel.floor(), channel.in_flight(), channel.depth()), (0, 4, 2));
    assert_eq!(next(&mut channel, &mut store, A, 1), Some((0, 1)));
    channel.finish(3, B).unwrap();
    channel.retry(4, B, Time::ZERO, at(1)).unwrap();
    assert_eq!(next(&mut channel, &mut store, A, 1), Some((4, 2)), "it was in flight and keeps its count");
    assert_eq!(next(&mut channel, &mut store, A, 1), Some((2, 1)), "1 is still in flight");
    assert_eq!(next(&mut channel, &mut store, A, 1), None);
    for sequence in [0, 1, 2, 4] {
        channel.finish(sequence, A).unwrap();
    }
    channel.finish(5, B).unwrap();
    assert_eq!((channel.unfinished(), channel.floor()), (0, 6));
}

#[test]
fn a_replay_begins_a_generation_for_what_there_is_and_not_for_what_follows() {
    let mut store = Store::plain(6);
    let mut channel = Channel::new(0, Limits::default());
    channel.extend(4);
    let mut handed_out = |channel: &mut Channel| {
        let taker =
            Taker { consumer: A, until: at(60), vanishing: Vanishing::Counts, suspects: Suspects::Allowed };
        let handouts = std::iter::from_fn(|| channel.next(&mut store, taker, at(1)).unwrap());
        let seen: Vec<_> = handouts.map(|handout| (handout.sequence, handout.generation)).collect();
        seen.iter().for_each(|(sequence, _)| channel.finish(*sequence, A).unwrap());
        seen
    };
    assert_eq!(handed_out(&mut channel), [(0, 0), (1, 0), (2, 0), (3, 0)]);
    assert_eq!(channel.rewind(2), Rewound::Back { to: 2, end: 4 });
    channel.extend(6);
    let mut again = Channel::restore(&channel.snapshot(), Limits::default());
    again.extend(6);
    let mut told = Channel::new(0, Limits::default());
    told.extend(6);
    (0..4).for_each(|sequence| told.recall_finished(sequence));
    told.reopen(2, 4);
    for channel in [&mut channel, &mut again, &mut told] {
        assert_eq!(handed_out(channel), [(2, 1), (3, 1), (4, 0), (5, 0)]);
        channel.rewind(0);
        assert_eq!(handed_out(channel), [(0, 1), (1, 1), (2, 2), (3, 2), (4, 1), (5, 1)]);
    }
}

#[test]
fn going_forward_drops_what_lies_between() {
    let mut store = Store::plain(10);
    let mut channel = channel(&store);
    next(&mut channel, &mut store, A, 1);
    next(&mut channel, &mut store, A, 1);
    assert_eq!(channel.rewind(7), Rewound::Forward { from: 2, to: 7, dropped: 5 });
    assert_eq!((channel.in_flight(), channel.depth()), (2, 3));
    assert_eq!(next(&mut channel, &mut store, A, 1), Some((7, 1)));
    assert_eq!(channel.skip(1, 9), 3, "in flight or not");
    assert!(channel.finish(1, A).is_err());
    channel.finish(0, A).unwrap();
    assert_eq!((channel.floor(), channel.unfinished()), (9, 1));
    assert_eq!(channel.rewind(99), Rewound::Forward { from: 9, to: 10, dropped: 1 });
}

#[test]
fn a_replay_keeps_the_order_of_keys() {
    let mut store = Store::keyed(&[7, 7, 7, 8]);
    let mut channel = channel(&store);
    for sequence in 0..2 {
        assert_eq!(next(&mut channel, &mut store, A, 1), Some((sequence, 1)));
        if sequence == 0 {
            assert_eq!(next(&mut channel, &mut store, A, 1), Some((3, 1)));
        }
        if sequence == 0 {
            channel.finish(0, A).unwrap();
        }
    }
    // 1 and 3 are in flight, 2 is parked.
    assert_eq!(channel.rewind(0), Rewound::Back { to: 0, end: 4 });
    assert_eq!(next(&mut channel, &mut store, A, 1), None, "1 of the same key is in flight");
    channel.finish(1, A).unwrap();
    assert_eq!(next(&mut channel, &mut store, A, 1), Some((0, 1)));
    channel.finish(0, A).unwrap();
    assert_eq!(next(&mut channel, &mut store, A, 1), Some((2, 1)));
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
    assert_eq!((snapshot.floor, snapshot.finished.runs().collect::<Vec<_>>()), (1, vec![(2, 3)]));

    let mut second = Channel::restore(&snapshot, Limits::default());
    second.extend(store.end());
    assert_eq!(second.snapshot(), snapshot);
    second.recall(Recalled { sequence: 5, attempts: 4, ..Recalled::default() });
    second.recall(Recalled { sequence: 2, attempts: 4, ..Recalled::default() });
    second.recall_finished(3);
    let mut handed_out = Vec::new();
    while let Some(handout) = next(&mut second, &mut store, B, 2) {
        handed_out.push(handout);
    }
    assert_eq!(handed_out, [(4, 1), (5, 5)]);
    assert_eq!(next(&mut second, &mut store, B, 10), Some((1, 2)));
}
