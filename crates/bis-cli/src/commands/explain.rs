//! `bis explain`: the page of a code, of `bis check` or of a running app.

use std::process::ExitCode;

use anyhow::Result;
use bis_graph::codes;

use crate::arguments;
use crate::exit;
use crate::failure::Failure;
use crate::format::Format;
use crate::print::{self, BOLD};

/// Prints the page of one code, or the list of all.
pub(crate) fn run(arguments: &arguments::Explain) -> Result<ExitCode> {
    match &arguments.code {
        Some(code) => one(code, arguments.format)?,
        None => all(arguments.format)?,
    }
    Ok(exit::DONE.into())
}

fn one(code: &str, format: Format) -> Result<()> {
    let page = codes::explain(code).ok_or_else(|| {
        Failure::new(exit::NOT_FOUND, format!("there is no code `{code}`"))
            .help("`bis explain` lists all codes")
    })?;
    match format {
        Format::Json => print::json_line(&serde_json::json!({ "code": code.to_uppercase(), "page": page }))?,
        Format::Text => print::text(page)?,
    }
    Ok(())
}

fn all(format: Format) -> Result<()> {
    let every = codes::ALL.iter().chain(bis_core::codes::ALL);
    let titled = every.map(|code| (*code, codes::explain(code).map_or("", title)));
    match format {
        Format::Json => {
            let list: Vec<_> =
                titled.map(|(code, title)| serde_json::json!({ "code": code, "title": title })).collect();
            print::json_line(&serde_json::json!({ "codes": list }))?;
        }
        Format::Text => {
            let lines: String =
                titled.map(|(code, title)| format!("{BOLD}{code}{BOLD:#}  {title}\n")).collect();
            print::text(&lines)?;
        }
    }
    Ok(())
}

/// A page's first line, without the code and Markdown markup.
fn title(page: &str) -> &str {
    let line = page.lines().next().unwrap_or_default().trim_start_matches('#').trim();
    match line.strip_prefix("BIS").and_then(|rest| rest.split_once(|c: char| !c.is_ascii_digit())) {
        Some((_, rest)) => rest.trim_start_matches([':', ' ']),
        None => line,
    }
}
