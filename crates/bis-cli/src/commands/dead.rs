//! `bis dead`: dead letters, why they died, giving them to their subscription again, and removing them.

mod handled;
mod ls;
mod replay;
mod rm;
mod show;
mod store;

use std::process::ExitCode;

use anyhow::Result;

use crate::arguments::Dead;
use crate::commands::dead::replay::Selection;
use crate::exit;

/// Runs one of the commands on dead letters.
pub(crate) fn run(arguments: Dead) -> Result<ExitCode> {
    match arguments {
        Dead::Ls { place, format } => ls::run(&place, format)?,
        Dead::Show { id, reveal, place, format } => show::run(&id, reveal, &place, format)?,
        Dead::Replay { ids, all, dry_run, edit, force, place, format } => {
            let selection = if all { Selection::All } else { Selection::Ids(ids) };
            return replay::run(&replay::Replay { selection, dry_run, edit, force }, &place, format);
        }
        Dead::Rm { ids, filter, dry_run, yes, place, format } => {
            return rm::run(&rm::Remove { ids, filter, dry_run, yes }, &place, format);
        }
    }
    Ok(exit::DONE.into())
}
