//! `bis dead ls`: dead letters by topic, subscription and error, since many usually died of one mistake.

use std::collections::BTreeMap;

use anyhow::Result;
use bis_core::dead_letter::Store;
use bis_core::envelope::format_time;
use bis_nsq::MessageId;
use serde_json::{Value, json};

use crate::arguments::Where;
use crate::commands::dead::store::{self, Stored};
use crate::format::Format;
use crate::print::{self, BOLD, BOLD_RED, BOLD_YELLOW, CYAN, plural, shown};
use crate::target;

/// How many ids of a group people are shown.
const SHOWN_IDS: usize = 3;

/// Prints all dead letters.
pub(crate) fn run(place: &Where, format: Format) -> Result<()> {
    let letters = store::read(&target::http(place)?)?;
    match format {
        Format::Json => print::json_line(&json(&letters))?,
        Format::Text if letters.letters.is_empty() => anstream::eprintln!("there are no dead letters"),
        Format::Text => print::text(&text(&letters.letters))?,
    }
    if !letters.unreadable.is_empty() && format == Format::Text {
        let messages = plural(letters.unreadable.len(), "message");
        anstream::eprintln!(
            "{BOLD_YELLOW}warning{BOLD_YELLOW:#}: {} {messages} in the store cannot be read as dead letters",
            letters.unreadable.len()
        );
    }
    Ok(())
}

/// What letters of one group have in common.
type Cause<'a> = (&'a str, &'a str, &'a str);

fn groups(letters: &[Stored]) -> Vec<(Cause<'_>, Vec<&Stored>)> {
    let mut groups: BTreeMap<Cause<'_>, Vec<&Stored>> = BTreeMap::new();
    for stored in letters {
        let letter = &stored.letter;
        let cause = (letter.topic.as_str(), letter.subscription.as_str(), first_line(&letter.error));
        groups.entry(cause).or_default().push(stored);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, members)| std::cmp::Reverse(members.len()));
    groups
}

fn first_line(error: &str) -> &str {
    error.lines().next().unwrap_or_default()
}

fn text(letters: &[Stored]) -> String {
    let mut out = String::new();
    for ((topic, subscription, error), members) in groups(letters) {
        let count = format!("{} {}", members.len(), plural(members.len(), "letter"));
        out.push_str(&format!("{BOLD}{topic} / {subscription}{BOLD:#}  {count}\n"));
        out.push_str(&format!("  {BOLD_RED}{}{BOLD_RED:#}\n", shown(error)));
        for stored in members.iter().take(SHOWN_IDS) {
            let letter = &stored.letter;
            let attempts = format!("{} {}", letter.attempts, plural(letter.attempts as usize, "attempt"));
            out.push_str(&format!("  {CYAN}{}{CYAN:#}  {}, {attempts}\n", letter.id, format_time(letter.at)));
        }
        if members.len() > SHOWN_IDS {
            out.push_str(&format!("  and {} more\n", members.len() - SHOWN_IDS));
        }
    }
    out
}

fn json(letters: &Store<MessageId>) -> Value {
    let groups: Vec<Value> = groups(&letters.letters)
        .into_iter()
        .map(|((topic, subscription, error), members)| {
            json!({
                "topic": topic,
                "subscription": subscription,
                "error": error,
                "count": members.len(),
                "ids": members.iter().map(|stored| &stored.letter.id).collect::<Vec<_>>(),
            })
        })
        .collect();
    let list: Vec<Value> = letters
        .letters
        .iter()
        .map(|Stored { letter, .. }| {
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
    json!({ "letters": list, "groups": groups, "unreadable": letters.unreadable.len() })
}
