//! A moment in the past, as a command line names it.

use std::str::FromStr;
use std::time::{Duration, SystemTime};

use bis_core::{envelope::parse_time, parse_duration};

/// How long ago it was, such as `1h30m`, or an RFC 3339 time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(SystemTime);

impl Moment {
    /// The moment as a time.
    pub(crate) fn time(self) -> SystemTime {
        self.0
    }

    /// Nanoseconds since 1970.
    pub(crate) fn nanoseconds(self) -> u64 {
        let since_1970 = self.0.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX)
    }
}

impl FromStr for Moment {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let ago = parse_duration(text).ok().and_then(|ago| SystemTime::now().checked_sub(ago));
        let moment = ago.or_else(|| parse_time(text).ok());
        moment
            .map(Self)
            .ok_or("write how long ago, as in `30m` or `1h30m`, or a time, as in `2026-01-31T09:00:00Z`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_or_how_long_ago_it_was() {
        let ago = "1h30m".parse::<Moment>().unwrap().0.elapsed().unwrap();
        assert!((5400..5500).contains(&ago.as_secs()), "{ago:?}");
        assert_eq!("1970-01-01T00:00:01.5Z".parse::<Moment>().unwrap().nanoseconds(), 1_500_000_000);
        for wrong in ["", "yesterday", "5", "2026-01-31"] {
            assert!(wrong.parse::<Moment>().is_err(), "{wrong}");
        }
    }
}
