//! A journal in memory, made by a real one on disk, and what a broken disk may do to it. The fuzz target uses this file too.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use bis_journal::inspect::inspect;
use bis_journal::{Disk, DiskFile, Keeper, MessageFacts, Options};

const MESSAGES: usize = 60;
const TOPICS: [&str; 2] = ["orders", "bills"];
const RECORD_HEADER: usize = 64;
const SEGMENT_HEADER: usize = 64;
const SALT_FILE: usize = 28;
/// Where a record says what it is, and what one that names a topic says.
const KIND: usize = 8;
const TOPIC_KIND: u8 = 2;

/// Files in memory.
#[derive(Clone, Default)]
pub struct MemoryDisk(Arc<Mutex<BTreeMap<String, Arc<MemoryFile>>>>);

#[derive(Default)]
struct MemoryFile(Mutex<Vec<u8>>);

impl MemoryFile {
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap()
    }
}

impl DiskFile for MemoryFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let bytes = self.bytes();
        let from = usize::try_from(offset).unwrap().min(bytes.len());
        let count = buffer.len().min(bytes.len() - from);
        buffer[..count].copy_from_slice(&bytes[from..from + count]);
        Ok(count)
    }

    fn write_at(&self, written: &[u8], offset: u64) -> io::Result<()> {
        let (mut bytes, from) = (self.bytes(), usize::try_from(offset).unwrap());
        if bytes.len() < from + written.len() {
            bytes.resize(from + written.len(), 0);
        }
        bytes[from..from + written.len()].copy_from_slice(written);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.bytes().len() as u64)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.bytes().resize(usize::try_from(length).unwrap(), 0);
        Ok(())
    }
}

impl Disk for MemoryDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().unwrap().keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.0.lock().unwrap().entry(name.to_owned()).or_default().clone())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.lock().unwrap().remove(name);
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = self.0.lock().unwrap();
        let file = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        Ok(())
    }
}

/// One thing that a broken disk does.
#[derive(Debug, Clone, Copy)]
pub enum Break {
    /// These bits of a byte turn.
    Flip { file: usize, offset: usize, bits: u8 },
    /// Bytes read as zeros.
    Zero { file: usize, offset: usize, bytes: usize },
    /// No checkpoint holds.
    Checkpoints,
    /// The file ends early.
    Cut { file: usize, length: usize },
    /// The file is not there.
    Remove { file: usize },
}

/// A journal and what it promised.
pub struct Journal {
    files: Vec<(String, Vec<u8>)>,
    messages: Vec<Published>,
    /// Where the records lie that give a topic its name.
    names: Vec<(&'static str, Place)>,
}

/// Topic, sequence, body, and where its record lies.
type Published = (&'static str, u64, String, Place);
/// File, offset, length.
type Place = (usize, usize, usize);

impl Journal {
    /// Makes one: two topics, several segments, checkpoints, a clean stop.
    pub fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = Options::new(folder.path());
        options.segment_bytes = 8192;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let keeper = runtime.block_on(Keeper::open(&options)).unwrap();
        let journal = keeper.journal();
        let mut published = Vec::new();
        for number in 0..MESSAGES {
            let topic = TOPICS[usize::from(number % 3 == 0)];
            let body = format!("<{number}>{}</{number}>", "x".repeat(number * 37 % 900));
            let facts = MessageFacts::default();
            let stored = journal.store(topic, std::iter::once(body.as_bytes()), &facts);
            runtime.block_on(stored).unwrap();
            if number == 5 {
                let mut state = journal.lock();
                let orders = state.number_of("orders").unwrap();
                state.make_channel(orders, "ship");
                let made = state.ticket();
                drop(state);
                journal.kick();
                runtime.block_on(journal.decided(made)).unwrap();
            }
            published.push((topic, body));
        }
        runtime.block_on(keeper.close()).unwrap();
        drop(runtime);
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            // It holds nothing, and would take most of what is broken at random.
            if name == "reserve" {
                continue;
            }
            files.push((name, std::fs::read(entry.path()).unwrap()));
        }
        files.sort();
        let mut next = BTreeMap::new();
        let messages = published.into_iter().map(|(topic, body)| {
            let sequence = next.entry(topic).or_insert(0_u64);
            *sequence += 1;
            let found = files.iter().enumerate().find_map(|(file, (_, bytes))| {
                let at = bytes.windows(body.len()).position(|window| window == body.as_bytes())?;
                Some((file, at - RECORD_HEADER, RECORD_HEADER + body.len()))
            });
            (topic, *sequence - 1, body, found.expect("a published message is in the journal"))
        });
        let messages = messages.collect();
        let names = TOPICS.into_iter().flat_map(|topic| names_of(topic, &files)).collect();
        Self { files, messages, names }
    }

    /// How many files there are, and how long the longest is.
    #[allow(dead_code, clippy::allow_attributes, reason = "the fuzzer wraps around")]
    pub fn extent(&self) -> (usize, usize) {
        (self.files.len(), self.files.iter().map(|(_, bytes)| bytes.len()).max().unwrap_or(0))
    }

