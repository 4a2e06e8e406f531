//! The committer over a simulated disk and clock: the disk stops at any write, tears what was not synced, lies, fails, runs
//! full or flips bits, the clock jumps; after each the recovered state is compared with what had been promised.
//!
//! `BIS_SEED=7 cargo test -p bis-journal --lib simulation` plays one seed again; `BIS_LONG=1` plays 20 times as many.

mod clock;
mod dates;
mod disk;
mod promises;
mod router;

use std::collections::BTreeSet;
use std::time::Duration;

use disk::{Faults, Flaky, SimulatedDisk, Target};
use promises::Promises;
use router::Router;

use crate::files::disk::Disk;
use crate::files::segment::name_of;

/// xorshift64*: the same on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }
}

/// The seed of one run from the environment, or else a fixed number; many more in a long run.
fn seeds(count: u64) -> std::ops::Range<u64> {
    let alone = std::env::var("BIS_SEED").ok().map(|seed| seed.parse::<u64>().unwrap());
    let count = if std::env::var_os("BIS_LONG").is_some() { 20 * count } else { count };
    alone.map_or(1..count + 1, |seed| seed..seed + 1)
}

/// Whether all seeds were run, so that their sum means something.
fn is_whole() -> bool {
    std::env::var_os("BIS_SEED").is_none()
}

/// Runs with power for this many changes, crashes, recovers, goes on, stops cleanly, starts again. Returns how many messages
/// moved, unless the power stayed.
fn crash_at(point: usize, seed: u64) -> Option<usize> {
    let situation = format!("BIS_SEED={seed}, crash at change {point}");
    let mut random = Random(seed);
    let mut promises = Promises::default();
    let disk = SimulatedDisk::default();
    disk.set(Faults { power: Some(point), ..Faults::default() });
    if let Ok(mut router) = Router::start(&disk) {
        promises.run(&mut router, &mut random, 90, "a");
    }
    let went = disk.is_dead();
    let mut crash = Random(seed * 1000 + point as u64 + 1);
    let mut disk = disk.after_crash(&mut crash);
    // The power goes during the start too, now and then.
    while crash.below(3) == 0 {
        let power = Some(usize::try_from(crash.below(12)).unwrap());
        disk.set(Faults { power, ..Faults::default() });
        let _ = Router::start(&disk);
        disk = disk.after_crash(&mut crash);
    }
    let router = Router::start(&disk).unwrap();
    promises.check_undamaged(&router, &situation);
    let again = promises.go_on(router, &disk, &mut crash);
    promises.check_undamaged(&again, &format!("{situation}, clean stop"));
    went.then_some(promises.moved)
}

#[test]
fn a_crash_at_any_write_loses_nothing_that_was_answered() {
    let mut moved = 0;
    for seed in seeds(5) {
        let mut point = 0;
        while let Some(here) = crash_at(point, seed) {
            point += 1;
            moved = moved.max(here);
        }
        assert!(point > 100, "the run was too short to mean something: {point} changes");
    }
    assert!(moved > 0 || !is_whole(), "no message moved");
}

/// Runs over a disk whose changes fail now and then, crashes and recovers.
fn failing(target: Target, one_of: u64) {
    let (mut answered, mut failed) = (0, 0);
    for seed in seeds(100) {
        let situation = format!("BIS_SEED={seed}, faults of {target:?}");
        let disk = SimulatedDisk::default();
        let mut random = Random(seed);
        let mut promises = Promises::through_faults();
        let mut router = Router::start(&disk).unwrap();
        let flaky = Flaky { random: Random(seed + 1000), one_of, target };
        disk.set(Faults { flaky: Some(flaky), ..Faults::default() });
        promises.run(&mut router, &mut random, 120, "a");
        answered += promises.answered.len();
        failed += disk.failed();
        let crashed = disk.after_crash(&mut random);
        let router = Router::start(&crashed).unwrap();
        promises.check_undamaged(&router, &situation);
        let again = promises.go_on(router, &crashed, &mut random);
        promises.check_undamaged(&again, &format!("{situation}, clean stop"));
    }
    if is_whole() {
        assert!(answered > 500, "{target:?}: too little was answered to mean something: {answered}");
        assert!(failed > 50, "{target:?}: too little failed to mean something: {failed}");
    }
}

