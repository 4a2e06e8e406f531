//! How to keep a journal: its folder, durability, retention and bounds. Plain data with defaults; it starts nothing.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

mod backlog;
mod sync;

pub use backlog::{Backlog, BacklogPolicy, BacklogPolicyError};
pub use sync::{SyncMode, SyncModeError};

/// How to keep a journal. [`Options::new`] gives the defaults; change the fields that matter.
#[derive(Debug, Clone)]
pub struct Options {
    /// The journal's folder, made if it is not there. One process at a time may use it.
    pub folder: PathBuf,
    /// When a publish is answered; [`SyncMode::Always`] unless set.
    pub sync: SyncMode,
    /// What is done when what channels have not handled grows too large; see [`Backlog`].
    pub backlog: Backlog,
    /// Among how many of the latest events one that is published again under its id is recognized: it is answered and not
    /// stored a second time. 100,000 unless set, at most 130 bytes each; 0 turns it off.
    pub dedup_window: usize,
    /// The size at which a segment is sealed, in bytes; 64 MiB unless set, at most 1 GiB.
    pub segment_bytes: u64,
    /// How long what every channel has handled is kept; 7 days unless set.
    pub retention: Duration,
    /// How many bytes of what every channel has handled are kept; 10 GB unless set.
    pub retention_bytes: u64,
}

impl Options {
    /// The defaults, with the journal in `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            sync: SyncMode::Always,
            backlog: Backlog::default(),
            dedup_window: 100_000,
            segment_bytes: 64 * 1024 * 1024,
            retention: Duration::from_secs(7 * 24 * 60 * 60),
            retention_bytes: 10_000_000_000,
        }
    }
}

/// For how long what every channel of a topic has finished can be replayed, and how much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// The oldest, by when it was published.
    pub max_age: Duration,
    /// About how many bytes. The journal's own bound on all topics together holds beside it.
    pub max_bytes: u64,
}

/// How the journal is committed and kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy {
    pub(crate) sync: SyncMode,
    pub(crate) retention: Duration,
    pub(crate) retention_bytes: u64,
}
