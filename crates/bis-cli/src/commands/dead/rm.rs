//! `bis dead rm`: removes dead letters for good, after it was said which and confirmed.

use std::process::ExitCode;

use anyhow::Result;
use bis_core::DeadReason;
use serde_json::json;

use crate::arguments::{Filter, Where};
use crate::commands::dead::store::{self, Stored};
use crate::confirm::confirm;
use crate::exit;
use crate::format::Format;
use crate::print::{self, BOLD_GREEN, plural};
use crate::target;

/// Which letters are removed, and whether that was confirmed.
#[derive(Debug)]
pub(crate) struct Remove {
    pub(crate) ids: Vec<String>,
    pub(crate) filter: Filter,
    pub(crate) dry_run: bool,
    pub(crate) yes: bool,
}

/// Removes letters, and prints which.
pub(crate) fn run(remove: &Remove, place: &Where, format: Format) -> Result<ExitCode> {
    let router = target::http(place)?;
    let letters = store::read(&router)?.letters;
    let selected: Vec<&Stored> = if remove.ids.is_empty() {
        letters.iter().filter(|stored| remove.filter.takes(stored)).collect()
    } else {
        store::find_each(&letters, &remove.ids)?
    };
    let count = selected.len();
    let what = format!("{count} dead {}", plural(count, "letter"));
    if !remove.dry_run && count > 0 {
        confirm(&format!("remove {what} and their events for good"), remove.yes)?;
    }
    for stored in &selected {
        if !remove.dry_run {
            store::remove(&router, stored)?;
        }
        if format == Format::Text {
            let verb = if remove.dry_run { "would remove" } else { "removed" };
            let letter = &stored.letter;
            anstream::println!("{verb} {} for `{}` of `{}`", letter.id, letter.subscription, letter.topic);
        }
    }
    match format {
        Format::Json => {
            let ids: Vec<&str> = selected.iter().map(|stored| &*stored.letter.id).collect();
            print::json_line(&json!({ "dry_run": remove.dry_run, "removed": ids }))?;
        }
        Format::Text if count == 0 => anstream::eprintln!("there are no such dead letters"),
        Format::Text if remove.dry_run => {}
        Format::Text => anstream::eprintln!("{BOLD_GREEN}done{BOLD_GREEN:#}: {what} removed"),
    }
    Ok(exit::DONE.into())
}

impl Filter {
    /// Whether all that was asked for holds.
    fn takes(&self, stored: &Stored) -> bool {
        let letter = &stored.letter;
        let is = |asked: &Option<String>, known: &str| asked.as_ref().is_none_or(|asked| asked == known);
        let reason = |reason: DeadReason| is(&self.reason, reason.as_str());
        is(&self.topic, letter.topic.as_str())
            && is(&self.subscription, letter.subscription.as_str())
            && reason(letter.reason)
            && self.error.as_ref().is_none_or(|part| letter.error.contains(part))
            && self.older_than.as_ref().is_none_or(|moment| moment.time() > letter.at)
    }
}
