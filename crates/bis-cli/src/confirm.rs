//! Asks for confirmation before something is removed for good.

use std::io::{self, BufRead, IsTerminal};

use anyhow::{Context, Result};

use crate::exit;
use crate::failure::Failure;
use crate::print::BOLD;

/// Returns when the user has confirmed, on the command line (`yes`) or when asked. Without a terminal to ask on, it refuses.
pub(crate) fn confirm(what: &str, yes: bool) -> Result<()> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::new(exit::USAGE, format!("this would {what}"))
            .help("say `--yes` to do it; nothing was removed")
            .into());
    }
    anstream::eprint!("{BOLD}{what}?{BOLD:#} [y/N] ");
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).context("cannot read the answer")?;
    if matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    Err(Failure::new(exit::USAGE, "nothing was removed").into())
}
