//! The reading half: from a topic's sequence to the record's bytes.
//!
//! The newest batches are kept in memory as they were written; of older bytes, few chunks are kept. It never does I/O: it
//! says what is [`Missing`], and is given what was read. Bytes from the disk are checked before use. It knows nothing of
//! channels.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::damage::Damage;
use super::disk::DiskFile;
use super::fetch::{Fetched, Missing};
use super::footer::{Offsets, SegmentOffsets};
use super::moved::{Message, Moved};
use super::record;
use super::scrub::Scrub;
use super::segment::Segment;
use super::unreadable::Unreadable;
use crate::name::Name;

/// The newest bytes that are kept as they were written; at least one batch.
const RECENT_BYTES: usize = 16 * 1024 * 1024;
/// The bytes that are kept of what was read; at least one chunk.
const CHUNK_CACHE_BYTES: usize = 16 * 1024 * 1024;
/// How many sealed segments' indexes are kept; 4 bytes per message.
const LOADED_SEGMENTS: usize = 8;
/// How many places of damage are remembered, so that each is reported once.
const REMEMBERED_DAMAGE: usize = 65_536;

/// A sealed segment, as far as it is always in memory.
pub(crate) struct Sealed {
    pub(crate) segment: Segment,
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
    active: Segment,
    active_file: Arc<dyn DiskFile>,
    /// Where the active segment's committed bytes end.
    active_end: u64,
    active_offsets: SegmentOffsets,
    moved: Moved,
    loaded: VecDeque<(u64, Arc<SegmentOffsets>)>,
    recent: VecDeque<(u64, u64, Bytes)>,
    recent_bytes: usize,
    chunks: VecDeque<(u64, u64, Bytes)>,
    chunk_bytes: usize,
    last: Option<(u32, u64, Bytes)>,
    damaged: u64,
    /// Damage that was reported: segment and offset.
    reported: BTreeSet<(u64, u64)>,
    read_errors: u64,
    unreadable: Unreadable,
}

impl Log {
    pub(crate) fn new(active: Segment, active_file: Arc<dyn DiskFile>) -> Self {
        Self {
            sealed: BTreeMap::new(),
            runs: HashMap::new(),
            active,
            active_file,
            active_end: 0,
            active_offsets: SegmentOffsets::default(),
            moved: Moved::default(),
            loaded: VecDeque::new(),
            recent: VecDeque::new(),
            recent_bytes: 0,
            chunks: VecDeque::new(),
            chunk_bytes: 0,
            last: None,
            damaged: 0,
            reported: BTreeSet::new(),
            read_errors: 0,
            unreadable: Unreadable::default(),
        }
    }

    /// Adds a sealed segment that was found or made.
    pub(crate) fn add_sealed(
        &mut self,
        segment: Segment,
        file: Arc<dyn DiskFile>,
        bytes: u64,
        offsets: &SegmentOffsets,
        sealed: u64,
    ) {
        let number = segment.number;
        let topics = ranges(offsets);
        for (topic, (first, _)) in &topics {
            self.runs.entry(*topic).or_default().insert(*first, number);
        }
        self.sealed.insert(number, Sealed { segment, file, bytes, sealed, topics });
    }

    /// The active segment's offsets, for its footers.
    pub(crate) fn active_offsets(&self) -> &SegmentOffsets {
        &self.active_offsets
    }

    /// The active segment as it would be, were it sealed now.
    pub(crate) fn as_if_sealed(&self) -> Sealed {
        let (segment, file) = (self.active, Arc::clone(&self.active_file));
        Sealed { segment, file, bytes: self.active_end, sealed: 0, topics: ranges(&self.active_offsets) }
    }

    /// The active segment is sealed: it has this many bytes and is read from `sealed_file`. The next one, with its file, is active.
    pub(crate) fn rolled(
        &mut self,
        sealed_file: Arc<dyn DiskFile>,
        bytes: u64,
        (next, file): (Segment, Arc<dyn DiskFile>),
        now: u64,
    ) {
        let offsets = std::mem::take(&mut self.active_offsets);
        self.active_file = file;
        let sealed = std::mem::replace(&mut self.active, next);
        self.active_end = 0;
        self.add_sealed(sealed, sealed_file, bytes, &offsets, now);
        self.keep_loaded(sealed.number, Arc::new(offsets));
    }

