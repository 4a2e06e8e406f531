//! Letters reassembled from the messages of the reserved topic, each with the messages that hold it.

use std::collections::HashMap;

use bytes::Bytes;

use super::{
    DeadLetter,
    message::{Content, Head},
};
use crate::Envelope;

/// One letter with what `M` says about the messages that hold it, copies included. Once all are removed, it is gone.
#[derive(Debug)]
pub struct Kept<M> {
    /// The letter.
    pub letter: DeadLetter,
    /// The messages, in the order in which they are to be removed: an interrupted removal leaves the whole letter, or
    /// none that is shown.
    pub messages: Vec<M>,
}

/// Everything in the store.
#[derive(Debug)]
pub struct Store<M> {
    /// Each letter once, oldest first.
    pub letters: Vec<Kept<M>>,
    /// Messages that are not letters, and letters whose events are incomplete.
    pub unreadable: Vec<M>,
    /// Parts of events whose letters are missing.
    pub loose: Vec<M>,
}

impl<M> Store<M> {
    /// Reads messages in the order in which they were published; `None` stands for a body that is not an event.
    pub fn read(messages: impl IntoIterator<Item = (M, Option<Envelope>)>) -> Self {
        let mut store = Self { letters: Vec::new(), unreadable: Vec::new(), loose: Vec::new() };
        let mut heads = Vec::new();
        let mut parts: HashMap<String, Vec<(usize, Bytes, M)>> = HashMap::new();
        let mut index: HashMap<String, Vec<usize>> = HashMap::new();
        for (message, envelope) in messages {
            match envelope.as_ref().and_then(Content::read) {
                Some(Content::Whole(letter)) => store.add(&mut index, *letter, message),
                Some(Content::Head(head)) => heads.push((head, message)),
                Some(Content::Part { letter, offset, bytes }) => {
                    parts.entry(letter).or_default().push((offset, bytes, message));
                }
                None => store.unreadable.push(message),
            }
        }
        for (head, message) in heads {
            let found = parts.get_mut(&head.id).and_then(|parts| event(parts, head.event_bytes));
            match found {
                Some(event) => store.add(&mut index, letter(head, event), message),
                None => store.unreadable.push(message),
            }
        }
        for (id, parts) in parts {
            let messages = parts.into_iter().map(|(_, _, message)| message);
            match index.get(&id).map(Vec::as_slice) {
                // Copies of one death have the same parts, which belong to the one letter that is shown.
                Some([at]) => store.letters[*at].messages.extend(messages),
                // With two deaths of one id it is unclear whose parts these are, so they stay.
                Some(_) => {}
                None => store.loose.extend(messages),
            }
        }
        store.letters.sort_by_key(|kept| kept.letter.at);
        store
    }

    fn add(&mut self, index: &mut HashMap<String, Vec<usize>>, letter: DeadLetter, message: M) {
        let same_id = index.entry(letter.id.clone()).or_default();
        match same_id.iter().find(|at| self.letters[**at].letter.is_same_death(&letter)) {
            Some(&at) => self.letters[at].messages.push(message),
            None => {
                same_id.push(self.letters.len());
                self.letters.push(Kept { letter, messages: vec![message] });
            }
        }
    }
}

/// The event of these bytes, if all of them are there. Copies and other divisions of the same bytes may be among them.
fn event<M>(parts: &mut [(usize, Bytes, M)], bytes: usize) -> Option<Envelope> {
    parts.sort_by_key(|(offset, ..)| *offset);
    let mut json: Vec<u8> = Vec::new();
    for (offset, part, _) in parts.iter() {
        let known = json.len().checked_sub(*offset)?;
        json.extend_from_slice(part.get(known..).unwrap_or_default());
    }
    if json.len() != bytes {
        return None;
    }
    serde_json::from_slice(&json).ok()
}

