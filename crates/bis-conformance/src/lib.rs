//! The one suite that every broker driver runs: the contract of `bis-broker`, as tests.
//!
//! A driver's tests give a [`Peer`], which starts one broker of its kind, and call [`suite!`](crate::suite); each case becomes a
//! `#[test]` of its own. What a broker cannot do is read from its `Capabilities`: such a case then tests that it is
//! refused, or is skipped with a line that says why. This crate must never know one driver from another.

pub mod cases;
mod context;
mod peer;
mod run;

pub use context::{Context, Inbox};
pub use peer::{Missing, Peer, Process};
pub use run::{run, skip_missing};

/// Makes one `#[test]` a case, each with a broker of its own from `$start`: a path to
/// `async fn() -> Result<Box<dyn Peer>, Missing>`.
#[macro_export]
macro_rules! suite {
    ($start:path) => {
        $crate::suite! { @cases $start;
            delivery {
                an_acked_event_does_not_come_again
                bytes_and_attributes_stay_unchanged
                every_subscription_gets_every_event
                an_event_before_the_first_consumer_is_kept
                consumers_of_one_subscription_share_its_events
                receiving_can_be_cancelled
            }
            settling {
                attempts_are_counted
                a_retry_waits_as_asked
                a_released_event_comes_again_uncounted_where_offered
                a_dropped_delivery_comes_again
                a_lease_that_is_extended_holds
                a_lease_that_ends_gives_the_event_back
                acks_before_closing_hold
            }
            publishing {
                a_delayed_event_comes_after_its_delay
                a_delay_beyond_the_limit_is_refused
                an_event_that_is_too_large_is_refused_alone
                a_closed_broker_refuses
                ensuring_twice_changes_nothing
            }
            ordering {
                an_ordered_topic_is_kept_or_refused
                other_keys_are_not_held_up
                consumers_share_the_order
                a_key_without_order_holds_nobody_up
                order_survives_a_kill
            }
            consuming {
                no_more_is_taken_than_asked_for
                a_stopped_consumer_gives_back_what_it_did_not_return
                a_dropped_consumer_gives_everything_back
                a_crashed_consumer_loses_nothing
            }
            outages {
                publishing_fails_when_the_broker_is_gone
                everyone_reconnects_after_a_restart
                what_was_published_survives_a_kill
                nothing_is_lost_when_the_broker_dies_between_any_two_steps
            }
        }
    };
    (@cases $start:path; $($module:ident { $($case:ident)* })*) => {
        $($(
            #[test]
            fn $case() {
                $crate::run(stringify!($case), || ::std::boxed::Box::pin($start()), |context| {
                    ::std::boxed::Box::pin($crate::cases::$module::$case(context))
                });
            }
        )*)*
    };
}