    /// Notes a message of the active segment. False when another has its sequence.
    pub(crate) fn note(&mut self, topic: u32, sequence: u64, offset: u64) -> bool {
        let offset = u32::try_from(offset).expect("a segment is bounded far below 4 GiB");
        self.active_offsets.entry(topic).or_default().push(sequence, offset)
    }

    /// Notes a copy of a message in the active segment, or in one that was found.
    pub(crate) fn note_moved(&mut self, message: Message, segment: u64, offset: u64) {
        let offset = u32::try_from(offset).expect("a segment is bounded far below 4 GiB");
        self.moved.note(message, segment, offset);
    }

    /// Messages that live on as copies.
    pub(crate) fn moved(&self) -> &Moved {
        &self.moved
    }

    /// Forgets copies unless `keep` says otherwise of message and segment.
    pub(crate) fn keep_moved(&mut self, keep: impl Fn(Message, u64) -> bool) {
        self.moved.retain(keep);
    }

    /// Keeps a batch that was just written at hand.
    pub(crate) fn keep_recent(&mut self, segment: u64, offset: u64, records: Bytes) {
        self.recent_bytes += records.len();
        self.active_end = offset + records.len() as u64;
        self.recent.push_back((segment, offset, records));
        while self.recent_bytes > RECENT_BYTES && self.recent.len() > 1 {
            if let Some((_, _, records)) = self.recent.pop_front() {
                self.recent_bytes -= records.len();
            }
        }
    }

    /// The record of a message; `None` when it is gone or damaged.
    ///
    /// # Errors
    /// What must be read and given to [`Log::supply`] first.
    pub(crate) fn record(&mut self, topic: u32, sequence: u64) -> Result<Option<Bytes>, Missing> {
        if let Some((last_topic, last_sequence, record)) = &self.last
            && (*last_topic, *last_sequence) == (topic, sequence)
        {
            return Ok(Some(record.clone()));
        }
        let Some((segment, offset)) = self.locate(topic, sequence)? else { return Ok(None) };
        let record = match self.recent_record(segment, offset) {
            Some(record) => record,
            None => match self.stored_record(segment, offset) {
                Some(Stored::Intact(record)) => record,
                Some(Stored::Damaged { bytes }) => {
                    self.report(&Damage::Bytes { segment, offset, bytes });
                    return Ok(None);
                }
                None => return Err(self.missing(segment, topic, sequence, Some(offset))),
            },
        };
        self.last = Some((topic, sequence, record.clone()));
        Ok(Some(record))
    }

    /// Takes what was read for [`Log::record`]. It stays at least until the lock is released.
    pub(crate) fn supply(&mut self, fetched: Fetched) {
        let segment = fetched.segment;
        if segment != self.active.number && !self.sealed.contains_key(&segment) {
            return;
        }
        if let Some((offsets, damage)) = fetched.index {
            damage.iter().for_each(|damage| self.report(damage));
            self.keep_loaded(segment, offsets);
        }
        if let Some((offset, bytes)) = fetched.chunk {
            self.chunk_bytes += bytes.len();
            self.chunks.push_back((segment, offset, bytes));
            while self.chunk_bytes > CHUNK_CACHE_BYTES && self.chunks.len() > 1 {
                if let Some((_, _, bytes)) = self.chunks.pop_front() {
                    self.chunk_bytes -= bytes.len();
                }
            }
        }
    }

    /// What was missing could not be read, and was wanted for a topic's message. It is reported, but not repeatedly.
    pub(crate) fn read_failed(
        &mut self,
        segment: u64,
        wanted: Option<(&Name, u64)>,
        error: &io::Error,
        now: u64,
    ) {
        self.read_errors += 1;
        if self.unreadable.is_due(segment, wanted.is_some(), now) {
            let topic = wanted.as_ref().map(|(topic, _)| tracing::field::display(topic));
            // The same number is its id for clients.
            let message = wanted.as_ref().map(|(_, sequence)| format!("{sequence:016x}"));
            let message = message.as_ref().map(tracing::field::display);
            tracing::error!(
                segment,
                topic,
                message,
                %error,
                "a segment of the journal cannot be read; its messages wait, and reading is tried again every second; \
                 `POST /channel/finish` with a message's id gives that message up"
            );
        }
    }

