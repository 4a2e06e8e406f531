//! Topics and channels whose names end in `#ephemeral`: they go with their last client. The journal knows nothing of it.

use bis_broker::channel::Parting;
use bis_journal::{State, Subscription};
use bis_nsq::Name;

/// A consumer is gone, and its channel with it when it was an ephemeral one's last.
pub(super) fn unsubscribe(state: &mut State, subscription: &Subscription, parting: Parting) {
    let channel = subscription.channel().as_str();
    if state.unsubscribe(subscription, parting) && is_ephemeral(channel) {
        delete_channel(state, subscription.topic(), channel);
    }
}

/// Removes a channel, and an ephemeral topic with its last. False when it is not there.
pub(super) fn delete_channel(state: &mut State, topic: u32, channel: &str) -> bool {
    let is_there = state.delete_channel(topic, channel);
    let done_with = state
        .topic(topic)
        .filter(|topic| is_there && topic.channels().next().is_none() && is_ephemeral(topic.name().as_str()));
    if let Some(topic) = done_with.map(|topic| topic.name().clone()) {
        state.delete_topic(topic.as_str());
    }
    is_there
}

/// Removes everything ephemeral: after a start nothing of it has a client.
pub(crate) fn forget(state: &mut State) {
    let mut topics = Vec::new();
    let mut channels = Vec::new();
    for topic in state.topics_by_name() {
        if is_ephemeral(topic.name().as_str()) {
            topics.push(topic.name().clone());
        } else {
            let names = topic.channels().map(|(name, _)| name).filter(|name| is_ephemeral(name.as_str()));
            channels.extend(names.map(|name| (topic.name().clone(), name.clone())));
        }
    }
    for topic in topics {
        state.delete_topic(topic.as_str());
    }
    for (topic, channel) in channels {
        if let Some(topic) = state.number_of(topic.as_str()) {
            state.delete_channel(topic, channel.as_str());
        }
    }
}

fn is_ephemeral(name: &str) -> bool {
    Name::new(name).is_ok_and(|name| name.is_ephemeral())
}
