//! Which sealed segments may go, and which few messages keep one that should.
//!
//! A segment is handled when every channel has finished every message in it, those left out that live on as copies in a
//! newer one. What keeps few messages beside much that is handled is *pinned*: these are copied to the active segment as
//! records of their own, and then it is handled.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bis_broker::channel::Time;

use super::{State, Ticket};
use crate::files::disk::DiskFile;
use crate::files::fetch::{read_offsets, read_up_to};
use crate::files::log::Sealed;
use crate::files::moved::Message;
use crate::files::record::{self, RECORD_HEADER};
use crate::files::segment::Segment;
use crate::options::Policy;

/// A segment is pinned by at most this part of its messages and bytes; with more it is backlog.
const PINNED_PART: u64 = 8;
/// The most messages that a segment is pinned by.
const PINNED_MESSAGES: usize = 16_384;
/// The most bytes that a segment is pinned by: they are in memory while they are copied.
const PINNED_BYTES: u64 = 8 * 1024 * 1024;
/// The most messages that live on as copies, about 100 bytes of memory each.
pub(crate) const MOVED_MESSAGES: usize = 65_536;

/// A segment that would go but for few messages.
pub(crate) struct Pinned {
    pub(crate) segment: Segment,
    file: Arc<dyn DiskFile>,
    bytes: u64,
    /// Each with its offset where that is known: the segment's index has the others.
    messages: Vec<(Message, Option<u32>)>,
}

impl Pinned {
    /// The records of its messages, in the order of the file; `None` when they are too large to be copied. A record that is
    /// damaged stays where it is.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn read(&self) -> io::Result<Option<Vec<Vec<u8>>>> {
        let (index, _) = read_offsets(&*self.file, self.segment)?;
        let offset = |message: &(Message, Option<u32>)| {
            let ((topic, sequence), known) = *message;
            known.or_else(|| index.get(&topic)?.get(sequence))
        };
        let mut offsets: Vec<u32> = self.messages.iter().filter_map(offset).collect();
        offsets.sort_unstable();
        let mut left = (self.bytes / PINNED_PART).min(PINNED_BYTES);
        let mut records = Vec::new();
        for offset in offsets.into_iter().map(u64::from) {
            let header = read_up_to(&*self.file, offset, RECORD_HEADER)?;
            if header.len() < RECORD_HEADER {
                continue;
            }
            let length = u64::from(record::read_u32(&header, 0));
            if length > self.bytes {
                continue;
            }
            let Some(rest) = left.checked_sub(length) else { return Ok(None) };
            let length = usize::try_from(length).map_err(io::Error::other)?;
            let record = read_up_to(&*self.file, offset, length)?;
            if record::is_intact(&record, self.segment, offset) {
                left = rest;
                records.push(record);
            }
        }
        Ok(Some(records))
    }
}

impl State {
    /// Whether every channel has handled all of a segment.
    pub(super) fn is_handled(&self, segment: u64, sealed: &Sealed) -> bool {
        self.unhandled_of(segment, sealed).next().is_none()
    }

    /// Sealed segments that may go, oldest first: they are handled, and too old or together too large.
    pub(crate) fn expired_segments(&self, now: Time, policy: &Policy) -> Vec<u64> {
        let due = self.past_retention(now, policy).into_iter();
        due.filter(|(segment, sealed)| self.is_handled(*segment, sealed))
            .map(|(segment, _)| segment)
            .collect()
    }

    /// Sealed segments that are handled, the oldest first, until they have `enough` bytes together.
    pub(crate) fn handled_segments(&self, enough: u64) -> Vec<u64> {
        let mut bytes = 0;
        let handled = self.log.sealed().filter(|(segment, sealed)| self.is_handled(*segment, sealed));
        let handled = handled.take_while(|(_, sealed)| {
            let is_wanted = bytes < enough;
            bytes += sealed.bytes;
            is_wanted
        });
        handled.map(|(segment, _)| segment).collect()
    }

    /// Whether the active segment could go, were it sealed: at once, or once the few messages that keep it are copied.
    pub(crate) fn active_may_go(&self) -> bool {
        let active = self.log.as_if_sealed();
        self.pins(active.segment.number, &active).is_some()
    }

    /// Sealed segments that retention, a full backlog or a full disk would have go but for few messages, oldest first.
    pub(crate) fn pinned_segments(&self, now: Time, policy: &Policy) -> Vec<u64> {
        let due = match self.backlog.is_full() || self.admission.no_room.is_some() {
            true => self.log.sealed().collect(),
            false => self.past_retention(now, policy),
        };
        due.into_iter()
            .map(|(segment, _)| segment)
            .filter(|segment| self.pinned(*segment).is_some())
            .collect()
    }

    /// A sealed segment with the few messages that keep it; `None` when there are none or many, or no room to keep in mind
    /// where they would be.
    pub(crate) fn pinned(&self, segment: u64) -> Option<Pinned> {
        let sealed = self.log.sealed_one(segment)?;
        let messages = self.pins(segment, sealed).filter(|messages| !messages.is_empty())?;
        let moved = self.log.moved();
        (moved.len() + messages.len() <= MOVED_MESSAGES).then(|| Pinned {
            segment: sealed.segment,
            file: Arc::clone(&sealed.file),
            bytes: sealed.bytes,
            messages: messages
                .into_iter()
                .map(|message| (message, moved.place(message).map(|(_, offset)| offset)))
                .collect(),
        })
    }

