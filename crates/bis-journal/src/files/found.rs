//! The segments that a start finds in the folder, each with the salt that its checksums were made with.
//!
//! It refuses files that cannot be segments of this router, and reads no further than their headers.

use std::io;
use std::sync::Arc;

use super::batch::{BATCH_HEADER, Batch};
use super::disk::{Disk, DiskFile};
use super::fetch::{read_up_to, read_whole};
use super::salt::Salt;
use super::scan;
use super::segment::{self, MAX_SEGMENT_FILE, SEGMENT_HEADER, Segment, name_of};

/// One segment.
pub(crate) struct Found {
    pub(crate) segment: Segment,
    pub(crate) file: Arc<dyn DiskFile>,
}

/// The journal's salt, and its segments, the oldest first. A journal without a salt gets this one.
///
/// # Errors
/// The disk's, and what a person must fix: files of another version, or that are not segments.
pub(crate) fn find(disk: &Arc<dyn Disk>, new_salt: Salt) -> io::Result<(Salt, Vec<Found>)> {
    let names = disk.list()?;
    let mut files = Vec::new();
    for number in segment::numbers_in(&names)? {
        let file = disk.open_on_demand(&name_of(number))?;
        let length = file.length()?;
        if length > MAX_SEGMENT_FILE {
            return Err(io::Error::other(format!(
                "`{}` has {length} bytes, more than a segment can have; move it out of the folder",
                name_of(number)
            )));
        }
        // Reading further meets the error again; a header that cannot be read is as good as a damaged one.
        let header = read_up_to(&*file, 0, SEGMENT_HEADER).unwrap_or_default();
        segment::check_format(number, &header)?;
        files.push((number, file, segment::salt_in(number, &header)));
    }
    let stored = Salt::load(disk, &names)?;
    let newest = files.iter().rev().find_map(|(_, _, salt)| *salt);
    let salt = stored.or(newest).unwrap_or(new_salt);
    if stored.is_none() {
        if !files.is_empty() {
            tracing::warn!(
                "the journal's file `salt` was missing or damaged; it is made anew from a segment"
            );
        }
        salt.store(disk)?;
    }
    let found = files.into_iter().map(|(number, file, own)| {
        let segment = Segment::new(number, &own.unwrap_or(salt));
        Found { segment, file }
    });
    Ok((salt, found.collect()))
}

/// The number of the newest segment with a batch; of the newest at all when none has one.
pub(crate) fn newest_written(found: &[Found]) -> io::Result<u64> {
    for Found { segment, file } in found.iter().rev() {
        let first = read_up_to(&**file, SEGMENT_HEADER as u64, BATCH_HEADER)?;
        // The first one may be damaged; few segments have none, and these are short.
        if Batch::decode(*segment, SEGMENT_HEADER as u64, &first).is_some()
            || scan::has_batch(*segment, &read_whole(&**file)?)
        {
            return Ok(segment.number);
        }
    }
    Ok(found.last().map_or(0, |newest| newest.segment.number))
}
