//! A set of sequences at about a bit each: what is finished above the floor, what waits in a far list.
//!
//! Sequences are in chunks of 4096. A chunk that is full costs one entry (some 40 bytes), one that is partly full 512 bytes
//! more, an empty one nothing: ten million scattered sequences of twenty million are 2.5 MB. It knows nothing of
//! messages.

use std::collections::BTreeMap;

use crate::varint;

/// Sequences per chunk.
const CHUNK: u64 = 4096;
const WORDS: usize = (CHUNK / 64) as usize;
/// The most full chunks in a row that bytes may claim: 6.9e10 sequences. More is not a set that was ever written.
const MAX_FULL_RUN: u64 = 1 << 24;

const RUNS: u8 = 0;
const BITS: u8 = 1;
const FULL: u8 = 2;

/// A set of sequences.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SequenceSet {
    chunks: BTreeMap<u64, Chunk>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Chunk {
    Full,
    Part(Box<Part>),
}

/// Some of a chunk, and not all. The count is that of the bits.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    count: u32,
    words: [u64; WORDS],
}

/// What the bytes do not hold: a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are not a set of sequences; read an older checkpoint, or the journal alone")]
pub struct SequenceSetError;

impl SequenceSet {
    /// Whether nothing is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Whether a sequence is in the set.
    #[must_use]
    pub fn contains(&self, sequence: u64) -> bool {
        match self.chunks.get(&(sequence / CHUNK)) {
            None => false,
            Some(Chunk::Full) => true,
            Some(Chunk::Part(part)) => part.has(sequence),
        }
    }

    /// Adds a sequence; false when it was in the set already.
    pub fn insert(&mut self, sequence: u64) -> bool {
        let chunk = self.chunks.entry(sequence / CHUNK).or_insert_with(Chunk::empty);
        let Chunk::Part(part) = chunk else { return false };
        let (word, bit) = place(sequence);
        if part.words[word] & bit != 0 {
            return false;
        }
        part.words[word] |= bit;
        part.count += 1;
        if u64::from(part.count) == CHUNK {
            *chunk = Chunk::Full;
        }
        true
    }

    /// Adds every sequence of `start..end`.
    pub fn insert_range(&mut self, start: u64, end: u64) {
        let mut at = start;
        while at < end {
            if at.is_multiple_of(CHUNK) && end - at >= CHUNK {
                self.chunks.insert(at / CHUNK, Chunk::Full);
                at += CHUNK;
            } else {
                self.insert(at);
                at += 1;
            }
        }
    }

    /// Takes a sequence out; false when it was not in the set.
    pub fn remove(&mut self, sequence: u64) -> bool {
        if !self.contains(sequence) {
            return false;
        }
        let index = sequence / CHUNK;
        let chunk = self.chunks.get_mut(&index).expect("the chunk was just seen");
        let part = chunk.part();
        let (word, bit) = place(sequence);
        part.words[word] &= !bit;
        part.count -= 1;
        if part.count == 0 {
            self.chunks.remove(&index);
        }
        true
    }

    /// Where the run of sequences that `sequence` is in ends, if it is in the set.
    #[must_use]
    pub fn end_of(&self, sequence: u64) -> Option<u64> {
        self.contains(sequence).then(|| {
            let mut at = sequence;
            loop {
                match self.chunks.get(&(at / CHUNK)) {
                    None => return at,
                    Some(Chunk::Full) => at = (at / CHUNK + 1) * CHUNK,
                    Some(Chunk::Part(part)) => match part.first_missing(at) {
                        Some(missing) => return missing,
                        None => at = (at / CHUNK + 1) * CHUNK,
                    },
                }
            }
        })
    }

    /// How many sequences of the set are not below `from`.
    #[must_use]
    pub fn count_from(&self, from: u64) -> u64 {
        let chunks = self.chunks.range(from / CHUNK..);
        chunks
            .map(|(index, chunk)| if index * CHUNK >= from { chunk.count() } else { chunk.count_from(from) })
            .sum()
    }

