//! Building the application with cargo: progress and compile errors go to the terminal as cargo shows them, and cargo's
//! messages say where the program is and which local packages it is made of.
//!
//! Nothing here decides what a result means for the processes that run.

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

/// How to build.
#[derive(Debug, Clone, Default)]
pub(crate) struct BuildOptions {
    /// The program to run, when the package has several.
    pub(crate) binary: Option<String>,
    /// With optimisations.
    pub(crate) release: bool,
    /// The package's features.
    pub(crate) features: Features,
}

/// How a build ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// There is a program.
    Built(Built),
    /// Cargo failed and has said why.
    Failed(Option<i32>),
    /// Cargo succeeded, but there is not exactly one program; these are their names.
    Programs(Vec<String>),
    /// Cargo could not be started or listened to.
    Broken(io::Error),
}

/// A program fresh from cargo.
#[derive(Debug, Clone)]
pub(crate) struct Built {
    /// The program.
    pub(crate) executable: PathBuf,
    /// Which version of the file it is: two builds with the same stamp are the same program.
    pub(crate) stamp: Stamp,
    /// The folders of all local packages that it is made of.
    pub(crate) folders: BTreeSet<PathBuf>,
    /// How long cargo took.
    pub(crate) took: Duration,
}

/// Tells two versions of a program apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp {
    modified: SystemTime,
    length: u64,
}

/// A running build. Dropping it stops cargo and the compilers that it started.
#[derive(Debug)]
pub(crate) struct Build {
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
        tokio::spawn(async move {
            let group = child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw);
            let started = Instant::now();
            tokio::select! {
                outcome = follow(&mut child, stdout, &manifest, started) => {
                    let _ = events.send(Event::Built(id, outcome)).await;
                }
                // Ends when the `Build` is dropped.
                _ = cancelled => {
                    group.map(|group| killpg(group, Signal::SIGTERM));
                    let _ = child.wait().await;
                }
            }
        });
        Ok(Self { _cancel: cancel })
    }
}

/// Refuses when there is no cargo to build with.
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

/// The cargo that started this command, else the one on the PATH.
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
    match &options.binary {
        Some(binary) => command.args(["--bin", binary]),
        None => command.arg("--bins"),
    };
    if options.release {
        command.arg("--release");
    }
    if !options.features.features.is_empty() {
        command.arg("--features").arg(options.features.features.join(","));
    }
    if options.features.no_default_features {
        command.arg("--no-default-features");
    }
    if options.features.all_features {
        command.arg("--all-features");
    }
    // What `cargo run` tells the program that it starts is about that program, not about the application.
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

/// The part of cargo's messages that matters here.
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

async fn follow(child: &mut Child, stdout: ChildStdout, manifest: &Path, started: Instant) -> Outcome {
    let mut programs: Vec<(String, PathBuf)> = Vec::new();
    let mut folders = BTreeSet::new();
    let mut lines = BufReader::new(stdout).lines();
    loop {
        let line = match lines.next_line().await {
            Ok(Some(line)) => line,
            Ok(None) => break,
            Err(error) => return Outcome::Broken(error),
        };
        // A build script's own output may stand between the messages.
        let Ok(message) = serde_json::from_str::<Message>(&line) else { continue };
        if message.reason != "compiler-artifact" {
            continue;
        }
        let (Some(path), Some(target)) = (message.manifest_path, message.target) else { continue };
        if let (true, Some(executable)) = (path == manifest && target.kind == ["bin"], message.executable) {
            programs.push((target.name, executable));
        }
        if let (true, Some(folder)) = (message.package_id.starts_with("path+"), path.parent()) {
            folders.insert(folder.to_path_buf());
        }
    }
    match child.wait().await {
        Ok(status) if status.success() => {}
        Ok(status) => return Outcome::Failed(status.code()),
        Err(error) => return Outcome::Broken(error),
    }
    match <[_; 1]>::try_from(programs) {
        Ok([(_, executable)]) => match stamp(&executable) {
            Ok(stamp) => Outcome::Built(Built { executable, stamp, folders, took: started.elapsed() }),
            Err(error) => Outcome::Broken(error),
        },
        Err(programs) => Outcome::Programs(programs.into_iter().map(|(name, _)| name).collect()),
    }
}

fn stamp(executable: &Path) -> io::Result<Stamp> {
    let metadata = executable.metadata()?;
    Ok(Stamp { modified: metadata.modified()?, length: metadata.len() })
}
