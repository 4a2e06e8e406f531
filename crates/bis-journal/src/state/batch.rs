//! What the committer takes at once: records of one commit, and which messages they are.

use super::ticket::Ticket;
use crate::files::batch::BATCH_HEADER;
use crate::files::record::{self, Kind};

/// Messages of one publish, in a buffer that is to be committed. Their records follow each other.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) topic: u32,
    /// How many there are.
    pub(super) count: u32,
    /// The sequence of the first.
    pub(super) sequence: u64,
    /// Where its record is in the buffer.
    pub(super) place: usize,
    /// The length of their bodies together.
    pub(super) bytes: usize,
}

impl Pending {
    /// Sequence and place of each.
    pub(super) fn each<'a>(&self, buffer: &'a [u8]) -> impl Iterator<Item = (u64, usize)> + use<'a> {
        let (sequence, mut place) = (self.sequence, self.place);
        (0..u64::from(self.count)).map(move |index| {
            if index > 0 {
                place += record::read_u32(buffer, place) as usize;
            }
            (sequence + index, place)
        })
    }
}

/// One commit.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) ticket: Ticket,
    /// Room for the batch's header, then records.
    pub(crate) buffer: Vec<u8>,
    pub(super) messages: Vec<Pending>,
    /// Messages that are copied from old segments.
    pub(super) moving: Vec<Pending>,
    /// It has a message that may not use the reserve.
    pub(crate) is_ordinary: bool,
}

impl Batch {
    /// The batch without its messages; `None` when there is nothing else.
    pub(crate) fn without_messages(&self) -> Option<Vec<u8>> {
        let mut rest = vec![0; BATCH_HEADER];
        let mut at = BATCH_HEADER;
        while let Some(length) = record::length_at(&self.buffer[at..]) {
            let bytes = &self.buffer[at..at + length];
            let kind = record::header(bytes).map(|header| header.kind);
            if !matches!(kind, Some(Kind::Message | Kind::Moved) | None) {
                rest.extend_from_slice(bytes);
            }
            at += length;
        }
        (rest.len() > BATCH_HEADER).then_some(rest)
    }
}
