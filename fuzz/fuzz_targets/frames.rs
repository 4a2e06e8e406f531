//! Decodes the input as commands and as frames, whole and cut: the same must come out, and nothing may panic.

#![no_main]

#[path = "../../crates/bis-nsq/tests/support/splits.rs"]
mod splits;

use libfuzzer_sys::fuzz_target;

/// The first bytes of the input say where to cut.
const CUTS: usize = 4;

fuzz_target!(|input: &[u8]| {
    if let Some((cuts, bytes)) = input.split_at_checked(CUTS) {
        splits::check(bytes, cuts);
    }
});
