//! `bis dead ls`: dead letters by topic, subscription and error, since many usually have one cause.

use anyhow::Result;
use bis_admin::{Cause, Group, Letter, Letters};
use bis_core::envelope::format_time;
use serde_json::{Value, json};

use crate::arguments::Where;
use crate::format::Format;
use crate::print::{self, BOLD, BOLD_RED, BOLD_YELLOW, CYAN, plural, shown};
use crate::target;

/// How many ids of a group are shown to people.
const SHOWN_IDS: usize = 3;

/// Prints all dead letters.
pub(crate) fn run(place: &Where, format: Format) -> Result<()> {
    let letters = target::with(place, async |admin| Ok(admin.letters().await?))?;
    match format {
        Format::Json => print::json_line(&json(&letters))?,
        Format::Text if letters.letters.is_empty() => anstream::eprintln!("there are no dead letters"),
        Format::Text => print::text(&text(&letters))?,
    }
    if letters.unreadable > 0 && format == Format::Text {
        let messages = plural(letters.unreadable, "message");
        anstream::eprintln!(
            "{BOLD_YELLOW}warning{BOLD_YELLOW:#}: {} {messages} in the store cannot be read as dead letters",
            letters.unreadable
        );
    }
    Ok(())
}

fn text(letters: &Letters) -> String {
    let mut out = String::new();
    for Group { cause: Cause { topic, subscription, error }, letters: members } in letters.groups() {
        let count = format!("{} {}", members.len(), plural(members.len(), "letter"));
        out.push_str(&format!("{BOLD}{topic} / {subscription}{BOLD:#}  {count}\n"));
        out.push_str(&format!("  {BOLD_RED}{}{BOLD_RED:#}\n", shown(error)));
        for stored in members.iter().take(SHOWN_IDS) {
            let letter = stored.letter();
            let attempts = format!("{} {}", letter.attempts, plural(letter.attempts as usize, "attempt"));
            out.push_str(&format!("  {CYAN}{}{CYAN:#}  {}, {attempts}\n", letter.id, format_time(letter.at)));
        }
        if members.len() > SHOWN_IDS {
            out.push_str(&format!("  and {} more\n", members.len() - SHOWN_IDS));
        }
    }
    out
}

fn json(letters: &Letters) -> Value {
    let groups: Vec<Value> = letters
        .groups()
        .into_iter()
        .map(|Group { cause: Cause { topic, subscription, error }, letters: members }| {
            json!({
                "topic": topic,
                "subscription": subscription,
                "error": error,
                "count": members.len(),
                "ids": members.iter().map(|one| &one.letter().id).collect::<Vec<_>>(),
            })
        })
        .collect();
    let list: Vec<Value> = letters
        .letters
        .iter()
        .map(Letter::letter)
        .map(|letter| {
            json!({
                "id": letter.id,
                "topic": letter.topic.as_str(),
                "subscription": letter.subscription.as_str(),
                "reason": letter.reason,
                "error": letter.error,
                "attempts": letter.attempts,
                "at": format_time(letter.at),
                "event": letter.event.id.as_str(),
            })
        })
        .collect();
    json!({ "letters": list, "groups": groups, "unreadable": letters.unreadable })
}
