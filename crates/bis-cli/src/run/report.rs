//! The output of `bis run`: one closed list of reports, as lines for people on stderr or as JSON lines on stdout.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use serde::Serialize;

use crate::format::Format;
use crate::orphans::{self, Orphan};
use crate::print::{self, BOLD, BOLD_GREEN, BOLD_RED, BOLD_YELLOW, CYAN, plural};

/// One report.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Report {
    /// The sources have errors, so nothing is built.
    CheckFailed {
        errors: usize,
        warnings: usize,
        /// `None` when the command ends.
        #[serde(skip_serializing_if = "Option::is_none")]
        still_running: Option<bool>,
    },
    /// The sources cannot be read, so nothing is built.
    CheckImpossible { reason: String, still_running: bool },
    /// The package does not have exactly one program.
    NoSingleProgram { reason: String, still_running: bool },
    /// The system does not send notifications for everything that is watched.
    WatchLimited,
    /// The system has lost notifications.
    WatchOverflowed,
    /// This file changes in every build, and no longer causes one.
    ChangedByBuild { file: String },
    /// Cargo has started.
    Building { changed: Vec<String> },
    /// Cargo failed; it has printed why on stderr.
    BuildFailed { code: Option<i32>, still_running: bool },
    /// Cargo has ended.
    Built { milliseconds: u128 },
    /// The program did not change.
    Unchanged,
    /// The first process serves.
    Ready(Addresses),
    /// A new process serves, and the old one drains.
    Restarted(Addresses),
    /// The router has these topics and subscriptions, but the app does not declare them.
    Orphaned { orphans: Vec<Orphan> },
    /// A new process could not serve; the old one, if any, still does. Without an old one, the program is restarted after a
    /// wait.
    StartFailed {
        reason: String,
        still_running: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        again_in_milliseconds: Option<u128>,
    },
    /// The old process has drained and ended.
    Drained { pid: u32 },
    /// A process did not drain within the limit, and was killed.
    Killed { pid: u32 },
    /// The serving process ended by itself, and is restarted after a wait.
    Exited { pid: u32, code: Option<i32>, signal: Option<i32>, again_in_milliseconds: u128 },
    /// The router is down for this long, as requested by chaos.
    RouterRestarts { milliseconds: u128 },
    /// The router is back.
    RouterRestarted { milliseconds: u128 },
    /// The seed and settings of the injected faults, and how often the router restarted.
    ChaosEnded { chaos: String, router_restarts: u64 },
    /// A part beside the app has failed.
    PartFailed { part: &'static str, reason: String },
    /// Everything is being stopped.
    Stopping,
    /// Everything has stopped.
    Stopped,
}

impl Report {
    /// The serving process ended by itself.
    pub(crate) fn exited(pid: u32, status: ExitStatus, wait: Duration) -> Self {
        let again_in_milliseconds = wait.as_millis();
        Self::Exited { pid, code: status.code(), signal: status.signal(), again_in_milliseconds }
    }
}

/// The addresses of the app and the router.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Addresses {
    /// The app's base address.
    pub(crate) app: String,
    /// The router's TCP address.
    pub(crate) router: String,
    /// The router's HTTP address.
    pub(crate) router_http: String,
    /// The app's process id.
    pub(crate) process: u32,
    /// The faults that are injected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) chaos: Option<String>,
    /// Their description, for people.
    #[serde(skip)]
    pub(crate) faults: Option<String>,
    /// Requested ports that were taken: `(requested, used)`.
    #[serde(skip)]
    pub(crate) replaced_ports: Vec<(u16, u16)>,
    /// The folder of the state, for people.
    #[serde(skip)]
    pub(crate) state: String,
    /// How long the command took to serve.
    #[serde(skip)]
    pub(crate) after: Duration,
}

/// Writes reports.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reporter {
    format: Format,
}

impl Reporter {
    /// A reporter in the given format.
    pub(crate) fn new(format: Format) -> Self {
        Self { format }
    }

    /// Writes one report.
    pub(crate) fn report(&self, report: &Report) -> io::Result<()> {
        match self.format {
            Format::Json => print::json_line(report),
            Format::Text => {
                print::note(&text(report));
                Ok(())
            }
        }
    }
}

