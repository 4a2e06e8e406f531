//! Resends the events of dead letters, each for its own subscription only, and removes the letters.
//!
//! An event is published first and its letter removed afterwards: a crash in between leaves an extra letter, never a missing
//! event. An edited event differs from the stored one, so its letter stays until the edited event is handled. The letter of a
//! subscription that the broker does not have stays too: every other subscription skips an event that is published for that one
//! only.

use std::time::Duration;

use bis_broker::PublishError;
use bis_core::{DeadLetter, Envelope};
use tokio::time::{Instant, sleep};

use crate::{
    admin::Admin,
    api::Published,
    letters::{Letter, LetterError, Letters},
    topics::{Subscription, Topic, TopicError},
};

/// How long a handler may take before an edited event counts as not handled yet.
const HANDLED_LIMIT: Duration = Duration::from_secs(10);
/// The time between two checks of it.
const PAUSE: Duration = Duration::from_millis(100);

/// Resends letters; knows the letters and topics as they were when it began.
#[derive(Debug)]
pub struct Resending<'a> {
    admin: &'a Admin,
    letters: &'a Letters,
    topics: Vec<Topic>,
}

/// The outcome for a letter.
#[derive(Debug)]
pub struct Resent {
    /// Whether its event was published.
    pub published: bool,
    /// Why the letter stays; `None` when it was removed.
    pub stays: Option<Stays>,
}

/// Why a letter stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stays {
    /// No subscription would get its event.
    #[error(
        "`{topic}` has no subscription `{subscription}`, so nobody would get the event; if the app declares it, start the app first"
    )]
    Unsubscribed {
        /// The topic of the letter's event.
        topic: String,
        /// The subscription that gave up on it.
        subscription: String,
    },
    /// There is no room for the mark that keeps other subscriptions from handling it again.
    #[error(
        "its event is too large to be marked for `{subscription}` alone; start the router with a larger `--max-msg-size`"
    )]
    TooLarge {
        /// The subscription that gave up on it.
        subscription: String,
    },
    /// The edited event became a dead letter too.
    #[error("the edited event is a dead letter too, `{id}`")]
    DiedAgain {
        /// Its letter.
        id: String,
    },
    /// The edited event waits, is being handled or will be retried.
    #[error("the edited event is published and not handled yet")]
    NotHandledYet,
}

/// The outcome for an edited event.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Handled,
    /// It is a dead letter with this id.
    Died(String),
    Open,
}

impl Admin {
    /// Prepares to resend some of these letters.
    ///
    /// # Errors
    /// When the router does not answer.
    pub async fn resending<'a>(&'a self, letters: &'a Letters) -> Result<Resending<'a>, LetterError> {
        Ok(Resending { admin: self, letters, topics: self.topics().await? })
    }
}

