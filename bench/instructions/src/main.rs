//! Counts what an event costs in instructions and allocations, which a busy machine does not change, and compares the
//! counts with `baseline.txt`.
//!
//! `cargo run --profile counts -p instructions`, a step of `.ci/run`, fails when a count is above the baseline by more than other
//! code, or the machine's load, may move it: by 3%, and by 200 instructions, half an allocation or 100 bytes. `-- --write` writes
//! the baseline. A change that costs more on purpose changes the baseline in the same commit.
//!
//! The profile is a release build that is optimized by half, for the sake of CI's time: it has about a quarter more instructions
//! than a release build, and as many allocations.
//!
//! Each scenario runs twice in a process of its own under callgrind, which must be installed (`valgrind`), with a small
//! and a large number of events; the difference is what an event costs, without the start. Gungraun, which wraps callgrind
//! too, was left aside: its baselines are callgrind's own output files, which cannot be reviewed, it needs a second program
//! of the same version, and several threads take work of their own.

mod baseline;
mod scenarios;
mod valgrind;

use std::{alloc::System, path::Path, process::ExitCode};

use anyhow::{Context, Result};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use baseline::Baseline;
use scenarios::Scenario;
use valgrind::Totals;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The argument with which the program starts itself: a scenario and a number of events follow.
const RUN: &str = "run-scenario";

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        [RUN, name, count] => {
            let scenario = Scenario::named(name).with_context(|| format!("`{name}` is not a scenario"))?;
            scenario.run(count.parse().context("read the number of events")?)?;
            print_totals();
            Ok(ExitCode::SUCCESS)
        }
        [] => compare(),
        ["--write"] => write(),
        _ => anyhow::bail!(
            "unknown arguments; without any the counts are compared, with `--write` the baseline is written"
        ),
    }
}

/// Says what this process has allocated so far: the last line that a scenario writes.
fn print_totals() {
    let stats = ALLOCATOR.stats();
    println!(
        "{} {}",
        stats.allocations + stats.reallocations,
        stats.bytes_allocated as isize + stats.bytes_reallocated.max(0)
    );
}

fn compare() -> Result<ExitCode> {
    let file = baseline_file();
    let baseline = Baseline::read(&file)?;
    let measured = measure()?;
    let findings = baseline.findings(&measured);
    print!("{}", baseline.table(&measured));
    for finding in &findings {
        println!("{finding}");
    }
    if findings.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "if that is meant, write the baseline in the same commit: `cargo run --profile counts -p instructions -- --write`"
    );
    Ok(ExitCode::FAILURE)
}

fn write() -> Result<ExitCode> {
    let measured = measure()?;
    let file = baseline_file();
    print!("{}", Baseline::read(&file).unwrap_or_default().table(&measured));
    measured.write(&file)?;
    println!("wrote {}", file.display());
    Ok(ExitCode::SUCCESS)
}

/// Runs every scenario.
fn measure() -> Result<Baseline> {
    let mut measured = Baseline::default();
    for scenario in Scenario::ALL {
        let [small, large] = scenario.counts();
        let of = |count| Totals::of(scenario.name(), count).with_context(|| scenario.name());
        measured.insert(
            scenario.name(),
            of(large)?.less(of(small)?, scenario.units(large) - scenario.units(small)),
        );
    }
    Ok(measured)
}

fn baseline_file() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("baseline.txt")
}
