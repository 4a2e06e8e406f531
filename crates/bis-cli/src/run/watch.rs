//! Watching what a build reads: one event for a burst of saves.
//!
//! The system's notifications only trigger a check: every check lists all watched files and compares their content, so a lost
//! or spurious notification makes no difference. `snapshot` decides what counts as a change, `inputs` which files there are.

mod inputs;
mod registrations;
mod snapshot;

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use notify::event::ModifyKind;
use notify::{EventKind, RecommendedWatcher};
use tokio::sync::mpsc;

use crate::run::event::Event;
use crate::run::watch::registrations::Registrations;
use crate::run::watch::snapshot::Snapshot;

pub(crate) use crate::run::watch::inputs::{Inputs, is_migration};
pub(crate) use crate::run::watch::snapshot::{Changes, Moment};

/// A burst of saves ends when nothing was saved for this long, or after [`BURST_LIMIT`].
const QUIET: Duration = Duration::from_millis(60);
/// The longest burst.
const BURST_LIMIT: Duration = Duration::from_secs(1);
/// The most notifications that wait. Those that do not fit belong to a burst that is checked anyway.
const PENDING: usize = 1024;
/// How often files are checked without a notification: network file systems and containers lose notifications silently.
const LOOK: Duration = Duration::from_secs(5);
/// The same where the system refuses to send notifications.
const POLL: Duration = Duration::from_secs(1);
/// Checks take at most one part in this many of the time.
const SHARE: u32 = 50;

/// Watches until it is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    wanted: Arc<Mutex<Wanted>>,
    wake: SyncSender<Hint>,
}

/// What to watch, as last set by the dispatcher.
#[derive(Debug)]
struct Wanted {
    inputs: Inputs,
    /// New inputs count as changed if they were written after this.
    since: Option<SystemTime>,
    /// Whether any new file counts: a failed build may have missed it.
    any_new_file: bool,
    is_over: bool,
}

/// The trigger of a check.
#[derive(Debug)]
enum Hint {
    Notified(notify::Event),
    /// Something else went wrong in the watcher.
    Failed,
    /// [`Wanted`] has changed.
    Wanted,
}

impl Watch {
    /// Starts watching; [`Event::Changed`] follows. Later content is compared with the current content.
    pub(crate) fn start(inputs: Inputs, events: mpsc::Sender<Event>) -> std::io::Result<Self> {
        Self::look_every(LOOK, inputs, events)
    }

    fn look_every(look: Duration, inputs: Inputs, events: mpsc::Sender<Event>) -> std::io::Result<Self> {
        let (wake, hints) = sync_channel(PENDING);
        let notified = wake.clone();
        let watcher = notify::recommended_watcher(move |notification: notify::Result<notify::Event>| {
            let hint = match notification {
                Ok(notification) if matches!(notification.kind, EventKind::Access(_)) => return,
                Ok(notification) => Hint::Notified(notification),
                Err(_) => Hint::Failed,
            };
            let _ = notified.try_send(hint);
        });
        let wanted = Wanted { inputs: inputs.clone(), since: None, any_new_file: false, is_over: false };
        let wanted = Arc::new(Mutex::new(wanted));
        let mut state = Loop {
            registrations: Registrations::new(watcher.ok()),
            snapshot: Snapshot::default(),
            inputs,
            wanted: Arc::clone(&wanted),
            hints,
            events,
            interval: look,
            look,
            told_limit: false,
        };
        // Before the first build starts, so that nothing saved during it goes unnoticed.
        state.look_at_first();
        thread::Builder::new().name("watch".to_owned()).spawn(move || state.run())?;
        Ok(Self { wanted, wake })
    }

    /// Watches these too. Files that were written since then, while they were not watched, count as changed.
    pub(crate) fn add(&self, inputs: Inputs, since: SystemTime) {
        self.want(|wanted| {
            wanted.inputs.add(inputs);
            wanted.since = Some(wanted.since.map_or(since, |earlier| earlier.min(since)));
        });
    }

    /// Sets whether a new file of any name is a change, as it is after a failed build, which may have missed it.
    pub(crate) fn expect_any_file(&self, any_new_file: bool) {
        self.want(|wanted| wanted.any_new_file = any_new_file);
    }

