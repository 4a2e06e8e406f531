//! The store of dead letters on the router: the channel `store` of the topic `bis.dead`, which nobody consumes.
//!
//! A letter may be there twice, when the application stopped between keeping it and acking its event; it shows once.

use anyhow::Result;
use bis_core::dead_letter::{Kept, Store};
use bis_core::{Envelope, TopicName};
use bis_nsq::{MessageId, WaitingState};

use crate::exit;
use crate::failure::Failure;
use crate::router_client::RouterClient;

/// The channel that keeps dead letters.
const CHANNEL: &str = "store";

/// A dead letter with the router's messages that hold it.
pub(crate) type Stored = Kept<MessageId>;

/// Reads all dead letters. Takes none away.
pub(crate) fn read(router: &RouterClient) -> Result<Store<MessageId>> {
    let messages = router.peek(TopicName::DEAD.as_str(), CHANNEL)?.into_iter();
    // What is in flight, somebody else takes away right now.
    let here = messages.filter(|message| message.state != WaitingState::InFlight);
    Ok(Store::read(here.map(|message| (message.id, Envelope::from_json(message.body).ok()))))
}

/// The one letter whose id, or whose event's id, is `id` or starts with it.
pub(crate) fn find<'a>(letters: &'a [Stored], id: &str) -> Result<&'a Stored> {
    let named = |stored: &&Stored, matches: fn(&str, &str) -> bool| {
        matches(&stored.letter.id, id) || matches(stored.letter.event.id.as_str(), id)
    };
    let exact: Vec<&Stored> =
        letters.iter().filter(|stored| named(stored, |known, id| known == id)).collect();
    let starting =
        || letters.iter().filter(|stored| named(stored, |known, id| known.starts_with(id))).collect();
    let found: Vec<&Stored> = if exact.is_empty() { starting() } else { exact };
    match found[..] {
        [found] => Ok(found),
        [] => Err(Failure::new(exit::NOT_FOUND, format!("there is no dead letter `{id}`"))
            .help("`bis dead ls` lists all; one that was replayed is gone")
            .into()),
        [first, second, ..] => {
            let text = format!("several dead letters are `{id}`, or start with it");
            let (first, second) = (&first.letter.id, &second.letter.id);
            Err(Failure::new(exit::NOT_FOUND, text)
                .help(format!(
                    "give more of the id: `{first}`, `{second}`, ..; `bis dead ls --format json` lists all ids"
                ))
                .into())
        }
    }
}

/// The letters of these ids, each once, however often it is named.
pub(crate) fn find_each<'a>(letters: &'a [Stored], ids: &[String]) -> Result<Vec<&'a Stored>> {
    let mut found: Vec<&Stored> = Vec::new();
    for id in ids {
        let one = find(letters, id)?;
        if !found.iter().any(|other| std::ptr::eq(*other, one)) {
            found.push(one);
        }
    }
    Ok(found)
}

/// Takes a letter out of the store.
pub(crate) fn remove(router: &RouterClient, stored: &Stored) -> Result<()> {
    for message in &stored.messages {
        // One that is not there any more is as good as removed.
        router.finish(TopicName::DEAD.as_str(), CHANNEL, *message)?;
    }
    Ok(())
}
