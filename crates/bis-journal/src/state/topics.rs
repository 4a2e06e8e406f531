//! Every topic that is there, by its number and by its name, and the numbers that are given out. It does no I/O.
//!
//! What always holds:
//! - A number is given to one topic, or one channel, and to no other one ever: records name them by it. So the next numbers only
//!   rise, also over a restart.
//! - A name leads to the newest topic that has it. Where a deletion was lost, an older one of the same name is still there by its
//!   number.
//! - The next sequence of a topic is at or beyond its end. What lies between was taken and is not committed yet.

use bis_broker::NumberMap;
use foldhash::HashMap;

use super::topic::Topic;
use crate::files::batch::BATCH_HEADER;
use crate::files::checkpoint::{ChannelPoint, TopicPoint};
use crate::files::operations::Operations;
use crate::files::record::{self, Header, Kind};
use crate::name::Name;

/// Only what a publish must know about a topic: publishes to many topics in turn find little of them in the caches.
#[derive(Debug, Clone, Copy)]
pub(super) struct Intake {
    pub(super) topic: u32,
    /// The sequence of the next message taken.
    pub(super) next_sequence: u64,
}

/// All topics.
#[derive(Debug)]
pub(crate) struct Topics {
    by_number: NumberMap<u32, Topic>,
    names: HashMap<Name, Intake>,
    next_topic: u32,
    next_channel: u32,
}

impl Topics {
    /// None yet; these numbers are the first that are given out.
    pub(super) fn new(next_topic: u32, next_channel: u32) -> Self {
        let (by_number, names) = (NumberMap::default(), HashMap::default());
        Self { by_number, names, next_topic: next_topic.max(1), next_channel: next_channel.max(1) }
    }

    pub(crate) fn get(&self, number: &u32) -> Option<&Topic> {
        self.by_number.get(number)
    }

    pub(super) fn get_mut(&mut self, number: &u32) -> Option<&mut Topic> {
        self.by_number.get_mut(number)
    }

