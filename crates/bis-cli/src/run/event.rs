//! Everything that can happen while `bis run` runs. The dispatcher's loop is the only reader.

use std::process::ExitStatus;

use tokio::sync::oneshot;

use crate::check::Checked;
use crate::run::build::Outcome;
use crate::run::watch::Changes;

/// Which build an event belongs to; a result of a build that was given up is dropped by its number.
pub(crate) type BuildId = u64;
/// Which process of the app an event belongs to: 1 is the first, and each handover adds one.
pub(crate) type InstanceId = u64;

/// One thing that happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// Files that matter were saved, made or removed.
    Changed(Changes),
    /// The system does not notify of every folder; they are looked at from time to time.
    WatchLimited,
    /// The system has lost notifications; everything was looked at again.
    WatchOverflowed,
    /// It is time for another build, when none was started since this one.
    BuildDue(BuildId),
    /// The analyser is done.
    Checked(BuildId, anyhow::Result<Box<Checked>>),
    /// Cargo is done.
    Built(BuildId, Outcome),
    /// A process of the app accepts requests and is subscribed.
    Ready(InstanceId),
    /// A process of the app accepts no new connection, or says nothing of that.
    Draining(InstanceId),
    /// A process of the app has had its time to close its listener.
    DrainingInTime(InstanceId),
    /// The app is to be started again, unless it was since this process.
    RestartDue(InstanceId),
    /// A process of the app took longer than the limit to become ready.
    NotReadyInTime(InstanceId),
    /// A process of the app took longer than the limit to drain.
    NotDrainedInTime(InstanceId),
    /// A process of the app ended.
    Exited(InstanceId, ExitStatus),
    /// A part beside the app serves nothing any more, for this reason.
    PartFailed { part: &'static str, reason: String },
    /// The router is about to restart and will be gone for so long, as chaos asked for. It waits until that was told.
    RouterRestarts { milliseconds: u128, told: oneshot::Sender<()> },
    /// It is back.
    RouterRestarted { milliseconds: u128 },
    /// Ctrl-C, SIGTERM or SIGHUP.
    StopRequested,
}