    /// Takes every sequence of `start..end` out.
    pub fn remove_range(&mut self, start: u64, end: u64) {
        let mut at = start;
        while let Some(next) = self.first_from(at).filter(|next| *next < end) {
            if next.is_multiple_of(CHUNK) && end - next >= CHUNK {
                self.chunks.remove(&(next / CHUNK));
                at = next + CHUNK;
            } else {
                self.remove(next);
                at = next + 1;
            }
        }
    }

    /// Takes everything below `floor` out.
    pub fn remove_below(&mut self, floor: u64) {
        self.remove_range(0, floor);
    }

    /// Takes `from` and everything above it out.
    pub fn remove_from(&mut self, from: u64) {
        self.remove_range(from, u64::MAX);
    }

    /// Forgets whole chunks below `floor`; the one that holds the floor keeps what is below. Cheaper than
    /// [`SequenceSet::remove_below`], for an owner that never asks about what is below.
    pub(super) fn forget_chunks_below(&mut self, floor: u64) {
        while let Some(first) = self.chunks.first_entry() {
            if *first.key() >= floor / CHUNK {
                break;
            }
            first.remove();
        }
    }

    /// The runs of the set in order, as `(start, end)` with the end left out.
    pub fn runs(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let mut at = 0;
        std::iter::from_fn(move || {
            let start = self.first_from(at)?;
            let end = self.end_of(start)?;
            at = end;
            Some((start, end))
        })
    }

    /// The first sequence of the set that is not below `from`.
    #[must_use]
    pub fn first_from(&self, from: u64) -> Option<u64> {
        self.chunks.range(from / CHUNK..).find_map(|(index, chunk)| {
            let start = from.max(index * CHUNK);
            match chunk {
                Chunk::Full => Some(start),
                Chunk::Part(part) => part.first_present(start),
            }
        })
    }

    /// The set as bytes: about a bit per sequence where they are scattered, a few bytes per run where they are not.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut next = 0;
        let mut chunks = self.chunks.iter().peekable();
        while let Some((&index, chunk)) = chunks.next() {
            varint::put(&mut bytes, index - next);
            next = index + 1;
            let Chunk::Part(part) = chunk else {
                while chunks.next_if(|(at, chunk)| **at == next && matches!(chunk, Chunk::Full)).is_some() {
                    next += 1;
                }
                bytes.push(FULL);
                varint::put(&mut bytes, next - index);
                continue;
            };
            let runs = part.runs();
            if runs.len() < size_of_val(&part.words) {
                bytes.push(RUNS);
                varint::put(&mut bytes, runs.len() as u64);
                bytes.extend_from_slice(&runs);
            } else {
                bytes.push(BITS);
                part.words.iter().for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
            }
        }
        bytes
    }

    /// Reads what [`SequenceSet::to_bytes`] wrote.
    ///
    /// # Errors
    /// When the bytes are anything else.
    pub fn from_bytes(mut bytes: &[u8]) -> Result<Self, SequenceSetError> {
        let mut set = Self::default();
        let mut next = 0_u64;
        while !bytes.is_empty() {
            set.take_chunks(&mut bytes, &mut next).ok_or(SequenceSetError)?;
        }
        Ok(set)
    }

    fn take_chunks(&mut self, bytes: &mut &[u8], next: &mut u64) -> Option<()> {
        let index = next.checked_add(varint::take(bytes)?)?;
        *next = index.checked_add(1).filter(|next| *next <= u64::MAX / CHUNK)?;
        let (kind, rest) = bytes.split_first()?;
        *bytes = rest;
        match *kind {
            FULL => {
                let count = varint::take(bytes).filter(|count| (1..=MAX_FULL_RUN).contains(count))?;
                *next = index.checked_add(count).filter(|next| *next <= u64::MAX / CHUNK)?;
                self.chunks.extend((index..*next).map(|index| (index, Chunk::Full)));
            }
            RUNS => {
                let length = usize::try_from(varint::take(bytes)?).ok()?;
                let (mut runs, rest) = bytes.split_at_checked(length)?;
                *bytes = rest;
                let mut at = 0_u64;
                while !runs.is_empty() {
                    let start = at.checked_add(varint::take(&mut runs)?)?;
                    let end = start.checked_add(varint::take(&mut runs)?).filter(|end| *end <= CHUNK)?;
                    (start..end).for_each(|place| {
                        self.insert(index * CHUNK + place);
                    });
                    at = end;
                }
            }
            BITS => {
                for word in 0..WORDS as u64 {
                    let (bits, rest) = bytes.split_first_chunk::<8>()?;
                    *bytes = rest;
                    let bits = u64::from_le_bytes(*bits);
                    let start = index * CHUNK + word * 64;
                    (0..64).filter(|bit| bits >> bit & 1 == 1).for_each(|bit| {
                        self.insert(start + bit);
                    });
                }
            }
            _ => return None,
        }
        Some(())
    }
}

