//! The checkpoint: the state of topics and channels at a position of the journal.
//!
//! It also lists the segments that are to be there, so that one that vanished is missed.
//!
//! A file begins with `BISCKPT1`, the length (u64) and crc32c (u32) of the JSON that follows. It is written beside the
//! old one and renamed, so that one that holds is always there; the one before is kept too.

use std::io;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bis_broker::channel::{SequenceSet, Snapshot, Time};
use serde::{Deserialize, Serialize};

use super::disk::{Disk, DiskFile};
use super::fetch::read_up_to;
use super::moved::Message;
use super::record::{read_u32, read_u64};
use super::writer::Position;
use crate::files::operations::{marked_attempts, recalled};
use crate::options::Retention;

const MAGIC: &[u8; 8] = b"BISCKPT1";
const HEADER: usize = 20;
const CURRENT: &str = "checkpoint";
const PREVIOUS: &str = "checkpoint.previous";
const NEXT: &str = "checkpoint.next";
const DAMAGED: &str = "checkpoint.damaged";

/// What is in the file.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    /// Operations before this segment and offset are part of the state below.
    pub(crate) segment: u64,
    pub(crate) offset: u64,
    pub(crate) next_batch: u64,
    pub(crate) next_topic: u32,
    pub(crate) next_channel: u32,
    pub(crate) topics: Vec<TopicPoint>,
    /// The latest event ids, each after its topic's number.
    #[serde(with = "bytes_in_base64")]
    pub(crate) events: Vec<u8>,
    /// The sealed segments that are there and to be kept, each with its length: one that is missing at a start was lost, and
    /// not removed.
    #[serde(default)]
    pub(crate) sealed: Vec<(u64, u64)>,
    /// Topic and sequence of messages that live on as copies, and the segment and offset of these.
    #[serde(default)]
    pub(crate) moved: Vec<(Message, (u64, u32))>,
}

/// One topic.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TopicPoint {
    pub(crate) id: u32,
    pub(crate) name: String,
    pub(crate) end: u64,
    pub(crate) base: u64,
    pub(crate) paused: bool,
    /// It shows its channels nothing until those that others know of are made.
    #[serde(default)]
    pub(crate) held: bool,
    /// The retention that was asked for, in place of the journal's own.
    #[serde(default)]
    pub(crate) retention: Option<Retention>,
    pub(crate) channels: Vec<ChannelPoint>,
}

/// One channel.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChannelPoint {
    pub(crate) id: u32,
    pub(crate) name: String,
    pub(crate) paused: bool,
    /// How much of the topic it was shown: less than there is when the topic is paused.
    pub(crate) reached: u64,
    pub(crate) floor: u64,
    /// About one bit per message where they are scattered.
    #[serde(with = "set_in_base64")]
    pub(crate) finished: SequenceSet,
    /// Sequence, attempts with crashes and the mark of a suspect, due time.
    pub(crate) recalled: Vec<(u64, u32, u64)>,
    /// Messages that wait for a far time: that time, and the bytes of their set in base64.
    pub(crate) far: Vec<(u64, String)>,
    /// How often messages were replayed, from each of these sequences on.
    #[serde(default)]
    pub(crate) generations: Vec<(u64, u32)>,
}

impl ChannelPoint {
    pub(crate) fn new(id: u32, name: &str, reached: u64, snapshot: &Snapshot) -> Self {
        Self {
            id,
            name: name.to_owned(),
            paused: snapshot.paused,
            reached,
            floor: snapshot.floor,
            finished: snapshot.finished.clone(),
            recalled: snapshot
                .recalled
                .iter()
                .map(|at| (at.sequence, marked_attempts(at), at.due.0))
                .collect(),
            far: snapshot.far.iter().map(|(due, bytes)| (due.0, STANDARD.encode(bytes))).collect(),
            generations: snapshot.generations.clone(),
        }
    }

    /// What the channel's state machine begins with.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let all = self.recalled.iter();
        let far = self.far.iter();
        Snapshot {
            floor: self.floor,
            finished: self.finished.clone(),
            recalled: all.map(|&(sequence, attempts, due)| recalled(sequence, attempts, Time(due))).collect(),
            // A list that cannot be read is made anew by walking over its messages.
            far: far.filter_map(|(due, text)| Some((Time(*due), STANDARD.decode(text).ok()?))).collect(),
            generations: self.generations.clone(),
            paused: self.paused,
        }
    }
}

/// Bytes as text in JSON.
mod bytes_in_base64 {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(deserializer)?).map_err(Error::custom)
    }
}

/// A set as text in JSON.
mod set_in_base64 {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use bis_broker::channel::SequenceSet;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(set: &SequenceSet, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(set.to_bytes()))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SequenceSet, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).map_err(Error::custom)?;
        SequenceSet::from_bytes(&bytes).map_err(Error::custom)
    }
}

impl Checkpoint {
    /// The position it was taken at.
    pub(crate) fn position(&self) -> Position {
        Position { segment: self.segment, offset: self.offset, next_batch: self.next_batch }
    }

    /// How long a segment was, at least; `None` when it may be missing.
    pub(crate) fn length_of(&self, segment: u64) -> Option<u64> {
        if segment == self.segment {
            return Some(self.offset);
        }
        let at = self.sealed.binary_search_by_key(&segment, |(sealed, _)| *sealed).ok()?;
        Some(self.sealed[at].1)
    }

