//! A new topic gets the channels that it has elsewhere, before any of them sees a message: otherwise channels that come
//! later would miss what was published first.

use std::collections::BTreeSet;
use std::sync::Arc;

use bis_nsq::Name;
use serde::Deserialize;
use tokio::task::JoinSet;

use super::{Standing, Standings};
use crate::server::Server;
use crate::server::http_client::{self, Timeouts};

/// nsqlookupd's answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Channels {
    channels: Option<Vec<String>>,
}

/// Asks every nsqlookupd that is there for the topic's channels, makes them, and lets the topic go on. What an nsqlookupd
/// does not answer in time is left out, with a warning.
pub(super) async fn prepare(server: Arc<Server>, topic: bis_journal::Name) {
    let mut standings = server.lookup_standings.subscribe();
    let is_tried = |standings: &Standings| !standings.values().any(|one| *one == Standing::Connecting);
    let timeouts = Timeouts {
        connect: server.options.lookup.connect_timeout,
        request: server.options.lookup.request_timeout,
    };
    // In the first moments after a start they are still being connected to.
    let tried = tokio::time::timeout(timeouts.connect, standings.wait_for(is_tried)).await;
    drop(tried);
    let https: Vec<String> = standings
        .borrow()
        .values()
        .filter_map(|standing| match standing {
            Standing::Registered { http } => http.clone(),
            Standing::Connecting | Standing::Away => None,
        })
        .collect();
    if https.is_empty() {
        tracing::error!(topic = topic.as_str(), "no nsqlookupd can be asked for the channels of a new topic");
    }
    let mut questions = JoinSet::new();
    for address in https {
        questions.spawn(ask(address, topic.clone(), timeouts));
    }
    let mut channels = BTreeSet::new();
    while let Some(answer) = questions.join_next().await {
        channels.extend(answer.into_iter().flatten());
    }
    let channels: Vec<Name> = channels.into_iter().collect();
    let mut state = server.journal.lock();
    state.release_topic(topic.as_str(), channels.iter().map(Name::as_str));
    drop(state);
    server.journal.kick();
    tracing::info!(topic = topic.as_str(), channels = channels.len(), "a topic was made");
}

/// The channels that one nsqlookupd knows; none when it does not answer. An ephemeral channel does not exist without a client.
async fn ask(address: String, topic: bis_journal::Name, timeouts: Timeouts) -> Vec<Name> {
    // Of the characters that names have, only `#` means something in an address.
    let path = format!("/channels?topic={}", topic.as_str().replace('#', "%23"));
    let body = match http_client::get(&address, &path, timeouts).await {
        Ok(body) => body,
        Err(error) => {
            let error = error.to_string();
            tracing::warn!(
                address,
                topic = topic.as_str(),
                error,
                "nsqlookupd does not say a topic's channels"
            );
            return Vec::new();
        }
    };
    let answer: Channels = serde_json::from_slice(&body).unwrap_or_default();
    let names = answer.channels.unwrap_or_default().into_iter().filter_map(|name| Name::new(name).ok());
    names.filter(|name| !name.is_ephemeral()).collect()
}
