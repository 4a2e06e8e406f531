//! What should go wrong, and how often. Plain data: it injects nothing itself.

use std::{fmt, str::FromStr, time::Duration};

use bis_core::{codes, format_duration, parse_duration};

/// Seeded faults: which, and how often. Rates are shares between 0 and 1; what is outside is taken for the nearer end.
///
/// As text, in the order of [`Display`](fmt::Display): a seed, and what differs from the defaults:
/// `42,duplicates=0.5,delays=0,longest-delay=2s,requests`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chaos {
    pub(super) seed: u64,
    pub(super) duplicates: f64,
    pub(super) delays: f64,
    pub(super) longest_delay: Duration,
    pub(super) reordering: f64,
    pub(super) publish_errors: f64,
    pub(super) restarts: f64,
    pub(super) requests: bool,
}

/// A text that describes no faults.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{part}` in `{text}` is {problem}; write a seed and what differs from the defaults, as in `42,duplicates=0.5,delays=0,reordering=0.1,publish-errors=0.2,restarts=0,longest-delay=2s,requests` [{}]",
    codes::CHAOS
)]
pub struct InvalidChaos {
    text: String,
    part: String,
    problem: &'static str,
}

impl Chaos {
    /// The default rates, with this seed.
    pub const fn seeded(seed: u64) -> Self {
        Self {
            seed,
            duplicates: 0.2,
            delays: 0.2,
            longest_delay: Duration::from_secs(1),
            reordering: 0.3,
            publish_errors: 0.1,
            restarts: 0.02,
            requests: false,
        }
    }

    /// No faults at all but those that are set afterwards.
    pub const fn only(seed: u64) -> Self {
        Self {
            duplicates: 0.0,
            delays: 0.0,
            reordering: 0.0,
            publish_errors: 0.0,
            restarts: 0.0,
            ..Self::seeded(seed)
        }
    }

    /// The share of acks that are lost, so that the event comes again. 0.2 unless set.
    pub const fn duplicates(self, rate: f64) -> Self {
        Self { duplicates: share(rate), ..self }
    }

    /// The share of deliveries that are late, and of events on unordered topics that enter late. 0.2 unless set.
    pub const fn delays(self, rate: f64) -> Self {
        Self { delays: share(rate), ..self }
    }

    /// How late at most, and for how long at most the broker is gone when it restarts. 1 s unless set. A delivery is
    /// never held for more than half its lease.
    pub const fn longest_delay(self, longest: Duration) -> Self {
        Self { longest_delay: longest, ..self }
    }

    /// The share of arrivals of several deliveries that are handed out in another order. 0.3 unless set.
    pub const fn reordering(self, rate: f64) -> Self {
        Self { reordering: share(rate), ..self }
    }

    /// The share of published events that fail: with `Unreachable`, not taken; or with `Unanswered`, taken or not. 0.1
    /// unless set.
    pub const fn publish_errors(self, rate: f64) -> Self {
        Self { publish_errors: share(rate), ..self }
    }

    /// The share of acks at which the broker restarts instead. 0.02 unless set.
    pub const fn restarts(self, rate: f64) -> Self {
        Self { restarts: share(rate), ..self }
    }

    /// Fails publishes of endpoints, of tasks, and of the test itself too, which must then expect it.
    pub const fn requests_too(self) -> Self {
        Self { requests: true, ..self }
    }

    /// The seed.
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// The same faults with another seed.
    pub(crate) const fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }
}

const fn share(rate: f64) -> f64 {
    // NaN is not a valid share.
    if rate.is_nan() { 0.0 } else { rate.clamp(0.0, 1.0) }
}

impl fmt::Display for Chaos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usual = Self::seeded(self.seed);
        write!(f, "{}", self.seed)?;
        let rates = [
            ("duplicates", self.duplicates, usual.duplicates),
            ("delays", self.delays, usual.delays),
            ("reordering", self.reordering, usual.reordering),
            ("publish-errors", self.publish_errors, usual.publish_errors),
            ("restarts", self.restarts, usual.restarts),
        ];
        for (name, rate, usual) in rates {
            if rate.to_bits() != usual.to_bits() {
                write!(f, ",{name}={rate}")?;
            }
        }
        if self.longest_delay != usual.longest_delay {
            write!(f, ",longest-delay={}", format_duration(self.longest_delay))?;
        }
        if self.requests {
            f.write_str(",requests")?;
        }
        Ok(())
    }
}

impl FromStr for Chaos {
    type Err = InvalidChaos;

    fn from_str(text: &str) -> Result<Self, InvalidChaos> {
        let invalid =
            |part: &str, problem| InvalidChaos { text: text.to_owned(), part: part.to_owned(), problem };
        let mut parts = text.split(',').map(str::trim);
        let seed = parts.next().unwrap_or_default();
        let mut chaos = Self::seeded(seed.parse().map_err(|_| invalid(seed, "not a whole number"))?);
        for part in parts {
            if part == "requests" {
                chaos.requests = true;
                continue;
            }
            let (name, value) = part.split_once('=').ok_or_else(|| invalid(part, "not a setting"))?;
            if name == "longest-delay" {
                chaos.longest_delay = parse_duration(value).map_err(|_| invalid(part, "not a duration"))?;
                continue;
            }
            let rate = match name {
                "duplicates" => &mut chaos.duplicates,
                "delays" => &mut chaos.delays,
                "reordering" => &mut chaos.reordering,
                "publish-errors" => &mut chaos.publish_errors,
                "restarts" => &mut chaos.restarts,
                _ => return Err(invalid(part, "not a setting")),
            };
            let number: f64 = value.parse().map_err(|_| invalid(part, "not a share between 0 and 1"))?;
            if !(0.0..=1.0).contains(&number) {
                return Err(invalid(part, "not a share between 0 and 1"));
            }
            *rate = number;
        }
        Ok(chaos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let all = Chaos::seeded(7)
            .duplicates(1.0)
            .delays(0.0)
            .reordering(0.25)
            .publish_errors(0.5)
            .restarts(0.125)
            .longest_delay(Duration::from_secs(90))
            .requests_too();
        let text = "7,duplicates=1,delays=0,reordering=0.25,publish-errors=0.5,restarts=0.125,longest-delay=1m30s,requests";
        assert_eq!(all.to_string(), text);
        for chaos in [all, Chaos::seeded(0), Chaos::only(u64::MAX)] {
            assert_eq!(chaos.to_string().parse(), Ok(chaos));
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, part) in [
            ("", "``"),
            ("x", "`x`"),
            ("-1", "`-1`"),
            ("1,duplicate=1", "`duplicate=1`"),
            ("1,delays=2", "`delays=2`"),
            ("1,delays", "`delays`"),
            ("1,longest-delay=5", "`longest-delay=5`"),
        ] {
            let error = text.parse::<Chaos>().unwrap_err().to_string();
            assert!(error.starts_with(part), "{error}");
        }
    }

    #[test]
    fn rates_are_shares() {
        let chaos = Chaos::only(1).duplicates(7.0).delays(-1.0).restarts(f64::NAN);
        assert_eq!((chaos.duplicates, chaos.delays, chaos.restarts), (1.0, 0.0, 0.0));
    }
}
