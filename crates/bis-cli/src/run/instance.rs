//! One process of the app: started with the public listener and a readiness pipe, stopped by signals.
//!
//! One task owns the child: it alone waits for it and signals it, so that no signal reaches a recycled process id.

use std::io::{self, PipeReader};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use bis_core::handover::{self, Progress};
use command_fds::{CommandFdExt, FdMapping};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use crate::format::Format;
use crate::run::chaos::Chaos;
use crate::run::event::{Event, InstanceId};
use crate::run::listener::PublicListener;

/// The file descriptors of the listening socket and of the pipe on which the app reports that it is ready.
const LISTEN_FD: i32 = 3;
const READY_FD: i32 = 4;
/// How long a process may take to become ready.
pub(crate) const READY_LIMIT: Duration = Duration::from_secs(60);
/// How long a process may take to end after SIGTERM. The app's own limit is 30 s, and it should win.
pub(crate) const DRAIN_LIMIT: Duration = Duration::from_secs(35);

/// How long a process that was asked to end may take to close its listener before the handover is reported anyway.
const HANDOVER_LIMIT: Duration = Duration::from_secs(2);

/// How to start a process of the app.
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    /// The program.
    pub(crate) executable: &'a Path,
    /// Its working directory: the package's folder.
    pub(crate) folder: &'a Path,
    /// The configuration file.
    pub(crate) config: PathBuf,
    /// The public listener.
    pub(crate) listener: &'a PublicListener,
    /// With JSON output, the app's stdout goes to stderr, so that stdout carries only JSON.
    pub(crate) format: Format,
    /// The faults to inject.
    pub(crate) chaos: Option<&'a Chaos>,
}

/// A process of the app.
#[derive(Debug)]
pub(crate) struct Instance {
    id: InstanceId,
    pid: u32,
    started: Instant,
    signals: mpsc::Sender<Signal>,
}

impl Instance {
    /// Starts a process. Must be called on the main thread: the kernel ties the process to the thread that started it.
    pub(crate) fn start(
        launch: &Launch<'_>,
        id: InstanceId,
        events: mpsc::Sender<Event>,
    ) -> io::Result<Self> {
        let (ready, ready_writer) = io::pipe()?;
        let mut command = command(launch);
        let mappings = vec![
            FdMapping { parent_fd: launch.listener.share()?, child_fd: LISTEN_FD },
            FdMapping { parent_fd: OwnedFd::from(ready_writer), child_fd: READY_FD },
        ];
        command.fd_mappings(mappings).map_err(io::Error::other)?;
        let child = command.spawn()?;
        // `command` holds our copy of the pipe's writing end; once it is dropped, the pipe ends with the process.
        drop(command);
        let pid = child.id().expect("a child that nobody waited for has an id");
        // First SIGTERM, then SIGKILL: there is no third request.
        let (signals, receiver) = mpsc::channel(2);
        tokio::spawn(report_ready(ready, id, events.clone()));
        tokio::spawn(own(child, pid, id, receiver, events));
        Ok(Self { id, pid, started: Instant::now(), signals })
    }