impl Chunk {
    fn empty() -> Self {
        Self::Part(Box::new(Part { count: 0, words: [0; WORDS] }))
    }

    /// The bits, to take some out.
    fn part(&mut self) -> &mut Part {
        if matches!(self, Self::Full) {
            *self = Self::Part(Box::new(Part { count: CHUNK as u32, words: [u64::MAX; WORDS] }));
        }
        match self {
            Self::Part(part) => part,
            Self::Full => unreachable!("it was just made a part"),
        }
    }

    fn count(&self) -> u64 {
        match self {
            Self::Full => CHUNK,
            Self::Part(part) => u64::from(part.count),
        }
    }

    /// How many are not below a sequence of this chunk.
    fn count_from(&self, from: u64) -> u64 {
        match self {
            Self::Full => CHUNK - from % CHUNK,
            Self::Part(part) => {
                let (word, bit) = place(from);
                let later = part.words[word + 1..].iter().map(|word| u64::from(word.count_ones()));
                u64::from((part.words[word] & !(bit - 1)).count_ones()) + later.sum::<u64>()
            }
        }
    }
}

impl Part {
    fn has(&self, sequence: u64) -> bool {
        let (word, bit) = place(sequence);
        self.words[word] & bit != 0
    }

    /// The first sequence of this chunk from `from` on that is not in it.
    fn first_missing(&self, from: u64) -> Option<u64> {
        self.first(from, |word| !word)
    }

    /// The first sequence of this chunk from `from` on that is in it.
    fn first_present(&self, from: u64) -> Option<u64> {
        self.first(from, |word| word)
    }

    fn first(&self, from: u64, see: impl Fn(u64) -> u64) -> Option<u64> {
        let (word, bit) = place(from);
        let start = from / CHUNK * CHUNK;
        let mut seen = see(self.words[word]) & !(bit - 1);
        for at in word..WORDS {
            if at > word {
                seen = see(self.words[at]);
            }
            if seen != 0 {
                return Some(start + at as u64 * 64 + u64::from(seen.trailing_zeros()));
            }
        }
        None
    }

    /// Its runs: gap and length, over and over.
    fn runs(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut last = 0;
        while last < CHUNK
            && let Some(start) = self.first_present(last)
        {
            let end = self.first_missing(start).unwrap_or(CHUNK);
            varint::put(&mut bytes, start - last);
            varint::put(&mut bytes, end - start);
            last = end;
        }
        bytes
    }
}

