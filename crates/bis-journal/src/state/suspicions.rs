//! How the router treats consumers that vanish: a process is given one suspect at a time, and for a while nothing else beside
//! one that was blamed before; a process that comes back acquits what it had. A channel knows its own suspects; this looks over
//! all channels, because a process that ends takes its consumers of every channel with it.

use std::collections::VecDeque;
use std::time::Duration;

use super::State;
use super::delivery::Subscription;
use super::topic::{Consumer, Process};
use crate::name::Name;
use bis_broker::channel::{ConsumerId, ProcessId, Suspects, Time};

/// The most processes that left suspects behind and may still come back.
const MAX_ACCUSERS: usize = 1024;
/// For how long a process is given nothing beside a suspect that was blamed before. What takes longer holds nobody up.
const SOLITUDE: Duration = Duration::from_secs(10);

/// What is remembered beside the channels' own suspects.
#[derive(Default)]
pub(super) struct Suspicions {
    /// Processes that vanished and left suspects behind, the oldest first.
    accusers: VecDeque<ProcessId>,
    /// Suspects that were blamed before and are out: nearly always none.
    blamed: Vec<Blamed>,
}

/// A suspect that was blamed before, with a consumer.
struct Blamed {
    topic: u32,
    channel: Name,
    sequence: u64,
    consumer: ConsumerId,
    process: Process,
    /// When other messages may go to its process again.
    until: Time,
}

impl Suspicions {
    /// A process vanished, and what it had is suspected.
    pub(super) fn left_behind(&mut self, process: ProcessId) {
        if self.accusers.contains(&process) {
            return;
        }
        if self.accusers.len() >= MAX_ACCUSERS {
            self.accusers.pop_front();
        }
        self.accusers.push_back(process);
    }

    /// A suspect that was blamed before goes out.
    pub(super) fn goes_out(
        &mut self,
        subscription: &Subscription,
        sequence: u64,
        consumer: &Consumer,
        now: Time,
    ) {
        self.blamed.push(Blamed {
            topic: subscription.topic,
            channel: subscription.channel.clone(),
            sequence,
            consumer: subscription.consumer,
            process: consumer.process().clone(),
            until: now.plus(SOLITUDE),
        });
    }
}

impl State {
    /// A process shows that it lives: nothing that it had is suspected of having ended it.
    pub(super) fn acquit(&mut self, process: ProcessId) {
        let Some(at) = self.suspicions.accusers.iter().position(|accuser| *accuser == process) else {
            return;
        };
        self.suspicions.accusers.remove(at);
        let mut changed = Vec::new();
        for topic in self.topics.values_mut() {
            for (name, channel) in &mut topic.channels {
                let back = channel.machine.acquit(process);
                if !back.is_empty() {
                    back.iter().for_each(|recalled| channel.operations.recalled(recalled));
                    channel.wake(back.len());
                    changed.push((topic.id, name.clone()));
                }
            }
        }
        changed.iter().for_each(|(topic, channel)| self.mark_dirty(*topic, channel));
    }

    /// Whether a consumer may have a suspect: its process holds none, of this channel or of another, so that one that ends
    /// the process is the only one that is blamed.
    pub(super) fn suspects_for(&self, subscription: &Subscription) -> Suspects {
        let channel_of = |subscription: &Subscription| {
            self.topics.get(&subscription.topic)?.channels.get(subscription.channel.as_str())
        };
        let Some(channel) = channel_of(subscription).filter(|channel| channel.machine.has_suspects()) else {
            return Suspects::Withheld;
        };
        let Some(own) = channel.consumers.get(&subscription.consumer) else { return Suspects::Withheld };
        let channels = self.topics.values().flat_map(|topic| topic.channels.values());
        let mut holders = channels.flat_map(|channel| {
            channel.machine.holders_of_suspects().filter_map(|holder| channel.consumers.get(&holder))
        });
        let holds_one = holders.any(|holder| holder.process().is_same(own.process()));
        if holds_one { Suspects::Withheld } else { Suspects::Allowed }
    }

    /// Whether the consumer's process is given nothing now, because it has a suspect that was blamed before.
    pub(super) fn is_left_alone(&mut self, subscription: &Subscription, now: Time) -> bool {
        if self.suspicions.blamed.is_empty() {
            return false;
        }
        let State { topics, suspicions, .. } = self;
        suspicions.blamed.retain(|one| {
            let channel = topics.get(&one.topic).and_then(|topic| topic.channels.get(one.channel.as_str()));
            now < one.until
                && channel.is_some_and(|channel| channel.machine.is_blamed(one.sequence, one.consumer))
        });
        let channel = topics
            .get(&subscription.topic)
            .and_then(|topic| topic.channels.get(subscription.channel.as_str()));
        let own = channel.and_then(|channel| channel.consumers.get(&subscription.consumer));
        own.is_some_and(|own| suspicions.blamed.iter().any(|one| one.process.is_same(own.process())))
    }
}
