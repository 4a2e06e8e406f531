//! `bis dead`: dead letters, why they died, and giving them to their subscription again.

mod ls;
mod replay;
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
        Dead::Replay { ids, all, dry_run, edit, place, format } => {
            let selection = if all { Selection::All } else { Selection::Ids(ids) };
            return replay::run(&replay::Replay { selection, dry_run, edit }, &place, format);
        }
    }
    Ok(exit::DONE.into())
}
