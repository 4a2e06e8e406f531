//! From the command line to the command that it names; one module per command.

mod check;
mod dead;
mod doctor;
mod explain;
mod graph;
mod new;
mod router;
mod topic;

use std::process::ExitCode;

use anyhow::Result;

use crate::arguments::{Arguments, Command};

/// Adds the contents of a file that the arguments name to them.
pub(crate) use router::config::complete;

#[cfg(test)]
pub(crate) use router::config::check as check_config;

/// Runs the requested command.
pub(crate) fn dispatch(arguments: Arguments) -> Result<ExitCode> {
    match arguments.command {
        Command::New(arguments) => new::run(&arguments),
        Command::Run(arguments) => crate::run::run(arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Graph(arguments) => graph::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Router(arguments) => router::run(&arguments),
        Command::Topic(arguments) => topic::run(arguments),
        Command::Dead(arguments) => dead::run(arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
    }
}
