//! `bis dead resend`: publishes the events of dead letters again, each for its own subscription only, then removes the
//! letters.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use bis_admin::{Admin, Letter, Letters, Stays};
use bis_core::DeadLetter;
use serde_json::{Value, json};

use crate::arguments::{Resend, Where};
use crate::declared;
use crate::exit;
use crate::failure::Failure;
use crate::format::Format;
use crate::print::{self, BOLD_GREEN, BOLD_YELLOW, plural};
use crate::target;

/// The outcome for the letters.
#[derive(Debug, Default)]
struct Done {
    /// Ids of letters, subscriptions and topics.
    resent: Vec<[String; 3]>,
    /// The ids of the letters that stay, and why.
    kept: Vec<(String, Stays)>,
}

/// Resends letters, and prints which.
pub(crate) fn run(arguments: &Resend) -> Result<()> {
    let done = target::with(&arguments.place, async |admin| {
        let letters = admin.letters().await?;
        again(admin, &letters, arguments).await
    })?;
    match arguments.format {
        Format::Json => print::json_line(&done.json(arguments.dry_run))?,
        Format::Text if done.resent.is_empty() && done.kept.is_empty() => {
            anstream::eprintln!("there are no dead letters");
        }
        Format::Text => done.tell(arguments.dry_run),
    }
    Ok(())
}

async fn again(admin: &Admin, letters: &Letters, arguments: &Resend) -> Result<Done> {
    let selected: Vec<&Letter> = if arguments.all {
        letters.letters.iter().collect()
    } else {
        // Every id is looked up before anything is sent.
        letters.find_each(&arguments.ids)?
    };
    let data = match &arguments.edit {
        Some(file) => Some(edited(file, &selected, arguments.force, &arguments.place)?),
        None => None,
    };
    let resending = admin.resending(letters).await?;
    let mut done = Done::default();
    for letter in selected {
        let (sent, stays) = if arguments.dry_run {
            let obstacle = resending.obstacle(letter);
            (obstacle.is_none(), obstacle)
        } else {
            let resent = resending.send(letter, data.as_deref()).await?;
            (resent.published, resent.stays)
        };
        let DeadLetter { id, topic, subscription, .. } = letter.letter();
        if sent {
            done.resent.push([id.clone(), subscription.to_string(), topic.to_string()]);
        }
        done.kept.extend(stays.map(|stays| (id.clone(), stays)));
    }
    Ok(done)
}

/// The data of the file, which is for one letter and, unless forced, matches the schema of its topic.
fn edited(file: &Path, selected: &[&Letter], force: bool, place: &Where) -> Result<Vec<u8>> {
    let [letter] = selected else {
        let text = format!("`--edit` is for one letter and not for {}", selected.len());
        return Err(Failure::new(exit::USAGE, text).help("send each with a file of its own").into());
    };
    let data = fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    if !force {
        let graph = declared::graph(place)?;
        declared::refuse_mismatch(graph.as_ref(), letter.letter().topic.as_str(), &data)?;
    }
    Ok(data)
}

impl Done {
    fn tell(&self, dry_run: bool) {
        let verb = if dry_run { "would resend" } else { "resent" };
        for [id, subscription, topic] in &self.resent {
            anstream::println!("{verb} {id} for `{subscription}` of `{topic}`");
        }
        for (id, reason) in &self.kept {
            anstream::eprintln!(
                "{BOLD_YELLOW}warning{BOLD_YELLOW:#}: the letter `{id}` stays: {reason}; `bis dead rm {id}` removes it"
            );
        }
        if !dry_run {
            let count = self.resent.len();
            anstream::eprintln!("{BOLD_GREEN}done{BOLD_GREEN:#}: {count} {} resent", plural(count, "letter"));
        }
    }

    fn json(&self, dry_run: bool) -> Value {
        let kept = self.kept.iter().map(|(id, reason)| json!({ "id": id, "reason": reason.to_string() }));
        json!({
            "dry_run": dry_run,
            "resent": self.resent.iter().map(|[id, ..]| id).collect::<Vec<_>>(),
            "kept": kept.collect::<Vec<_>>(),
        })
    }
}
