//! Cases of a whole app, as a process, on every broker that can carry it. The process is this test program again.

mod blocking;
mod cases;
mod crash;
mod outage;
mod process;

use bis_broker::BoxFuture;
use bis_conformance::{
    Promise::{
        self, AtLeastOnce, AttemptsCounted, ConcurrencyBound, Drained, LeaseExtended, NothingLost,
        PanicIsolated, Unchanged,
    },
    Tag::{self, MultiProcess},
    bounded, note_skip, skip_missing,
};
use libtest_mimic::Trial;

use crate::{Broker, peer::Site};

/// The trials of a whole app that run on the router only.
pub(crate) fn trials() -> Vec<Trial> {
    outage::trials().into_iter().chain(crash::trials()).chain(blocking::trials()).collect()
}

pub(crate) use crash::publish;
pub(crate) use process::process;

/// A case of a whole app.
#[derive(Clone, Copy)]
pub(crate) struct AppCase {
    pub(crate) name: &'static str,
    pub(crate) promises: &'static [Promise],
    pub(crate) tags: &'static [Tag],
    run: for<'a> fn(&'a dyn Site) -> BoxFuture<'a, ()>,
}

macro_rules! cases {
    ($($case:ident: [$($promise:ident),+] $([$($tag:ident),+])?;)*) => {
        /// Every case of an app.
        pub(crate) const CASES: &[AppCase] = &[$(AppCase {
            name: stringify!($case),
            promises: &[$($promise),+],
            tags: &[$($($tag),+)?],
            run: |site| Box::pin(cases::$case(site)),
        },)*];
    };
}

cases! {
    a_panic_hurts_nobody_else: [PanicIsolated, AttemptsCounted];
    no_more_handlers_run_than_allowed: [ConcurrencyBound];
    a_handler_longer_than_its_lease_keeps_its_event: [LeaseExtended];
    what_cannot_be_handled_is_kept_as_a_dead_letter: [PanicIsolated, NothingLost] [MultiProcess];
    a_letter_is_kept_however_large_its_event_is: [NothingLost] [MultiProcess];
    a_malformed_cloudevent_is_a_dead_letter: [Unchanged] [MultiProcess];
    a_stop_finishes_what_was_started_and_no_more: [Drained] [MultiProcess];
    a_stop_under_load_repeats_nothing: [Drained, NothingLost] [MultiProcess];
    a_killed_app_repeats_only_what_was_in_flight: [AtLeastOnce, NothingLost] [MultiProcess];
    other_clients_read_what_we_publish: [Unchanged] [MultiProcess];
}

/// Runs a case on a broker of its own.
pub(crate) fn run(broker: &'static Broker, case: &'static AppCase) {
    bounded(case.name, async {
        let site = match (broker.site)().await {
            Ok(site) => site,
            Err(missing) => return skip_missing(broker.kind.name, case.name, &missing),
        };
        if site.process().is_none() && case.tags.contains(&MultiProcess) {
            return note_skip(broker.kind.name, case.name, "it lives and dies with the app's process");
        }
        (case.run)(&*site).await;
    });
}
