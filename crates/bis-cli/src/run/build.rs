//! Builds the app with cargo: progress and compile errors go to the terminal unchanged, and cargo's messages
//! say where the program is and which local packages it is made of.
//!
//! Nothing here decides what a result means for the running processes.

mod dep_info;
mod traces;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::{mpsc, oneshot};

use crate::arguments::Features;
use crate::exit;
use crate::failure::Failure;
use crate::project::Project;
use crate::run::event::{BuildId, Event};
use crate::run::instance::this_program;
use crate::run::watch::Inputs;

pub(crate) use crate::run::build::traces::{Origin, Traces};

/// How to build.
#[derive(Debug, Clone, Default)]
pub(crate) struct BuildOptions {
    /// The program to run; if not given, the package's `default-run` or its only program.
    pub(crate) binary: Option<String>,
    /// With optimisations.
    pub(crate) release: bool,
    /// The package's features.
    pub(crate) features: Features,
    /// With the faults of `bis run --chaos`, which a normal build leaves out.
    pub(crate) faults: bool,
}

/// How a build ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The build produced a program.
    Built(Built),
    /// Cargo failed and has said why.
    Failed(Option<i32>),
    /// Cargo succeeded, but there is not exactly one program; these are their names.
    Programs(Vec<String>),
    /// Cargo could not be started or listened to.
    Broken(io::Error),
}

/// A program that cargo has built.
#[derive(Debug, Clone)]
pub(crate) struct Built {
    /// The program.
    pub(crate) executable: PathBuf,
    /// Identifies the version of the file: two builds with the same stamp are the same program.
    pub(crate) stamp: Stamp,
    /// The local packages that it is made of.
    pub(crate) inputs: Inputs,
    /// How long cargo took.
    pub(crate) took: Duration,
}

/// Distinguishes two versions of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp {
    modified: SystemTime,
    length: u64,
}

/// A running build. Dropping it stops cargo and the compilers that it started.
#[derive(Debug)]
pub(crate) struct Build {
    traces: Traces,
    _cancel: oneshot::Sender<()>,
}

impl Build {
    /// Starts cargo; [`Event::Built`] follows. Must be called on the main thread, as [`crate::start`] explains.
    pub(crate) fn start(
        project: &Project,
        options: &BuildOptions,
        id: BuildId,
        events: mpsc::Sender<Event>,
    ) -> io::Result<Self> {
        let mut child = command(project, options).spawn()?;
        let stdout = child.stdout.take().expect("stdout was asked for as a pipe");
        let (cancel, cancelled) = oneshot::channel();
        let manifest = project.manifest();
        let traces = Traces::begin();
        let follower = Follower { manifest, traces: traces.clone(), started: Instant::now() };
        tokio::spawn(async move {
            let group = child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw);
            tokio::select! {
                outcome = follower.follow(&mut child, stdout) => {
                    follower.traces.end();
                    let _ = events.send(Event::Built(id, outcome)).await;
                }
                // Ends when the `Build` is dropped.
                _ = cancelled => {
                    group.map(|group| killpg(group, Signal::SIGTERM));
                    let _ = child.wait().await;
                    follower.traces.end();
                }
            }
        });
        Ok(Self { traces, _cancel: cancel })
    }

    /// What the build may have written itself.
    pub(crate) fn traces(&self) -> &Traces {
        &self.traces
    }
}

/// Fails when there is no cargo to build with.
pub(crate) fn check_cargo() -> Result<(), Failure> {
    let cargo = cargo();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = match Path::new(&cargo).components().count() {
        1 => std::env::split_paths(&path).any(|folder| folder.join(&cargo).is_file()),
        _ => Path::new(&cargo).is_file(),
    };
    if is_there {
        return Ok(());
    }
    Err(Failure::new(exit::SURROUNDINGS, format!("cannot find `{}` to build with", cargo.to_string_lossy()))
        .help("install Rust from https://rustup.rs, or put its folder on the PATH; `bis doctor` says what else is missing"))
}

/// The cargo that started this command, otherwise the one on the PATH.
fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

