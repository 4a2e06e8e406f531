//! Fewer steps that still fail: what is left is what matters.

use std::time::{Duration, Instant};

use crate::game::Mismatch;
use crate::step::Step;

/// No longer than this; a long story is better than none.
const LIMIT: Duration = Duration::from_secs(60);

/// Leaves out steps, large pieces first, as long as `fails` says that what is left fails.
pub fn shrink(
    mut steps: Vec<Step>,
    mut mismatch: Mismatch,
    mut fails: impl FnMut(&[Step]) -> Option<Mismatch>,
) -> (Vec<Step>, Mismatch) {
    let started = Instant::now();
    steps.truncate(mismatch.step + 1);
    let mut piece = steps.len().div_ceil(2);
    while piece > 0 && started.elapsed() < LIMIT {
        let mut at = 0;
        let mut is_shorter = false;
        while at < steps.len() && started.elapsed() < LIMIT {
            let mut fewer = steps.clone();
            fewer.drain(at..(at + piece).min(steps.len()));
            match fails(&fewer) {
                Some(found) => {
                    fewer.truncate(found.step + 1);
                    (steps, mismatch, is_shorter) = (fewer, found, true);
                }
                None => at += piece,
            }
        }
        if !is_shorter {
            piece /= 2;
        }
    }
    (steps, mismatch)
}
