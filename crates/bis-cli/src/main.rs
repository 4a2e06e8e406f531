//! The `bis` command: reads arguments, runs one command, prints one kind of error, and ends with a documented exit code.
//!
//! It starts an app as a process and never links the app's runtime.

mod advice;
mod arguments;
mod broker;
mod check;
mod command_line;
mod commands;
mod confirm;
mod declared;
mod exit;
mod failure;
mod format;
mod log;
mod moment;
mod orphans;
mod print;
mod project;
mod redaction;
mod run;
mod rustc;
mod schema;
mod start;
mod state;
mod table;
mod target;

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::Arguments;

fn main() -> ExitCode {
    // The parent's half of this is in `run::instance`. It comes before clap, because it is not a command for users.
    if let Some(code) = start::main() {
        return code;
    }
    let words = command_line::words();
    let arguments = match commands::complete(Arguments::parse_from(&words), words) {
        Ok(arguments) => arguments,
        Err(error) => return failure::report(&error),
    };
    log::start(&arguments);
    match commands::dispatch(arguments) {
        Ok(code) => code,
        Err(error) => failure::report(&error),
    }
}