#[test]
fn a_disk_that_fails_now_and_then_loses_nothing_that_was_answered() {
    failing(Target::Everything, 20);
}

#[test]
fn checkpoints_that_fail_lose_nothing() {
    failing(Target::Checkpoints, 2);
}

#[test]
fn segments_that_cannot_be_begun_lose_nothing() {
    failing(Target::NewSegments, 2);
}

#[test]
fn segments_that_cannot_be_written_lose_nothing() {
    failing(Target::Segments, 6);
}

#[test]
fn names_that_cannot_be_changed_lose_nothing() {
    failing(Target::Names, 2);
}

#[test]
fn a_disk_that_runs_full_again_and_again_loses_nothing() {
    let mut answered = 0;
    for seed in seeds(100) {
        let situation = format!("BIS_SEED={seed}");
        let (disk, mut random) = (SimulatedDisk::default(), Random(seed));
        let mut promises = Promises::through_faults();
        let mut router = Router::start(&disk).unwrap();
        for turn in 0..8 {
            // Full at once, or a little later, so that the reserve comes back in some runs.
            let capacity = (turn % 2 == 1 && seed % 2 == 1).then_some(20_000 + 1000 * (seed as usize % 20));
            let is_full = turn % 2 == 1 && capacity.is_none();
            disk.set(Faults { is_full, capacity, ..Faults::default() });
            promises.run(&mut router, &mut random, 20, &format!("a{turn}"));
        }
        answered += promises.answered.len();
        disk.set(Faults::default());
        let crashed = disk.after_crash(&mut random);
        let router = Router::start(&crashed).unwrap();
        promises.check_undamaged(&router, &situation);
        let again = promises.go_on(router, &crashed, &mut random);
        promises.check_undamaged(&again, &format!("{situation}, clean stop"));
    }
    assert!(answered > 500 || !is_whole(), "too little was answered to mean something: {answered}");
}

#[test]
fn a_disk_that_lied_is_survived_and_believed_again() {
    for seed in seeds(200) {
        let situation = format!("BIS_SEED={seed}, syncs that lied");
        let (disk, mut random) = (SimulatedDisk::default(), Random(seed));
        let mut promises = Promises::default();
        let mut router = Router::start(&disk).unwrap();
        promises.run(&mut router, &mut random, 30, "true");
        disk.set(Faults { syncs_lie: true, ..Faults::default() });
        promises.run(&mut router, &mut random, 60, "lied");
        let crashed = disk.after_crash(&mut random);
        let router = Router::start(&crashed).unwrap();
        promises.forget();
        promises.check(&router, &situation);
        let again = promises.go_on(router, &crashed, &mut random);
        promises.check(&again, &format!("{situation}, clean stop"));
    }
}

#[test]
fn a_full_disk_refuses_and_loses_nothing() {
    let disk = SimulatedDisk::default();
    let mut router = Router::start(&disk).unwrap();
    assert!(router.subscribe());
    assert!(router.publish("before", Duration::ZERO));
    disk.set(Faults { is_full: true, ..Faults::default() });
    let mut publish = |number| router.publish(&format!("{number}{}", "x".repeat(300)), Duration::ZERO);
    let refused = (0..100).filter(|number| !publish(*number)).count();
    assert!(refused > 50, "only {refused} were refused");
    assert!(
        router.state().last_awaited().is_stored(),
        "who subscribes meanwhile need not wait for a commit that failed"
    );
    disk.set(Faults::default());
    assert!(router.publish("after", Duration::ZERO));
    assert_eq!(router.depth(), 102 - refused as u64);
    let all = router.unfinished();
    let router = Router::start(&disk.after_crash(&mut Random(7))).unwrap();
    assert_eq!(router.damage, []);
    assert_eq!(router.unfinished(), all);
    assert!(all.contains_key("before") && all.contains_key("after"));
    assert_eq!(all.len(), 102 - refused);
    assert_eq!(router.depth(), all.len() as u64, "what was refused is not waited for");
}