    /// Where the records lie: file and offset.
    #[allow(dead_code, clippy::allow_attributes, reason = "the fuzzer finds them by itself")]
    pub fn records(&self) -> impl Iterator<Item = (usize, usize)> {
        self.messages.iter().map(|(_, _, _, (file, offset, _))| (*file, *offset))
    }

    /// Breaks a copy, recovers it, and panics when something is lost or made up. Numbers beyond the extent wrap around.
    pub fn check(&self, breaks: &[Break]) {
        let mut files = self.files.clone();
        // What is damaged: file, from, to.
        let mut damaged = Vec::new();
        let mut removed = BTreeSet::new();
        for broken in breaks {
            let (Break::Flip { file, .. }
            | Break::Zero { file, .. }
            | Break::Cut { file, .. }
            | Break::Remove { file }) = *broken
            else {
                for (_, bytes) in files.iter_mut().filter(|(name, _)| name.starts_with("checkpoint")) {
                    bytes.truncate(10);
                }
                continue;
            };
            let file = file % files.len();
            let bytes = &mut files[file].1;
            let before = bytes.len();
            match *broken {
                _ if before == 0 => {}
                Break::Checkpoints => {}
                Break::Flip { offset, bits, .. } => {
                    bytes[offset % before] ^= bits;
                    damaged.push((file, offset % before, offset % before + 1));
                }
                Break::Zero { offset, bytes: count, .. } => {
                    let from = offset % before;
                    let to = (from + count).min(before);
                    bytes[from..to].fill(0);
                    damaged.push((file, from, to));
                }
                Break::Cut { length, .. } => {
                    bytes.truncate(length % before);
                    damaged.push((file, length % before, usize::MAX));
                }
                Break::Remove { .. } => {
                    removed.insert(file);
                    damaged.push((file, 0, usize::MAX));
                }
            }
        }
        let disk = MemoryDisk::default();
        for (_, (name, bytes)) in files.iter().enumerate().filter(|(file, _)| !removed.contains(file)) {
            disk.open(name).unwrap().write_at(bytes, 0).unwrap();
        }
        let disk: Arc<dyn Disk> = Arc::new(disk);
        let mut found = BTreeMap::new();
        let inspection = inspect(&disk, |message| {
            let body = String::from_utf8_lossy(message.body).into_owned();
            found.insert((message.topic.to_owned(), message.sequence), body);
        });
        let inspection = inspection.unwrap();
        let mut expected: BTreeMap<_, _> = self
            .messages
            .iter()
            .map(|(topic, sequence, body, _)| (((*topic).to_owned(), *sequence), body))
            .collect();
        for (at, body) in &found {
            assert_eq!(expected.get(at), Some(&body), "{breaks:?}: {at:?} is not what was published");
        }
        let is_hit = |(file, offset, length): &Place| {
            damaged.iter().any(|(at, from, to)| at == file && *from < offset + length && to > offset)
        };
        // Every copy of the salt may be what was hit: nothing can be read then.
        let is_unreadable = self.files.iter().enumerate().all(|(file, (name, _))| match name.as_str() {
            "salt" => is_hit(&(file, 0, SALT_FILE)),
            name => !name.ends_with(".segment") || is_hit(&(file, 0, SEGMENT_HEADER)),
        });
        if is_unreadable {
            expected.clear();
        }
        for (topic, sequence, _, place) in &self.messages {
            // Whose they are may be what was hit, wherever it was written.
            let is_nameless = self.names.iter().filter(|(name, _)| name == topic).all(|(_, at)| is_hit(at));
            if is_nameless || is_hit(place) {
                expected.remove(&((*topic).to_owned(), *sequence));
            }
        }
        let is_checkpoint_hit = breaks.iter().any(|broken| matches!(broken, Break::Checkpoints))
            || damaged.iter().any(|(file, _, _)| files[*file].0.starts_with("checkpoint"));
        if !is_checkpoint_hit && removed.iter().any(|file| files[*file].0.ends_with(".segment")) {
            assert!(!inspection.damage.is_empty(), "{breaks:?}: a segment is missed by nobody");
        }
        for (at, body) in expected {
            assert_eq!(found.get(&at), Some(body), "{breaks:?}: {at:?} is lost; {:?}", inspection.damage);
        }
    }
}

/// The records that name a topic.
fn names_of(topic: &'static str, files: &[(String, Vec<u8>)]) -> Vec<(&'static str, Place)> {
    let mut found = Vec::new();
    for (file, (_, bytes)) in files.iter().enumerate() {
        for (at, window) in bytes.windows(RECORD_HEADER + topic.len()).enumerate() {
            let is_whole = window[0..4] == (window.len() as u32).to_le_bytes();
            if is_whole && window[KIND] == TOPIC_KIND && window.ends_with(topic.as_bytes()) {
                found.push((topic, (file, at, window.len())));
            }
        }
    }
    assert!(found.len() > 1, "`{topic}` is named too seldom");
    found
}
