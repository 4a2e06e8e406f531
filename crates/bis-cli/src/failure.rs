//! The one style of error: `error: ...`, its causes, then `help: ...`. Never a backtrace.

use std::fmt;
use std::process::ExitCode;

use anyhow::Error;

use crate::advice;
use crate::exit::{self, Code};
use crate::print::{BOLD_RED, CYAN, shown};

/// A failure with help for the user, and the exit code that it ends the command with.
#[derive(Debug)]
pub(crate) struct Failure {
    code: Code,
    message: String,
    help: Option<String>,
}

impl Failure {
    /// A failure of the given kind.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), help: None }
    }

    /// Adds what to do next.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Prints an error and returns the exit code of the first [`Failure`] in its chain, or of a router error (otherwise
/// [`exit::SURROUNDINGS`]).
pub(crate) fn report(error: &Error) -> ExitCode {
    let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
    let failure = error.chain().find_map(|cause| cause.downcast_ref::<Failure>());
    let known = failure.map(|failure| (failure.code, failure.help.clone())).or_else(|| advice::of(error));
    anstream::eprintln!("{BOLD_RED}error{BOLD_RED:#}: {}", shown(&causes[0]));
    for cause in &causes[1..] {
        anstream::eprintln!("  caused by: {}", shown(cause));
    }
    if let Some((_, Some(help))) = &known {
        for line in help.lines() {
            anstream::eprintln!("{CYAN}help{CYAN:#}: {}", shown(line));
        }
    }
    known.map_or(exit::SURROUNDINGS, |(code, _)| code).into()
}
