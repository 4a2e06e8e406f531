//! Runs a scenario of this program under callgrind and reads what it counted.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::{RUN, baseline::Counts};

/// How long a run may take, in seconds.
const LONGEST_RUN: &str = "120";

/// What the C library must not use: else `memcpy` and others take other instructions on another processor. Libraries have two
/// names for some of it, and ignore those that they do not know.
const PLAIN_PROCESSOR: &str = "glibc.cpu.hwcaps=-AVX2,-AVX2_Usable,-AVX512VL,-ERMS,-FSRM";

/// What a whole run took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Totals {
    instructions: f64,
    allocations: f64,
    bytes: f64,
}

impl Totals {
    /// Runs the scenario with so many events.
    ///
    /// # Errors
    /// When valgrind is not there or the scenario fails.
    pub fn of(scenario: &str, count: usize) -> Result<Self> {
        let program = std::env::current_exe().context("find this program")?;
        // A run that hangs must end by itself.
        let mut command = Command::new("timeout");
        command
            .args([LONGEST_RUN, "valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(program);
        command.args([RUN, scenario, &count.to_string()]);
        // One thread for handlers, as a run with several is not repeatable, and no log.
        command.env("TOKIO_WORKER_THREADS", "1").env("BIS_LOG", "off");
        command.env("GLIBC_TUNABLES", PLAIN_PROCESSOR).stdin(Stdio::null());
        let output = command.output().context("run `timeout`")?;
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if !output.status.success() {
            bail!("the run failed, {}; is `valgrind` installed?\n{out}{err}", output.status);
        }
        Self::read(&out, &err).with_context(|| format!("read the counts in:\n{out}{err}"))
    }

    /// Reads callgrind's line `==1== Collected : 123` and the scenario's last line.
    fn read(out: &str, err: &str) -> Option<Self> {
        let collected = err.lines().find_map(|line| line.split_once("Collected : "))?.1;
        let (allocations, bytes) = out.lines().next_back()?.split_once(' ')?;
        Some(Self {
            instructions: collected.trim().parse().ok()?,
            allocations: allocations.parse().ok()?,
            bytes: bytes.parse().ok()?,
        })
    }

    /// What each of so many units took that this run had beyond `other`.
    pub fn less(self, other: Self, units: f64) -> Counts {
        Counts {
            instructions: (self.instructions - other.instructions) / units,
            allocations: (self.allocations - other.allocations) / units,
            bytes: (self.bytes - other.bytes) / units,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_are_found_in_what_the_programs_write() {
        let err = "==7== Events    : Ir\n==7== Collected : 2000\n==7== \n";
        let large = Totals::read("a line\n40 800\n", err).unwrap();
        let small = Totals { instructions: 1000.0, allocations: 20.0, bytes: 400.0 };
        assert_eq!(large.less(small, 10.0), Counts { instructions: 100.0, allocations: 2.0, bytes: 40.0 });
        assert_eq!(Totals::read("40 800\n", "==7== killed\n"), None);
    }
}
