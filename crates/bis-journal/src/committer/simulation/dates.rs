//! Somebody sets the date while the router runs, or suspends the machine: what is due comes when it is due.

use std::time::Duration;

use super::disk::SimulatedDisk;
use super::router::Router;

const HOUR: Duration = Duration::from_secs(3600);

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A router with these messages, each with its delay, and a consumer whose leases last a minute.
fn router(messages: &[(&str, Duration)]) -> Router {
    let mut router = Router::start(&SimulatedDisk::default()).unwrap();
    assert!(router.subscribe());
    for (body, delay) in messages {
        assert!(router.publish(body, *delay));
    }
    router
}

/// Runs it with the date set back, with the date set forwards, and with the date set back and corrected again.
fn with_other_dates(check: impl Fn(&dyn Fn(&Router))) {
    check(&|router| router.clock.set_back(HOUR));
    check(&|router| router.clock.set_forwards(HOUR));
    check(&|router| {
        router.clock.set_back(HOUR);
        router.clock.set_forwards(HOUR);
    });
}

#[test]
fn a_retry_comes_after_its_wait_whatever_the_date() {
    with_other_dates(|set| {
        let mut router = router(&[("one", Duration::ZERO)]);
        let (sequence, _) = router.receive().remove(0);
        router.requeue(sequence, seconds(2));
        set(&router);
        router.clock.pass(seconds(1));
        assert_eq!(router.receive(), []);
        router.clock.pass(seconds(1));
        assert_eq!(router.receive().len(), 1);
    });
}

#[test]
fn a_delay_and_a_lease_end_in_time_whatever_the_date() {
    with_other_dates(|set| {
        let mut router = router(&[("leased", Duration::ZERO), ("delayed", seconds(30))]);
        assert_eq!(router.receive().len(), 1);
        set(&router);
        router.clock.pass(seconds(29));
        assert_eq!(router.receive(), []);
        router.clock.pass(seconds(1));
        assert_eq!(router.receive(), [(1, "delayed".to_owned())]);
        router.clock.pass(seconds(29));
        assert_eq!(router.receive(), [], "the lease runs for a minute");
        router.clock.pass(seconds(1));
        assert_eq!(router.receive(), [(0, "leased".to_owned())]);
    });
}

#[test]
fn a_suspended_machine_wakes_up_with_its_leases_and_late_for_nothing() {
    let mut router = router(&[("leased", Duration::ZERO), ("delayed", HOUR)]);
    assert_eq!(router.receive().len(), 1);
    router.clock.pass(seconds(20));
    router.clock.suspend(2 * HOUR);
    assert_eq!(router.receive(), [(1, "delayed".to_owned())], "its hour is over, and the lease is not");
    assert!(router.finish(0), "the consumer still holds it");
}
