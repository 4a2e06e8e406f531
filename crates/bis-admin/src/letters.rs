//! Dead letters: records of events that subscriptions gave up on. They are in the subscription `store` of the topic
//! `bis.dead`, which nobody consumes.
//!
//! A letter may be stored twice when the app stopped between storing it and acking its event; it is listed once.

use std::{collections::BTreeMap, time::SystemTime};

use bis_broker::{Waiting, WaitingState};
use bis_core::{
    DeadLetter, DeadReason, SubscriptionName, TopicName,
    dead_letter::{Kept, Store},
};

use crate::{admin::Admin, api::RouterError, topics::TopicError};

/// The subscription that keeps dead letters.
const STORE: SubscriptionName = SubscriptionName::from_static("store");

/// A dead letter, and its position in the store.
#[derive(Debug)]
pub struct Letter(Kept<u64>);

/// All dead letters at the time of reading.
#[derive(Debug)]
pub struct Letters {
    /// Each letter once, oldest first.
    pub letters: Vec<Letter>,
    /// How many messages in the store cannot be read as letters.
    pub unreadable: usize,
}

/// What the letters of one group have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cause<'a> {
    /// The topic of the events.
    pub topic: &'a str,
    /// The subscription that gave up on them.
    pub subscription: &'a str,
    /// The first line of the error.
    pub error: &'a str,
}

/// Letters with the same cause.
#[derive(Debug)]
pub struct Group<'a> {
    /// What they have in common.
    pub cause: Cause<'a>,
    /// The letters, oldest first; never empty.
    pub letters: Vec<&'a Letter>,
}

/// A filter for letters: those that match every given field.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Letters of this topic's events.
    pub topic: Option<String>,
    /// Letters of this subscription.
    pub subscription: Option<String>,
    /// Letters with this reason.
    pub reason: Option<DeadReason>,
    /// Letters whose error contains this text.
    pub error: Option<String>,
    /// Letters that are older than this time.
    pub before: Option<SystemTime>,
}

/// Why a letter was not found, or nothing was done with it.
#[derive(Debug, thiserror::Error)]
pub enum LetterError {
    /// No letter has this id.
    #[error("there is no dead letter `{id}`")]
    None {
        /// The id, or a prefix of one.
        id: String,
    },
    /// Several letters match.
    #[error("several dead letters are `{id}`, or start with it")]
    Several {
        /// The id, or a prefix of one.
        id: String,
        /// Two of the letters.
        letters: [String; 2],
    },
    /// The store, or the letter's subscription, cannot be inspected.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The request to the router failed.
    #[error(transparent)]
    Router(#[from] RouterError),
}

impl Letter {
    /// The letter itself.
    pub fn letter(&self) -> &DeadLetter {
        &self.0.letter
    }

    /// How many messages in the store hold it, including copies and parts.
    pub(crate) fn copies(&self) -> usize {
        self.0.messages.len()
    }
}

impl Letters {
    /// The one letter whose id, or whose event's id, is `id` or starts with it.
    ///
    /// # Errors
    /// When there is no such letter, or there are several.
    pub fn find(&self, id: &str) -> Result<&Letter, LetterError> {
        let named = |matches: fn(&str, &str) -> bool| -> Vec<&Letter> {
            let is_it =
                |letter: &DeadLetter| matches(&letter.id, id) || matches(letter.event.id.as_str(), id);
            self.letters.iter().filter(|one| is_it(one.letter())).collect()
        };
        let exact = named(|known, id| known == id);
        let found = if exact.is_empty() { named(|known, id| known.starts_with(id)) } else { exact };
        match found[..] {
            [found] => Ok(found),
            [] => Err(LetterError::None { id: id.to_owned() }),
            [first, second, ..] => Err(LetterError::Several {
                id: id.to_owned(),
                letters: [first.letter().id.clone(), second.letter().id.clone()],
            }),
        }
    }

    /// The letters with these ids, each once, however often it is named.
    ///
    /// # Errors
    /// When one of the ids does not name one letter.
    pub fn find_each(&self, ids: &[String]) -> Result<Vec<&Letter>, LetterError> {
        let mut found: Vec<&Letter> = Vec::new();
        for id in ids {
            let one = self.find(id)?;
            if !found.iter().any(|other| std::ptr::eq(*other, one)) {
                found.push(one);
            }
        }
        Ok(found)
    }

    /// The letters that match a filter.
    pub fn filtered(&self, filter: &Filter) -> Vec<&Letter> {
        self.letters.iter().filter(|letter| filter.takes(letter.letter())).collect()
    }

