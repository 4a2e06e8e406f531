//! A segment's number and seed, its file's name, and the header that the file begins with. See the module above for the
//! layout.
//!
//! It knows nothing of what follows the header.

use std::io;

use super::record::{read_u32, read_u64};
use super::salt::Salt;

/// The length of a segment's header, in bytes.
pub(crate) const SEGMENT_HEADER: usize = 64;
/// No segment is longer than this many bytes: 1 GiB, a batch and the footers.
pub(crate) const MAX_SEGMENT_FILE: u64 = 2 * 1024 * 1024 * 1024;
/// No journal comes near this number: a file that names a higher one is not the router's.
const MAX_NUMBER: u64 = u64::MAX / 2;

const MAGIC: &[u8; 8] = b"BISJRNL2";
/// What the magic of every format begins with.
const ANY_MAGIC: &[u8; 7] = b"BISJRNL";
const FIRST_MAGIC: &[u8; 8] = b"BISJRNL1";

/// A segment's number, and what its checksums begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    seed: u32,
}

impl Segment {
    pub(crate) fn new(number: u64, salt: &Salt) -> Self {
        let seed = crc32c::crc32c_append(crc32c::crc32c(&number.to_le_bytes()), &salt.0);
        Self { number, seed }
    }

    /// A checksum that holds at this offset of this segment alone: the same bytes at another offset never have it, and
    /// those of another segment or journal only by chance.
    pub(crate) fn checksum(self, offset: u64, parts: &[&[u8]]) -> u32 {
        parts.iter().fold(self.begin(offset), |checksum, part| crc32c::crc32c_append(checksum, part))
    }

    /// What a checksum at this offset begins with.
    pub(crate) fn begin(self, offset: u64) -> u32 {
        // Offsets in a segment fit in 32 bits.
        self.seed ^ offset as u32
    }

    /// The file's name.
    pub(crate) fn name(self) -> String {
        name_of(self.number)
    }

    /// The file's first bytes.
    pub(crate) fn header(self, salt: &Salt, created: u64) -> [u8; SEGMENT_HEADER] {
        let mut bytes = [0; SEGMENT_HEADER];
        bytes[0..8].copy_from_slice(MAGIC);
        bytes[16..24].copy_from_slice(&self.number.to_le_bytes());
        bytes[24..32].copy_from_slice(&created.to_le_bytes());
        bytes[32..48].copy_from_slice(&salt.0);
        let checksum = header_checksum(&bytes);
        bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Whether `bytes` begin with a header of this segment.
    pub(crate) fn is_header(self, bytes: &[u8]) -> bool {
        salt_in(self.number, bytes).is_some_and(|salt| Self::new(self.number, &salt) == self)
    }
}

/// The salt in the header that `bytes` begin with; `None` when it does not hold.
pub(crate) fn salt_in(number: u64, bytes: &[u8]) -> Option<Salt> {
    let holds = bytes.len() >= SEGMENT_HEADER
        && &bytes[0..8] == MAGIC
        && read_u64(bytes, 16) == number
        && read_u32(bytes, 8) == header_checksum(bytes);
    holds.then(|| Salt(bytes[32..48].try_into().expect("16 bytes are 16 bytes")))
}

/// Refuses a segment that another version of the router made. A damaged header is not taken for one: each format has its checksum.
pub(crate) fn check_format(number: u64, bytes: &[u8]) -> io::Result<()> {
    if bytes.len() < SEGMENT_HEADER || &bytes[0..7] != ANY_MAGIC || &bytes[0..8] == MAGIC {
        return Ok(());
    }
    let first = crc32c::crc32c_append(crc32c::crc32c(&number.to_le_bytes()), &bytes[16..SEGMENT_HEADER]);
    let is_first = &bytes[0..8] == FIRST_MAGIC && read_u32(bytes, 8) == first;
    if is_first || read_u32(bytes, 8) == header_checksum(bytes) {
        return Err(io::Error::other(format!(
            "`{}` was written by another version of the router, in a format that this one does not read; let that version \
             deliver what is left, then remove the folder (`bis run --fresh` does so for an app)",
            name_of(number)
        )));
    }
    Ok(())
}

/// With the magic, so that a version is not told by a single bit.
fn header_checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&bytes[0..8]), &bytes[16..SEGMENT_HEADER])
}

/// The file name of a segment with this number.
pub(crate) fn name_of(number: u64) -> String {
    format!("{number:016x}.segment")
}

/// The numbers of the segments among these names, in order.
///
/// # Errors
/// When a number is so high that no router can have made it.
pub(crate) fn numbers_in(names: &[String]) -> io::Result<Vec<u64>> {
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| number_of(name)).collect();
    numbers.sort_unstable();
    match numbers.last() {
        Some(&last) if last > MAX_NUMBER => Err(io::Error::other(format!(
            "`{}` has a number that no segment can have; move it out of the folder",
            name_of(last)
        ))),
        _ => Ok(numbers),
    }
}

/// The segment that a file name names. Other ways to write the same number are not segments.
fn number_of(name: &str) -> Option<u64> {
    let number = u64::from_str_radix(name.strip_suffix(".segment")?, 16).ok()?;
    (name_of(number) == name).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: Salt = Salt([7; 16]);

    #[test]
    fn a_checksum_holds_in_one_place_of_one_segment_alone() {
        let checksum =
            |salt: &Salt, number, offset| Segment::new(number, salt).checksum(offset, &[b"record"]);
        let here = checksum(&SALT, 3, 112);
        assert!((0..4096).all(|offset| (checksum(&SALT, 3, offset) == here) == (offset == 112)));
        assert_ne!(checksum(&SALT, 4, 112), here);
        assert_ne!(checksum(&Salt([8; 16]), 3, 112), here);
    }

    #[test]
    fn a_header_of_another_version_is_refused_and_a_damaged_one_is_not() {
        let header = Segment::new(3, &SALT).header(&SALT, 1);
        assert_eq!(salt_in(3, &header), Some(SALT));
        assert_eq!(salt_in(4, &header), None);
        for at in 0..48 {
            for bits in 1..=u8::MAX {
                let mut damaged = header;
                damaged[at] ^= bits;
                check_format(3, &damaged).unwrap();
                assert!(salt_in(3, &damaged).is_none() || (12..16).contains(&at), "byte {at}, bits {bits}");
            }
        }
        let mut first = header;
        first[7] = b'1';
        first[32..48].fill(0);
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&3_u64.to_le_bytes()), &first[16..64]);
        first[8..12].copy_from_slice(&checksum.to_le_bytes());
        let refused = check_format(3, &first).unwrap_err().to_string();
        assert!(refused.contains("`0000000000000003.segment`") && refused.contains("--fresh"), "{refused}");
        let mut later = header;
        later[7] = b'3';
        let checksum = header_checksum(&later);
        later[8..12].copy_from_slice(&checksum.to_le_bytes());
        check_format(3, &later).unwrap_err();
    }

    #[test]
    fn only_the_routers_own_names_name_segments() {
        let found =
            |names: &[&str]| numbers_in(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        let names = [
            "00000000000000ff.segment",
            "00000000000000FE.segment",
            "+0000000000000fd.segment",
            "fc.segment",
            "00000000000000fb.segment.old",
            "000000000000000a.segment",
        ];
        assert_eq!(found(&names).unwrap(), [10, 255]);
        found(&["ffffffffffffffff.segment"]).unwrap_err();
    }
}