/// Which word of its chunk a sequence is in, and which bit of it.
fn place(sequence: u64) -> (usize, u64) {
    let within = sequence % CHUNK;
    ((within / 64) as usize, 1 << (within % 64))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn next(state: &mut u64) -> u64 {
        *state ^= *state >> 12;
        *state ^= *state << 25;
        *state ^= *state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33
    }

    fn compare(set: &SequenceSet, model: &BTreeSet<u64>, at: u64, seed: u64) {
        assert_eq!(set.contains(at), model.contains(&at), "contains {at}, seed {seed}");
        assert_eq!(set.count_from(at), model.range(at..).count() as u64, "count from {at}, seed {seed}");
        assert_eq!(set.first_from(at), model.range(at..).next().copied(), "first from {at}, seed {seed}");
        let end = model.contains(&at).then(|| (at..).find(|next| !model.contains(next)).unwrap());
        assert_eq!(set.end_of(at), end, "end of {at}, seed {seed}");
        assert_eq!(set.is_empty(), model.is_empty(), "seed {seed}");
    }

    fn check(seed: u64) {
        const SPAN: u64 = 5 * CHUNK;
        let (mut set, mut model) = (SequenceSet::default(), BTreeSet::new());
        let mut random = seed;
        for _ in 0..300 {
            let at = next(&mut random) % SPAN;
            match next(&mut random) % 16 {
                0 => {
                    let end = at + next(&mut random) % (2 * CHUNK);
                    set.insert_range(at, end);
                    model.extend(at..end);
                }
                1 => {
                    let floor = at / 4;
                    set.remove_below(floor);
                    model = model.split_off(&floor);
                }
                2 => {
                    let from = SPAN / 2 + at / 2;
                    set.remove_from(from);
                    model.split_off(&from);
                }
                3 => {
                    let end = at + next(&mut random) % (2 * CHUNK);
                    set.remove_range(at, end);
                    model.retain(|sequence| !(at..end).contains(sequence));
                }
                4..7 => assert_eq!(set.remove(at), model.remove(&at), "remove {at}, seed {seed}"),
                _ => assert_eq!(set.insert(at), model.insert(at), "insert {at}, seed {seed}"),
            }
            compare(&set, &model, next(&mut random) % SPAN, seed);
            compare(&set, &model, at, seed);
        }
        let runs: Vec<u64> = set.runs().flat_map(|(start, end)| start..end).collect();
        assert_eq!(runs, model.into_iter().collect::<Vec<_>>(), "seed {seed}");
        assert_eq!(SequenceSet::from_bytes(&set.to_bytes()), Ok(set), "seed {seed}");
    }

    #[test]
    fn random_sets_agree_with_the_model() {
        for seed in 1..12 {
            check(seed);
        }
    }

    #[test]
    fn ten_million_scattered_sequences_cost_about_a_bit_each() {
        let mut set = SequenceSet::default();
        (0..2_000_000).step_by(2).for_each(|sequence| assert!(set.insert(sequence)));
        let bytes = set.to_bytes();
        assert!(bytes.len() < 2_000_000 / 8 + 4096, "{} bytes", bytes.len());
        assert_eq!(SequenceSet::from_bytes(&bytes), Ok(set));
        let mut whole = SequenceSet::default();
        whole.insert_range(1, 1_000_000_000);
        assert!(whole.to_bytes().len() < 32, "{} bytes", whole.to_bytes().len());
    }

    #[test]
    fn bytes_that_are_no_set_are_refused() {
        let mut set = SequenceSet::default();
        set.insert_range(10, 20_000);
        (30_000..40_000).step_by(3).for_each(|sequence| {
            set.insert(sequence);
        });
        let bytes = set.to_bytes();
        let whole = (0..bytes.len()).filter(|&cut| SequenceSet::from_bytes(&bytes[..cut]) == Ok(set.clone()));
        assert_eq!(whole.count(), 0);
        for bad in [
            &[0, 9][..],
            &[0, FULL, 0],
            &[0, RUNS, 2, 1, 255],
            &[255; 12],
            &[0, FULL, 255, 255, 255, 255, 127],
        ] {
            assert_eq!(SequenceSet::from_bytes(bad), Err(SequenceSetError), "{bad:?}");
        }
    }
}
