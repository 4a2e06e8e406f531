//! `bis check`: what is wrong with an application's source.

use std::process::ExitCode;

use anyhow::Result;

use crate::arguments;
use crate::check::check;
use crate::exit;
use crate::format::Format;
use crate::print::{self, BOLD, BOLD_GREEN};

/// Prints all diagnostics; [`exit::APPLICATION`] when one is an error.
pub(crate) fn run(arguments: &arguments::Check) -> Result<ExitCode> {
    let checked = check(&arguments.folder)?;
    match arguments.format {
        Format::Json => print::json_line(&bis_graph::json::diagnostics(&checked.analysis().diagnostics))?,
        Format::Text => {
            anstream::eprint!("{}", checked.text());
            match checked.summary() {
                Some(summary) => {
                    anstream::eprintln!("{BOLD}{summary}{BOLD:#}; `bis explain CODE` says more about a code")
                }
                None => {
                    let app = &checked.analysis().graph.app;
                    anstream::eprintln!("{BOLD_GREEN}ok{BOLD_GREEN:#}: nothing is wrong with `{app}`");
                }
            }
        }
    }
    let code = if checked.errors() > 0 { exit::APPLICATION } else { exit::DONE };
    Ok(code.into())
}
