//! When a publish is answered: the choice between durability and speed.

use std::str::FromStr;
use std::time::Duration;

/// When a publish is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SyncMode {
    /// After its bytes are on the disk: an answered publish survives a power cut.
    #[default]
    Always,
    /// After its bytes are with the operating system, which is made to write them this often: an answered publish
    /// survives a crash of the router, not one of the machine.
    Interval(Duration),
    /// After its bytes are with the operating system, which writes them when it likes.
    None,
}

/// A sync mode that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a sync mode; use `always`, `interval=100ms` or `none`")]
pub struct SyncModeError(String);

impl FromStr for SyncMode {
    type Err = SyncModeError;

    /// Reads `always`, `none` or `interval=` with a number and `ms` or `s`.
    fn from_str(text: &str) -> Result<Self, SyncModeError> {
        let error = || SyncModeError(text.to_owned());
        match text {
            "always" => return Ok(Self::Always),
            "none" => return Ok(Self::None),
            _ => {}
        }
        let interval = text.strip_prefix("interval=").ok_or_else(error)?;
        let (number, unit) = match interval.strip_suffix("ms") {
            Some(number) => (number, 1),
            None => (interval.strip_suffix('s').ok_or_else(error)?, 1000),
        };
        let millis: u64 = number.parse().map_err(|_| error())?;
        if millis == 0 {
            return Err(error());
        }
        Ok(Self::Interval(Duration::from_millis(millis.saturating_mul(unit))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sync_modes_are_read() {
        assert_eq!("always".parse(), Ok(SyncMode::Always));
        assert_eq!("none".parse(), Ok(SyncMode::None));
        assert_eq!("interval=100ms".parse(), Ok(SyncMode::Interval(Duration::from_millis(100))));
        assert_eq!("interval=2s".parse(), Ok(SyncMode::Interval(Duration::from_secs(2))));
        for bad in ["", "interval", "interval=", "interval=0ms", "interval=5", "sometimes"] {
            assert!(bad.parse::<SyncMode>().is_err(), "{bad}");
        }
    }
}
