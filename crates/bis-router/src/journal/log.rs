//! The reading half: from a topic's sequence to the record's bytes.
//!
//! The newest batches are kept in memory as they were written; older bytes are read in chunks, of which few are kept.
//! Bytes from the disk are checked before use. It knows nothing of channels.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::disk::DiskFile;
use super::footer::{self, Offsets, SegmentOffsets};
use super::record::{self, RECORD_HEADER};
use super::scan;

const RECENT_BYTES: usize = 16 * 1024 * 1024;
const CHUNK_BYTES: usize = 256 * 1024;
const CHUNKS: usize = 16;
const LOADED_SEGMENTS: usize = 4;

/// A sealed segment, as far as it is always in memory.
pub(crate) struct Sealed {
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) bytes: u64,
    /// When it was sealed, or found sealed at start; nanoseconds since 1970.
    pub(crate) sealed: u64,
    /// First and last-but-one sequence, by topic.
    pub(crate) topics: HashMap<u32, (u64, u64)>,
}

/// Everything that can be read.
pub(crate) struct Log {
    sealed: BTreeMap<u64, Sealed>,
    /// Which sealed segment holds a topic's sequences, by the first of them.
    runs: HashMap<u32, BTreeMap<u64, u64>>,
    active: u64,
    active_file: Arc<dyn DiskFile>,
    active_offsets: SegmentOffsets,
    loaded: VecDeque<(u64, SegmentOffsets)>,
    recent: VecDeque<(u64, u64, Bytes)>,
    recent_bytes: usize,
    chunks: VecDeque<(u64, u64, Bytes)>,
    last: Option<(u32, u64, Bytes)>,
    damaged: u64,
}

impl Log {
    pub(crate) fn new(active: u64, active_file: Arc<dyn DiskFile>) -> Self {
        Self {
            sealed: BTreeMap::new(),
            runs: HashMap::new(),
            active,
            active_file,
            active_offsets: SegmentOffsets::new(),
            loaded: VecDeque::new(),
            recent: VecDeque::new(),
            recent_bytes: 0,
            chunks: VecDeque::new(),
            last: None,
            damaged: 0,
        }
    }

    /// Adds a sealed segment that was found or made.
    pub(crate) fn add_sealed(
        &mut self,
        segment: u64,
        file: Arc<dyn DiskFile>,
        offsets: &SegmentOffsets,
        sealed: u64,
    ) {
        let bytes = file.length().unwrap_or(0);
        let topics: HashMap<u32, (u64, u64)> =
            offsets.iter().map(|(topic, offsets)| (*topic, (offsets.first, offsets.end()))).collect();
        for (topic, (first, _)) in &topics {
            self.runs.entry(*topic).or_default().insert(*first, segment);
        }
        self.sealed.insert(segment, Sealed { file, bytes, sealed, topics });
    }

    /// The active segment's offsets, for its footers.
    pub(crate) fn active_offsets(&self) -> &SegmentOffsets {
        &self.active_offsets
    }

    /// The active segment is sealed, and `next` is active.
    pub(crate) fn rolled(&mut self, next: u64, file: Arc<dyn DiskFile>, now: u64) {
        let offsets = std::mem::take(&mut self.active_offsets);
        let sealed_file = std::mem::replace(&mut self.active_file, file);
        let sealed = std::mem::replace(&mut self.active, next);
        self.add_sealed(sealed, sealed_file, &offsets, now);
        self.keep_loaded(sealed, offsets);
    }

    /// Notes a message of the active segment.
    pub(crate) fn note(&mut self, topic: u32, sequence: u64, offset: u64) {
        let offset = u32::try_from(offset).expect("a segment is bounded far below 4 GiB");
        self.active_offsets.entry(topic).or_default().push(sequence, offset);
    }

    /// Keeps a batch that was just written at hand.
    pub(crate) fn keep_recent(&mut self, segment: u64, offset: u64, records: Bytes) {
        self.recent_bytes += records.len();
        self.recent.push_back((segment, offset, records));
        while self.recent_bytes > RECENT_BYTES && self.recent.len() > 1 {
            if let Some((_, _, records)) = self.recent.pop_front() {
                self.recent_bytes -= records.len();
            }
        }
    }