fn letter(head: Head, event: Envelope) -> DeadLetter {
    let Head { topic, subscription, reason, error, attempts, generation, at, .. } = head;
    let id = DeadLetter::id_of(&topic, &subscription, &event, generation);
    DeadLetter { id, topic, subscription, reason, error, attempts, generation, at, event }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::{DeadReason, EventId, SubscriptionName, TopicName};

    const LIMIT: usize = 2000;

    fn letter(topic: &str, event: Envelope) -> DeadLetter {
        let (topic, ship) = (TopicName::parse(topic).unwrap(), SubscriptionName::from_static("ship"));
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
        DeadLetter::new(topic, ship, event, DeadReason::Permanent, "no", 3, at)
    }

    fn event(id: &str, data: impl Into<Bytes>) -> Envelope {
        Envelope::foreign(EventId::from(id), SystemTime::UNIX_EPOCH, data.into())
    }

    /// The messages as a broker gives them back, each within the limit and numbered.
    fn messages(letters: &[&DeadLetter], limit: usize) -> Vec<(usize, Option<Envelope>)> {
        let messages = letters.iter().flat_map(|letter| letter.to_messages("/shop", None, limit));
        let read = |message: Envelope| {
            let body = message.to_json();
            assert!(body.len() <= limit, "{} bytes where {limit} are allowed", body.len());
            Envelope::from_json(body.into()).ok()
        };
        messages.map(read).enumerate().collect()
    }

    #[test]
    fn a_letter_is_kept_whole_however_large_its_event_is() {
        let megabyte: Vec<u8> =
            (0..1 << 20).map(|byte: u32| (byte.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let long_id = event(&"\u{1}i".repeat(50_000), "1");
        let mut long_text = event("1", "{}");
        long_text.attributes.insert("a".into(), "\"".repeat(5000));
        for (event, limit) in [
            (event("1", megabyte), 1 << 20),
            (event("1", "7".repeat(1 << 20)), 1 << 20),
            (long_id, LIMIT),
            (long_text, LIMIT),
            (event("1", ""), LIMIT),
            (event("1", "x".repeat(1000)), 1000),
        ] {
            let large = DeadLetter { error: "e\n".repeat(4000), ..letter("orders", event) };
            let messages = messages(&[&large, &letter("orders", self::event("2", "small"))], limit);
            let store = Store::read(messages);
            let [found, small] = &store.letters[..] else { panic!("{:?}", store.unreadable) };
            let (found, small) =
                if small.letter.event.data == "small" { (found, small) } else { (small, found) };
            assert_eq!((&found.letter.event, &found.letter.id), (&large.event, &large.id));
            assert!(found.letter.error.starts_with("e\n") && small.messages.len() == 1);
        }
    }

    #[test]
    fn copies_of_one_death_are_one_letter_and_all_their_messages() {
        let large = letter("orders", event("1", vec![b'x'; 5000]));
        // The second time the broker took the parts, and not the letter; the third time it took less at once.
        let mut all = messages(&[&large, &large], LIMIT);
        all.pop();
        all.extend(messages(&[&large], 1500).into_iter().map(|(at, message)| (at + 100, message)));
        let count = all.len();
        let store = Store::read(all);
        let [kept] = &store.letters[..] else { panic!("{store:?}") };
        assert_eq!((&kept.letter, kept.messages.len()), (&large, count));
        assert_eq!((store.unreadable.len(), store.loose.len()), (0, 0));
    }

    #[test]
    fn what_another_topic_or_event_has_the_same_id_for_is_another_letter() {
        let first = letter("orders", event("0000000000000000", "1"));
        let others = [
            letter("refunds", event("0000000000000000", "1")),
            letter("orders", event("0000000000000000", "2")),
            letter("orders", Envelope { source: "/other".into(), ..first.event.clone() }),
            letter("orders", Envelope { replay: 1, ..first.event.clone() }),
            letter("orders", first.event.clone()).of_generation(1),
            letter("orders", first.event.clone()).of_generation(2),
            DeadLetter { subscription: SubscriptionName::from_static("bill"), ..first.clone() },
        ];
        let mut others = others.to_vec();
        let last = others.last_mut().unwrap();
        last.id = DeadLetter::id_of(&last.topic, &last.subscription, &last.event, 0);
        let all: Vec<&DeadLetter> = others.iter().chain([&first, &first]).collect();
        let store = Store::read(messages(&all, LIMIT));
        let ids: std::collections::BTreeSet<&str> =
            store.letters.iter().map(|kept| &kept.letter.id[..6]).collect();
        assert_eq!((store.letters.len(), ids.len()), (8, 8), "{ids:?}");
        let copies: Vec<usize> = store.letters.iter().map(|kept| kept.messages.len()).collect();
        assert_eq!(copies, [1, 1, 1, 1, 1, 1, 1, 2]);
    }

    #[test]
    fn letters_of_earlier_versions_are_read_and_told_apart() {
        let old = |topic: &str, data: u32| {
            let event = format!(
                r#"{{"specversion":"1.0","id":"0000000000000000","source":"/","type":"","time":"1970-01-01T00:00:01Z","datacontenttype":"application/json","data":{data}}}"#
            );
            let letter = format!(
                r#"{{"id":"0000000000000000/ship/0","topic":"{topic}","subscription":"ship","reason":"exhausted","error":"no","attempts":2,"at":"2026-01-31T09:00:00Z","event":{event}}}"#
            );
            Some(Envelope::new(
                EventId::from("0000000000000000/ship/0"),
                "/shop",
                "bis.dead-letter",
                SystemTime::UNIX_EPOCH,
                letter.into(),
            ))
        };
        let store =
            Store::read([(1, old("orders", 1)), (2, old("refunds", 1)), (3, old("orders", 1)), (4, None)]);
        let kept: Vec<_> =
            store.letters.iter().map(|kept| (kept.letter.topic.as_str(), &kept.messages[..])).collect();
        assert_eq!(kept, [("orders", &[1, 3][..]), ("refunds", &[2])]);
        assert_ne!(store.letters[0].letter.id, store.letters[1].letter.id);
        assert_eq!(store.unreadable, [4]);
    }

    #[test]
    fn what_is_not_all_there_is_no_letter_and_is_not_forgotten() {
        let large = letter("orders", event("1", vec![b'x'; 5000]));
        let mut all = messages(&[&large], LIMIT);
        let head = all.pop().unwrap();
        let parts = all.len();
        assert_eq!(Store::read(all.clone()).loose.len(), parts);
        all.remove(1);
        all.push(head);
        let store = Store::read(all);
        assert!(store.letters.is_empty());
        assert_eq!((store.unreadable.len(), store.loose.len()), (1, parts - 1));
    }
}
