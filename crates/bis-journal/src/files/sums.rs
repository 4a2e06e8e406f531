//! Checksums of any part of a long piece of bytes, each at about the same cost: a search for records stays fast whatever
//! lengths the bytes claim. A body made for that would keep a start busy for hours otherwise.
//!
//! It knows nothing of records.

use std::array;

use crc32c::{crc32c_append, crc32c_combine};

const BLOCK: usize = 4 * 1024;

/// What a checksum becomes over a number of zero bytes, bit by bit: the operation is linear.
type Shift = [u32; 32];

/// Bytes, and the checksums of all that comes before each block of them.
pub(crate) struct Sums<'a> {
    bytes: &'a [u8],
    before: Vec<u32>,
    /// Over 1, 2, 4 and so on blocks.
    shifts: Vec<Shift>,
}

impl<'a> Sums<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        let mut before = vec![0];
        for block in bytes.chunks_exact(BLOCK) {
            before.push(crc32c_append(before[before.len() - 1], block));
        }
        let powers = (0..).take_while(|power| 1 << power < before.len());
        let shifts = powers.map(|power| array::from_fn(|bit| crc32c_combine(1 << bit, 0, BLOCK << power)));
        let shifts = shifts.collect();
        Self { bytes, before, shifts }
    }

    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// A checksum continued over the bytes from one place to another, which are there.
    pub(crate) fn append(&self, checksum: u32, from: usize, to: usize) -> u32 {
        let (first, last) = (from.div_ceil(BLOCK), to / BLOCK);
        if first >= last {
            return crc32c_append(checksum, &self.bytes[from..to]);
        }
        let checksum = crc32c_append(checksum, &self.bytes[from..first * BLOCK]);
        let checksum = self.shift(checksum ^ self.before[first], last - first) ^ self.before[last];
        crc32c_append(checksum, &self.bytes[last * BLOCK..to])
    }

    fn shift(&self, checksum: u32, blocks: usize) -> u32 {
        let used = self.shifts.iter().enumerate().filter(|(power, _)| blocks >> power & 1 == 1);
        used.fold(checksum, |checksum, (_, shift)| {
            let bits = shift.iter().enumerate().filter(|(bit, _)| checksum >> bit & 1 == 1);
            bits.fold(0, |sum, (_, over)| sum ^ over)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_has_the_checksum_that_it_has_alone() {
        let bytes: Vec<u8> = (0..10 * BLOCK + 77).map(|at| (at * at / 7) as u8).collect();
        let sums = Sums::new(&bytes);
        let places =
            [0, 1, 100, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 7 * BLOCK + 5, 10 * BLOCK, bytes.len()];
        for from in places {
            for to in places.into_iter().filter(|to| *to >= from) {
                let expected = crc32c_append(0x1234_5678, &bytes[from..to]);
                assert_eq!(sums.append(0x1234_5678, from, to), expected, "{from}..{to}");
            }
        }
    }
}
