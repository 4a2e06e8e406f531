//! Everything that can happen while `bis run` runs. The dispatcher's loop is the only reader.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitStatus;

use tokio::sync::oneshot;

use crate::check::Checked;
use crate::run::build::Outcome;

/// Which build an event belongs to; a result of a build that was given up is dropped by its number.
pub(crate) type BuildId = u64;
/// Which process of the application an event belongs to: 1 is the first, and each handover adds one.
pub(crate) type InstanceId = u64;

/// One thing that happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// Files that matter were saved, made or removed.
    Changed(BTreeSet<PathBuf>),
    /// The analyser is done.
    Checked(BuildId, anyhow::Result<Box<Checked>>),
    /// Cargo is done.
    Built(BuildId, Outcome),
    /// A process of the application accepts requests and is subscribed.
    Ready(InstanceId),
    /// A process of the application took longer than the limit to become ready.
    NotReadyInTime(InstanceId),
    /// A process of the application took longer than the limit to drain.
    NotDrainedInTime(InstanceId),
    /// A process of the application ended.
    Exited(InstanceId, ExitStatus),
    /// The router accepts nothing any more, for this reason.
    RouterFailed(String),
    /// The router is about to restart and will be gone for so long, as chaos asked for. It waits until that was told.
    RouterRestarts { milliseconds: u128, told: oneshot::Sender<()> },
    /// It is back.
    RouterRestarted { milliseconds: u128 },
    /// Ctrl-C, SIGTERM or SIGHUP.
    StopRequested,
}
