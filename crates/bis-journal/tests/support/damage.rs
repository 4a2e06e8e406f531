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
    /// These bits of a byte flip.
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
        let broken = Broken::new(self.files.clone(), breaks);
        let mut found = BTreeMap::new();
        let inspection = inspect(&broken.disk(), |message| {
            let body = String::from_utf8_lossy(message.body).into_owned();
            found.insert((message.topic.to_owned(), message.sequence), body);
        });
        let inspection = inspection.unwrap();
        for (at, body) in &found {
            let published =
                self.messages.iter().find(|(topic, sequence, ..)| *topic == at.0 && *sequence == at.1);
            let published = published.map(|(_, _, body, _)| body);
            assert_eq!(published, Some(body), "{breaks:?}: {at:?} is not what was published");
        }
        if broken.misses_a_segment() {
            assert!(!inspection.damage.is_empty(), "{breaks:?}: a segment is missed by nobody");
        }
        for (topic, sequence, body, place) in &self.messages {
            if self.may_be_lost(topic, place, &broken) {
                continue;
            }
            let at = ((*topic).to_owned(), *sequence);
            assert_eq!(found.get(&at), Some(body), "{breaks:?}: {at:?} is lost; {:?}", inspection.damage);
        }
    }

    /// Whether the damage reaches what a message needs: its record, each record that names its topic, each copy of the salt.
    fn may_be_lost(&self, topic: &str, place: &Place, broken: &Broken) -> bool {
        let is_nameless =
            self.names.iter().filter(|(name, _)| *name == topic).all(|(_, at)| broken.is_hit(at));
        let is_unreadable = self.files.iter().enumerate().all(|(file, (name, _))| match name.as_str() {
            "salt" => broken.is_hit(&(file, 0, SALT_FILE)),
            name => !name.ends_with(".segment") || broken.is_hit(&(file, 0, SEGMENT_HEADER)),
        });
        is_nameless || is_unreadable || broken.is_hit(place)
    }
}

/// A broken copy.
struct Broken {
    files: Vec<(String, Vec<u8>)>,
    /// What is damaged: file, from, to.
    damaged: Vec<(usize, usize, usize)>,
    removed: BTreeSet<usize>,
    lost_checkpoints: bool,
}

impl Broken {
    fn new(files: Vec<(String, Vec<u8>)>, breaks: &[Break]) -> Self {
        let mut broken =
            Self { files, damaged: Vec::new(), removed: BTreeSet::new(), lost_checkpoints: false };
        breaks.iter().for_each(|one| broken.apply(one));
        broken
    }

    fn apply(&mut self, one: &Break) {
        let (Break::Flip { file, .. }
        | Break::Zero { file, .. }
        | Break::Cut { file, .. }
        | Break::Remove { file }) = *one
        else {
            self.lost_checkpoints = true;
            for (_, bytes) in self.files.iter_mut().filter(|(name, _)| name.starts_with("checkpoint")) {
                bytes.truncate(10);
            }
            return;
        };
        let file = file % self.files.len();
        let bytes = &mut self.files[file].1;
        let before = bytes.len();
        match *one {
            _ if before == 0 => {}
            Break::Checkpoints => {}
            Break::Flip { offset, bits, .. } => {
                bytes[offset % before] ^= bits;
                self.damaged.push((file, offset % before, offset % before + 1));
            }
            Break::Zero { offset, bytes: count, .. } => {
                let from = offset % before;
                let to = (from + count).min(before);
                bytes[from..to].fill(0);
                self.damaged.push((file, from, to));
            }
            Break::Cut { length, .. } => {
                bytes.truncate(length % before);
                self.damaged.push((file, length % before, usize::MAX));
            }
            Break::Remove { .. } => {
                self.removed.insert(file);
                self.damaged.push((file, 0, usize::MAX));
            }
        }
    }

    fn disk(&self) -> Arc<dyn Disk> {
        let disk = MemoryDisk::default();
        for (_, (name, bytes)) in
            self.files.iter().enumerate().filter(|(file, _)| !self.removed.contains(file))
        {
            disk.open(name).unwrap().write_at(bytes, 0).unwrap();
        }
        Arc::new(disk)
    }

    fn is_hit(&self, (file, offset, length): &Place) -> bool {
        self.damaged.iter().any(|(at, from, to)| at == file && *from < offset + length && to > offset)
    }

    /// Whether a segment is gone and a valid checkpoint lists it.
    fn misses_a_segment(&self) -> bool {
        let is_checkpoint_hit = self.lost_checkpoints
            || self.damaged.iter().any(|(file, _, _)| self.files[*file].0.starts_with("checkpoint"));
        !is_checkpoint_hit && self.removed.iter().any(|file| self.files[*file].0.ends_with(".segment"))
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