impl Resending<'_> {
    /// Why the letter cannot be resent, as far as that is known beforehand.
    pub fn obstacle(&self, letter: &Letter) -> Option<Stays> {
        let DeadLetter { topic, subscription, .. } = letter.letter();
        let found = self.topics.iter().find(|known| known.name == topic.as_str());
        let is_there = found.is_some_and(|found| found.subscription(subscription.as_str()).is_some());
        (!is_there)
            .then(|| Stays::Unsubscribed { topic: topic.to_string(), subscription: subscription.to_string() })
    }

    /// Publishes the event of one letter, with `data` instead of its own if given, and removes the letter once it is no
    /// longer needed.
    ///
    /// # Errors
    /// When the broker refuses the event, or the letter cannot be removed.
    pub async fn send(&self, letter: &Letter, data: Option<&[u8]>) -> Result<Resent, LetterError> {
        if let Some(obstacle) = self.obstacle(letter) {
            return Ok(Resent { published: false, stays: Some(obstacle) });
        }
        let event = marked(letter.letter(), data);
        if !self.publish(letter.letter(), &event, data.is_some()).await? {
            let subscription = letter.letter().subscription.to_string();
            return Ok(Resent { published: false, stays: Some(Stays::TooLarge { subscription }) });
        }
        let outcome = match data {
            Some(_) => self.outcome(letter.letter(), &event).await?,
            None => Outcome::Handled,
        };
        let stays = match outcome {
            Outcome::Handled => {
                self.admin.remove_letter(letter).await?;
                None
            }
            Outcome::Died(id) => Some(Stays::DiedAgain { id }),
            Outcome::Open => Some(Stays::NotHandledYet),
        };
        Ok(Resent { published: true, stays })
    }

    /// Whether the broker accepted the event.
    async fn publish(
        &self,
        letter: &DeadLetter,
        event: &Envelope,
        edited: bool,
    ) -> Result<bool, LetterError> {
        match self.admin.publish(&letter.topic, event.clone()).await {
            Ok(_) => return Ok(true),
            Err(TopicError::Publish(PublishError::TooLarge { .. })) => {}
            Err(error) => return Err(error.into()),
        }
        // An event of the largest size has no room for the mark, which is not needed if there is no other subscription. It is
        // published unchanged, and not through the driver: the broker would take it for a duplicate.
        if edited || !self.is_only_subscription(letter).await? {
            return Ok(false);
        }
        let (topic, key) = (letter.topic.as_str(), letter.event.key.as_deref());
        let published = self.admin.api.try_publish(topic, key, &as_it_came(&letter.event)).await?;
        Ok(published == Published::Stored)
    }

    /// Whether the letter's subscription is the only one that would get an event without a mark.
    async fn is_only_subscription(&self, letter: &DeadLetter) -> Result<bool, LetterError> {
        let topics = self.admin.topics().await?;
        let topic = topics.iter().find(|topic| topic.name == letter.topic.as_str());
        let mut lasting =
            topic.into_iter().flat_map(|topic| &topic.subscriptions).filter(|one| !one.is_temporary());
        Ok(lasting.all(|one| one.name == letter.subscription.as_str()))
    }

    /// Waits until the subscription of `letter` has finished `event`, which replaces the letter's own. Does not wait when
    /// there are no consumers, or when the topic is paused.
    async fn outcome(&self, letter: &DeadLetter, event: &Envelope) -> Result<Outcome, LetterError> {
        let DeadLetter { topic, subscription, .. } = letter;
        let end = Instant::now() + HANDLED_LIMIT;
        // The subscription does not have the events yet that a paused topic holds back.
        if self.admin.topic(topic.as_str()).await?.paused {
            return Ok(Outcome::Open);
        }
        let find = |page: Vec<bis_broker::Waiting>| {
            page.iter().find(|waiting| *waiting.envelope == *event).map(|waiting| waiting.position)
        };
        // Once found, it is only looked for at its position: many other events may wait.
        let Some(position) = self.admin.look(topic, subscription, find).await? else {
            return self.ended(letter, event).await;
        };
        loop {
            // Check consumers first: a consumer may finish the event and disconnect.
            let goes_on = Instant::now() < end && self.is_consumed(letter).await?;
            if !self.admin.is_waiting(topic, subscription, position).await? {
                return self.ended(letter, event).await;
            }
            if !goes_on {
                return Ok(Outcome::Open);
            }
            sleep(PAUSE).await;
        }
    }

    /// The outcome for an event that no longer waits. The same edit may have become a dead letter before.
    async fn ended(&self, letter: &DeadLetter, event: &Envelope) -> Result<Outcome, LetterError> {
        // A copy that was published just now was never resent.
        let id = DeadLetter::id_of(&letter.topic, &letter.subscription, event, 0);
        // A letter is stored before its event is finished.
        let died = self.admin.letters().await?.copies(&id) > self.letters.copies(&id);
        Ok(if died { Outcome::Died(id) } else { Outcome::Handled })
    }

    async fn is_consumed(&self, letter: &DeadLetter) -> Result<bool, LetterError> {
        let topic = self.admin.topic(letter.topic.as_str()).await?;
        let subscription: Option<&Subscription> = topic.subscription(letter.subscription.as_str());
        Ok(subscription.is_some_and(|subscription| subscription.consumers > 0))
    }
}

/// A copy of the event for the one subscription that gave up on it.
fn marked(letter: &DeadLetter, data: Option<&[u8]>) -> Envelope {
    let mut event = letter.event.clone();
    event.target = Some(letter.subscription.clone());
    // Two dead letters of one event make two different copies.
    event.replay += 1 + letter.generation;
    if let Some(data) = data {
        event.data = data.to_vec().into();
        event.malformed = None;
    }
    event
}

/// The body with which the event was published.
fn as_it_came(event: &Envelope) -> Vec<u8> {
    if event.is_foreign() { event.data.to_vec() } else { event.to_json() }
}
