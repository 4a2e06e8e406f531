//! Sizes as people write them in attributes: `512B`, `64kB`, `10MB`, `1MiB`.

/// The units, the largest first. `kB`, `MB` and `GB` are powers of 1000; `KiB`, `MiB` and `GiB` of 1024.
const UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("B", 1),
];

/// The error for a text that is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a size: write a whole number and a unit (`B`, `kB`, `MB`, `GB`, or `KiB`, `MiB`, `GiB`), as in `10MB`"
)]
pub struct InvalidSize(pub String);

/// Reads a size in bytes: a whole number with its unit, without spaces.
///
/// # Errors
/// When the text is anything else, or the size does not fit in 64 bits.
pub fn parse_size(text: &str) -> Result<u64, InvalidSize> {
    let invalid = || InvalidSize(text.to_owned());
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(invalid)?;
    let (number, unit) = text.split_at(digits);
    let (_, bytes) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(invalid)?;
    let number: u64 = number.parse().map_err(|_| invalid())?;
    number.checked_mul(*bytes).ok_or_else(invalid)
}

/// Writes a size as [`parse_size`] reads it, in the largest unit of which it is a whole number.
pub fn format_size(bytes: u64) -> String {
    let fits = |(_, size): &&(&str, u64)| bytes > 0 && bytes.is_multiple_of(*size);
    let (unit, size) = UNITS.iter().find(fits).unwrap_or(&("B", 1));
    format!("{}{unit}", bytes / size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for (text, bytes) in [
            ("0B", 0),
            ("512B", 512),
            ("64kB", 64_000),
            ("10MB", 10_000_000),
            ("2GB", 2_000_000_000),
            ("3KiB", 3072),
            ("1MiB", 1_048_576),
            ("4GiB", 4_294_967_296),
        ] {
            assert_eq!(parse_size(text), Ok(bytes));
            assert_eq!(format_size(bytes), text);
        }
    }

    #[test]
    fn what_is_not_a_size_is_refused() {
        for bad in
            ["", "10", "MB", "10 MB", "10mb", "10Mb", "10KB", "1.5MB", "-1B", "1MB1kB", "99999999999GiB"]
        {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }
}
