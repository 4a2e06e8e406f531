//! What an outcome means for an event: handled, again later, or dead. The one place that acks.

use std::{fmt, time::Duration};

use bis_broker::{Delivery, SettleError};
use bis_core::{
    DeadReason, RetryPolicy, codes, dead_letter::MAX_ERROR_BYTES, format_duration,
    redaction::hide_identity_in_text, text::shortened,
};

use super::{Subscription, attempt::timeout_text, dead_letter, memory, worker::Shared};
use crate::{
    error::Error,
    events::{bus::Bus, metrics::Settled},
    instance::Instance,
};

/// Where a broker counts deliveries that never started, this many attempts beyond the policy's are still made, so that no
/// event dies unseen.
const UNCERTAIN_ATTEMPTS: u32 = 3;

/// The shortest wait when the broker was away or had no room.
const OUTAGE_PAUSE: Duration = Duration::from_secs(1);

/// How a run ended.
#[derive(Debug)]
pub(super) enum Outcome {
    Handled,
    /// The event was meant for another subscription.
    Skipped,
    Failed(Error),
    TimedOut {
        timeout: Duration,
        /// The test's patience, if time only moved because it was over.
        patience: Option<Duration>,
    },
    Panicked(String),
    Undecodable(Error),
    /// The handler was called with several events, and failed.
    FailedTogether {
        error: String,
        /// When its error says that a retry can help.
        asked: Option<Duration>,
    },
    /// The process died so often while it handled the event that it is not handled once more.
    Deadly {
        crashes: u32,
    },
    /// All attempts were made before, and nobody knows how the last ones ended.
    Unanswered {
        deliveries: u32,
    },
}

impl Outcome {
    /// The word for it.
    pub(super) fn as_str(&self) -> &'static str {
        match self {
            Self::Handled => "handled",
            Self::Skipped => "skipped",
            Self::Failed(_) | Self::FailedTogether { .. } => "failed",
            Self::TimedOut { .. } => "timed_out",
            Self::Panicked(_) => "panicked",
            Self::Undecodable(_) => "undecodable",
            Self::Deadly { .. } => "deadly",
            Self::Unanswered { .. } => "unanswered",
        }
    }

    /// What it means for each of several events: a failure may be the fault of any of them.
    pub(super) fn of_several(self) -> Self {
        match self {
            Self::Failed(error) if !error.is_outage() => {
                Self::FailedTogether { error: format!("{error:#}"), asked: error.retry_wait() }
            }
            Self::TimedOut { timeout, patience } => {
                Self::FailedTogether { error: timeout_text(timeout, patience), asked: None }
            }
            Self::Panicked(text) => Self::FailedTogether { error: panicked_text(&text), asked: None },
            outcome => outcome,
        }
    }

    /// How long to wait for the next attempt: as long as the error says, or as the policy has it.
    fn wait(&self, policy: &RetryPolicy, attempt: u32) -> Duration {
        let asked = match self {
            Self::Failed(error) => error.retry_wait(),
            Self::FailedTogether { asked, .. } => *asked,
            _ => None,
        };
        match asked {
            Some(asked) => policy.wait_of(asked, fastrand::f64()),
            None => policy.backoff(attempt, fastrand::f64()),
        }
    }
}

fn panicked_text(text: &str) -> String {
    format!("the handler panicked: {text}")
}

/// What happens to the event.
#[derive(Debug, PartialEq)]
enum Decision {
    Ack,
    Retry(String),
    /// As a retry, but the attempt was none.
    Postpone(String),
    /// The same, and the handler is called with this event alone.
    SetApart(String),
    Dead(DeadReason, String),
}

/// Why the event is not handled once more, if it is not. Of the count of a broker that does not tell of crashes, only what is far
/// beyond the policy says something.
pub(super) fn overdue(
    instance: &Instance,
    subscription: &Subscription,
    delivery: &Delivery,
) -> Option<Outcome> {
    let (policy, crashes) = (&subscription.retry, delivery.history.crashes);
    if Bus::of(instance).capabilities().crash_count {
        return policy.is_deadly(crashes).then_some(Outcome::Deadly { crashes });
    }
    let deliveries = delivery.attempt.saturating_sub(policy.max_attempts);
    (deliveries > UNCERTAIN_ATTEMPTS).then_some(Outcome::Unanswered { deliveries })
}

