//! What becomes of an event that was published for one subscription. It looks, and takes nothing.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use bis_core::{DeadLetter, Envelope};
use bis_nsq::WaitingMessage;

use crate::commands::dead::store::{self, Stored};
use crate::router_client::RouterClient;

/// How long a handler may take before the event counts as not handled yet.
const LIMIT: Duration = Duration::from_secs(10);
/// The time between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// What became of an event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Its subscription has finished it.
    Handled,
    /// It is a dead letter, of this id.
    Died(String),
    /// It waits, is being handled or is to be tried again.
    Open,
}

/// Waits until the subscription of `letter` has finished `event`, which replaces the letter's own. Where nobody consumes,
/// or the topic is paused, nothing is waited for.
///
/// The same edit may have died before: `letters` are those from before the event was published.
pub(crate) fn wait(
    router: &RouterClient,
    letters: &[Stored],
    letter: &DeadLetter,
    event: &Envelope,
) -> Result<Outcome> {
    let (topic, channel) = (letter.topic.as_str(), letter.subscription.as_str());
    let end = Instant::now() + LIMIT;
    let is_it = |message: &WaitingMessage| {
        Envelope::from_json(message.body.clone()).is_ok_and(|waiting| waiting == *event)
    };
    let ended = || {
        // A copy that was published just now was never replayed.
        let id = DeadLetter::id_of(&letter.topic, &letter.subscription, event, 0);
        let copies = |letters: &[Stored]| -> usize {
            letters.iter().filter(|stored| stored.letter.id == id).map(|stored| stored.messages.len()).sum()
        };
        // A letter is kept before its event is finished.
        let died = copies(&store::read(router)?.letters) > copies(letters);
        Ok(if died { Outcome::Died(id.clone()) } else { Outcome::Handled })
    };
    // The subscription does not have yet what a paused topic holds back.
    if router.is_paused(topic)? {
        return Ok(Outcome::Open);
    }
    // Found once, it is looked for in its place alone: many others may wait.
    let Some(sequence) = router.find(topic, channel, is_it)? else { return ended() };
    loop {
        // Asked first: a consumer may finish the event and go.
        let goes_on = Instant::now() < end && router.is_consumed(topic, channel)?;
        if !router.is_waiting(topic, channel, sequence)? {
            return ended();
        }
        if !goes_on {
            return Ok(Outcome::Open);
        }
        thread::sleep(PAUSE);
    }
}
