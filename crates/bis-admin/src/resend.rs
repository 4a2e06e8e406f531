//! Sending the events of dead letters again, each for its subscription alone, and removing the letters.
//!
//! Published first and removed after: what dies in between leaves a letter too many, never an event too few. An edited event is
//! not the one that was kept, so its letter stays until the edited one is handled. So does the letter of a subscription that
//! the broker does not have: every other one passes over what is published for that one alone.

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
/// The time between two looks at it.
const PAUSE: Duration = Duration::from_millis(100);

/// Sends letters again; knows the letters and topics from before it began.
#[derive(Debug)]
pub struct Resending<'a> {
    admin: &'a Admin,
    letters: &'a Letters,
    topics: Vec<Topic>,
}

/// What became of a letter.
#[derive(Debug)]
pub struct Resent {
    /// Whether its event was published.
    pub published: bool,
    /// Why the letter stays; it is gone otherwise.
    pub stays: Option<Stays>,
}

/// Why a letter stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stays {
    /// Nobody would get its event.
    #[error(
        "`{topic}` has no subscription `{subscription}`, so that nobody would get the event; if the app declares it, start that first"
    )]
    Unsubscribed {
        /// The topic of the letter's event.
        topic: String,
        /// The subscription that gave it up.
        subscription: String,
    },
    /// There is no room for the mark that keeps other subscriptions from handling it again.
    #[error(
        "its event is too large to be marked for `{subscription}` alone; start the router with a larger `--max-msg-size`"
    )]
    TooLarge {
        /// The subscription that gave it up.
        subscription: String,
    },
    /// The edited event was given up too.
    #[error("the edited event is a dead letter too, `{id}`")]
    DiedAgain {
        /// Its letter.
        id: String,
    },
    /// The edited event waits, is being handled or is to be tried again.
    #[error("the edited event is published and not handled yet")]
    NotHandledYet,
}

/// What became of an edited event.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Handled,
    /// It is a dead letter, of this id.
    Died(String),
    Open,
}

impl Admin {
    /// Begins to send some of these letters again.
    ///
    /// # Errors
    /// When the router does not answer.
    pub async fn resending<'a>(&'a self, letters: &'a Letters) -> Result<Resending<'a>, LetterError> {
        Ok(Resending { admin: self, letters, topics: self.topics().await? })
    }
}

impl Resending<'_> {
    /// Why the letter cannot be sent again, as far as that is known before.
    pub fn obstacle(&self, letter: &Letter) -> Option<Stays> {
        let DeadLetter { topic, subscription, .. } = letter.letter();
        let found = self.topics.iter().find(|known| known.name == topic.as_str());
        let is_there = found.is_some_and(|found| found.subscription(subscription.as_str()).is_some());
        (!is_there)
            .then(|| Stays::Unsubscribed { topic: topic.to_string(), subscription: subscription.to_string() })
    }

    /// Publishes the event of one letter, with `data` in place of its own if there is some, and removes the letter once it is
    /// not needed any more.
    ///
    /// # Errors
    /// When the broker does not take the event, or the letter cannot be removed.
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

    /// Whether the broker took the event.
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
        // An event of the largest size has no room for the mark, which nobody needs where nobody else subscribes. It goes out
        // as it came, and not through the driver: the broker would take it for one that it has had.
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

    /// Waits until the subscription of `letter` has finished `event`, which replaces the letter's own. Where nobody consumes,
    /// or the topic is paused, nothing is waited for.
    async fn outcome(&self, letter: &DeadLetter, event: &Envelope) -> Result<Outcome, LetterError> {
        let DeadLetter { topic, subscription, .. } = letter;
        let end = Instant::now() + HANDLED_LIMIT;
        // The subscription does not have yet what a paused topic holds back.
        if self.admin.topic(topic.as_str()).await?.paused {
            return Ok(Outcome::Open);
        }
        let find = |page: Vec<bis_broker::Waiting>| {
            page.iter().find(|waiting| *waiting.envelope == *event).map(|waiting| waiting.position)
        };
        // Found once, it is looked for in its place alone: many others may wait.
        let Some(position) = self.admin.look(topic, subscription, find).await? else {
            return self.ended(letter, event).await;
        };
        loop {
            // Asked first: a consumer may finish the event and go.
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

    /// How it ended for an event that does not wait any more. The same edit may have died before.
    async fn ended(&self, letter: &DeadLetter, event: &Envelope) -> Result<Outcome, LetterError> {
        // A copy that was published just now was never replayed.
        let id = DeadLetter::id_of(&letter.topic, &letter.subscription, event, 0);
        // A letter is kept before its event is finished.
        let died = self.admin.letters().await?.copies(&id) > self.letters.copies(&id);
        Ok(if died { Outcome::Died(id) } else { Outcome::Handled })
    }

    async fn is_consumed(&self, letter: &DeadLetter) -> Result<bool, LetterError> {
        let topic = self.admin.topic(letter.topic.as_str()).await?;
        let subscription: Option<&Subscription> = topic.subscription(letter.subscription.as_str());
        Ok(subscription.is_some_and(|subscription| subscription.consumers > 0))
    }
}

/// The event once more, for the one subscription that gave it up.
fn marked(letter: &DeadLetter, data: Option<&[u8]>) -> Envelope {
    let mut event = letter.event.clone();
    event.target = Some(letter.subscription.clone());
    // Two deaths of one event make two different copies.
    event.replay += 1 + letter.generation;
    if let Some(data) = data {
        event.data = data.to_vec().into();
        event.malformed = None;
    }
    event
}

/// The body in which the event was published.
fn as_it_came(event: &Envelope) -> Vec<u8> {
    if event.is_foreign() { event.data.to_vec() } else { event.to_json() }
}