#[tokio::test]
async fn a_commit_that_failed_long_ago_is_never_taken_for_one_that_holds() {
    let disk = SimulatedDisk::default();
    let mut router = Router::start(&disk).unwrap();
    assert!(router.subscribe());
    let stored = router.take_for("stored");
    assert!(router.flush());
    let flaky = Some(Flaky { random: Random(1), one_of: 1, target: Target::Segments });
    disk.set(Faults { flaky, ..Faults::default() });
    let refused = router.take_for("refused");
    assert!(!router.flush());
    assert!((0..5000).all(|number| !router.publish(&format!("refused too {number}"), Duration::ZERO)));
    disk.set(Faults::default());
    assert!((0..5000).all(|number| router.publish(&format!("later {number}"), Duration::ZERO)));
    assert!(!router.is_stored(refused).await, "it was refused, and is told to be stored");
    assert!(router.is_stored(stored).await);
}

/// Publishes until the disk is full; how many messages were answered.
fn fill(router: &mut Router, prefix: &str) -> usize {
    let publish =
        |number: &usize| router.publish(&format!("{prefix}-{number}-{}", "x".repeat(300)), Duration::ZERO);
    let stored = (0..1000).take_while(publish).count();
    assert!(stored < 1000, "the disk is never full");
    stored
}

/// Receives and finishes everything.
fn handle_all(router: &mut Router) -> usize {
    let mut handled = 0;
    loop {
        let received = router.receive();
        if received.is_empty() {
            return handled;
        }
        handled += received.len();
        for (sequence, _) in received {
            assert!(router.finish(sequence));
        }
        router.flush();
    }
}

