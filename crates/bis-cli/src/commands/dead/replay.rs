//! `bis dead replay`: publishes the events of dead letters again, each for its subscription alone, then removes the letters.
//!
//! Published first and removed after: a command that dies in between leaves a letter too many, never an event too few. An
//! edited event is not the one that was kept, so its letter stays until the edited one is handled. So does the letter of a
//! subscription that the router does not have: every other one passes over what is published for that one alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use bis_core::{DeadLetter, Envelope};
use serde_json::{Value, json};

use crate::arguments::Where;
use crate::commands::dead::handled::{self, Outcome};
use crate::commands::dead::store::{self, Stored};
use crate::declared;
use crate::exit;
use crate::failure::Failure;
use crate::format::Format;
use crate::print::{self, BOLD_GREEN, BOLD_YELLOW, plural};
use crate::router_client::{Published, RouterClient, TopicStats};
use crate::target;

/// Which letters.
#[derive(Debug)]
pub(crate) enum Selection {
    /// Every one.
    All,
    /// Those with these ids, or starts of ids.
    Ids(Vec<String>),
}

/// What to replay, and how.
#[derive(Debug)]
pub(crate) struct Replay {
    pub(crate) selection: Selection,
    /// Only say what would be done.
    pub(crate) dry_run: bool,
    /// A file with data in place of the event's.
    pub(crate) edit: Option<PathBuf>,
    /// Take the file as it is, whatever the event's schema says.
    pub(crate) force: bool,
}

/// What became of the letters.
#[derive(Debug, Default)]
struct Done<'a> {
    replayed: Vec<&'a DeadLetter>,
    /// The letters that stay, and why.
    kept: Vec<(&'a DeadLetter, String)>,
}

/// Replays letters, and prints which.
pub(crate) fn run(replay: &Replay, place: &Where, format: Format) -> Result<ExitCode> {
    let router = target::http(place)?;
    let letters = store::read(&router)?.letters;
    let selected = match &replay.selection {
        Selection::All => letters.iter().collect(),
        // Every id is looked up before anything is replayed.
        Selection::Ids(ids) => store::find_each(&letters, ids)?,
    };
    let data = match &replay.edit {
        Some(file) => Some(edited(file, &selected, replay.force, place)?),
        None => None,
    };
    let topics = router.stats()?.topics;
    let mut done = Done::default();
    for stored in &selected {
        if !is_subscribed(&topics, &stored.letter) {
            done.kept.push((&stored.letter, unsubscribed(&stored.letter)));
        } else if !replay.dry_run {
            again(&router, &letters, stored, data.as_deref(), &mut done)?;
        } else {
            done.replayed.push(&stored.letter);
        }
    }
    match format {
        Format::Json => print::json_line(&done.json(replay.dry_run))?,
        Format::Text if selected.is_empty() => anstream::eprintln!("there are no dead letters"),
        Format::Text => done.tell(replay.dry_run),
    }
    Ok(exit::DONE.into())
}

/// The data of the file, which is for one letter and, unless forced, what its topic carries.
fn edited(file: &Path, selected: &[&Stored], force: bool, place: &Where) -> Result<Vec<u8>> {
    let [stored] = selected else {
        let text = format!("`--edit` is for one letter and not for {}", selected.len());
        return Err(Failure::new(exit::USAGE, text).help("replay each with a file of its own").into());
    };
    let data = fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    if !force {
        let graph = declared::graph(place)?;
        declared::refuse_mismatch(graph.as_ref(), stored.letter.topic.as_str(), &data)?;
    }
    Ok(data)
}

/// Whether the router has the subscription that gave the letter's event up.
fn is_subscribed(topics: &[TopicStats], letter: &DeadLetter) -> bool {
    let topics = topics.iter().filter(|topic| topic.topic_name == letter.topic.as_str());
    let mut channels = topics.flat_map(|topic| &topic.channels);
    channels.any(|channel| channel.channel_name == letter.subscription.as_str())
}

