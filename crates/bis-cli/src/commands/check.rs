//! `bis check`: what is wrong with an app's source.

use std::process::ExitCode;

use anyhow::Result;

use crate::arguments;
use crate::broker;
use crate::check::{check, options};
use crate::exit;
use crate::format::Format;
use crate::print::{self, BOLD, BOLD_GREEN};

/// Prints all diagnostics; [`exit::APP`] when one is an error.
pub(crate) fn run(arguments: &arguments::Check) -> Result<ExitCode> {
    let broker = broker::chosen(arguments.broker)?;
    let checked = check(&arguments.folder, &options(&arguments.features, broker))?;
    match arguments.format {
        Format::Json => {
            let mut value = bis_graph::json::diagnostics(&checked.analysis().diagnostics);
            value["broker"] = serde_json::json!(broker);
            print::json_line(&value)?;
        }
        Format::Text => {
            anstream::eprint!("{}", checked.text());
            match checked.summary() {
                Some(summary) => {
                    anstream::eprintln!("{BOLD}{summary}{BOLD:#}; `bis explain CODE` says more about a code")
                }
                None => {
                    let app = &checked.analysis().graph.app;
                    let place = broker.map(|broker| format!(" on {broker}")).unwrap_or_default();
                    anstream::eprintln!(
                        "{BOLD_GREEN}ok{BOLD_GREEN:#}: the graph of `{app}` is consistent{place}; cargo checks the rest"
                    );
                }
            }
        }
    }
    let code = if checked.errors() > 0 { exit::APP } else { exit::DONE };
    Ok(code.into())
}