    /// Takes records, of messages that are unhandled or were so a moment ago, to be written to the active segment. They are
    /// there once the ticket is decided.
    pub(crate) fn move_records(&mut self, records: &[Vec<u8>]) -> Result<Ticket, Arc<str>> {
        self.check_open()?;
        for bytes in records {
            let Some(header) = record::header(bytes) else { continue };
            if self.topics.contains_key(&header.topic) {
                self.next.add_copy(header, bytes);
            }
        }
        Ok(self.ticket())
    }

    /// Forgets the copies that every channel has handled.
    pub(crate) fn forget_handled_copies(&mut self) {
        let State { log, topics, .. } = self;
        log.keep_moved(|(topic, sequence), _| {
            topics.get(&topic).is_some_and(|topic| !topic.has_handled(sequence))
        });
    }

    /// Segments that are handled or pinned and too old, or with the newer ones too large; the oldest first.
    fn past_retention(&self, now: Time, policy: &Policy) -> Vec<(u64, &Sealed)> {
        let is_old = |sealed: &Sealed| now.since(Time(sealed.sealed)) > self.age_of(sealed, policy);
        if self.log.sealed_bytes() <= policy.retention_bytes && !self.log.sealed().any(|(_, at)| is_old(at)) {
            return Vec::new();
        }
        let light = self.log.sealed().filter(|(segment, sealed)| self.pins(*segment, sealed).is_some());
        let mut light: Vec<_> = light.collect();
        let mut left: u64 = light.iter().map(|(_, sealed)| sealed.bytes).sum();
        light.retain(|(_, sealed)| {
            let is_past = left > policy.retention_bytes || is_old(sealed);
            left -= if is_past { sealed.bytes } else { 0 };
            is_past
        });
        light
    }

    /// How old a segment becomes: as old as the most demanding topic wants.
    fn age_of(&self, sealed: &Sealed, policy: &Policy) -> Duration {
        let of_topic = |id| Some(self.topics.get(id)?.retention.map_or(policy.retention, |own| own.max_age));
        sealed.topics.keys().filter_map(of_topic).max().unwrap_or(policy.retention)
    }

    /// The first message of a topic so that it and all that follow have about this many bytes: of a segment that has messages of
    /// several topics, each is taken to have its share.
    pub(crate) fn first_within(&self, topic: u32, max_bytes: u64) -> u64 {
        let active = self.log.as_if_sealed();
        let mut left = max_bytes;
        let sealed = self.log.sealed().map(|(_, sealed)| sealed).collect::<Vec<_>>();
        for segment in [&active].into_iter().chain(sealed.into_iter().rev()) {
            let Some((first, end)) = segment.topics.get(&topic).copied() else { continue };
            let all: u64 = segment.topics.values().map(|(first, end)| end - first).sum();
            let share = |count: u64| {
                u64::try_from(u128::from(segment.bytes) * u128::from(count) / u128::from(all.max(1)))
                    .unwrap_or(u64::MAX)
            };
            let bytes = share(end - first);
            if bytes > left {
                let one = share(1).max(1);
                return end - (left / one).min(end - first);
            }
            left -= bytes;
        }
        0
    }

    /// The messages that a segment is pinned by, none when it is handled; `None` when there are more than few.
    fn pins(&self, segment: u64, sealed: &Sealed) -> Option<BTreeSet<Message>> {
        let published: u64 = sealed.topics.values().map(|(first, end)| end - first).sum();
        let copies = self.log.moved().in_segment(segment).count();
        let part = (published + copies as u64).div_ceil(PINNED_PART);
        let most = usize::try_from(part).unwrap_or(usize::MAX).min(PINNED_MESSAGES);
        let mut unfinished = sealed.topics.iter().filter_map(|(id, (first, end))| {
            let channels = self.topics.get(id)?.channels.values();
            channels.map(|channel| channel.machine.unfinished_count(*first, *end)).max()
        });
        // Cheaper than to list them, and those that have moved from here are few.
        if unfinished.any(|count| count > (most + self.log.moved().len()) as u64) {
            return None;
        }
        let mut messages = BTreeSet::new();
        for message in self.unhandled_of(segment, sealed) {
            messages.insert(message);
            if messages.len() > most {
                return None;
            }
        }
        Some(messages)
    }

    /// The messages of a segment, copies among them, that a channel has not finished; some more than once.
    fn unhandled_of<'a>(&'a self, segment: u64, sealed: &'a Sealed) -> impl Iterator<Item = Message> + 'a {
        let published = sealed.topics.iter().flat_map(|(id, (first, end))| {
            let topic = self.topics.get(id).into_iter();
            topic.flat_map(|topic| topic.unhandled_between(*first, *end)).map(|sequence| (*id, sequence))
        });
        let copies = self.log.moved().in_segment(segment);
        published.filter(|message| self.log.moved().place(*message).is_none()).chain(
            copies.filter(|(id, sequence)| {
                self.topics.get(id).is_some_and(|topic| !topic.has_handled(*sequence))
            }),
        )
    }
}
