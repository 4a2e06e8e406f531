//! How much is logged, with nsqd's words, as a switch that can be moved while the router runs.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// How much is logged. Each level brings those after it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum LogLevel {
    /// Messages that help to find a fault.
    Debug = 1,
    /// What the router does.
    #[default]
    Info = 2,
    /// What may need a look.
    Warn = 3,
    /// What needs a look.
    Error = 4,
    /// The same as [`LogLevel::Error`]: here nothing is worse.
    Fatal = 5,
}

/// A level that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a log level; use `debug`, `info`, `warn`, `error` or `fatal`")]
pub struct LogLevelError(String);

impl FromStr for LogLevel {
    type Err = LogLevelError;

    /// Reads a word in small or capital letters.
    fn from_str(word: &str) -> Result<Self, LogLevelError> {
        match word.to_ascii_lowercase().as_str() {
            "debug" => Ok(Self::Debug),
            "info" => Ok(Self::Info),
            "warn" => Ok(Self::Warn),
            "error" => Ok(Self::Error),
            "fatal" => Ok(Self::Fatal),
            _ => Err(LogLevelError(word.to_owned())),
        }
    }
}

/// The level that holds now. Clones share it: the router's HTTP API moves it, and the log reads it.
#[derive(Debug, Clone)]
pub struct LogSwitch(Arc<AtomicU8>);

impl Default for LogSwitch {
    fn default() -> Self {
        Self::new(LogLevel::default())
    }
}

impl LogSwitch {
    /// A switch that is at `level`.
    #[must_use]
    pub fn new(level: LogLevel) -> Self {
        Self(Arc::new(AtomicU8::new(level as u8)))
    }

    /// The level now.
    #[must_use]
    pub fn level(&self) -> LogLevel {
        match self.0.load(Ordering::Relaxed) {
            1 => LogLevel::Debug,
            2 => LogLevel::Info,
            3 => LogLevel::Warn,
            4 => LogLevel::Error,
            _ => LogLevel::Fatal,
        }
    }

    /// Moves it, and makes `tracing` ask its subscribers again what they want.
    pub fn set(&self, level: LogLevel) {
        self.0.store(level as u8, Ordering::Relaxed);
        tracing::callsite::rebuild_interest_cache();
    }
}