    pub(super) fn contains_key(&self, number: &u32) -> bool {
        self.by_number.contains_key(number)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &Topic> {
        self.by_number.values()
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Topic> {
        self.by_number.values_mut()
    }

    /// The topics in the order of their names.
    pub(super) fn by_name(&self) -> Vec<&Topic> {
        let mut topics: Vec<&Topic> = self.by_number.values().collect();
        topics.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        topics
    }

    /// The number of the topic of this name.
    pub(super) fn number_of(&self, name: &str) -> Option<u32> {
        self.names.get(name).map(|intake| intake.topic)
    }

    /// What a publish to the topic of this name must know.
    pub(super) fn intake(&mut self, name: &str) -> Option<&mut Intake> {
        self.names.get_mut(name)
    }

    /// Makes the topic of this name, which is not there.
    pub(super) fn make(&mut self, name: &str) -> &mut Topic {
        let number = self.next_topic;
        self.define(number, Name::new(name));
        self.by_number.get_mut(&number).expect("it was just made")
    }

    /// The topic of this number has this name, as a record or a checkpoint says.
    pub(super) fn define(&mut self, number: u32, name: Name) {
        self.next_topic = self.next_topic.max(number.saturating_add(1));
        if !self.by_number.contains_key(&number) {
            self.insert(Topic::new(number, name));
        }
    }

    /// A topic is there, as far as a checkpoint has it.
    pub(super) fn insert(&mut self, topic: Topic) {
        let intake = Intake { topic: topic.id, next_sequence: topic.end };
        self.names.insert(topic.name.clone(), intake);
        self.by_number.insert(topic.id, topic);
    }

    /// Removes the topic of this name.
    pub(super) fn remove(&mut self, name: &str) -> Option<Topic> {
        let intake = self.names.remove(name)?;
        self.by_number.remove(&intake.topic)
    }

    /// Removes the topic of this number. One that was made anew, and defined before, keeps the name.
    pub(super) fn remove_number(&mut self, number: u32) {
        if let Some(topic) = self.by_number.remove(&number)
            && self.number_of(topic.name.as_str()) == Some(number)
        {
            self.names.remove(topic.name.as_str());
        }
    }

    /// The number of a new channel.
    pub(super) fn number_channel(&mut self) -> u32 {
        let number = self.next_channel;
        self.next_channel += 1;
        number
    }

    /// A channel has this number.
    pub(super) fn note_channel(&mut self, number: u32) {
        self.next_channel = self.next_channel.max(number.saturating_add(1));
    }

    /// The numbers of the next topic and of the next channel.
    pub(super) fn next_numbers(&self) -> (u32, u32) {
        (self.next_topic, self.next_channel)
    }

    /// This many of the messages that were taken for a topic are not in the journal: the next ones have their sequences.
    pub(super) fn take_back(&mut self, number: u32, messages: u64) {
        if let Some(intake) = self.intake_of(number) {
            intake.next_sequence -= messages;
        }
    }

    /// Sequences go on where topics end: nothing is taken and uncommitted.
    pub(super) fn go_on_at_ends(&mut self) {
        let Self { by_number, names, .. } = self;
        for topic in by_number.values() {
            // Where a deletion was lost, an older topic has the same name.
            if let Some(intake) = names.get_mut(&topic.name).filter(|intake| intake.topic == topic.id) {
                intake.next_sequence = topic.end;
            }
        }
    }

    fn intake_of(&mut self, number: u32) -> Option<&mut Intake> {
        let name = &self.by_number.get(&number)?.name;
        self.names.get_mut(name).filter(|intake| intake.topic == number)
    }

    /// Topics and channels for a checkpoint.
    pub(super) fn points(&self) -> Vec<TopicPoint> {
        let topics = self.by_number.values().map(|topic| TopicPoint {
            id: topic.id,
            name: topic.name.as_str().to_owned(),
            end: topic.end,
            base: topic.base,
            paused: topic.paused,
            held: topic.held,
            retention: topic.retention,
            channels: topic
                .channels
                .iter()
                .map(|(name, channel)| {
                    let snapshot = channel.machine.snapshot();
                    ChannelPoint::new(channel.id, name.as_str(), channel.reached, &snapshot)
                })
                .collect(),
        });
        topics.collect()
    }

    /// A batch that defines every topic and channel, with room for its header; `None` when there is none. Each segment
    /// begins with one, so that it can be read without a checkpoint.
    pub(super) fn definitions(&self) -> Option<Vec<u8>> {
        let mut definitions = vec![0; BATCH_HEADER];
        for topic in self.by_number.values() {
            let header = Header::new(Kind::Topic, topic.id, 0);
            record::append(&mut definitions, &header, topic.name.as_str().as_bytes());
            let header = Header::new(Kind::TopicState, topic.id, topic.base);
            record::append(&mut definitions, &header, &topic.state_record());
            for (name, channel) in &topic.channels {
                let header = Header::new(Kind::Channel, topic.id, channel.machine.floor());
                record::append(&mut definitions, &header, &channel_body(channel.id, name.as_str()));
                if channel.machine.is_paused() {
                    let header = Header::new(Kind::Operations, topic.id, 0);
                    record::append(&mut definitions, &header, &Operations::pause_of(channel.id));
                }
            }
        }
        (definitions.len() > BATCH_HEADER).then_some(definitions)
    }
}

/// The body of a record that defines a channel.
pub(super) fn channel_body(number: u32, name: &str) -> Vec<u8> {
    let mut body = number.to_le_bytes().to_vec();
    body.extend_from_slice(name.as_bytes());
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_to_the_newest_topic_and_numbers_are_not_given_twice() {
        let mut topics = Topics::new(0, 0);
        assert_eq!(topics.make("orders").id, 1);
        topics.define(2, Name::new("orders"));
        topics.remove_number(1);
        assert_eq!(topics.number_of("orders"), Some(2), "the old one's deletion is read late");
        assert!(topics.remove("orders").is_some() && topics.number_of("orders").is_none());
        assert_eq!(topics.make("orders").id, 3);
        topics.note_channel(7);
        assert_eq!((topics.number_channel(), topics.number_channel()), (8, 9));
        assert_eq!(topics.next_numbers(), (4, 10));
    }

    #[test]
    fn what_was_refused_gives_its_sequences_back() {
        let mut topics = Topics::new(1, 1);
        topics.make("orders");
        topics.intake("orders").unwrap().next_sequence = 5;
        topics.take_back(1, 2);
        assert_eq!(topics.intake("orders").unwrap().next_sequence, 3);
        topics.get_mut(&1).unwrap().end = 9;
        topics.go_on_at_ends();
        assert_eq!(topics.intake("orders").unwrap().next_sequence, 9);
    }
}
