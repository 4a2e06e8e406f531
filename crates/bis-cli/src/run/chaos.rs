//! `bis run --chaos`: the faults that the app is asked to inject, and the restarts of the router, which are real.
//! The times of the restarts follow from the seed; which events they hit does not.

use std::time::Duration;

use anyhow::Result;

use crate::exit;
use crate::failure::Failure;

/// How long the router runs between two restarts.
const RUNS: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(20));
/// How long the router is down.
const GONE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_millis(1500));

/// The option on the command line.
#[derive(Debug, Clone)]
pub(crate) struct Chaos {
    /// The seed with its settings, as the user gave them.
    pub(crate) text: String,
    seed: u64,
    restarts: bool,
}

impl Chaos {
    /// Parses `SEED[,SETTING..]`. The app checks the settings, except for the one for restarts.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut parts = text.split(',').map(str::trim);
        let seed = parts.next().unwrap_or_default();
        let seed = seed.parse().map_err(|_| {
            Failure::new(exit::USAGE, format!("`{text}` does not begin with a seed, a whole number"))
                .help("write it like `--chaos 42`, or `--chaos 42,duplicates=0.5,restarts=0` to set rates")
        })?;
        let restarts = parts
            .filter_map(|part| part.strip_prefix("restarts="))
            .all(|rate| rate.parse::<f64>().is_ok_and(|rate| rate > 0.0));
        Ok(Self { text: text.to_owned(), seed, restarts })
    }

    /// The value of [`bis_core::handover::CHAOS`]: without restarts, since here the router itself restarts.
    pub(crate) fn value(&self) -> String {
        format!("{},restarts=0", self.text)
    }

    /// When the router restarts; `None` when it never does.
    pub(crate) fn restarts(&self) -> Option<Restarts> {
        self.restarts.then_some(Restarts { state: self.seed })
    }

    /// Its description next to the addresses.
    pub(crate) fn summary(&self) -> String {
        let restarts = if self.restarts { "; the router restarts from time to time" } else { "" };
        format!("seed {}: events come twice, late and out of turn, publishes fail{restarts}", self.text)
    }
}

/// Times that are derived from a seed.
#[derive(Debug, Clone)]
pub(crate) struct Restarts {
    state: u64,
}

impl Restarts {
    /// How long the router runs before its next restart.
    pub(crate) fn runs_for(&mut self) -> Duration {
        self.between(RUNS)
    }

    /// How long the router is down.
    pub(crate) fn gone_for(&mut self) -> Duration {
        self.between(GONE)
    }

    fn between(&mut self, (least, most): (Duration, Duration)) -> Duration {
        // Made of 53 random bits, the precision of an `f64`.
        let share = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        least + (most - least).mul_f64(share)
    }

    /// SplitMix64 (<https://prng.di.unimi.it/splitmix64.c>).
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_with_settings_is_read() {
        let chaos = Chaos::parse("42").unwrap();
        assert_eq!(chaos.value(), "42,restarts=0");
        let times = |chaos: &Chaos| {
            let mut restarts = chaos.restarts().unwrap();
            [restarts.runs_for(), restarts.gone_for(), restarts.runs_for()]
        };
        let [runs, gone, again] = times(&chaos);
        assert!((RUNS.0..RUNS.1).contains(&runs) && (GONE.0..GONE.1).contains(&gone) && again != runs);
        assert_eq!(times(&chaos), times(&Chaos::parse("42,delays=0").unwrap()));
        assert!(Chaos::parse("42,restarts=0").unwrap().restarts().is_none());
        assert!(Chaos::parse("forty-two").is_err());
    }
}
