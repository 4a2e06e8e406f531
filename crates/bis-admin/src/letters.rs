//! Dead letters: what is kept of events that subscriptions gave up. They are in the subscription `store` of the topic
//! `bis.dead`, which nobody consumes.
//!
//! A letter may be there twice, when the app stopped between keeping it and acking its event; it shows once.

use std::{collections::BTreeMap, time::SystemTime};

use bis_broker::{Waiting, WaitingState};
use bis_core::{
    DeadLetter, DeadReason, SubscriptionName, TopicName,
    dead_letter::{Kept, Store},
};

use crate::{admin::Admin, api::RouterError, topics::TopicError};

/// The subscription that keeps dead letters.
const STORE: SubscriptionName = SubscriptionName::from_static("store");

/// A dead letter, and where in the store it is.
#[derive(Debug)]
pub struct Letter(Kept<u64>);

/// Every dead letter, as it was when they were read.
#[derive(Debug)]
pub struct Letters {
    /// Each letter once, oldest first.
    pub letters: Vec<Letter>,
    /// How many messages in the store cannot be read as letters.
    pub unreadable: usize,
}

/// What letters of one group have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cause<'a> {
    /// The topic of the events.
    pub topic: &'a str,
    /// The subscription that gave them up.
    pub subscription: &'a str,
    /// The first line of the error.
    pub error: &'a str,
}

/// Letters that died of one cause.
#[derive(Debug)]
pub struct Group<'a> {
    /// What they have in common.
    pub cause: Cause<'a>,
    /// The letters, oldest first; never none.
    pub letters: Vec<&'a Letter>,
}

/// Which letters: those for which all that is given holds.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this topic's events.
    pub topic: Option<String>,
    /// Of this subscription.
    pub subscription: Option<String>,
    /// That died of this.
    pub reason: Option<DeadReason>,
    /// Whose error has this text in it.
    pub error: Option<String>,
    /// That died before then.
    pub before: Option<SystemTime>,
}

/// Why there is no one letter that is meant, or nothing was done with it.
#[derive(Debug, thiserror::Error)]
pub enum LetterError {
    /// No letter has this id.
    #[error("there is no dead letter `{id}`")]
    None {
        /// The id, or the start of one.
        id: String,
    },
    /// Several letters have it.
    #[error("several dead letters are `{id}`, or start with it")]
    Several {
        /// The id, or the start of one.
        id: String,
        /// Two of the letters.
        letters: [String; 2],
    },
    /// The store, or the subscription that the letter is of, cannot be looked into.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The router did not do it.
    #[error(transparent)]
    Router(#[from] RouterError),
}

impl Letter {
    /// The letter itself.
    pub fn letter(&self) -> &DeadLetter {
        &self.0.letter
    }

    /// How many messages of the store hold it, copies and parts included.
    pub(crate) fn copies(&self) -> usize {
        self.0.messages.len()
    }
}

impl Letters {
    /// The one letter whose id, or whose event's id, is `id` or starts with it.
    ///
    /// # Errors
    /// When there is none, or there are several.
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

    /// The letters of these ids, each once, however often it is named.
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

    /// The letters that a filter takes.
    pub fn filtered(&self, filter: &Filter) -> Vec<&Letter> {
        self.letters.iter().filter(|letter| filter.takes(letter.letter())).collect()
    }

    /// The letters by topic, subscription and error, since many usually died of one mistake; the largest group first.
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

    /// How many messages of the store hold letters of this id.
    pub(crate) fn copies(&self, id: &str) -> usize {
        self.letters.iter().filter(|one| one.letter().id == id).map(Letter::copies).sum()
    }
}

impl Filter {
    /// Whether all that was asked for holds.
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
    /// All dead letters. Takes none away.
    ///
    /// # Errors
    /// When the broker does not answer, or cannot show what waits.
    pub async fn letters(&self) -> Result<Letters, TopicError> {
        let events = match self.waiting(&TopicName::DEAD, &STORE).await {
            Ok(events) => events,
            // No app has made the store yet.
            Err(TopicError::NoTopic { .. } | TopicError::NoSubscription { .. }) => Vec::new(),
            Err(error) => return Err(error),
        };
        // What is in flight, somebody else takes away right now.
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
    /// When the router does not answer or cannot.
    pub async fn remove_letter(&self, letter: &Letter) -> Result<(), RouterError> {
        for place in &letter.0.messages {
            // One that is not there any more is as good as removed.
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