    /// The number of this process.
    pub(crate) fn id(&self) -> InstanceId {
        self.id
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// How long ago it was started.
    pub(crate) fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Asks the process to drain and end; [`Event::DrainingInTime`] follows, and [`Event::NotDrainedInTime`] when it takes longer
    /// than [`DRAIN_LIMIT`].
    pub(crate) fn stop(&self, events: &mpsc::Sender<Event>) {
        // A full queue means that this was requested before; a closed one means that the process has ended.
        let _ = self.signals.try_send(Signal::SIGTERM);
        after(HANDOVER_LIMIT, Event::DrainingInTime(self.id), events);
        after(DRAIN_LIMIT, Event::NotDrainedInTime(self.id), events);
    }

    /// Kills the process and its children at once.
    pub(crate) fn kill(&self) {
        let _ = self.signals.try_send(Signal::SIGKILL);
    }
}

/// Sends an event later.
pub(crate) fn after(delay: Duration, event: Event, events: &mpsc::Sender<Event>) {
    let events = events.clone();
    tokio::spawn(async move {
        tokio::time::sleep(delay).await;
        let _ = events.send(event).await;
    });
}

fn command(launch: &Launch<'_>) -> Command {
    let mut command = Command::new(this_program());
    command
        .arg(crate::start::ARGUMENT)
        .arg(std::process::id().to_string())
        .arg(launch.executable)
        .current_dir(launch.folder)
        .env(handover::CONFIG, &launch.config)
        // systemd's words for a socket at fd 3 (sd_listen_fds(3)); `start` adds the process id that belongs to it.
        .env(handover::LISTEN_FDS, "1")
        .env(handover::READY_FD, READY_FD.to_string())
        .env_remove(handover::DESCRIBE)
        .stdin(Stdio::null())
        .process_group(0)
        .kill_on_drop(true);
    if let Some(chaos) = launch.chaos {
        command.env(handover::CHAOS, chaos.value());
    }
    if launch.format == Format::Json {
        command.stdout(Stdio::from(io::stderr()));
    }
    command
}

/// This program, even if its file was replaced since it started.
pub(crate) fn this_program() -> PathBuf {
    if cfg!(target_os = "linux") {
        return PathBuf::from("/proc/self/exe");
    }
    std::env::current_exe().unwrap_or_else(|_| PathBuf::from("bis"))
}

/// Waits for the line that says "ready", then for the one that says "draining".
async fn report_ready(ready: PipeReader, id: InstanceId, events: mpsc::Sender<Event>) {
    let Ok(receiver) = pipe::Receiver::from_owned_fd(OwnedFd::from(ready)) else { return };
    let mut lines = BufReader::new(receiver).lines();
    let is_ready = |progress: &Progress| matches!(progress, Progress::Ready { .. });
    let event = match tokio::time::timeout(READY_LIMIT, reached(&mut lines, is_ready)).await {
        Ok(true) => Event::Ready(id),
        // The pipe was closed early: the process is about to end, and `own` will report how.
        Ok(false) => return,
        Err(_) => Event::NotReadyInTime(id),
    };
    let goes_on = matches!(event, Event::Ready(_));
    if events.send(event).await.is_ok() && goes_on {
        // A program that has closed the pipe will not report anything else.
        reached(&mut lines, |progress| *progress == Progress::Draining).await;
        let _ = events.send(Event::Draining(id)).await;
    }
}

/// Reads until the app reports this state; `false` when the pipe was closed before. Unknown lines are skipped.
async fn reached(lines: &mut Lines<BufReader<pipe::Receiver>>, is_it: impl Fn(&Progress) -> bool) -> bool {
    while let Ok(Some(line)) = lines.next_line().await {
        if serde_json::from_str(&line).is_ok_and(|progress| is_it(&progress)) {
            return true;
        }
    }
    false
}

/// Owns the child: passes signals on to its process group, and reports its end.
async fn own(
    mut child: Child,
    pid: u32,
    id: InstanceId,
    mut signals: mpsc::Receiver<Signal>,
    events: mpsc::Sender<Event>,
) {
    let group = Pid::from_raw(i32::try_from(pid).expect("process ids fit in 31 bits"));
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            signal = signals.recv() => match signal {
                Some(signal) => _ = killpg(group, signal),
                // The dispatcher is gone, and nothing else will stop the process.
                None => {
                    let _ = killpg(group, Signal::SIGKILL);
                    break child.wait().await;
                }
            },
        }
    };
    // Children that the process left behind are in its group.
    let _ = killpg(group, Signal::SIGKILL);
    let status = status.unwrap_or_else(|_| ExitStatus::default());
    let _ = events.send(Event::Exited(id, status)).await;
}
