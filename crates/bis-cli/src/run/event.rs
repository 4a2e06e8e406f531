//! Everything that can happen while `bis run` runs. The dispatcher's loop is the only reader.

use std::process::ExitStatus;

use tokio::sync::oneshot;

use crate::check::Checked;
use crate::run::build::Outcome;
use crate::run::watch::Changes;

/// The build that an event belongs to; results of cancelled builds are dropped by their number.
pub(crate) type BuildId = u64;
/// The process of the app that an event belongs to: 1 is the first, and each handover adds one.
pub(crate) type InstanceId = u64;

/// An event of the loop.
#[derive(Debug)]
pub(crate) enum Event {
    /// Relevant files were saved, created or removed.
    Changed(Changes),
    /// The system does not send notifications for every folder; they are checked from time to time.
    WatchLimited,
    /// The system has lost notifications; everything was checked again.
    WatchOverflowed,
    /// It is time for another build if none was started since this one.
    BuildDue(BuildId),
    /// The analysis has ended.
    Checked(BuildId, anyhow::Result<Box<Checked>>),
    /// Cargo has ended.
    Built(BuildId, Outcome),
    /// A process of the app accepts requests and is subscribed.
    Ready(InstanceId),
    /// A process of the app no longer accepts connections, or will not report it.
    Draining(InstanceId),
    /// The time that a process of the app has to close its listener is over.
    DrainingInTime(InstanceId),
    /// The app should be restarted, unless that happened since this process.
    RestartDue(InstanceId),
    /// A process of the app took longer than the limit to become ready.
    NotReadyInTime(InstanceId),
    /// A process of the app took longer than the limit to drain.
    NotDrainedInTime(InstanceId),
    /// A process of the app ended.
    Exited(InstanceId, ExitStatus),
    /// A part beside the app has failed for this reason.
    PartFailed { part: &'static str, reason: String },
    /// The router is about to restart and will be down for this long, as requested by chaos. It waits until that was
    /// reported.
    RouterRestarts { milliseconds: u128, told: oneshot::Sender<()> },
    /// The router is back.
    RouterRestarted { milliseconds: u128 },
    /// Ctrl-C, SIGTERM or SIGHUP.
    StopRequested,
}
