//! The same random commands to nsqd and to the router, in lock step, their answers and their statistics compared after
//! each.
//!
//! `BIS_SEED=7 cargo test -p bis-router --test differential` plays one seed again; `BIS_LONG=1` plays new seeds for
//! some minutes. What may differ, and why, is in `differences.rs`.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod compare;
mod differences;
mod game;
mod random;
mod shrink;
mod side;
mod step;

#[path = "../support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use game::{Game, Mismatch};
use step::Step;
use support::peer::has_nsqd;

/// How many seeds an ordinary run plays.
const SEEDS: u64 = 150;
/// How long a long run plays.
const LONG: Duration = Duration::from_secs(300);
/// A mismatch counts when one of this many repetitions shows it again: both servers have races of their own.
const REPETITIONS: usize = 3;

#[test]
fn nsqd_and_the_router_answer_alike() {
    if !has_nsqd("nsqd_and_the_router_answer_alike") {
        return;
    }
    let mut game = Game::start();
    if let Ok(seed) = std::env::var("BIS_SEED") {
        play(&mut game, seed.parse().expect("`BIS_SEED` is a number"));
        return;
    }
    if std::env::var_os("BIS_LONG").is_some() {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let (first, started) = (now.as_secs(), Instant::now());
        for seed in (first..).take_while(|_| started.elapsed() < LONG) {
            play(&mut game, seed);
        }
        return;
    }
    for seed in 0..SEEDS {
        play(&mut game, seed);
    }
}

fn play(game: &mut Game, seed: u64) {
    println!("seed {seed}");
    let steps = step::generate(seed);
    let Err(mismatch) = game.play(&steps) else { return };
    if !(0..REPETITIONS).any(|_| game.play(&steps).is_err()) {
        println!("seed {seed}: did not repeat: {mismatch}");
        return;
    }
    let (steps, mismatch) = shrink::shrink(steps, mismatch, |steps| game.play(steps).err());
    panic!("{}", story(seed, &steps, &mismatch));
}

fn story(seed: u64, steps: &[Step], mismatch: &Mismatch) -> String {
    let lines: Vec<_> = steps.iter().map(|step| format!("    {step}\n")).collect();
    format!("seed {seed}: nsqd and the router differ; the steps:\n{}{mismatch}", lines.concat())
}
