//! Topics and channels over HTTP: make, delete, empty, pause. It answers once the change is stored.

use std::sync::Arc;

use axum::extract::State as Extract;
use bis_nsq::Name;

use super::{
    Arguments, Reply, bad, decided, existing, missing, open, ticket_of, topic_and_channel, versioned,
};
use crate::server::{Server, ephemeral};

/// What is to be done with a topic or channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Create,
    Delete,
    Empty,
    Pause,
    Unpause,
}

/// `/topic/...`
pub(super) async fn topic(
    Extract(server): Extract<Arc<Server>>,
    arguments: Arguments,
    action: Action,
) -> Reply {
    let text = arguments.get("topic").ok_or_else(|| bad("MISSING_ARG_TOPIC"))?;
    let name = Name::new(text);
    let ticket = {
        let mut state = server.journal.lock();
        open(&state)?;
        match (action, name) {
            (Action::Create, Ok(name)) => {
                state.make_topic(name.as_str());
            }
            (Action::Create | Action::Empty, Err(_)) => return Err(bad("INVALID_TOPIC")),
            // As on nsqd, a name that no topic can have is one that none has.
            (_, Err(_)) => return Err(missing("TOPIC_NOT_FOUND")),
            (Action::Delete, Ok(name)) => {
                existing(&state, name.as_str())?;
                state.delete_topic(name.as_str());
            }
            (Action::Empty, Ok(name)) => {
                let topic = existing(&state, name.as_str())?;
                state.empty_topic(topic);
            }
            (Action::Pause | Action::Unpause, Ok(name)) => {
                let topic = existing(&state, name.as_str())?;
                state.pause_topic(topic, action == Action::Pause);
            }
        }
        ticket_of(&state)
    };
    decided(&server, ticket).await?;
    Ok(versioned(""))
}

/// `/channel/...`
pub(super) async fn channel(
    Extract(server): Extract<Arc<Server>>,
    arguments: Arguments,
    action: Action,
) -> Reply {
    let (topic, channel) = topic_and_channel(&arguments)?;
    let channel = channel.as_str();
    let ticket = {
        let mut state = server.journal.lock();
        open(&state)?;
        let topic = existing(&state, topic.as_str())?;
        let is_there = match action {
            Action::Create => {
                state.make_channel(topic, channel);
                true
            }
            Action::Delete => ephemeral::delete_channel(&mut state, topic, channel),
            Action::Empty => state.empty_channel(topic, channel),
            Action::Pause | Action::Unpause => state.pause_channel(topic, channel, action == Action::Pause),
        };
        if !is_there {
            return Err(missing("CHANNEL_NOT_FOUND"));
        }
        ticket_of(&state)
    };
    decided(&server, ticket).await?;
    Ok(versioned(""))
}