    /// The record of a message, or `None` when it is gone or damaged.
    pub(crate) fn record(&mut self, topic: u32, sequence: u64) -> Option<Bytes> {
        if let Some((last_topic, last_sequence, record)) = &self.last
            && (*last_topic, *last_sequence) == (topic, sequence)
        {
            return Some(record.clone());
        }
        let (segment, offset) = self.locate(topic, sequence)?;
        let record = match self.recent_record(segment, offset) {
            Some(record) => record,
            None => self.stored_record(segment, offset, topic, sequence)?,
        };
        self.last = Some((topic, sequence, record.clone()));
        Some(record)
    }

    /// The sealed segments, oldest first.
    pub(crate) fn sealed(&self) -> impl Iterator<Item = (u64, &Sealed)> {
        self.sealed.iter().map(|(segment, sealed)| (*segment, sealed))
    }

    /// A sealed segment's file is about to be removed.
    pub(crate) fn forget(&mut self, segment: u64) {
        if let Some(sealed) = self.sealed.remove(&segment) {
            for (topic, (first, _)) in sealed.topics {
                if let Some(runs) = self.runs.get_mut(&topic) {
                    runs.remove(&first);
                }
            }
        }
        self.loaded.retain(|(loaded, _)| *loaded != segment);
        self.chunks.retain(|(chunk, _, _)| *chunk != segment);
    }

    /// A topic is gone.
    pub(crate) fn forget_topic(&mut self, topic: u32) {
        self.runs.remove(&topic);
        self.active_offsets.remove(&topic);
        self.last = None;
    }

    /// Takes over what recovery found in the active segment.
    pub(crate) fn restore_active(&mut self, topic: u32, offsets: Offsets) {
        self.active_offsets.insert(topic, offsets);
    }

    /// The segment that recovery took for the active one is sealed: begin with another.
    pub(crate) fn restart(&mut self, active: u64, file: Arc<dyn DiskFile>) {
        self.active = active;
        self.active_file = file;
    }

    /// Forgets the topics that are gone.
    pub(crate) fn keep_topics(&mut self, keep: impl Fn(u32) -> bool) {
        self.runs.retain(|topic, _| keep(*topic));
        self.active_offsets.retain(|topic, _| keep(*topic));
    }

    /// How many damaged records were met since the start.
    pub(crate) fn damaged(&self) -> u64 {
        self.damaged
    }

    /// Counts damage that recovery found.
    pub(crate) fn count_damage(&mut self, count: u64) {
        self.damaged += count;
    }

    /// Bytes on the disk in sealed segments.
    pub(crate) fn sealed_bytes(&self) -> u64 {
        self.sealed.values().map(|sealed| sealed.bytes).sum()
    }

    fn locate(&mut self, topic: u32, sequence: u64) -> Option<(u64, u64)> {
        if let Some(offsets) = self.active_offsets.get(&topic)
            && sequence >= offsets.first
        {
            return offsets.get(sequence).map(|offset| (self.active, u64::from(offset)));
        }
        let (_, segment) = self.runs.get(&topic)?.range(..=sequence).next_back()?;
        let segment = *segment;
        let offsets = self.load(segment)?.get(&topic)?;
        offsets.get(sequence).map(|offset| (segment, u64::from(offset)))
    }

    fn load(&mut self, segment: u64) -> Option<&SegmentOffsets> {
        if let Some(at) = self.loaded.iter().position(|(loaded, _)| *loaded == segment) {
            return Some(&self.loaded[at].1);
        }
        let file = Arc::clone(&self.sealed.get(&segment)?.file);
        match read_offsets(&*file, segment) {
            Ok(offsets) => {
                self.keep_loaded(segment, offsets);
                self.loaded.back().map(|(_, offsets)| offsets)
            }
            Err(error) => {
                tracing::error!(segment, %error, "a segment cannot be read; its messages are set aside");
                self.damaged += 1;
                None
            }
        }
    }

