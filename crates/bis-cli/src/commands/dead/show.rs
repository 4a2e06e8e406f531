//! `bis dead show`: one dead letter with its event.

use std::fmt::Write;

use anyhow::Result;
use bis_core::DeadReason;
use bis_core::envelope::format_time;

use crate::arguments::Where;
use crate::commands::dead::store;
use crate::event_json;
use crate::format::Format;
use crate::print::{self, BOLD, BOLD_RED};
use crate::target;

/// Prints one dead letter.
pub(crate) fn run(id: &str, place: &Where, format: Format) -> Result<()> {
    let letters = store::read(&target::http(place)?)?;
    let letter = &store::find(&letters.letters, id)?.letter;
    if format == Format::Json {
        let mut value = serde_json::to_value(letter)?;
        value["event"] = event_json::event(&letter.event);
        return Ok(print::json_line(&value)?);
    }
    let reason = match letter.reason {
        DeadReason::Permanent => "the handler said that no retry can help",
        DeadReason::Undecodable => "the data is not what the subscription's event type decodes from",
        DeadReason::Exhausted => "the last attempt that the retry policy allows has failed",
    };
    let mut out = String::new();
    let mut row = |name: &str, value: &str| writeln!(out, "{BOLD}{name:<13}{BOLD:#}{value}");
    row("letter", &letter.id)?;
    row("topic", letter.topic.as_str())?;
    row("subscription", letter.subscription.as_str())?;
    row("reason", reason)?;
    row("attempts", &letter.attempts.to_string())?;
    row("died at", &format_time(letter.at))?;
    row("published at", &format_time(letter.event.time))?;
    row("by", &letter.event.source)?;
    if let Some(key) = &letter.event.key {
        row("key", key)?;
    }
    writeln!(out, "\n{BOLD_RED}{}{BOLD_RED:#}\n", letter.error)?;
    writeln!(out, "{}", serde_json::to_string_pretty(&event_json::data(&letter.event))?)?;
    print::text(&out)?;
    Ok(())
}
