//! What a start would find in a data folder, without serving it: for tests, for fuzzing, for a look at a copy.
//!
//! It recovers as [`Keeper::open`](crate::Keeper::open) does, so that the torn end of the journal is cut off. Never use
//! it on the folder of a journal that is open.

use std::io;
use std::sync::Arc;

use crate::clock;
use crate::files::damage::Damage;
use crate::files::disk::Disk;
use crate::files::record::{self, RECORD_HEADER};
use crate::files::salt::Salt;
use crate::options::Options;
use crate::state::restore;

/// One message that the journal has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// The topic's name.
    pub topic: &'a str,
    /// Its number in the topic.
    pub sequence: u64,
    /// When it was published, in nanoseconds since 1970.
    pub published: u64,
    /// Its body.
    pub body: &'a [u8],
}

/// What was found beside the messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// What recovery found damaged.
    pub damage: Vec<Damage>,
    /// How many places are damaged, those included that show only when a message is read.
    pub damaged: u64,
    /// How many messages there are.
    pub messages: u64,
    /// How many messages each channel has not finished: topic, channel, count.
    pub unfinished: Vec<(String, String, u64)>,
}

/// Recovers the journal on `disk` and visits every message that holds, topic by topic, in order.
///
/// # Errors
/// When the disk cannot be read, or not be written to.
pub fn inspect(disk: &Arc<dyn Disk>, mut visit: impl FnMut(Message<'_>)) -> io::Result<Inspection> {
    let segment_bytes = Options::new("").segment_bytes;
    let restored = restore::restore(disk, segment_bytes, clock::date(), Salt::random())?;
    let mut state = restored.state;
    let (mut messages, mut unfinished) = (0, Vec::new());
    for topic in state.topics.values() {
        let name = topic.name.as_str();
        for sequence in state.log.first_of(topic.id).unwrap_or(topic.end)..topic.end {
            let record = loop {
                match state.log.record(topic.id, sequence) {
                    Ok(record) => break record,
                    Err(missing) => state.log.supply(missing.read()?),
                }
            };
            let Some(record) = record else { continue };
            let Some(header) = record::header(&record) else { continue };
            let body = &record[RECORD_HEADER..];
            visit(Message { topic: name, sequence, published: header.published, body });
            messages += 1;
        }
        for (channel, state) in &topic.channels {
            unfinished.push((name.to_owned(), channel.as_str().to_owned(), state.machine.unfinished()));
        }
    }
    Ok(Inspection { damage: restored.damage, damaged: state.log.damaged(), messages, unfinished })
}
