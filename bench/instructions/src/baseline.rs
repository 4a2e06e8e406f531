//! What was counted, as the text file that is committed, and what grew beyond it.

use std::{collections::BTreeMap, fmt::Write, fs, path::Path};

use anyhow::{Context, Result};

/// A count may grow by this part of the baseline's before it is reported: unrelated code moves counts a little, since it changes
/// which calls are inlined.
const TOLERANCE: f64 = 0.03;
/// So much more is never reported. A call that is inlined no longer costs some dozens of instructions, which is more than the
/// tolerance where an event costs few thousand: `settle` once grew by 3.3% without a change on its way. And `router` has two
/// threads: how often the one that writes has operations to write by itself depends on the machine's load.
const SLACK: Counts = Counts { instructions: 200.0, allocations: 0.5, bytes: 100.0 };

const HEAD: &str = "\
# What one event (or attempt, or 1,000 lines) costs: instructions, allocations, bytes allocated.
# Written by `cargo run --profile counts -p instructions -- --write`.
";

/// What one unit of a scenario costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Counts {
    pub instructions: f64,
    pub allocations: f64,
    pub bytes: f64,
}

impl Counts {
    fn named(self) -> [(&'static str, f64); 3] {
        [("instructions", self.instructions), ("allocations", self.allocations), ("bytes", self.bytes)]
    }

    /// The most that each count may be before it is reported, where these are the baseline's.
    fn bounds(self) -> [f64; 3] {
        let bound = |count: f64, slack: f64| (count * (1.0 + TOLERANCE)).max(count + slack);
        [
            bound(self.instructions, SLACK.instructions),
            bound(self.allocations, SLACK.allocations),
            bound(self.bytes, SLACK.bytes),
        ]
    }
}

/// The counts of every scenario by name.
#[derive(Debug, Default, PartialEq)]
pub struct Baseline(BTreeMap<String, Counts>);

impl Baseline {
    pub fn insert(&mut self, scenario: &str, counts: Counts) {
        self.0.insert(scenario.to_owned(), counts);
    }

    /// # Errors
    /// When the file cannot be read or is not one of ours.
    pub fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
        Self::parse(&text).with_context(|| format!("read {}", file.display()))
    }

    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, file: &Path) -> Result<()> {
        fs::write(file, self.text()).with_context(|| format!("write {}", file.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let mut baseline = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [name, instructions, allocations, bytes] = words[..] else {
                anyhow::bail!("`{line}` is not a name and three counts");
            };
            let [instructions, allocations, bytes] =
                [instructions.parse()?, allocations.parse()?, bytes.parse()?];
            baseline.insert(name, Counts { instructions, allocations, bytes });
        }
        Ok(baseline)
    }

    fn text(&self) -> String {
        let mut text = HEAD.to_owned();
        for (name, counts) in &self.0 {
            let Counts { instructions, allocations, bytes } = counts;
            let _ = writeln!(text, "{name:10} {instructions:12.0} {allocations:10.2} {bytes:12.0}");
        }
        text
    }

    /// The counts of `measured`, each with what it is of the baseline's.
    pub fn table(&self, measured: &Self) -> String {
        let mut text = format!("{:12} {:>22} {:>20} {:>22}\n", "", "instructions", "allocations", "bytes");
        for (name, counts) in &measured.0 {
            let before = self.0.get(name);
            let _ = write!(text, "{name:12}");
            for (at, (width, precision)) in [(14, 0), (12, 2), (14, 0)].into_iter().enumerate() {
                let now = counts.named()[at].1;
                let change = before.map(|before| before.named()[at].1).map_or(String::new(), |before| {
                    format!(
                        "{:+.1}%",
                        if (now - before).abs() < 0.01 { 0.0 } else { (now / before - 1.0) * 100.0 }
                    )
                });
                let _ = write!(text, " {now:width$.precision$} {change:>7}");
            }
            text.push('\n');
        }
        text
    }

    /// What grew too much, and what only one side has.
    pub fn findings(&self, measured: &Self) -> Vec<String> {
        let mut findings = Vec::new();
        for (name, counts) in &measured.0 {
            let Some(before) = self.0.get(name) else {
                findings.push(format!("`{name}` is not in the baseline"));
                continue;
            };
            let counts = counts.named().into_iter().zip(before.named()).zip(before.bounds());
            for (((what, now), (_, before)), bound) in counts {
                if rounded(now) > bound {
                    findings.push(format!("`{name}` takes {now:.2} {what}, the baseline has {before:.2}"));
                }
            }
        }
        let gone = self.0.keys().filter(|name| !measured.0.contains_key(*name));
        findings
            .extend(gone.map(|name| format!("`{name}` is in the baseline, and there is no such scenario")));
        findings
    }
}

/// As precise as the file is.
fn rounded(count: f64) -> f64 {
    (count * 100.0).floor() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn baseline(text: &str) -> Baseline {
        Baseline::parse(text).unwrap()
    }

    #[test]
    fn a_baseline_is_read_as_it_was_written() {
        let written = baseline("decode 1000 2.25 300\nsettle 50 0 0\n");
        assert_eq!(baseline(&written.text()), written);
        assert!(Baseline::parse("decode 1000").is_err());
    }

    #[test]
    fn only_what_grows_beyond_the_tolerance_is_reported() {
        let before = baseline("decode 10000 2.00 300\nsettle 50 0 0\n");
        let findings = before.findings(&baseline("decode 10300 2.50 200\nsettle 250 0.5 100\n"));
        assert_eq!(findings, Vec::<String>::new());
        assert_eq!(
            before.findings(&baseline("decode 10301 3.00 300\nsettle 251 1 101\n")),
            [
                "`decode` takes 10301.00 instructions, the baseline has 10000.00",
                "`decode` takes 3.00 allocations, the baseline has 2.00",
                "`settle` takes 251.00 instructions, the baseline has 50.00",
                "`settle` takes 1.00 allocations, the baseline has 0.00",
                "`settle` takes 101.00 bytes, the baseline has 0.00"
            ]
        );
        assert_eq!(
            before.findings(&baseline("decode 1 1 1\nother 1 1 1\n")),
            ["`other` is not in the baseline", "`settle` is in the baseline, and there is no such scenario"]
        );
    }
}
