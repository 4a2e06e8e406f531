//! How far each part of a running app is: written where parts are started and stopped, read to answer whether the app is
//! ready.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Where a part is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Those before it start.
    Waiting,
    /// It starts.
    Starting,
    /// It works, or will as soon as every part has started.
    Started,
    /// It takes nothing new, and finishes what it has.
    Draining,
    /// Nothing of it runs.
    Stopped,
}

impl Stage {
    /// The word for it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Starting => "starting",
            Self::Started => "started",
            Self::Draining => "draining",
            Self::Stopped => "stopped",
        }
    }
}

/// The parts of an app in the order of their start, each with its stage. Empty before the start.
#[derive(Debug, Default)]
pub(super) struct Progress(Mutex<Vec<(String, Stage)>>);

impl Progress {
    /// Parts of these names are about to start.
    pub(super) fn begin(&self, names: impl IntoIterator<Item = String>) {
        *self.lock() = names.into_iter().map(|name| (name, Stage::Waiting)).collect();
    }

    /// The part at this place has come to a stage.
    pub(super) fn reached(&self, part: usize, stage: Stage) {
        if let Some((_, reached)) = self.lock().get_mut(part) {
            *reached = stage;
        }
    }

    /// Every part with its stage.
    pub(super) fn parts(&self) -> Vec<(String, Stage)> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(String, Stage)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
