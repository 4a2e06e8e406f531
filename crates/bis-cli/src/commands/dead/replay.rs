//! `bis dead replay`: publishes the events of dead letters again, each for its subscription alone, then removes the letters.
//!
//! Published first and removed after: a command that dies in between leaves a letter too many, never an event too few.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use bis_core::{DeadLetter, Envelope};
use serde_json::{Value, json};

use crate::arguments::Where;
use crate::commands::dead::store::{self, Stored};
use crate::exit;
use crate::format::Format;
use crate::print::{self, BOLD_GREEN, plural};
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
}

/// Replays letters, and prints which.
pub(crate) fn run(replay: &Replay, place: &Where, format: Format) -> Result<ExitCode> {
    let router = target::http(place)?;
    let letters = store::read(&router)?.letters;
    let selected: Vec<&Stored> = match &replay.selection {
        Selection::All => letters.iter().collect(),
        // Every id is looked up before anything is replayed.
        Selection::Ids(ids) => ids.iter().map(|id| store::find(&letters, id)).collect::<Result<_>>()?,
    };
    let data = match &replay.edit {
        Some(file) => Some(fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))?),
        None => None,
    };
    for stored in &selected {
        if !replay.dry_run {
            let event = again(&stored.letter, data.clone());
            router.publish(stored.letter.topic.as_str(), event.key.as_deref(), &event.to_json())?;
            store::remove(&router, stored)?;
        }
        if format == Format::Text {
            let verb = if replay.dry_run { "would replay" } else { "replayed" };
            let letter = &stored.letter;
            anstream::println!("{verb} {} for `{}` of `{}`", letter.id, letter.subscription, letter.topic);
        }
    }
    match format {
        Format::Json => print::json_line(&summary(&selected, replay.dry_run))?,
        Format::Text if selected.is_empty() => anstream::eprintln!("there are no dead letters"),
        Format::Text if !replay.dry_run => anstream::eprintln!(
            "{BOLD_GREEN}done{BOLD_GREEN:#}: {} {} replayed",
            selected.len(),
            plural(selected.len(), "letter")
        ),
        Format::Text => {}
    }
    Ok(exit::DONE.into())
}

/// The event once more, for the one subscription that gave it up.
fn again(letter: &DeadLetter, data: Option<Vec<u8>>) -> Envelope {
    let mut event = letter.event.clone();
    event.target = Some(letter.subscription.clone());
    event.replay += 1;
    if let Some(data) = data {
        event.data = data.into();
    }
    event
}

fn summary(selected: &[&Stored], dry_run: bool) -> Value {
    json!({
        "dry_run": dry_run,
        "replayed": selected.iter().map(|stored| &stored.letter.id).collect::<Vec<_>>(),
    })
}