fn unsubscribed(letter: &DeadLetter) -> String {
    format!(
        "`{}` has no subscription `{}`, so that nobody would get the event; if the application declares it, start that first",
        letter.topic, letter.subscription
    )
}

/// Publishes the event of one letter, and removes the letter once it is not needed any more.
fn again<'a>(
    router: &RouterClient,
    letters: &[Stored],
    stored: &'a Stored,
    data: Option<&[u8]>,
    done: &mut Done<'a>,
) -> Result<()> {
    let letter = &stored.letter;
    let event = marked(letter, data);
    let (topic, key) = (letter.topic.as_str(), event.key.as_deref());
    let is_sent = router.try_publish(topic, key, &event.to_json())? == Published::Stored
        // An event of the largest size has no room for the mark, which nobody needs where nobody else subscribes.
        || (data.is_none()
            && is_only_subscription(router, letter)?
            && router.try_publish(topic, key, &as_it_came(&letter.event))? == Published::Stored);
    if !is_sent {
        let reason = format!(
            "its event is too large to be marked for `{}` alone; start the router with a larger `--max-msg-size`",
            letter.subscription
        );
        done.kept.push((letter, reason));
        return Ok(());
    }
    done.replayed.push(letter);
    let outcome = match data {
        Some(_) => handled::wait(router, letters, letter, &event)?,
        None => Outcome::Handled,
    };
    match outcome {
        Outcome::Handled => store::remove(router, stored)?,
        Outcome::Died(id) => {
            done.kept.push((letter, format!("the edited event is a dead letter too, `{id}`")));
        }
        Outcome::Open => {
            let reason = "the edited event is published and not handled yet".to_owned();
            done.kept.push((letter, reason));
        }
    }
    Ok(())
}

/// The event once more, for the one subscription that gave it up.
fn marked(letter: &DeadLetter, data: Option<&[u8]>) -> Envelope {
    let mut event = letter.event.clone();
    event.target = Some(letter.subscription.clone());
    // Two deaths of one event make two different copies.
    event.replay += 1 + letter.generation;
    if let Some(data) = data {
        event.data = data.to_vec().into();
        event.malformed = None;
    }
    event
}

/// Whether the letter's subscription is the only one that would get an event without a mark.
fn is_only_subscription(router: &RouterClient, letter: &DeadLetter) -> Result<bool> {
    let topics = router.stats()?.topics;
    let topic = topics.iter().find(|topic| topic.topic_name == letter.topic.as_str());
    let mut lasting = topic.into_iter().flat_map(|topic| &topic.channels).filter(|one| !one.is_ephemeral());
    Ok(lasting.all(|channel| channel.channel_name == letter.subscription.as_str()))
}

/// The body in which the event was published.
fn as_it_came(event: &Envelope) -> Vec<u8> {
    if event.is_foreign() { event.data.to_vec() } else { event.to_json() }
}

impl Done<'_> {
    fn tell(&self, dry_run: bool) {
        let verb = if dry_run { "would replay" } else { "replayed" };
        for letter in &self.replayed {
            anstream::println!("{verb} {} for `{}` of `{}`", letter.id, letter.subscription, letter.topic);
        }
        for (letter, reason) in &self.kept {
            anstream::eprintln!(
                "{BOLD_YELLOW}warning{BOLD_YELLOW:#}: the letter `{}` stays: {reason}; `bis dead rm {}` removes it",
                letter.id,
                letter.id
            );
        }
        if !dry_run {
            let count = self.replayed.len();
            anstream::eprintln!(
                "{BOLD_GREEN}done{BOLD_GREEN:#}: {count} {} replayed",
                plural(count, "letter")
            );
        }
    }

    fn json(&self, dry_run: bool) -> Value {
        let kept = self.kept.iter().map(|(letter, reason)| json!({ "id": letter.id, "reason": reason }));
        json!({
            "dry_run": dry_run,
            "replayed": self.replayed.iter().map(|letter| &letter.id).collect::<Vec<_>>(),
            "kept": kept.collect::<Vec<_>>(),
        })
    }
}