    fn keep_loaded(&mut self, segment: u64, offsets: SegmentOffsets) {
        if self.loaded.len() >= LOADED_SEGMENTS {
            self.loaded.pop_front();
        }
        self.loaded.push_back((segment, offsets));
    }

    fn recent_record(&self, segment: u64, offset: u64) -> Option<Bytes> {
        let after = self.recent.partition_point(|(at, start, _)| (*at, *start) <= (segment, offset));
        let (at, start, records) = self.recent.get(after.checked_sub(1)?)?;
        if *at != segment {
            return None;
        }
        let from = usize::try_from(offset - start).ok()?;
        let length = record::length_at(records.get(from..)?)?;
        Some(records.slice(from..from + length))
    }

    fn stored_record(&mut self, segment: u64, offset: u64, topic: u32, sequence: u64) -> Option<Bytes> {
        let found = self.chunk_record(segment, offset);
        let problem = match found {
            Ok(Some(record)) if record::is_intact(&record, segment) => return Some(record),
            Ok(_) => "its checksum does not hold".to_owned(),
            Err(error) => error.to_string(),
        };
        tracing::error!(segment, offset, topic, sequence, problem, "a damaged record is set aside");
        self.damaged += 1;
        None
    }

    fn chunk_record(&mut self, segment: u64, offset: u64) -> io::Result<Option<Bytes>> {
        for (at, start, bytes) in &self.chunks {
            if *at == segment
                && let Some(from) = offset.checked_sub(*start).and_then(|from| usize::try_from(from).ok())
                && let Some(length) = bytes.get(from..).and_then(record::length_at)
            {
                return Ok(Some(bytes.slice(from..from + length)));
            }
        }
        let file = if segment == self.active {
            Arc::clone(&self.active_file)
        } else {
            let sealed = self.sealed.get(&segment).ok_or(io::ErrorKind::NotFound)?;
            Arc::clone(&sealed.file)
        };
        let mut bytes = read_up_to(&*file, offset, CHUNK_BYTES)?;
        if bytes.len() < RECORD_HEADER {
            return Ok(None);
        }
        let length = record::read_u32(&bytes, 0) as usize;
        if length > bytes.len() {
            bytes = read_up_to(&*file, offset, length)?;
        }
        let bytes = Bytes::from(bytes);
        let Some(length) = record::length_at(&bytes) else { return Ok(None) };
        let record = bytes.slice(..length);
        // The tail of the active segment still grows: a chunk of it would go stale, so only sealed ones are kept.
        if segment != self.active {
            if self.chunks.len() >= CHUNKS {
                self.chunks.pop_front();
            }
            self.chunks.push_back((segment, offset, bytes));
        }
        Ok(Some(record))
    }
}

/// The offsets of a segment's messages: from its footers, or by scanning it.
pub(crate) fn read_offsets(file: &dyn DiskFile, segment: u64) -> io::Result<SegmentOffsets> {
    if let Some(offsets) = footer::read(file, segment)? {
        return Ok(offsets);
    }
    let bytes = read_whole(file)?;
    let mut offsets = SegmentOffsets::new();
    let scanned = scan::scan(segment, &bytes, bytes.len() as u64, |record, offset| {
        if let (Some(header), Ok(offset)) = (record::header(record), u32::try_from(offset))
            && header.kind == record::Kind::Message
        {
            let entry: &mut Offsets = offsets.entry(header.topic).or_default();
            entry.push(header.sequence, offset);
        }
    });
    for damage in scanned.damage {
        tracing::error!(
            segment,
            offset = damage.offset,
            bytes = damage.bytes,
            "damaged bytes in the journal"
        );
    }
    Ok(offsets)
}

/// A file's bytes.
pub(crate) fn read_whole(file: &dyn DiskFile) -> io::Result<Vec<u8>> {
    let length = usize::try_from(file.length()?).map_err(io::Error::other)?;
    read_up_to(file, 0, length)
}

fn read_up_to(file: &dyn DiskFile, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let read = file.read_at(&mut bytes, offset)?;
    bytes.truncate(read);
    Ok(bytes)
}