    /// What should be there beside these segments, in order: those that it lists, its own, and those that were begun later
    /// and before the newest. First and last of each piece.
    pub(crate) fn missing(&self, there: &[u64]) -> Vec<(u64, u64)> {
        let listed = self.sealed.iter().map(|(segment, _)| *segment).chain([self.segment]);
        let lacking = listed.filter(|segment| there.binary_search(segment).is_err());
        let mut missing: Vec<(u64, u64)> = Vec::new();
        let mut note = |first: u64, last: u64| match missing.last_mut() {
            Some((_, end)) if *end + 1 == first => *end = last,
            _ => missing.push((first, last)),
        };
        lacking.for_each(|segment| note(segment, segment));
        let mut expected = self.segment + 1;
        for segment in there.iter().copied().filter(|segment| *segment > self.segment) {
            if expected < segment {
                note(expected, segment - 1);
            }
            expected = segment + 1;
        }
        missing
    }

    /// Makes the checkpoint durable, in place of the last one. Returns how many bytes it has.
    pub(crate) fn store(&self, disk: &Arc<dyn Disk>) -> io::Result<u64> {
        let json = serde_json::to_vec(self).map_err(io::Error::other)?;
        let mut bytes = Vec::with_capacity(HEADER + json.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&(json.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&crc32c::crc32c(&json).to_le_bytes());
        bytes.extend_from_slice(&json);
        if let Err(error) = write(&*disk.open(NEXT)?, &bytes) {
            // On a full disk, the part that was written takes room from what frees it.
            let _ = disk.remove(NEXT);
            return Err(error);
        }
        if disk.list()?.iter().any(|name| name == CURRENT) {
            disk.rename(CURRENT, PREVIOUS)?;
        }
        disk.rename(NEXT, CURRENT)?;
        disk.sync_names()?;
        Ok(bytes.len() as u64)
    }

    /// The newest checkpoint that holds, and whether a newer one was damaged. That one is put aside, so that it never takes the
    /// place of the one before.
    pub(crate) fn load(disk: &Arc<dyn Disk>) -> io::Result<(Option<Self>, bool)> {
        let names = disk.list()?;
        let mut damaged = false;
        for name in [CURRENT, PREVIOUS] {
            if !names.iter().any(|found| found == name) {
                continue;
            }
            if let Some(checkpoint) = read(&*disk.open(name)?)? {
                return Ok((Some(checkpoint), damaged));
            }
            damaged = true;
            if name == CURRENT {
                disk.rename(CURRENT, DAMAGED)?;
            }
        }
        Ok((None, damaged))
    }
}

fn write(file: &dyn DiskFile, bytes: &[u8]) -> io::Result<()> {
    file.set_length(0)?;
    file.write_at(bytes, 0)?;
    file.sync()
}

/// The checkpoint in a file; `None` when it does not hold. Only as much is read as it claims to have.
fn read(file: &dyn DiskFile) -> io::Result<Option<Checkpoint>> {
    let header = read_up_to(file, 0, HEADER)?;
    if header.len() < HEADER || &header[0..8] != MAGIC {
        return Ok(None);
    }
    let length = read_u64(&header, 8);
    if length > file.length()?.saturating_sub(HEADER as u64) {
        return Ok(None);
    }
    let json = read_up_to(file, HEADER as u64, usize::try_from(length).map_err(io::Error::other)?)?;
    let holds = crc32c::crc32c(&json) == read_u32(&header, 16);
    Ok(if holds { serde_json::from_slice(&json).ok() } else { None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::folder::Folder;

    #[test]
    fn a_damaged_checkpoint_does_not_take_the_place_of_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let disk: Arc<dyn Disk> = Arc::new(Folder::open(folder.path()).unwrap());
        let numbered = |segment| Checkpoint { segment, ..Checkpoint::default() };
        for segment in [1, 2] {
            numbered(segment).store(&disk).unwrap();
        }
        disk.open(CURRENT).unwrap().write_at(b"x", HEADER as u64).unwrap();
        assert_eq!(Checkpoint::load(&disk).unwrap(), (Some(numbered(1)), true));
        numbered(3).store(&disk).unwrap();
        // As after a crash between the two renames of the next one.
        disk.remove(CURRENT).unwrap();
        assert_eq!(Checkpoint::load(&disk).unwrap(), (Some(numbered(1)), false));
    }

    #[test]
    fn a_segment_is_missing_when_it_is_listed_or_left_out() {
        let checkpoint = Checkpoint {
            segment: 9,
            offset: 64,
            sealed: vec![(2, 100), (5, 100), (6, 100)],
            ..Checkpoint::default()
        };
        assert_eq!(checkpoint.missing(&[2, 5, 6, 9]), []);
        assert_eq!(checkpoint.missing(&[1, 2, 3, 5, 6, 9, 10, 11]), [], "on its way out, or begun later");
        assert_eq!(checkpoint.missing(&[2, 5, 6]), [(9, 9)]);
        assert_eq!(checkpoint.missing(&[2, 9]), [(5, 6)]);
        assert_eq!(checkpoint.missing(&[5, 6, 12, 13, 15]), [(2, 2), (9, 11), (14, 14)]);
        assert_eq!(checkpoint.missing(&[]), [(2, 2), (5, 6), (9, 9)]);
        let lengths = [2, 3, 9, 10].map(|segment| checkpoint.length_of(segment));
        assert_eq!(lengths, [Some(100), None, Some(64), None]);
    }
}
