//! `bis new`: a small app from the template in `template/`, which is part of this program.

mod sdk;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use bis_core::name_error;
use serde_json::json;

use crate::arguments;
use crate::exit;
use crate::failure::Failure;
use crate::format::Format;
use crate::print::{self, BOLD, BOLD_GREEN};

use sdk::Sdk;

/// Each file's path and content. The manifest and the ignore file have other names in the template, because cargo
/// and git would otherwise use them.
const TEMPLATE: [(&str, &str); 8] = [
    ("Cargo.toml", include_str!("../../template/Cargo.toml.template")),
    (".gitignore", include_str!("../../template/gitignore.template")),
    ("README.md", include_str!("../../template/README.md")),
    ("src/main.rs", include_str!("../../template/src/main.rs")),
    ("src/lib.rs", include_str!("../../template/src/lib.rs")),
    ("src/orders.rs", include_str!("../../template/src/orders.rs")),
    ("src/shipping.rs", include_str!("../../template/src/shipping.rs")),
    ("tests/orders.rs", include_str!("../../template/tests/orders.rs")),
];

/// Names that cargo, rustc or the template cannot work with, besides Rust's keywords.
const TAKEN: [&str; 9] = ["alloc", "bis", "core", "proc-macro", "serde", "std", "test", "uuid", "main"];

/// Rust's keywords, <https://doc.rust-lang.org/reference/keywords.html>.
const KEYWORDS: [&str; 51] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate", "do", "dyn",
    "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop",
    "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return", "self", "static",
    "struct", "super", "trait", "true", "try", "type", "typeof", "unsafe", "unsized", "use", "virtual",
    "where", "while", "yield",
];

/// Creates an app in a new or empty folder.
pub(crate) fn run(arguments: &arguments::New) -> Result<ExitCode> {
    let name = &arguments.name;
    validate(name)?;
    let folder = arguments.path.clone().unwrap_or_else(|| PathBuf::from(name));
    refuse_used(&folder)?;
    let sdk = Sdk::find(&folder, arguments.bis_path.as_deref())?;
    write(name, &folder, &sdk)?;
    match arguments.format {
        Format::Json => print::json_line(&json!({ "name": name, "path": folder }))?,
        Format::Text => anstream::eprintln!(
            "{BOLD_GREEN}made{BOLD_GREEN:#} `{name}` in `{0}`; next: {BOLD}cd {0} && bis run{BOLD:#}",
            folder.display()
        ),
    }
    Ok(exit::DONE.into())
}

fn validate(name: &str) -> Result<()> {
    let reason = match name_error(name) {
        Some(reason) => reason,
        None if TAKEN.contains(&name) => "it is the name of another package",
        None if KEYWORDS.contains(&name) => "it is a keyword of Rust",
        None => return Ok(()),
    };
    let failure = Failure::new(exit::USAGE, format!("`{name}` cannot be the name of an app: {reason}"));
    Err(failure.help(format!("try `bis new {}`", suggestion(name))).into())
}

/// The nearest name that is allowed.
fn suggestion(name: &str) -> String {
    let kebab: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let words: Vec<&str> = kebab
        .trim_start_matches(|c: char| !c.is_ascii_lowercase())
        .split('-')
        .filter(|word| !word.is_empty())
        .collect();
    let candidate: String = words.join("-").chars().take(50).collect();
    let candidate = candidate.trim_end_matches('-');
    match candidate {
        "" => "my-app".to_owned(),
        taken if TAKEN.contains(&taken) || KEYWORDS.contains(&taken) => format!("{taken}-app"),
        free => free.to_owned(),
    }
}

fn refuse_used(folder: &Path) -> Result<()> {
    let used = match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => return Err(error).with_context(|| format!("cannot use `{}`", folder.display())),
    };
    if !used {
        return Ok(());
    }
    Err(Failure::new(exit::USAGE, format!("the folder `{}` is not empty", folder.display()))
        .help("choose another name, or another folder with `--path DIR`")
        .into())
}

fn write(name: &str, folder: &Path, sdk: &Sdk) -> Result<()> {
    for (path, text) in TEMPLATE {
        let text = text
            .replace("{{name}}", name)
            .replace("{{crate}}", &name.replace('-', "_"))
            .replace("{{bis}}", &sdk.dependency());
        put(&folder.join(path), &text)?;
    }
    if let Some(lock) = sdk.lock(folder) {
        put(&folder.join("Cargo.lock"), &lock)?;
    }
    Ok(())
}

fn put(path: &Path, text: &str) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(|| format!("cannot make `{}`", parent.display()))?;
    }
    fs::write(path, text).with_context(|| format!("cannot write `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggestions_are_valid() {
        for (name, expected) in [
            ("My App", "my-app"),
            ("my_app", "my-app"),
            ("2fast", "fast"),
            ("bis", "bis-app"),
            ("type", "type-app"),
            ("---", "my-app"),
            ("Ünïcode", "n-code"),
        ] {
            assert!(validate(name).is_err(), "{name}");
            assert_eq!(suggestion(name), expected);
            assert!(validate(&suggestion(name)).is_ok(), "{name}");
        }
        assert!(validate("shop").is_ok());
    }
}
