//! The model: what a router promised to whom, and what may or may not hold after something went wrong.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Random;
use super::disk::SimulatedDisk;
use super::router::Router;

#[derive(Default, Debug)]
pub(super) struct Promises {
    /// Every body that was ever sent.
    sent: BTreeSet<String>,
    pub(super) answered: BTreeSet<String>,
    /// Finished by the consumer, whether the journal knows it or not.
    pub(super) finished: BTreeSet<String>,
    /// Finished, and the journal knows it.
    pub(super) finished_for_good: BTreeSet<String>,
    /// Continue when something is refused.
    goes_on: bool,
    /// Something was refused: what is finished may not be in the journal.
    is_unsure: bool,
    /// The most messages that lived on as copies.
    pub(super) moved: usize,
}

impl Promises {
    /// For a run that goes on when something is refused.
    pub(super) fn through_faults() -> Self {
        Self { goes_on: true, ..Self::default() }
    }

    /// Random traffic, on a clock that jumps, until there is enough or something is refused.
    pub(super) fn run(&mut self, router: &mut Router, random: &mut Random, steps: u64, prefix: &str) {
        if !router.subscribe() {
            return;
        }
        let mut in_flight = Vec::new();
        for step in 0..steps {
            let holds = match random.below(16) {
                0..=6 => self.publish(router, random, &format!("{prefix}-{step}")),
                7..=9 => {
                    in_flight.extend(router.receive());
                    true
                }
                10..=12 => {
                    if let Some((sequence, body)) = in_flight.pop()
                        && router.finish(sequence)
                    {
                        self.finished.insert(body);
                    }
                    random.below(2) == 0 || router.flush()
                }
                13 => {
                    router.clock.pass(Duration::from_secs(random.below(7200)));
                    true
                }
                14 => {
                    match random.below(3) {
                        0 => router.clock.set_forwards(Duration::from_secs(random.below(1800))),
                        1 => router.clock.set_back(Duration::from_secs(random.below(1800))),
                        _ => router.clock.suspend(Duration::from_secs(random.below(1800))),
                    }
                    true
                }
                _ => router.give_space_back(),
            };
            self.moved = self.moved.max(router.moved());
            if !holds && !self.goes_on {
                return;
            }
            self.is_unsure |= !holds;
            if !router.state().is_dirty() && !self.is_unsure {
                self.finished_for_good.extend(self.finished.iter().cloned());
            }
        }
    }

    fn publish(&mut self, router: &mut Router, random: &mut Random, name: &str) -> bool {
        let filler = "x".repeat(usize::try_from(random.below(700)).unwrap());
        let body = format!("{name}-{filler}");
        let delay = if random.below(8) == 0 { 60 * random.below(600) } else { 0 };
        self.sent.insert(body.clone());
        let holds = router.publish(&body, Duration::from_secs(delay));
        if holds {
            self.answered.insert(body);
        }
        holds
    }

    /// Nothing that was answered is lost, nothing that was finished for good is back, nothing is there twice and nothing
    /// that nobody sent.
    pub(super) fn check(&self, router: &Router, situation: &str) {
        let found = router.unfinished();
        for body in self.answered.difference(&self.finished) {
            assert!(found.contains_key(body), "{situation}: answered and lost: {body}");
        }
        for body in &self.finished_for_good {
            assert!(!found.contains_key(body), "{situation}: finished for good, and came back: {body}");
        }
        for (body, count) in &found {
            assert!(*count == 1, "{situation}: there {count} times: {body}");
            assert!(self.sent.contains(body), "{situation}: never sent: {body}");
        }
    }

    /// As [`Promises::check`], and nothing was taken for damage.
    pub(super) fn check_undamaged(&self, router: &Router, situation: &str) {
        assert_eq!(router.damage, [], "{situation}: damage where there is none");
        self.check(router, situation);
    }

    /// How many messages were answered, not finished, and are not there.
    pub(super) fn lost(&self, router: &Router) -> usize {
        let found = router.unfinished();
        self.answered.difference(&self.finished).filter(|body| !found.contains_key(*body)).count()
    }

    /// What came back is to be delivered again.
    pub(super) fn take_back(&mut self, router: &Router) {
        let back = router.unfinished();
        self.finished.retain(|body| !back.contains_key(body));
    }

    /// The disk lied: nothing is promised about the past, and everything again from now on.
    pub(super) fn forget(&mut self) {
        let sent = std::mem::take(&mut self.sent);
        *self = Self { sent, ..Self::default() };
    }

    /// Goes on after a start, stops cleanly, and starts again from what that left.
    pub(super) fn go_on(&mut self, mut router: Router, disk: &SimulatedDisk, random: &mut Random) -> Router {
        self.take_back(&router);
        self.run(&mut router, random, 25, "b");
        router.flush();
        router.stop().unwrap();
        self.finished_for_good = self.finished.clone();
        Router::start(&disk.after_crash(random)).unwrap()
    }
}