#[test]
fn a_full_disk_gives_room_back_once_everything_is_handled() {
    let disk = SimulatedDisk::default();
    disk.set(Faults { capacity: Some(64 * 1024), ..Faults::default() });
    let mut router = Router::start(&disk).unwrap();
    assert!(router.subscribe());
    for round in 0..5 {
        let stored = fill(&mut router, &format!("a{round}"));
        assert!(stored > 60, "round {round}: room for {stored} only");
        assert_eq!(handle_all(&mut router), stored);
    }
    // Nothing of it comes back.
    let crashed = disk.after_crash(&mut Random(1));
    let router = Router::start(&crashed).unwrap();
    assert_eq!(router.damage, []);
    assert_eq!(router.unfinished().into_keys().collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn a_full_disk_frees_itself_where_settlements_have_used_up_the_reserve() {
    let disk = SimulatedDisk::default();
    disk.set(Faults { capacity: Some(128 * 1024), ..Faults::default() });
    // Everything is in the segment that is written to, as on a small disk.
    let mut router = Router::start_with(&disk, 1 << 18).unwrap();
    assert!(router.subscribe());
    for round in 0..3 {
        let stored = (0..5000).take_while(|_| router.publish("small", Duration::ZERO)).count();
        assert!((300..5000).contains(&stored), "round {round}: room for {stored}");
        let mut handled = 0;
        loop {
            let received = router.receive();
            if received.is_empty() {
                break;
            }
            for (sequence, _) in received {
                assert!(router.finish(sequence));
                handled += 1;
            }
            router.flush();
            router.look_for_room();
        }
        assert_eq!(handled, stored, "round {round}");
    }
    let router = Router::start_with(&disk.after_crash(&mut Random(5)), 1 << 18).unwrap();
    assert_eq!((router.damage.len(), router.unfinished().len()), (0, 0));
}

#[test]
fn on_a_full_disk_handlers_may_publish_a_little_and_lose_nothing_of_it() {
    let disk = SimulatedDisk::default();
    disk.set(Faults { capacity: Some(64 * 1024), ..Faults::default() });
    let mut router = Router::start(&disk).unwrap();
    assert!(router.subscribe());
    let stored = fill(&mut router, "a");
    let letter = "x".repeat(200);
    let kept = (0..1000).take_while(|_| router.publish_from_handler(&letter)).count();
    assert!((8..100).contains(&kept), "{kept} were kept in a reserve of 8 KiB and more");
    assert!(!router.publish("others are refused", Duration::ZERO));
    assert_eq!(handle_all(&mut router), stored);

    router.look_for_room();
    let router = Router::start(&disk.after_crash(&mut Random(3))).unwrap();
    assert_eq!((router.damage.len(), router.unfinished().len()), (0, 0));
    let state = router.state();
    let shipped = state.number_of("shipped").unwrap();
    assert_eq!(state.topic(shipped).unwrap().depth(), kept as u64);
}

#[test]
fn what_is_handled_on_a_full_disk_does_not_come_back() {
    let disk = SimulatedDisk::default();
    disk.set(Faults { capacity: Some(64 * 1024), ..Faults::default() });
    let mut router = Router::start(&disk).unwrap();
    assert!(router.subscribe());
    let stored = fill(&mut router, "a");
    // One message of each segment is not handled, so that no segment can go.
    let mut handled = BTreeSet::new();
    for _ in 0..stored {
        for (sequence, body) in router.receive() {
            if sequence % 3 != 0 && router.finish(sequence) {
                handled.insert(body);
            }
        }
        router.clock.pass(Duration::from_secs(120));
        router.flush();
        router.publish("refused", Duration::ZERO);
    }
    assert!(handled.len() > stored / 2);
    let crashed = disk.after_crash(&mut Random(2));
    let left = Router::start(&crashed).unwrap().unfinished();
    assert!(left.keys().all(|body| !handled.contains(body)), "handled, and delivered again");
    assert!(left.len() >= stored - handled.len());
}

#[test]
fn a_large_message_that_finds_no_room_leaves_it_to_small_ones() {
    let disk = SimulatedDisk::default();
    let mut router = Router::start_with(&disk, 1 << 26).unwrap();
    assert!(router.subscribe() && router.publish("before", Duration::ZERO));
    disk.set(Faults { capacity: Some(400_000), ..Faults::default() });
    assert!(!router.publish(&"large".repeat(100_000), Duration::ZERO));
    assert!(router.publish("after", Duration::ZERO));
    let router = Router::start_with(&disk.after_crash(&mut Random(4)), 1 << 26).unwrap();
    assert_eq!(router.damage, []);
    assert_eq!(router.unfinished().into_keys().collect::<Vec<_>>(), ["after", "before"]);
}

#[test]
fn what_was_taken_while_others_were_refused_has_their_sequences() {
    let disk = SimulatedDisk::default();
    let mut router = Router::start(&disk).unwrap();
    assert!(router.subscribe());
    router.take("refused 0");
    router.take("refused 1");
    let refused = router.state().take_batch().unwrap();
    router.take("kept 0");
    router.take("kept 1");
    let flaky = Some(Flaky { random: Random(1), one_of: 1, target: Target::Segments });
    disk.set(Faults { flaky, ..Faults::default() });
    assert!(!router.commit(refused));
    disk.set(Faults::default());
    assert!(router.flush());
    assert!(router.publish("kept 2", Duration::ZERO));
    let kept = [0, 1, 2].map(|number| (number, format!("kept {number}")));
    assert_eq!(router.receive(), kept);
    let mut router = Router::start(&disk.after_crash(&mut Random(2))).unwrap();
    assert!(router.subscribe());
    assert_eq!(router.receive(), kept);
}

#[test]
fn a_start_on_a_full_disk_keeps_what_a_damaged_end_still_holds() {
    let disk = SimulatedDisk::default();
    let mut router = Router::start(&disk).unwrap();
    assert!(router.subscribe() && router.publish("before", Duration::ZERO));
    assert!(router.publish("last", Duration::ZERO));
    let disk = disk.after_crash(&mut Random(5));
    let file = disk.open(&name_of(1)).unwrap();
    let mut bytes = vec![0; usize::try_from(file.length().unwrap()).unwrap()];
    file.read_at(&mut bytes, 0).unwrap();
    let header = bytes.windows(4).rposition(|window| window == b"BISb").unwrap();
    file.write_at(b"x", header as u64).unwrap();
    disk.set(Faults { is_full: true, ..Faults::default() });
    let _ = Router::start(&disk);
    disk.set(Faults::default());
    let found = Router::start(&disk).unwrap().unfinished();
    assert!(found.contains_key("before") && found.contains_key("last"), "{found:?}");
}

#[test]
fn a_failed_sync_stops_the_router_and_the_disk_tells_the_truth() {
    let disk = SimulatedDisk::default();
    let mut router = Router::start(&disk).unwrap();
    assert!(router.subscribe());
    assert!(router.publish("before", Duration::ZERO));
    disk.set(Faults { syncs_fail: true, ..Faults::default() });
    assert!(!router.publish("lost or not", Duration::ZERO));
    disk.set(Faults::default());
    assert!(!router.publish("after", Duration::ZERO), "a sync is not tried again");
    assert!(router.state().failure().is_some());
    let found = Router::start(&disk.after_crash(&mut Random(9))).unwrap().unfinished();
    assert!(found.contains_key("before"));
    assert!(!found.contains_key("after"));
}

#[test]
fn a_flipped_bit_is_reported_and_hides_nothing_else() {
    let disk = SimulatedDisk::default();
    let mut router = Router::start(&disk).unwrap();
    assert!(router.subscribe());
    for number in 0..10 {
        assert!(router.publish(&format!("message {number}"), Duration::ZERO));
    }
    let flipped = disk.after_crash(&mut Random(3));
    flipped.flip(b"message 4");
    let router = Router::start(&flipped).unwrap();
    assert_eq!(router.damage.len(), 1);
    let expected: BTreeSet<String> =
        (0..10).filter(|number| *number != 4).map(|number| format!("message {number}")).collect();
    assert_eq!(router.unfinished().into_keys().collect::<BTreeSet<_>>(), expected);
}

/// A disk with several segments, some of them removed again, after a crash; and what was promised.
fn long_run(seed: u64) -> (SimulatedDisk, Promises) {
    let (disk, mut random) = (SimulatedDisk::default(), Random(seed));
    let mut promises = Promises::default();
    let mut router = Router::start(&disk).unwrap();
    let steps = 60 + random.below(100);
    promises.run(&mut router, &mut random, steps, "a");
    (disk.after_crash(&mut random), promises)
}

#[test]
fn a_start_from_the_checkpoint_before_misses_nothing_and_brings_nothing_back() {
    let mut removed = 0;
    for seed in seeds(100) {
        let (disk, promises) = long_run(seed);
        let names = disk.list().unwrap();
        if !names.iter().any(|name| name == "checkpoint.previous") {
            continue;
        }
        removed += usize::from(!names.contains(&name_of(1)));
        disk.open("checkpoint").unwrap().write_at(b"x", 0).unwrap();
        let router = Router::start(&disk).unwrap();
        promises.check_undamaged(&router, &format!("BIS_SEED={seed}, the newest checkpoint damaged"));
    }
    assert!(removed > 10 || !is_whole(), "too few runs removed a segment: {removed}");
}

#[test]
fn a_segment_that_vanishes_is_reported_or_held_nothing() {
    let mut reported = 0;
    for seed in seeds(100) {
        let (disk, mut promises) = long_run(seed);
        let names = disk.list().unwrap();
        let segments: Vec<&String> = names.iter().filter(|name| name.ends_with(".segment")).collect();
        let gone = usize::try_from(Random(seed + 1).below(segments.len() as u64)).unwrap();
        disk.remove(segments[gone]).unwrap();
        let mut router = Router::start(&disk).unwrap();
        let situation = format!("BIS_SEED={seed}, without {} of {}", segments[gone], segments.len());
        let lost = promises.lost(&router);
        assert!(lost == 0 || !router.damage.is_empty(), "{situation}: {lost} were lost in silence");
        let is_newest = gone + 1 == segments.len();
        let dropped = router.state().dropped();
        // Nothing records what the newest had beyond the checkpoint.
        assert!(lost as u64 <= dropped || is_newest, "{situation}: {lost} were lost, {dropped} counted");
        reported += usize::from(!router.damage.is_empty());

        promises.forget();
        promises.run(&mut router, &mut Random(seed + 2), 25, "b");
        router.flush();
        router.stop().unwrap();
        let again = Router::start(&disk.after_crash(&mut Random(seed))).unwrap();
        promises.check_undamaged(&again, &format!("{situation}, after a clean stop"));
    }
    assert!(reported > 30 || !is_whole(), "too few were reported: {reported}");
}