    fn want(&self, change: impl FnOnce(&mut Wanted)) {
        change(&mut self.wanted.lock().unwrap_or_else(PoisonError::into_inner));
        match self.wake.try_send(Hint::Wanted) {
            // When the queue is full, the loop checks anyway; when it is gone, no check is needed.
            Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.want(|wanted| wanted.is_over = true);
    }
}

struct Loop {
    registrations: Registrations<RecommendedWatcher>,
    snapshot: Snapshot,
    inputs: Inputs,
    wanted: Arc<Mutex<Wanted>>,
    hints: Receiver<Hint>,
    events: mpsc::Sender<Event>,
    interval: Duration,
    look: Duration,
    told_limit: bool,
}

/// The dispatcher is gone.
struct Over;

impl Loop {
    fn run(mut self) {
        while self.step().is_ok() {}
    }

    fn step(&mut self) -> Result<(), Over> {
        match self.hints.recv_timeout(self.interval) {
            Ok(hint) if !self.is_relevant(&hint)? => return Ok(()),
            Ok(_) => self.wait_for_quiet()?,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(Over),
        }
        let (inputs, since, any_new_file) = {
            let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
            if wanted.is_over {
                return Err(Over);
            }
            let more = (wanted.inputs != self.inputs).then(|| wanted.inputs.clone());
            (more, wanted.since.take(), wanted.any_new_file)
        };
        let mut changes = self.look(None, any_new_file)?;
        if let Some(inputs) = inputs {
            self.inputs = inputs;
            changes.add(self.look(since, any_new_file)?);
        }
        if changes.is_empty() { Ok(()) } else { self.send(Event::Changed(changes)) }
    }

    /// Waits until the burst of saves is over.
    fn wait_for_quiet(&mut self) -> Result<(), Over> {
        let end = Instant::now() + BURST_LIMIT;
        let mut quiet = Instant::now() + QUIET;
        loop {
            let left = quiet.min(end).saturating_duration_since(Instant::now());
            match self.hints.recv_timeout(left) {
                Ok(hint) => {
                    if self.is_relevant(&hint)? {
                        quiet = Instant::now() + QUIET;
                    }
                }
                Err(RecvTimeoutError::Timeout) => return Ok(()),
                Err(RecvTimeoutError::Disconnected) => return Err(Over),
            }
        }
    }

    /// Whether a check is worthwhile, and what the hint says about the registrations.
    fn is_relevant(&mut self, hint: &Hint) -> Result<bool, Over> {
        let notification = match hint {
            Hint::Wanted | Hint::Failed => return Ok(true),
            Hint::Notified(notification) if notification.need_rescan() => {
                self.send(Event::WatchOverflowed)?;
                return Ok(true);
            }
            Hint::Notified(notification) => notification,
        };
        let only_content =
            matches!(notification.kind, EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Metadata(_)));
        if !only_content {
            // The watcher forgets a path that disappears, even if another folder has the name by now.
            notification.paths.iter().for_each(|path| self.registrations.forget(path));
        }
        let is_relevant = |path: &Path| match only_content {
            true => self.snapshot.knows(path) || self.inputs.may_be(path),
            false => {
                self.registrations.is_walked(path.parent().unwrap_or(path))
                    || self.snapshot.knows(path)
                    || self.inputs.may_be(path)
            }
        };
        Ok(notification.paths.iter().any(|path| is_relevant(path)))
    }

    fn look_at_first(&mut self) {
        let listing = self.inputs.list();
        self.registrations.renew(&listing.folders);
        self.snapshot = Snapshot::of(&listing);
        if self.registrations.is_limited() {
            self.interval = POLL.min(self.look);
        }
    }

    /// Checks everything and reports what has changed since the last check. With `since`, files that were not watched before
    /// count only if they were written after it.
    fn look(&mut self, since: Option<SystemTime>, any_new_file: bool) -> Result<Changes, Over> {
        let began = Instant::now();
        let mut listing = self.inputs.list();
        if self.registrations.renew(&listing.folders) {
            // There is no notification for files saved in a new folder before its registration.
            listing = self.inputs.list();
        }
        let changes = self.snapshot.update(&listing, since, any_new_file);
        let is_limited = self.registrations.is_limited();
        let least = if is_limited { POLL.min(self.look) } else { self.look };
        self.interval = least.max(began.elapsed() * SHARE);
        if is_limited && !self.told_limit {
            self.told_limit = true;
            self.send(Event::WatchLimited)?;
        }
        Ok(changes)
    }

    fn send(&self, event: Event) -> Result<(), Over> {
        self.events.blocking_send(event).map_err(|_| Over)
    }
}

#[cfg(test)]
mod tests;