    /// The letters by topic, subscription and error, since many usually have one cause; the largest group first.
    pub fn groups(&self) -> Vec<Group<'_>> {
        let mut groups: BTreeMap<Cause<'_>, Vec<&Letter>> = BTreeMap::new();
        for one in &self.letters {
            let letter = one.letter();
            let cause = Cause {
                topic: letter.topic.as_str(),
                subscription: letter.subscription.as_str(),
                error: letter.error.lines().next().unwrap_or_default(),
            };
            groups.entry(cause).or_default().push(one);
        }
        let mut groups: Vec<_> =
            groups.into_iter().map(|(cause, letters)| Group { cause, letters }).collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.letters.len()));
        groups
    }

    /// How many messages in the store hold letters with this id.
    pub(crate) fn copies(&self, id: &str) -> usize {
        self.letters.iter().filter(|one| one.letter().id == id).map(Letter::copies).sum()
    }
}

impl Filter {
    /// Whether every given field matches.
    pub fn takes(&self, letter: &DeadLetter) -> bool {
        let is = |asked: &Option<String>, known: &str| asked.as_ref().is_none_or(|asked| asked == known);
        is(&self.topic, letter.topic.as_str())
            && is(&self.subscription, letter.subscription.as_str())
            && self.reason.is_none_or(|reason| reason == letter.reason)
            && self.error.as_ref().is_none_or(|part| letter.error.contains(part))
            && self.before.is_none_or(|before| before > letter.at)
    }
}

impl Admin {
    /// All dead letters. Removes none.
    ///
    /// # Errors
    /// When the broker does not answer, or cannot show waiting messages.
    pub async fn letters(&self) -> Result<Letters, TopicError> {
        let events = match self.waiting(&TopicName::DEAD, &STORE).await {
            Ok(events) => events,
            // No app has created the store yet.
            Err(TopicError::NoTopic { .. } | TopicError::NoSubscription { .. }) => Vec::new(),
            Err(error) => return Err(error),
        };
        // A message in flight is being removed by someone else right now.
        let here = events.into_iter().filter(|event| event.state != WaitingState::InFlight);
        let read = |Waiting { position, envelope, .. }: Waiting| (position, Some((*envelope).clone()));
        let store = Store::read(here.map(read));
        Ok(Letters {
            letters: store.letters.into_iter().map(Letter).collect(),
            unreadable: store.unreadable.len(),
        })
    }

    /// Removes a letter and its event for good.
    ///
    /// # Errors
    /// When the router does not answer or does not support it.
    pub async fn remove_letter(&self, letter: &Letter) -> Result<(), RouterError> {
        for place in &letter.0.messages {
            // A message that is no longer there counts as removed.
            self.api.finish(TopicName::DEAD.as_str(), STORE.as_str(), *place).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bis_core::{Envelope, EventId};

    use super::*;

    fn letter(topic: &str, event: &str, error: &str) -> Letter {
        let event = Envelope::foreign(
            EventId::from(event),
            SystemTime::UNIX_EPOCH,
            event.to_owned().into_bytes().into(),
        );
        let topic = TopicName::parse(topic).unwrap();
        let ship = SubscriptionName::from_static("ship");
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(60);
        let letter = DeadLetter::new(topic, ship, event, DeadReason::Exhausted, error, 2, at);
        Letter(Kept { letter, messages: vec![1] })
    }

    fn letters() -> Letters {
        let letters = vec![
            letter("orders", "abc1", "no tea\nat line 1"),
            letter("orders", "abc2", "no tea\nat line 7"),
            letter("refunds", "abd", "no money"),
        ];
        Letters { letters, unreadable: 0 }
    }

    #[test]
    fn a_letter_is_found_by_the_start_of_an_id_of_its_own() {
        let letters = letters();
        let own = letters.letters[2].letter().id.clone();
        for id in ["abd", &own, &own[..10]] {
            assert_eq!(letters.find(id).unwrap().letter().topic.as_str(), "refunds", "{id}");
        }
        assert!(matches!(letters.find("abc"), Err(LetterError::Several { letters: [_, _], .. })));
        assert!(matches!(letters.find("x"), Err(LetterError::None { .. })));
        assert_eq!(letters.find_each(&["abd".into(), own]).unwrap().len(), 1);
    }

    #[test]
    fn letters_of_one_mistake_are_one_group() {
        let letters = letters();
        let groups = letters.groups();
        let seen: Vec<_> = groups.iter().map(|group| (group.cause.error, group.letters.len())).collect();
        assert_eq!(seen, [("no tea", 2), ("no money", 1)]);
    }

    #[test]
    fn a_filter_takes_what_all_of_it_holds_for() {
        let letters = letters();
        let count = |filter: Filter| letters.filtered(&filter).len();
        assert_eq!(count(Filter::default()), 3);
        assert_eq!(count(Filter { topic: Some("orders".into()), ..Filter::default() }), 2);
        let error = Some("line 7".to_owned());
        assert_eq!(count(Filter { topic: Some("orders".into()), error, ..Filter::default() }), 1);
        assert_eq!(count(Filter { reason: Some(DeadReason::Permanent), ..Filter::default() }), 0);
        let died = SystemTime::UNIX_EPOCH + Duration::from_secs(60);
        assert_eq!(count(Filter { before: Some(died), ..Filter::default() }), 0);
    }
}
