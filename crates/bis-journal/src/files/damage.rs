//! What was durable once and is missing now, as reported to people. It only names places.

use std::fmt;

use super::segment::name_of;

const REMEDY: &str = "what was there is dropped. To have it again, stop the router, put the file back from a backup, start it \
                      and move the channels back with `POST /channel/replay`";

/// A part of the journal that is damaged or gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// Bytes of a segment do not hold.
    Bytes {
        /// The segment's number.
        segment: u64,
        /// Where the damaged bytes begin.
        offset: u64,
        /// How many bytes are damaged, at most.
        bytes: u64,
    },
    /// Segments are gone, as when files were deleted by hand.
    Segments {
        /// The first one's number.
        first: u64,
        /// The last one's number.
        last: u64,
    },
}

impl fmt::Display for Damage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Bytes { segment, offset, bytes } => {
                write!(
                    formatter,
                    "up to {bytes} bytes of segment {segment} from byte {offset} on were set aside"
                )
            }
            Self::Segments { first, last } if first == last => {
                write!(formatter, "`{}` is missing; {REMEDY}", name_of(first))
            }
            Self::Segments { first, last } => {
                let (first, last) = (name_of(first), name_of(last));
                write!(formatter, "`{first}` to `{last}` are missing; {REMEDY}")
            }
        }
    }
}