    /// How many reads have failed since the start.
    pub(crate) fn read_errors(&self) -> u64 {
        self.read_errors
    }

    /// The sealed segments, oldest first.
    pub(crate) fn sealed(&self) -> impl Iterator<Item = (u64, &Sealed)> {
        self.sealed.iter().map(|(segment, sealed)| (*segment, sealed))
    }

    /// One sealed segment.
    pub(crate) fn sealed_one(&self, segment: u64) -> Option<&Sealed> {
        self.sealed.get(&segment)
    }

    /// Where the messages of a topic are kept: the first sequence and one past the last of each piece, in order.
    pub(crate) fn kept(&self, topic: u32) -> Vec<(u64, u64)> {
        let runs = self.runs.get(&topic).into_iter().flatten();
        let sealed = runs.filter_map(|(_, segment)| self.sealed.get(segment)?.topics.get(&topic).copied());
        let active = self.active_offsets.get(&topic).map(|offsets| (offsets.first(), offsets.end()));
        let mut kept: Vec<(u64, u64)> = sealed.chain(active).collect();
        let copies = self.moved.of_topic(topic).filter(|sequence| {
            let before = kept.partition_point(|(first, _)| first <= sequence);
            before == 0 || kept[before - 1].1 <= *sequence
        });
        let copies: Vec<u64> = copies.collect();
        kept.extend(copies.into_iter().map(|sequence| (sequence, sequence + 1)));
        kept.sort_unstable();
        kept
    }

    /// The next sealed segment after this one, to be verified.
    pub(crate) fn sealed_after(&self, segment: u64) -> Option<(u64, Scrub)> {
        let (next, sealed) = self.sealed.range(segment.saturating_add(1)..).next()?;
        Some((*next, Scrub::new(sealed.segment, Arc::clone(&sealed.file), sealed.bytes)))
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
        self.moved.retain(|_, at| at != segment);
        self.loaded.retain(|(loaded, _)| *loaded != segment);
        self.chunks.retain(|(chunk, _, _)| *chunk != segment);
        self.chunk_bytes = self.chunks.iter().map(|(_, _, bytes)| bytes.len()).sum();
        self.unreadable.forget(segment);
        self.reported.retain(|(reported, _)| *reported != segment);
    }

    /// A topic is gone.
    pub(crate) fn forget_topic(&mut self, topic: u32) {
        self.runs.remove(&topic);
        self.active_offsets.remove(&topic);
        self.moved.retain(|(moved, _), _| moved != topic);
        self.last = None;
    }

    /// Takes over what recovery found in the active segment.
    pub(crate) fn restore_active(&mut self, offsets: SegmentOffsets, end: u64) {
        self.active_offsets = offsets;
        self.active_end = end;
    }

    /// The segment that recovery took for the active one is sealed: begin with another.
    pub(crate) fn restart(&mut self, active: Segment, file: Arc<dyn DiskFile>) {
        self.active = active;
        self.active_end = 0;
        self.active_file = file;
    }

    /// Forgets the topics that are gone, and copies in segments that are.
    pub(crate) fn keep_topics(&mut self, keep: impl Fn(u32) -> bool) {
        self.runs.retain(|topic, _| keep(*topic));
        self.active_offsets.retain(|topic, _| keep(*topic));
        let (sealed, active) = (&self.sealed, self.active.number);
        self.moved.retain(|(topic, _), at| keep(topic) && (at == active || sealed.contains_key(&at)));
    }

    /// How many damaged records were met since the start.
    pub(crate) fn damaged(&self) -> u64 {
        self.damaged
    }

    /// Reports and counts damage, once.
    pub(crate) fn report(&mut self, damage: &Damage) {
        let (segment, offset, bytes) = match *damage {
            Damage::Bytes { segment, offset, bytes } => (segment, offset, bytes),
            Damage::Segments { first, last } => {
                self.damaged += last - first + 1;
                tracing::error!("the journal is damaged: {damage}");
                return;
            }
        };
        if self.reported.contains(&(segment, offset)) {
            return;
        }
        if self.reported.len() >= REMEMBERED_DAMAGE {
            self.reported.pop_first();
        }
        self.reported.insert((segment, offset));
        self.damaged += 1;
        tracing::error!(segment, offset, bytes, "damaged bytes in the journal; what they held is set aside");
    }

