//! `bis dead rm`: removes dead letters for good, after listing them and asking for confirmation.

use anyhow::Result;
use serde_json::json;

use crate::arguments::{Filter, Where};
use crate::confirm::confirm;
use crate::format::Format;
use crate::moment::Moment;
use crate::print::{self, BOLD_GREEN, plural};
use crate::target;

/// Which letters to remove, and whether that was confirmed.
#[derive(Debug)]
pub(crate) struct Remove {
    pub(crate) ids: Vec<String>,
    pub(crate) filter: Filter,
    pub(crate) dry_run: bool,
    pub(crate) yes: bool,
}

/// Removes letters, and prints which.
pub(crate) fn run(remove: &Remove, place: &Where, format: Format) -> Result<()> {
    let letters = target::with(place, async |admin| Ok(admin.letters().await?))?;
    let selected = if remove.ids.is_empty() {
        letters.filtered(&remove.filter.to_admin())
    } else {
        letters.find_each(&remove.ids)?
    };
    let count = selected.len();
    let what = format!("{count} dead {}", plural(count, "letter"));
    if !remove.dry_run && count > 0 {
        confirm(&format!("remove {what} and their events for good"), remove.yes)?;
    }
    target::with(place, async |admin| {
        for one in &selected {
            if !remove.dry_run {
                admin.remove_letter(one).await?;
            }
            if format == Format::Text {
                let verb = if remove.dry_run { "would remove" } else { "removed" };
                let letter = one.letter();
                anstream::println!(
                    "{verb} {} for `{}` of `{}`",
                    letter.id,
                    letter.subscription,
                    letter.topic
                );
            }
        }
        Ok(())
    })?;
    match format {
        Format::Json => {
            let ids: Vec<&str> = selected.iter().map(|one| &*one.letter().id).collect();
            print::json_line(&json!({ "dry_run": remove.dry_run, "removed": ids }))?;
        }
        Format::Text if count == 0 => anstream::eprintln!("there are no such dead letters"),
        Format::Text if remove.dry_run => {}
        Format::Text => anstream::eprintln!("{BOLD_GREEN}done{BOLD_GREEN:#}: {what} removed"),
    }
    Ok(())
}

impl Filter {
    fn to_admin(&self) -> bis_admin::Filter {
        bis_admin::Filter {
            topic: self.topic.clone(),
            subscription: self.subscription.clone(),
            reason: self.reason,
            error: self.error.clone(),
            before: self.older_than.map(Moment::time),
        }
    }
}
