//! `bis dead`: lists dead letters and their causes, resends them to their subscriptions, and removes them.

mod ls;
mod resend;
mod rm;
mod show;

use std::process::ExitCode;

use anyhow::Result;

use crate::arguments::Dead;
use crate::exit;
use crate::print::CYAN;

/// Runs one of the commands on dead letters.
pub(crate) fn run(arguments: Dead) -> Result<ExitCode> {
    match arguments {
        Dead::Ls { place, format } => ls::run(&place, format)?,
        Dead::Show { id, reveal, place, format } => show::run(&id, reveal, &place, format)?,
        Dead::Resend(arguments) => resend::run(&arguments)?,
        Dead::Replay(arguments) => {
            anstream::eprintln!(
                "{CYAN}note{CYAN:#}: `bis dead replay` is now `bis dead resend`; the old name goes with the next release"
            );
            resend::run(&arguments)?;
        }
        Dead::Rm { ids, filter, dry_run, yes, place, format } => {
            rm::run(&rm::Remove { ids, filter, dry_run, yes }, &place, format)?;
        }
    }
    Ok(exit::DONE.into())
}
