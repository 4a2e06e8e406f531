//! Broken files: whatever bytes flip, vanish or read as zeros, a start does not fail, makes nothing up, and finds every
//! message outside of the damage.
//!
//! The seed of a failure is printed; `BIS_SEED=<seed>` runs that one alone, `BIS_LONG=1` many more. `fuzz/` goes on for
//! as long as one likes.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "support/damage.rs"]
mod damage;

use damage::{Break, Journal};

const SEEDS: u64 = 400;
const SEEDS_LONG: u64 = 20_000;

/// xorshift64*: the same on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound as u64) as usize
    }
}

fn breaks(seed: u64, (files, longest): (usize, usize)) -> Vec<Break> {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let count = 1 + random.below(3);
    let one = |random: &mut Random| match random.below(9) {
        0 => Break::Cut { file: random.below(files), length: random.below(longest) },
        1 => {
            let bytes = 1 << random.below(12);
            Break::Zero { file: random.below(files), offset: random.below(longest), bytes }
        }
        2 => Break::Remove { file: random.below(files) },
        _ => {
            let bits = 1 << random.below(8);
            Break::Flip { file: random.below(files), offset: random.below(longest), bits }
        }
    };
    let mut breaks: Vec<_> = (0..count).map(|_| one(&mut random)).collect();
    if random.below(2) == 0 {
        breaks.push(Break::Checkpoints);
    }
    breaks
}

/// What lies just before a record is the batch's header, or the record before.
#[test]
fn one_byte_anywhere_costs_one_record() {
    let journal = Journal::make();
    for (file, record) in journal.records() {
        for offset in [record - 60, record - 40, record - 20, record, record + 9, record + 20, record + 66] {
            let flip = Break::Flip { file, offset, bits: 0x10 };
            journal.check(&[flip]);
            journal.check(&[flip, Break::Checkpoints]);
        }
    }
}

#[test]
fn damage_hides_nothing_but_what_it_hit() {
    let journal = Journal::make();
    journal.check(&[]);
    let alone = std::env::var("BIS_SEED").ok().map(|seed| seed.parse::<u64>().unwrap());
    let count = if std::env::var_os("BIS_LONG").is_some() { SEEDS_LONG } else { SEEDS };
    let seeds = alone.map_or(1..count, |seed| seed..seed + 1);
    for seed in seeds {
        let breaks = breaks(seed, journal.extent());
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| journal.check(&breaks)));
        assert!(checked.is_ok(), "seed {seed}: BIS_SEED={seed} shows it again");
    }
}

#[test]
fn without_any_copy_of_the_salt_nothing_is_made_up() {
    let journal = Journal::make();
    let (files, _) = journal.extent();
    let heads: Vec<Break> = (0..files).map(|file| Break::Zero { file, offset: 0, bytes: 64 }).collect();
    journal.check(&heads);
    // One is enough.
    for spared in 0..files {
        let breaks: Vec<Break> =
            heads.iter().enumerate().filter(|(file, _)| *file != spared).map(|(_, head)| *head).collect();
        journal.check(&breaks);
    }
}
