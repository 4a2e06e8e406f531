//! The config file of `bis router`, which may be one for nsqd: its options become flags, after the given ones.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context, Result};
use clap::{CommandFactory, Parser};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::arguments::{Arguments, Command};
use crate::exit;
use crate::failure::Failure;

/// Names in nsqd's file that are not its flags with `_` for `-`.
const NAMES: [(&str, &str); 4] = [
    ("id", "node-id"),
    ("nsqlookupd_tcp_addresses", "lookupd-tcp-address"),
    ("auth_http_addresses", "auth-http-address"),
    ("e2e_processing_latency_percentiles", "e2e-processing-latency-percentile"),
];

/// Options that cannot be set in the file.
const FLAGS_ONLY: [&str; 3] = ["config", "format", "help"];

/// Reads the file that the arguments name, if any; flags win over it. `words` are the command line that the arguments
/// were parsed from.
pub(crate) fn complete(arguments: Arguments, mut words: Vec<OsString>) -> Result<Arguments> {
    let Command::Router(router) = &arguments.command else { return Ok(arguments) };
    let Some(file) = router.config.as_deref() else { return Ok(arguments) };
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    let given: Vec<String> = words
        .iter()
        .filter_map(|word| word.to_str()?.strip_prefix("--"))
        .map(|flag| flag.split_once('=').map_or(flag, |(name, _)| name).to_owned())
        .collect();
    let flags = flags(file, &text)?.into_iter().filter(|(name, _)| !given.contains(name));
    // After the program's name and `router`.
    words.splice(2..2, flags.map(|(name, value)| format!("--{name}={value}").into()));
    Ok(Arguments::parse_from(words))
}

/// The file's options as flags; each is parsed separately, so that an error has its line.
fn flags(file: &Path, text: &str) -> Result<Vec<(String, String)>> {
    let fail = |at: usize, message: String| {
        let line = text[..at.min(text.len())].matches('\n').count() + 1;
        Failure::new(exit::USAGE, format!("`{}`, line {line}: {message}", file.display()))
    };
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        fail(at, error.message().to_owned()).help("write options as TOML, such as `msg_timeout = \"60s\"`")
    })?;
    let mut flags = Vec::new();
    for (key, value) in table.get_ref() {
        let (name, at) = (key.get_ref().as_ref(), key.span().start);
        let flag = NAMES.iter().find(|(theirs, _)| *theirs == name);
        let flag = flag.map_or_else(|| name.replace('_', "-"), |(_, flag)| (*flag).to_owned());
        let is_flag = Arguments::command()
            .find_subcommand("router")
            .is_some_and(|router| router.get_arguments().any(|one| one.get_long() == Some(flag.as_str())));
        if !is_flag || FLAGS_ONLY.contains(&flag.as_str()) {
            let failure = fail(at, format!("there is no option `{name}`"));
            return Err(failure.help("`bis router --help` lists the options; here `-` is `_`").into());
        }
        for text in values(&flag, value) {
            let text = text.map_err(|what| {
                fail(at, format!("`{name}` is {what}")).help("give a text, a number, `true` or `false`")
            })?;
            // As in nsqd's file, an empty text means no value.
            if text.is_empty() && flag != "https-address" {
                continue;
            }
            let tried = Arguments::try_parse_from(["bis", "router", &format!("--{flag}={text}")]);
            if let Err(error) = tried {
                let error = error.to_string();
                let reason = error.lines().next().unwrap_or_default();
                let reason = reason.strip_prefix("error: ").unwrap_or(reason);
                return Err(fail(at, reason.to_owned())
                    .help("`bis router --help` says what is allowed")
                    .into());
            }
            flags.push((flag.clone(), text));
        }
    }
    Ok(flags)
}

/// An option's values in the form of a flag; the error is the type of the option when it has no such form.
fn values(flag: &str, value: &Spanned<DeValue<'_>>) -> Vec<Result<String, &'static str>> {
    let one = |value: &DeValue<'_>| match value {
        DeValue::String(text) => Ok(text.to_string()),
        // As in nsqd's file, a duration without a unit is in milliseconds.
        DeValue::Integer(number) if flag.ends_with("timeout") || flag.ends_with("interval") => {
            Ok(format!("{}ms", number.as_str()))
        }
        DeValue::Integer(number) => Ok(number.as_str().to_owned()),
        DeValue::Float(number) => Ok(number.as_str().to_owned()),
        DeValue::Boolean(yes) => Ok(yes.to_string()),
        DeValue::Datetime(_) => Err("a date"),
        DeValue::Array(_) => Err("a list of lists"),
        DeValue::Table(_) => Err("a table"),
    };
    match value.get_ref() {
        DeValue::Array(values) => values.iter().map(|value| one(value.get_ref())).collect(),
        value => vec![one(value)],
    }
}

/// Whether the text is a config file.
#[cfg(test)]
pub(crate) fn check(text: &str) -> Result<()> {
    flags(Path::new("router.toml"), text).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<Vec<(String, String)>, String> {
        flags(Path::new("nsqd.cfg"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn nsqds_names_become_flags() {
        let text = "msg_timeout = \"5s\"\nmax_msg_timeout = 900000\nmax_msg_size = 1024768\ntls_required = false\n\
                    tls_cert = \"\"\nnsqlookupd_tcp_addresses = [\"one:4160\", \"two:4160\"]\nid = 5\n";
        let flag = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut found = check(text).unwrap();
        found.sort();
        let expected = [
            flag("lookupd-tcp-address", "one:4160"),
            flag("lookupd-tcp-address", "two:4160"),
            flag("max-msg-size", "1024768"),
            flag("max-msg-timeout", "900000ms"),
            flag("msg-timeout", "5s"),
            flag("node-id", "5"),
            flag("tls-required", "false"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn errors_have_their_line() {
        for (text, error) in [
            ("\nmsg_timeot = \"5s\"\n", "`nsqd.cfg`, line 2: there is no option `msg_timeot`"),
            ("config = \"x\"", "`nsqd.cfg`, line 1: there is no option `config`"),
            ("\n\nmsg_timeout = \"soon\"", "`nsqd.cfg`, line 3: invalid value 'soon' for '--msg-timeout"),
            ("tls_required = 1979-05-27", "`nsqd.cfg`, line 1: `tls_required` is a date"),
            ("deflate = true\nsnappy = \n", "`nsqd.cfg`, line 2: "),
        ] {
            let found = check(text).unwrap_err();
            assert!(found.starts_with(error), "{found}");
        }
    }
}