fn decide(outcome: &Outcome, policy: &RetryPolicy, attempt: u32) -> Decision {
    let error = match outcome {
        Outcome::Handled | Outcome::Skipped => return Decision::Ack,
        Outcome::Undecodable(error) => return Decision::Dead(DeadReason::Undecodable, format!("{error:#}")),
        Outcome::Failed(error) if error.is_permanent() => {
            return Decision::Dead(DeadReason::Permanent, format!("{error:#}"));
        }
        Outcome::Deadly { crashes } => {
            let text = format!(
                "the process died {crashes} times while handling the event: it crashed, was killed, or no longer extended its lease [{}]",
                codes::CRASHED
            );
            return Decision::Dead(DeadReason::Exhausted, text);
        }
        Outcome::Unanswered { deliveries } => {
            let text = format!(
                "the last {deliveries} deliveries of the event were not answered: the process died while handling it, was stopped, or lost its connection [{}]",
                codes::CRASHED
            );
            return Decision::Dead(DeadReason::Exhausted, text);
        }
        Outcome::FailedTogether { error, .. } => return Decision::SetApart(error.clone()),
        Outcome::Failed(error) if error.is_outage() => return Decision::Postpone(format!("{error:#}")),
        Outcome::Failed(error) => format!("{error:#}"),
        Outcome::TimedOut { timeout, patience } => timeout_text(*timeout, *patience),
        Outcome::Panicked(text) => panicked_text(text),
    };
    if policy.is_exhausted(attempt) {
        Decision::Dead(DeadReason::Exhausted, error)
    } else {
        Decision::Retry(error)
    }
}

/// Tells the broker what happens to the event.
pub(super) async fn settle(shared: &Shared, mut delivery: Delivery, outcome: &Outcome) {
    let subscription = &*shared.subscription;
    if matches!(outcome, Outcome::Deadly { .. } | Outcome::Unanswered { .. }) {
        // This delivery was no attempt.
        delivery.attempt = delivery.attempt.saturating_sub(1);
    }
    let attempt = delivery.attempt;
    let result = match decide(outcome, &subscription.retry, attempt) {
        Decision::Ack => {
            if matches!(outcome, Outcome::Skipped) {
                shared.pass_over(&delivery.envelope.id);
            }
            shared.memory.forget(&delivery.envelope.id);
            shared.metrics.settled(Settled::Acked);
            delivery.settle.ack().await
        }
        Decision::Retry(error) => retry(shared, delivery, error, outcome).await,
        Decision::SetApart(error) => match shared.memory.set_apart(&delivery.envelope.id) {
            Ok(()) => {
                let error = fit_to_tell(error, subscription, &delivery);
                let wait = outcome.wait(&subscription.retry, attempt);
                tracing::warn!(%subscription, attempt, retry_in = format_duration(wait), error, "the handler failed with a batch; the event comes again alone, and the attempt does not count");
                postpone(shared, delivery, wait).await
            }
            // What cannot be remembered must end too.
            Err(memory::Full) if subscription.retry.is_exhausted(attempt) => {
                let error = fit_to_tell(error, subscription, &delivery);
                Box::pin(bury(shared, delivery, DeadReason::Exhausted, error)).await
            }
            Err(memory::Full) => retry(shared, delivery, error, outcome).await,
        },
        Decision::Postpone(error) => {
            let error = fit_to_tell(error, subscription, &delivery);
            let wait = pause(&subscription.retry, attempt);
            tracing::warn!(%subscription, attempt, retry_in = format_duration(wait), error, "the handler could not publish; it runs again, and the attempt does not count");
            postpone(shared, delivery, wait).await
        }
        // Boxed, since it is rare and would make every run's task larger.
        Decision::Dead(reason, error) => {
            let error = fit_to_tell(error, subscription, &delivery);
            Box::pin(bury(shared, delivery, reason, error)).await
        }
    };
    if let Err(SettleError::Lost | SettleError::Closed) = result {
        tracing::debug!(%subscription, attempt, "the delivery was no longer held here and comes again");
    }
}