fn command(project: &Project, options: &BuildOptions) -> Command {
    let mut command = Command::new(this_program());
    command
        .arg(crate::start::ARGUMENT)
        .arg(std::process::id().to_string())
        .arg(cargo())
        .args(["build", "--message-format", "json-render-diagnostics", "--manifest-path"])
        .arg(project.manifest())
        .current_dir(project.folder())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    match options.binary.clone().or_else(|| default_run(&project.manifest())) {
        Some(binary) => command.arg("--bin").arg(binary),
        None => command.arg("--bins"),
    };
    if options.release {
        command.arg("--release");
    }
    if !options.features.features.is_empty() {
        command.arg("--features").arg(options.features.features.join(","));
    }
    if options.faults && depends_on_sdk(&project.manifest()) {
        command.args(["--features", "bis/testing"]);
    }
    if options.features.no_default_features {
        command.arg("--no-default-features");
    }
    if options.features.all_features {
        command.arg("--all-features");
    }
    // The variables that `cargo run` sets are about this command, not about the app.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"]
            .iter()
            .any(|start| name.starts_with(start))
        {
            command.env_remove(name.as_ref());
        }
    }
    command
}

/// The program that `cargo run` uses by default. A manifest that cannot be read is for cargo to report.
fn default_run(manifest: &Path) -> Option<String> {
    let manifest: toml::Table = std::fs::read_to_string(manifest).ok()?.parse().ok()?;
    Some(manifest.get("package")?.get("default-run")?.as_str()?.to_owned())
}

/// Whether the package itself depends on `bis`, so that cargo can be asked for a feature of it. If it does not, the app itself
/// says what to do when it is asked for faults.
fn depends_on_sdk(manifest: &Path) -> bool {
    let Ok(text) = std::fs::read_to_string(manifest) else { return false };
    let Ok(manifest) = text.parse::<toml::Table>() else { return false };
    manifest.get("dependencies").is_some_and(|dependencies| dependencies.get("bis").is_some())
}

/// The relevant part of cargo's messages.
#[derive(Debug, Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    package_id: String,
    manifest_path: Option<PathBuf>,
    target: Option<Target>,
    executable: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

/// Reads cargo's messages about a build.
struct Follower {
    manifest: PathBuf,
    traces: Traces,
    started: Instant,
}

impl Follower {
    async fn follow(&self, child: &mut Child, stdout: ChildStdout) -> Outcome {
        let mut programs: Vec<(String, PathBuf)> = Vec::new();
        let mut folders = BTreeSet::new();
        let mut lines = BufReader::new(stdout).lines();
        loop {
            let line = match lines.next_line().await {
                Ok(Some(line)) => line,
                Ok(None) => break,
                Err(error) => return Outcome::Broken(error),
            };
            // A build script's own output may appear between the messages.
            let Ok(message) = serde_json::from_str::<Message>(&line) else { continue };
            self.traces.message();
            if message.reason == "build-script-executed" {
                self.traces.script_ended(&message.package_id);
            }
            let (Some(path), Some(target)) = (message.manifest_path, message.target) else { continue };
            let folder = path.parent().filter(|_| message.package_id.starts_with("path+"));
            if let (true, Some(folder)) = (target.kind == ["custom-build"], folder) {
                self.traces.script_starts(&message.package_id, folder);
            }
            folders.extend(folder.map(Path::to_path_buf));
            let is_program = path == self.manifest && target.kind == ["bin"];
            programs.extend(message.executable.filter(|_| is_program).map(|program| (target.name, program)));
        }
        match child.wait().await {
            Ok(status) if status.success() => self.built(programs, folders),
            Ok(status) => Outcome::Failed(status.code()),
            Err(error) => Outcome::Broken(error),
        }
    }

    fn built(&self, programs: Vec<(String, PathBuf)>, folders: BTreeSet<PathBuf>) -> Outcome {
        let executable = match <[_; 1]>::try_from(programs) {
            Ok([(_, executable)]) => executable,
            Err(programs) => {
                return Outcome::Programs(programs.into_iter().map(|(name, _)| name).collect());
            }
        };
        let folder = self.manifest.parent().unwrap_or(&self.manifest);
        let made_of = dep_info::read(&executable, folder).and_then(|files| Ok((files, stamp(&executable)?)));
        match made_of {
            Ok((files, stamp)) => {
                let inputs = Inputs::new(folders, files);
                Outcome::Built(Built { executable, stamp, inputs, took: self.started.elapsed() })
            }
            Err(error) => Outcome::Broken(error),
        }
    }
}

fn stamp(executable: &Path) -> io::Result<Stamp> {
    let metadata = executable.metadata()?;
    Ok(Stamp { modified: metadata.modified()?, length: metadata.len() })
}
