//! `bis dead show`: one dead letter with its event.

use std::fmt::Write;

use anyhow::Result;
use bis_admin::{Data, EventJson};
use bis_core::envelope::format_time;
use bis_core::{DeadLetter, DeadReason};
use serde::Serialize;

use crate::arguments::Where;
use crate::format::Format;
use crate::print::{self, BOLD, BOLD_RED, shown};
use crate::redaction::Redaction;
use crate::target;

/// The JSON form of a dead letter.
#[derive(Debug, Serialize)]
struct LetterJson<'a> {
    id: &'a str,
    topic: &'a str,
    subscription: &'a str,
    reason: DeadReason,
    error: &'a str,
    attempts: u32,
    at: String,
    event: EventJson<'a>,
}

impl<'a> LetterJson<'a> {
    fn new(letter: &'a DeadLetter) -> Self {
        Self {
            id: &letter.id,
            topic: letter.topic.as_str(),
            subscription: letter.subscription.as_str(),
            reason: letter.reason,
            error: &letter.error,
            attempts: letter.attempts,
            at: format_time(letter.at),
            event: EventJson::new(&letter.event),
        }
    }
}

/// Prints one dead letter.
pub(crate) fn run(id: &str, reveal: bool, place: &Where, format: Format) -> Result<()> {
    let letters = target::with(place, async |admin| Ok(admin.letters().await?))?;
    let mut letter = letters.find(id)?.letter().clone();
    letter.event = Redaction::new(place, reveal)?.apply(letter.topic.as_str(), letter.event);
    let letter = &letter;
    if format == Format::Json {
        return Ok(print::json_line(&LetterJson::new(letter))?);
    }
    let reason = match letter.reason {
        DeadReason::Permanent => "the handler said that no retry can help",
        DeadReason::Undecodable => "the data is not what the subscription's event type decodes from",
        DeadReason::Exhausted => "the last attempt that the retry policy allows has failed",
    };
    let mut out = String::new();
    let mut row = |name: &str, value: &str| writeln!(out, "{BOLD}{name:<14}{BOLD:#}{}", shown(value));
    row("letter", &letter.id)?;
    row("topic", letter.topic.as_str())?;
    row("subscription", letter.subscription.as_str())?;
    row("reason", reason)?;
    row("attempts", &letter.attempts.to_string())?;
    row("died at", &format_time(letter.at))?;
    row("event", letter.event.id.as_str())?;
    row("published at", &format_time(letter.event.time))?;
    row("by", &letter.event.source)?;
    if let Some(key) = &letter.event.key {
        row("key", key)?;
    }
    writeln!(out, "\n{BOLD_RED}{}{BOLD_RED:#}\n", print::shown_lines(&letter.error, ""))?;
    writeln!(out, "{}", print::shown_lines(&Data::of(&letter.event).lines()?, ""))?;
    print::text(&out)?;
    Ok(())
}