/// The report for people; the verbs are right-aligned, like cargo's.
fn text(report: &Report) -> String {
    match report {
        Report::CheckFailed { errors, still_running, .. } => {
            let errors = format!("{errors} {} in the app", plural(*errors, "error"));
            match still_running {
                Some(still_running) => {
                    bad(&format!("{errors}, nothing was built; {}", what_runs(*still_running)))
                }
                None => bad(&format!("{errors}; nothing was built")),
            }
        }
        Report::CheckImpossible { reason, still_running }
        | Report::NoSingleProgram { reason, still_running } => {
            bad(&format!("{reason}; {}", what_runs(*still_running)))
        }
        Report::WatchLimited => warn(
            "the system does not notify of all folders (on Linux, see `fs.inotify.max_user_watches` and \
             `max_user_instances` in sysctl); saved files are noticed within a second or a little more",
        ),
        Report::WatchOverflowed => {
            warn("too many files changed at once for the system to notify of each; all were looked at again")
        }
        Report::ChangedByBuild { file } => warn(&format!(
            "`{file}` changes in every build, so that it is never up to date; have the build write it only when its \
             content is new, or to `OUT_DIR`"
        )),
        Report::Building { changed } if changed.is_empty() => String::new(),
        Report::Building { changed } => good("Changed", &changed.join(", ")),
        Report::BuildFailed { still_running, .. } => {
            bad(&format!("the build failed; {}", what_runs(*still_running)))
        }
        Report::Built { .. } => String::new(),
        Report::Unchanged => good("Unchanged", "the program is the same"),
        Report::Ready(addresses) => banner(addresses),
        Report::Restarted(addresses) => good("Restarted", &format!("process {}", addresses.process)),
        Report::StartFailed { reason, still_running: true, .. } => {
            bad(&format!("the new process {reason}; {}", what_runs(true)))
        }
        Report::StartFailed { reason, again_in_milliseconds, .. } => {
            bad(&format!("the app {reason}; {}", what_follows(*again_in_milliseconds)))
        }
        Report::Orphaned { orphans } => orphans.iter().map(|orphan| warn(&orphans::text(orphan))).collect(),
        Report::Drained { pid } => good("Drained", &format!("process {pid}")),
        Report::Killed { pid } => warn(&format!("process {pid} did not end in time and was killed")),
        Report::Exited { pid, code, signal, again_in_milliseconds } => bad(&format!(
            "the app (process {pid}) {}; {}",
            how(*code, *signal),
            what_follows(Some(*again_in_milliseconds))
        )),
        Report::RouterRestarts { milliseconds } => {
            good("Chaos", &format!("the router restarts and is gone for {milliseconds} ms"))
        }
        // The app logs it when it is connected again.
        Report::RouterRestarted { .. } => String::new(),
        Report::ChaosEnded { chaos, router_restarts } => good("Chaos", &after_chaos(chaos, *router_restarts)),
        Report::PartFailed { part, reason } => {
            bad(&format!("the {part} has failed: {reason}; `bis run` again recovers what was answered"))
        }
        Report::Stopping => good("Stopping", "(Ctrl-C again stops at once)"),
        Report::Stopped => good("Stopped", ""),
    }
}

/// How to inject the same faults again.
fn after_chaos(chaos: &str, router_restarts: u64) -> String {
    let times = plural(usize::try_from(router_restarts).unwrap_or(usize::MAX), "time");
    format!(
        "the router restarted {router_restarts} {times}, the log above has the other faults; again with \
         `bis run --chaos {chaos}`"
    )
}

/// What happens after a failed build.
fn what_runs(still_running: bool) -> &'static str {
    match still_running {
        true => "the old process still runs, save a file to build again",
        false => "no process of the app runs, save a file to build again",
    }
}

/// What happens after a process died.
fn what_follows(again_in_milliseconds: Option<u128>) -> String {
    match again_in_milliseconds {
        Some(wait) => {
            format!(
                "it is started again in {} s, or as soon as you have saved a mended file",
                wait.div_ceil(1000)
            )
        }
        None => "save a file to build and start it again".to_owned(),
    }
}

/// How a process ended, after "the app".
pub(crate) fn how_it_ended(status: ExitStatus) -> String {
    how(status.code(), status.signal())
}

fn how(code: Option<i32>, signal: Option<i32>) -> String {
    match (code, signal) {
        (Some(code), _) => format!("ended with exit status {code}"),
        (None, Some(signal)) => {
            let name = nix::sys::signal::Signal::try_from(signal).map_or("unknown", |signal| signal.as_str());
            format!("was ended by signal {signal} ({name})")
        }
        (None, None) => "ended".to_owned(),
    }
}

fn banner(addresses: &Addresses) -> String {
    let mut lines = String::from("\n");
    let mut row = |name: &str, value: &str| {
        lines.push_str(&format!("  {BOLD}{name:<8}{BOLD:#}{CYAN}{value}{CYAN:#}\n"));
    };
    row("app", &addresses.app);
    row("router", &format!("{}, http://{}", addresses.router, addresses.router_http));
    row("state", &addresses.state);
    if let Some(faults) = &addresses.faults {
        row("chaos", faults);
    }
    for (wanted, used) in &addresses.replaced_ports {
        lines.push_str(&warn(&format!("port {wanted} is taken, using {used}")));
    }
    let seconds = addresses.after.as_secs_f64();
    lines.push_str(&format!(
        "\n  Ready after {seconds:.1} s. Save a file to rebuild and hand over; Ctrl-C stops.\n\n"
    ));
    lines
}

fn good(verb: &str, what: &str) -> String {
    let line = format!("{BOLD_GREEN}{verb:>12}{BOLD_GREEN:#} {what}");
    format!("{}\n", line.trim_end())
}

fn bad(what: &str) -> String {
    format!("{BOLD_RED}error{BOLD_RED:#}: {what}\n")
}

fn warn(what: &str) -> String {
    format!("{BOLD_YELLOW}warning{BOLD_YELLOW:#}: {what}\n")
}