/// The event comes again, one attempt later.
async fn retry(
    shared: &Shared,
    delivery: Delivery,
    error: String,
    outcome: &Outcome,
) -> Result<(), SettleError> {
    let (subscription, attempt) = (&*shared.subscription, delivery.attempt);
    let error = fit_to_tell(error, subscription, &delivery);
    let wait = outcome.wait(&subscription.retry, attempt);
    tracing::warn!(%subscription, attempt, retry_in = format_duration(wait), error, "the handler failed");
    shared.metrics.settled(Settled::Retried);
    delivery.settle.retry(wait).await
}

/// How long to wait when the broker was away or had no room.
fn pause(policy: &RetryPolicy, attempt: u32) -> Duration {
    policy.backoff(attempt, fastrand::f64()).max(OUTAGE_PAUSE)
}

/// The event comes again, and this was no attempt.
async fn postpone(shared: &Shared, delivery: Delivery, wait: Duration) -> Result<(), SettleError> {
    shared.uncounted(&delivery.envelope.id);
    shared.metrics.settled(Settled::Postponed);
    delivery.settle.postpone(wait).await
}

/// The error as the log and a dead letter tell it: without what is sensitive, and of bounded length.
fn fit_to_tell(error: String, subscription: &Subscription, delivery: &Delivery) -> String {
    let sensitive = (subscription.declared.sensitive)();
    let mut error = sensitive.of(&delivery.envelope).hide_in_text(error, &delivery.envelope.data);
    if let Some(identity) = &delivery.envelope.identity {
        error = hide_identity_in_text(error, identity);
    }
    shortened(&error, MAX_ERROR_BYTES).into_owned()
}

/// Keeps the dead letter, and acks only then. Where it cannot be kept, the event comes again, and its handler runs again.
async fn bury(
    shared: &Shared,
    delivery: Delivery,
    reason: DeadReason,
    error: String,
) -> Result<(), SettleError> {
    let Shared { instance, subscription, .. } = shared;
    let attempts = delivery.attempt;
    let letter = dead_letter::of(instance, subscription, &delivery, reason, &error);
    match dead_letter::keep(instance, subscription, letter).await {
        Ok(()) => {
            tracing::error!(%subscription, attempts, ?reason, error, "the event is a dead letter now");
            shared.memory.forget(&delivery.envelope.id);
            shared.metrics.died(reason);
            delivery.settle.ack().await
        }
        Err(unkept) => {
            let wait = pause(&subscription.retry, attempts);
            tracing::error!(%subscription, attempts, ?reason, error, %unkept, "the dead letter could not be kept; the event comes again");
            postpone(shared, delivery, wait).await
        }
    }
}

impl fmt::Display for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(outcome: &Outcome, attempt: u32, reason: Option<DeadReason>) {
        let policy = RetryPolicy { max_attempts: 3, ..RetryPolicy::DEFAULT };
        match (decide(outcome, &policy, attempt), reason) {
            (Decision::Dead(got, _), Some(want)) => assert_eq!(got, want),
            (Decision::Retry(_), None) => {}
            (decision, reason) => panic!("{decision:?} where {reason:?} was due"),
        }
    }

    #[test]
    fn errors_timeouts_and_panics_are_retried_until_the_last_attempt() {
        let outcomes = [
            Outcome::Failed(Error::msg("x")),
            Outcome::TimedOut { timeout: Duration::from_secs(1), patience: None },
            Outcome::Panicked("x".into()),
        ];
        for outcome in &outcomes {
            check(outcome, 2, None);
            check(outcome, 3, Some(DeadReason::Exhausted));
            check(outcome, 9, Some(DeadReason::Exhausted));
        }
    }

    #[test]
    fn what_no_retry_cures_is_dead_at_once() {
        check(&Outcome::Failed(Error::permanent("x")), 1, Some(DeadReason::Permanent));
        check(&Outcome::Undecodable(Error::msg("x")), 1, Some(DeadReason::Undecodable));
    }
}
