//! The store of dead letters on the router: the channel `store` of the topic `bis.dead`, which nobody consumes.
//!
//! A letter may be there twice, when the application stopped between keeping it and acking its event; it shows once.

use std::collections::BTreeMap;

use anyhow::Result;
use bis_core::{DeadLetter, Envelope, TopicName};
use bis_nsq::{MessageId, WaitingMessage, WaitingState};

use crate::exit;
use crate::failure::Failure;
use crate::router_client::RouterClient;

/// The channel that keeps dead letters.
const CHANNEL: &str = "store";

/// A dead letter with the router's messages that hold it.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) letter: DeadLetter,
    messages: Vec<MessageId>,
}

/// All dead letters, oldest first, and how many messages are no dead letters.
#[derive(Debug)]
pub(crate) struct Letters {
    pub(crate) letters: Vec<Stored>,
    pub(crate) unreadable: usize,
}

/// Reads all dead letters. Takes none away.
pub(crate) fn read(router: &RouterClient) -> Result<Letters> {
    let mut letters: Vec<Stored> = Vec::new();
    let mut index: BTreeMap<String, usize> = BTreeMap::new();
    let mut unreadable = 0;
    for message in router.peek(TopicName::DEAD.as_str(), CHANNEL)? {
        let Some(letter) = decode(&message) else {
            unreadable += 1;
            continue;
        };
        // Somebody else is replaying it right now.
        if message.state == WaitingState::InFlight {
            continue;
        }
        match index.get(&letter.id) {
            Some(&known) => letters[known].messages.push(message.id),
            None => {
                index.insert(letter.id.clone(), letters.len());
                letters.push(Stored { letter, messages: vec![message.id] });
            }
        }
    }
    Ok(Letters { letters, unreadable })
}

/// The one letter whose id is `id` or starts with it.
pub(crate) fn find<'a>(letters: &'a [Stored], id: &str) -> Result<&'a Stored> {
    let exact = letters.iter().find(|stored| stored.letter.id == id);
    let mut starting = letters.iter().filter(|stored| stored.letter.id.starts_with(id));
    match (exact, starting.next(), starting.next()) {
        (Some(found), ..) | (None, Some(found), None) => Ok(found),
        (None, Some(_), Some(_)) => {
            Err(Failure::new(exit::NOT_FOUND, format!("several dead letters start with `{id}`"))
                .help("give more of the id; `bis dead ls --format json` lists all ids")
                .into())
        }
        (None, None, _) => Err(Failure::new(exit::NOT_FOUND, format!("there is no dead letter `{id}`"))
            .help("`bis dead ls` lists all; one that was replayed is gone")
            .into()),
    }
}

/// Takes a letter out of the store.
pub(crate) fn remove(router: &RouterClient, stored: &Stored) -> Result<()> {
    for message in &stored.messages {
        // One that is not there any more is as good as removed.
        router.finish(TopicName::DEAD.as_str(), CHANNEL, *message)?;
    }
    Ok(())
}

fn decode(message: &WaitingMessage) -> Option<DeadLetter> {
    let envelope = Envelope::from_json(message.body.clone()).ok()?;
    serde_json::from_slice(&envelope.data).ok()
}
