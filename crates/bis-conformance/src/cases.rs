//! The cases, by what they are about. Each takes a broker of its own and panics where the contract is broken.

pub mod consuming;
pub mod delivery;
pub mod listening;
pub mod looking;
pub mod ordering;
pub mod outages;
pub mod publishing;
pub mod settling;

use crate::{
    Case,
    Promise::{
        AtLeastOnce, AttemptsCounted, ConcurrencyBound, Deduplicated, KeptFromTheStart, LeaseExtended,
        Listened, NothingLost, OrderByKey, Peeked, PublishFails, Receipts, Reconnected, Refused, Replayed,
        RetryTimes, ReturnedUncounted, Unchanged,
    },
    Tag::{Durable, MultiProcess},
};

/// The cases with what they test and where they run.
macro_rules! cases {
    ($($module:ident { $($case:ident: [$($promise:ident),+] $([$($tag:ident),+])?;)* })*) => {
        /// Every case.
        pub const CASES: &[Case] = &[$($(
            Case {
                name: stringify!($case),
                promises: &[$($promise),+],
                tags: &[$($($tag),+)?],
                run: |context| Box::pin($module::$case(context)),
            },
        )*)*];
    };
}

cases! {
    delivery {
        an_acked_event_does_not_come_again: [AtLeastOnce];
        bytes_and_attributes_stay_unchanged: [Unchanged];
        attributes_beyond_what_travels_beside_the_data_stay_unchanged: [Unchanged];
        every_subscription_gets_every_event: [AtLeastOnce];
        an_event_before_the_first_consumer_is_kept: [KeptFromTheStart];
        consumers_of_one_subscription_share_its_events: [AtLeastOnce];
        receiving_can_be_cancelled: [NothingLost];
    }
    settling {
        attempts_are_counted: [AttemptsCounted];
        a_retry_waits_as_asked: [RetryTimes];
        a_released_event_comes_again_uncounted_where_offered: [ReturnedUncounted];
        a_postponed_event_waits_uncounted_where_offered: [ReturnedUncounted, RetryTimes];
        a_dropped_delivery_comes_again: [AtLeastOnce, AttemptsCounted];
        a_lease_that_is_extended_holds: [LeaseExtended];
        a_lease_that_ends_gives_the_event_back: [AtLeastOnce] [MultiProcess];
        acks_before_closing_hold: [NothingLost] [MultiProcess];
    }
    publishing {
        a_delayed_event_comes_after_its_delay: [RetryTimes];
        a_delay_beyond_the_limit_is_refused: [Refused];
        an_event_that_is_too_large_is_refused_alone: [Refused, PublishFails];
        a_closed_broker_refuses: [PublishFails];
        more_events_than_a_call_carries_are_all_taken: [NothingLost];
        ensuring_twice_changes_nothing: [KeptFromTheStart];
        a_topic_that_nobody_ensured_takes_events: [KeptFromTheStart];
        the_same_event_again_is_kept_once_where_offered: [Deduplicated];
        a_receipt_says_where_the_event_is_and_whether_it_was_known: [Receipts, Deduplicated];
    }
    ordering {
        an_ordered_topic_is_kept_or_refused: [OrderByKey, Refused];
        other_keys_are_not_held_up: [OrderByKey];
        consumers_share_the_order: [OrderByKey];
        a_key_without_order_holds_nobody_up: [OrderByKey];
        order_survives_a_kill: [OrderByKey, NothingLost] [Durable, MultiProcess];
    }
    consuming {
        no_more_is_taken_than_asked_for: [ConcurrencyBound];
        a_stopped_consumer_gives_back_what_it_did_not_return: [ReturnedUncounted];
        a_dropped_consumer_gives_everything_back: [AtLeastOnce];
        a_crashed_consumer_loses_nothing: [AtLeastOnce, AttemptsCounted] [MultiProcess];
    }
    looking {
        what_waits_is_shown_or_peeking_is_refused: [Peeked, Refused];
        what_was_handled_comes_again_or_replaying_is_refused: [Replayed, Refused];
        a_retention_is_kept_or_refused: [Replayed, Refused];
        a_replay_survives_a_kill: [Replayed, NothingLost] [Durable, MultiProcess];
    }
    listening {
        a_listener_gets_what_is_published_from_then_on: [Listened];
        a_delayed_event_comes_to_listeners_after_its_delay: [Listened];
        a_listener_holds_up_nobody: [Listened];
        a_closed_broker_is_not_listened_to: [Listened];
    }
    outages {
        publishing_fails_when_the_broker_is_gone: [PublishFails] [MultiProcess];
        everyone_reconnects_after_a_restart: [Reconnected] [MultiProcess];
        what_was_published_survives_a_kill: [NothingLost] [Durable, MultiProcess];
        what_waits_for_its_time_survives_a_kill: [NothingLost, RetryTimes] [Durable, MultiProcess];
        nothing_is_lost_when_the_broker_dies_between_any_two_steps: [NothingLost] [Durable, MultiProcess];
    }
}
