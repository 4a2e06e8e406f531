//! What a start makes of bytes that look like the journal's, published by somebody who knows how it looks, and of records that
//! contradict each other.

use bis_broker::channel::Time;
use tempfile::TempDir;

use super::*;
use crate::files::batch::Batch;
use crate::files::folder::Folder;
use crate::files::footer::Offsets;

const SALT: Salt = Salt(*b"nobody knows it.");
const GUESS: Salt = Salt([0; 16]);
const TOPIC: u32 = 1;
const SEGMENT_BYTES: u64 = 1 << 20;
/// Where the body of the second record lies: after the headers of segment and batch, and the topic's record.
const BODY_AT: usize = SEGMENT_HEADER + BATCH_HEADER + RECORD_HEADER + "topics".len() + RECORD_HEADER;

fn start(folder: &TempDir) -> Restored {
    let disk: Arc<dyn Disk> = Arc::new(Folder::open(folder.path()).unwrap());
    restore(&disk, SEGMENT_BYTES, Time(1), SALT).unwrap()
}

/// A journal with a topic, and a message with this body.
fn journal(body: &[u8]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut buffer = vec![0; BATCH_HEADER];
    record::append(&mut buffer, &Header::new(Kind::Topic, TOPIC, 0), b"topics");
    record::append(&mut buffer, &Header::new(Kind::Message, TOPIC, 0), body);
    let mut writer = start(&folder).writer;
    writer.write(&mut buffer).unwrap();
    writer.sync().unwrap();
    folder
}

/// Whether the topic is still there after a start that looks for records in a body.
fn survives_a_forged_record(guess: &Salt) -> bool {
    let mut body = Vec::new();
    record::append(&mut body, &Header::new(Kind::TopicDeleted, TOPIC, 0), b"");
    record::seal(&mut body, Segment::new(1, guess), BODY_AT as u64);
    let folder = journal(&body);
    let path = folder.path().join("0000000000000001.segment");
    let mut bytes = std::fs::read(&path).unwrap();
    // The length of the message, so that nothing says where it ends.
    bytes[BODY_AT - RECORD_HEADER + 1] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    start(&folder).state.number_of("topics").is_some()
}

/// Whether the message is still there though its body ends as a sealed segment does.
fn survives_a_forged_seal(guess: &Salt) -> bool {
    let segment = Segment::new(1, guess);
    let at = BODY_AT.next_multiple_of(8);
    let mut body = vec![b'x'; at - BODY_AT + BATCH_HEADER];
    let checksum = Batch::checksum_of(segment, (at + BATCH_HEADER) as u64, &[]);
    let batch = Batch { number: 9, length: 0, checksum, durable: 64, count: 0 };
    batch.encode(segment, at as u64, &mut body[at - BODY_AT..]);
    let trailer_at = at + BATCH_HEADER;
    body.extend_from_slice(&footer::trailer(segment, at as u64, trailer_at as u64));
    let folder = journal(&body);
    // A start cuts the file where the batch ends; the next one takes what it ends with for a seal.
    drop(start(&folder));
    !start(&folder).state.log.kept(TOPIC).is_empty()
}

#[test]
fn what_looks_like_records_is_nothing_without_the_salt() {
    assert!(survives_a_forged_record(&GUESS));
    assert!(survives_a_forged_seal(&GUESS));
    // The salt is all that keeps them out: with it, these very bytes would do.
    assert!(!survives_a_forged_record(&SALT));
    assert!(!survives_a_forged_seal(&SALT));
}

#[test]
fn a_topic_that_was_made_anew_keeps_its_name_when_the_old_ones_deletion_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut state = start(&folder).state;
    // Definitions are written before what else is in a commit: the new topic's comes before the deletion.
    for (kind, topic) in [(Kind::Topic, 1), (Kind::Topic, 2), (Kind::TopicDeleted, 1), (Kind::Topic, 2)] {
        state.apply(&Header::new(kind, topic, 0), b"orders");
    }
    assert_eq!(state.number_of("orders"), Some(2));
    state.apply(&Header::new(Kind::TopicDeleted, 2, 0), b"");
    assert_eq!(state.number_of("orders"), None);
}

#[test]
fn of_two_records_with_one_sequence_the_first_counts() {
    let mut offsets = Offsets::default();
    assert!(offsets.push(5, 64) && offsets.push(6, 128));
    assert!(!offsets.push(6, 256), "it was refused, and another got its sequence");
    assert_eq!(offsets.get(6), Some(128));
}
