//! Breaks a journal as the input says, and recovers it.

#![no_main]

#[path = "../../crates/bis-journal/tests/support/damage.rs"]
mod damage;

use std::sync::OnceLock;

use damage::{Break, Journal};
use libfuzzer_sys::fuzz_target;

/// More breaks than this leave little to find.
const MAX_BREAKS: usize = 8;
/// The bytes of input that say what one break is.
const BYTES: usize = 6;

static JOURNAL: OnceLock<Journal> = OnceLock::new();

fuzz_target!(|input: &[u8]| {
    let breaks: Vec<Break> = input.chunks_exact(BYTES).take(MAX_BREAKS).map(one).collect();
    JOURNAL.get_or_init(Journal::make).check(&breaks);
});

fn one(bytes: &[u8]) -> Break {
    let file = usize::from(bytes[1]);
    let at = usize::from(u16::from_le_bytes([bytes[2], bytes[3]]));
    match bytes[0] % 8 {
        0 => Break::Cut { file, length: at },
        2 => Break::Checkpoints,
        3 => Break::Remove { file },
        1 => Break::Zero { file, offset: at, bytes: usize::from(u16::from_le_bytes([bytes[4], bytes[5]])) },
        _ => Break::Flip { file, offset: at, bits: bytes[4] },
    }
}
