//! The one suite that every broker driver runs: the contract of `bis-broker`, as tests.
//!
//! A driver's tests give a [`Kind`], which starts one broker for each of [`CASES`]. What a broker cannot do is read from
//! its `Capabilities`: such a case then tests that it is refused, or is skipped with a line that says why; the run ends
//! with one list of what was skipped ([`skipped`]). This crate must never know one driver from another.
//!
//! # The contract, line by line
//!
//! Cases that begin with `app` run a whole app as a process, on the same brokers; they live in `tests/brokers/app`. A
//! test keeps this table and the cases in step.
//!
//! | line | cases |
//! |---|---|
//! | at least once, also when the consumer crashes | `an_acked_event_does_not_come_again`, `every_subscription_gets_every_event`, `consumers_of_one_subscription_share_its_events`, `a_dropped_delivery_comes_again`, `a_lease_that_ends_gives_the_event_back` (multi-process), `a_dropped_consumer_gives_everything_back`, `a_crashed_consumer_loses_nothing` (multi-process), `app::a_killed_app_repeats_only_what_was_in_flight` (multi-process) |
//! | what is published before the first consumer is kept | `an_event_before_the_first_consumer_is_kept`, `ensuring_twice_changes_nothing`, `a_topic_that_nobody_ensured_takes_events` |
//! | order by key where claimed | `an_ordered_topic_is_kept_or_refused`, `other_keys_are_not_held_up`, `consumers_share_the_order`, `a_key_without_order_holds_nobody_up`, `order_survives_a_kill` (durable) (multi-process) |
//! | attributes and bytes unchanged | `bytes_and_attributes_stay_unchanged`, `attributes_beyond_what_travels_beside_the_data_stay_unchanged`, `app::a_malformed_cloudevent_is_a_dead_letter` (multi-process), `app::other_clients_read_what_we_publish` (multi-process) |
//! | retry times within bounds | `a_retry_waits_as_asked`, `a_postponed_event_waits_uncounted_where_offered`, `a_delayed_event_comes_after_its_delay`, `what_waits_for_its_time_survives_a_kill` (durable) (multi-process) |
//! | attempts counted | `attempts_are_counted`, `a_dropped_delivery_comes_again`, `a_crashed_consumer_loses_nothing` (multi-process), `app::a_panic_hurts_nobody_else` |
//! | nothing lost when the process stops between any two steps | `receiving_can_be_cancelled`, `acks_before_closing_hold` (multi-process), `more_events_than_a_call_carries_are_all_taken`, `order_survives_a_kill` (durable) (multi-process), `a_replay_survives_a_kill` (durable) (multi-process), `what_was_published_survives_a_kill` (durable) (multi-process), `what_waits_for_its_time_survives_a_kill` (durable) (multi-process), `nothing_is_lost_when_the_broker_dies_between_any_two_steps` (durable) (multi-process), `app::what_cannot_be_handled_is_kept_as_a_dead_letter` (multi-process), `app::a_letter_is_kept_however_large_its_event_is` (multi-process), `app::a_stop_under_load_repeats_nothing` (multi-process), `app::a_killed_app_repeats_only_what_was_in_flight` (multi-process) |
//! | lease extended while the handler runs | `a_lease_that_is_extended_holds`, `app::a_handler_longer_than_its_lease_keeps_its_event` |
//! | drain on SIGTERM without duplicates beyond those in flight | `app::a_stop_finishes_what_was_started_and_no_more` (multi-process), `app::a_stop_under_load_repeats_nothing` (multi-process) |
//! | concurrency bound kept | `no_more_is_taken_than_asked_for`, `app::no_more_handlers_run_than_allowed` |
//! | panic isolated | `app::a_panic_hurts_nobody_else`, `app::what_cannot_be_handled_is_kept_as_a_dead_letter` (multi-process) |
//! | reconnect after the broker restarts | `everyone_reconnects_after_a_restart` (multi-process) |
//! | publish fails when the broker did not take it | `an_event_that_is_too_large_is_refused_alone`, `a_closed_broker_refuses`, `publishing_fails_when_the_broker_is_gone` (multi-process) |
//! | what never started is returned, uncounted where offered | `a_released_event_comes_again_uncounted_where_offered`, `a_postponed_event_waits_uncounted_where_offered`, `a_stopped_consumer_gives_back_what_it_did_not_return` |
//! | a receipt says place and duplicate where offered | `a_receipt_says_where_the_event_is_and_whether_it_was_known` |
//! | deduplication where offered | `the_same_event_again_is_kept_once_where_offered`, `a_receipt_says_where_the_event_is_and_whether_it_was_known` |
//! | what waits is shown without being taken, where offered | `what_waits_is_shown_or_peeking_is_refused` |
//! | what was handled comes again when asked, where offered | `what_was_handled_comes_again_or_replaying_is_refused`, `a_retention_is_kept_or_refused`, `a_replay_survives_a_kill` (durable) (multi-process) |
//! | what is published comes to those who listen, and nothing is kept for them | `a_listener_gets_what_is_published_from_then_on`, `a_delayed_event_comes_to_listeners_after_its_delay`, `a_listener_holds_up_nobody`, `a_closed_broker_is_not_listened_to` |
//! | what a broker cannot do is refused with a clear error | `a_delay_beyond_the_limit_is_refused`, `an_event_that_is_too_large_is_refused_alone`, `an_ordered_topic_is_kept_or_refused`, `what_waits_is_shown_or_peeking_is_refused`, `what_was_handled_comes_again_or_replaying_is_refused`, `a_retention_is_kept_or_refused` |

mod case;
pub mod cases;
mod context;
mod peer;
mod run;
mod skipped;

/// The vocabulary that cases are written in, for cases that live elsewhere.
pub mod case_words {
    pub use crate::context::{TOPIC, ack, at_once, event, publish, spec, topic, topology, try_publish};
}

pub use case::{Case, CaseFuture, Promise, Tag};
pub use cases::CASES;
pub use context::{Context, Inbox};
pub use peer::{Missing, Peer, Process};
pub use run::{Kind, Start, bounded, run, skip_missing};
pub use skipped::{Skip, note_skip, skipped};
