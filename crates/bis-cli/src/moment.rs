//! A time in the past, as written on the command line.

use std::str::FromStr;
use std::time::SystemTime;

use bis_core::{envelope::parse_time, parse_duration};

/// Parses how long ago it was, such as `1h30m`, or an RFC 3339 time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(SystemTime);

impl Moment {
    /// The point in time.
    pub(crate) fn time(self) -> SystemTime {
        self.0
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
        let since_1970 =
            |text: &str| text.parse::<Moment>().unwrap().time().duration_since(SystemTime::UNIX_EPOCH);
        assert_eq!(since_1970("1970-01-01T00:00:01.5Z").unwrap().as_millis(), 1500);
        for wrong in ["", "yesterday", "5", "2026-01-31"] {
            assert!(wrong.parse::<Moment>().is_err(), "{wrong}");
        }
    }
}