    /// The first sequence of a topic that may be here.
    pub(crate) fn first_of(&self, topic: u32) -> Option<u64> {
        let sealed = self.runs.get(&topic).and_then(|runs| runs.keys().next().copied());
        let published = sealed.or_else(|| self.active_offsets.get(&topic).map(Offsets::first));
        published.into_iter().chain(self.moved.of_topic(topic).next()).min()
    }

    /// Bytes on the disk in sealed segments.
    pub(crate) fn sealed_bytes(&self) -> u64 {
        self.sealed.values().map(|sealed| sealed.bytes).sum()
    }

    fn locate(&mut self, topic: u32, sequence: u64) -> Result<Option<(u64, u64)>, Missing> {
        if let Some((segment, offset)) = self.moved.place((topic, sequence)) {
            return Ok(Some((segment, u64::from(offset))));
        }
        let active = self.active_offsets.get(&topic).and_then(|offsets| offsets.get(sequence));
        if let Some(offset) = active {
            return Ok(Some((self.active.number, u64::from(offset))));
        }
        // Segments follow one another, but for what was saved of a torn one and written again.
        let mut runs = self.runs.get(&topic).into_iter().flat_map(|runs| runs.range(..=sequence).rev());
        let Some((_, &segment)) = runs.find(|(_, segment)| self.holds(**segment, topic, sequence)) else {
            return Ok(None);
        };
        let Some((_, index)) = self.loaded.iter().rev().find(|(loaded, _)| *loaded == segment) else {
            return Err(self.missing(segment, topic, sequence, None));
        };
        let offset = index.get(&topic).and_then(|offsets| offsets.get(sequence));
        Ok(offset.map(|offset| (segment, u64::from(offset))))
    }

    /// Whether a sealed segment has messages of the topic from both sides of a sequence, or the message itself.
    fn holds(&self, segment: u64, topic: u32, sequence: u64) -> bool {
        let range = self.sealed.get(&segment).and_then(|sealed| sealed.topics.get(&topic));
        range.is_some_and(|(first, end)| (*first..*end).contains(&sequence))
    }

    fn missing(&self, segment: u64, topic: u32, sequence: u64, offset: Option<u64>) -> Missing {
        let (segment, file, end) = match self.sealed.get(&segment) {
            Some(sealed) => (sealed.segment, &sealed.file, sealed.bytes),
            None => (self.active, &self.active_file, self.active_end),
        };
        Missing { segment, topic, sequence, file: Arc::clone(file), offset, end }
    }

    fn keep_loaded(&mut self, segment: u64, offsets: Arc<SegmentOffsets>) {
        self.loaded.retain(|(loaded, _)| *loaded != segment);
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

    /// The record in the chunks at hand; `None` when it must be read first.
    fn stored_record(&self, segment: u64, offset: u64) -> Option<Stored> {
        let identity = self.sealed.get(&segment).map_or(self.active, |sealed| sealed.segment);
        for (at, start, bytes) in self.chunks.iter().rev() {
            if *at != segment || offset < *start {
                continue;
            }
            let Some(rest) = usize::try_from(offset - start).ok().and_then(|from| bytes.get(from..)) else {
                continue;
            };
            match record::length_at(rest) {
                Some(length) if record::is_intact(&rest[..length], identity, offset) => {
                    return Some(Stored::Intact(bytes.slice_ref(&rest[..length])));
                }
                Some(length) => return Some(Stored::Damaged { bytes: length as u64 }),
                // A chunk that was read for this very record has all of it: its length is what does not hold.
                None if offset == *start => return Some(Stored::Damaged { bytes: rest.len() as u64 }),
                None => {}
            }
        }
        None
    }
}

/// First and last-but-one sequence, by topic.
fn ranges(offsets: &SegmentOffsets) -> HashMap<u32, (u64, u64)> {
    offsets.iter().map(|(topic, offsets)| (*topic, (offsets.first(), offsets.end()))).collect()
}

/// A record that was read.
enum Stored {
    Intact(Bytes),
    Damaged { bytes: u64 },
}
