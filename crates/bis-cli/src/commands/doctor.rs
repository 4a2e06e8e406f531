//! `bis doctor`: what this machine lacks, each with the command that installs it.

use std::env;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::Result;
use serde::Serialize;
use serde_json::json;

use crate::arguments;
use crate::exit;
use crate::format::Format;
use crate::print::{self, BOLD, BOLD_GREEN, BOLD_RED, BOLD_YELLOW, CYAN};

/// The default ports of `bis run`.
const PORTS: [u16; 3] = [4000, 4150, 4151];
/// With fewer than this many watches, a large app's folders cannot all be watched.
const MIN_WATCHES: u64 = 8192;

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ok,
    /// Everything works, but less conveniently or without one feature.
    Optional,
    /// Apps cannot be built or run.
    Missing,
}

/// One check.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    status: Status,
    found: String,
    fix: Option<String>,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, status: Status::Ok, found: found.into(), fix: None }
    }

    fn not(name: &'static str, status: Status, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, status, found: found.into(), fix: Some(fix.into()) }
    }
}

/// Prints all checks; [`exit::APP`] when something that every app needs is missing.
pub(crate) fn run(arguments: &arguments::Doctor) -> Result<ExitCode> {
    let mut checks = vec![tool("cargo"), tool("rustc"), linker(), postgres()];
    checks.extend(PORTS.map(port));
    checks.extend(watches());
    let ok = checks.iter().all(|check| check.status != Status::Missing);
    match arguments.format {
        Format::Json => print::json_line(&json!({ "ok": ok, "checks": checks }))?,
        Format::Text => print::text(&checks.iter().map(line).collect::<String>())?,
    }
    Ok(if ok { exit::DONE } else { exit::APP }.into())
}

fn line(check: &Check) -> String {
    let (style, word) = match check.status {
        Status::Ok => (BOLD_GREEN, "ok"),
        Status::Optional => (BOLD_YELLOW, "optional"),
        Status::Missing => (BOLD_RED, "missing"),
    };
    let mut text = format!("{style}{word:>8}{style:#}  {BOLD}{:<14}{BOLD:#}  {}\n", check.name, check.found);
    if let Some(fix) = &check.fix {
        text.push_str(&format!("          {CYAN}{fix}{CYAN:#}\n"));
    }
    text
}

/// A tool of the Rust toolchain, at least as new as this program needs.
fn tool(name: &'static str) -> Check {
    const INSTALL: &str = "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh";
    let needed = env!("CARGO_PKG_RUST_VERSION");
    let Some(found) = output(name, "--version") else {
        return Check::not(name, Status::Missing, "not there", INSTALL);
    };
    let version = found.split_whitespace().nth(1).unwrap_or_default();
    if numbers(version) >= numbers(needed) {
        return Check::ok(name, found);
    }
    Check::not(name, Status::Missing, format!("{found}, {needed} or newer is needed"), "rustup update stable")
}

fn numbers(version: &str) -> Vec<u32> {
    version.split(['.', '-']).map_while(|part| part.parse().ok()).collect()
}

fn linker() -> Check {
    let name = "C compiler";
    match ["cc", "clang", "gcc"].iter().find_map(|tool| output(tool, "--version")) {
        Some(found) => Check::ok(name, found),
        None => Check::not(
            name,
            Status::Missing,
            "not there; rustc links with it",
            package("build-essential", "gcc"),
        ),
    }
}

fn postgres() -> Check {
    let name = "Postgres";
    match postgres_program() {
        Some(program) => Check::ok(name, program.display().to_string()),
        None => Check::not(
            name,
            Status::Optional,
            "not there; needed only for apps that declare a database",
            package("postgresql", "postgresql-server"),
        ),
    }
}

fn postgres_program() -> Option<PathBuf> {
    let on_path =
        env::var_os("PATH").map(|path| env::split_paths(&path).collect::<Vec<_>>()).unwrap_or_default();
    // Debian keeps the server out of the path, in one folder per version.
    let debian = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"));
    on_path.into_iter().chain(debian).map(|folder| folder.join("initdb")).find(|program| program.is_file())
}

fn port(port: u16) -> Check {
    let name = match port {
        4000 => "port 4000",
        4150 => "port 4150",
        _ => "port 4151",
    };
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Check::ok(name, "free"),
        Err(error) => Check::not(
            name,
            Status::Optional,
            format!("cannot be used ({error}); `bis run` takes a free one in its place"),
            format!("ss -ltnp 'sport = :{port}'"),
        ),
    }
}

/// Linux limits how many folders a user may watch.
fn watches() -> Option<Check> {
    let name = "file watches";
    let text = fs::read_to_string("/proc/sys/fs/inotify/max_user_watches").ok()?;
    let limit: u64 = text.trim().parse().ok()?;
    Some(if limit >= MIN_WATCHES {
        Check::ok(name, format!("{limit} folders"))
    } else {
        let fix = "sudo sysctl fs.inotify.max_user_watches=524288";
        Check::not(name, Status::Optional, format!("{limit} folders; a large app has more"), fix)
    })
}

/// The first line that a program prints.
fn output(program: &str, argument: &str) -> Option<String> {
    let output = Command::new(program).arg(argument).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).lines().next()?.trim().to_owned();
    output.status.success().then_some(text)
}

/// The command that installs a package here.
fn package(debian: &str, others: &str) -> String {
    if cfg!(target_os = "macos") {
        return if debian == "build-essential" {
            "xcode-select --install".into()
        } else {
            format!("brew install {debian}")
        };
    }
    let managers = [
        ("/usr/bin/apt-get", format!("sudo apt-get install -y {debian}")),
        ("/usr/bin/dnf", format!("sudo dnf install -y {others}")),
        (
            "/sbin/apk",
            format!("sudo apk add {}", if debian == "build-essential" { "build-base" } else { debian }),
        ),
        (
            "/usr/bin/pacman",
            format!(
                "sudo pacman -S --needed {}",
                if debian == "build-essential" { "base-devel" } else { debian }
            ),
        ),
    ];
    let known = managers.into_iter().find(|(program, _)| Path::new(program).exists());
    known.map_or_else(|| format!("install `{others}` with your package manager"), |(_, command)| command)
}
