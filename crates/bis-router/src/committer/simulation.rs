//! The committer over a simulated disk that stops at any write, tears what was not synced, runs full, or flips bits;
//! after each the recovered state is compared with what had been promised.
//!
//! Names (made, renamed, removed files) are durable in order: a crash may take back the last of those that were not synced.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bis_broker::channel::Time;
use bis_nsq::{Frame, Name, decode_frame};
use bytes::BytesMut;
use tokio::sync::Notify;

use super::*;
use crate::clock::SystemClock;
use crate::journal::disk::DiskFile;
use crate::state::MessageFacts;
use crate::state::delivery::{Peek, PeekPage, Round, Subscription};
use crate::state::restore;
use crate::state::topic::{ClientInfo, DeliveryOrder, Joining};

const SEGMENT_BYTES: u64 = 4096;
const SECTOR: usize = 512;

/// xorshift64*: the same on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }
}

#[derive(Clone)]
enum Change {
    Write(u64, Vec<u8>),
    Length(u64),
}

#[derive(Clone, Default)]
struct SimulatedFile {
    current: Vec<u8>,
    synced: Vec<u8>,
    /// What happened since the last sync.
    unsynced: Vec<Change>,
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Length(length) => bytes.resize(usize::try_from(*length).unwrap(), 0),
        Change::Write(offset, written) => {
            let offset = usize::try_from(*offset).unwrap();
            if bytes.len() < offset + written.len() {
                bytes.resize(offset + written.len(), 0);
            }
            bytes[offset..offset + written.len()].copy_from_slice(written);
        }
    }
}

#[derive(Default)]
struct Inner {
    files: BTreeMap<String, SimulatedFile>,
    /// Changes until the power goes; `None` is never.
    power: Option<usize>,
    changes: usize,
    is_full: bool,
    syncs_fail: bool,
    /// Changes of names that a crash may take back, the oldest first.
    names: Vec<NameChange>,
    /// Makes one change of twenty fail.
    flaky: Option<Random>,
}

enum NameChange {
    Made(String),
    Removed(String, SimulatedFile),
    Renamed { from: String, to: String, replaced: Option<SimulatedFile> },
}

/// The files as they were before a change of names.
fn take_back(files: &mut BTreeMap<String, SimulatedFile>, change: &NameChange) {
    match change {
        NameChange::Made(name) => {
            files.remove(name);
        }
        NameChange::Removed(name, file) => {
            files.insert(name.clone(), file.clone());
        }
        NameChange::Renamed { from, to, replaced } => {
            if let Some(file) = files.remove(to) {
                files.insert(from.clone(), file);
            }
            if let Some(replaced) = replaced {
                files.insert(to.clone(), replaced.clone());
            }
        }
    }
}

impl Inner {
    fn change(&mut self) -> io::Result<()> {
        self.changes += 1;
        if self.flaky.as_mut().is_some_and(|random| random.below(20) == 0) {
            return Err(io::Error::other("input/output error"));
        }
        match &mut self.power {
            Some(0) => Err(io::Error::other("no power")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

#[derive(Clone, Default)]
struct SimulatedDisk(Arc<Mutex<Inner>>);

struct Open {
    disk: SimulatedDisk,
    name: String,
}

impl SimulatedDisk {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// What a machine finds after the power went: synced bytes, and any part of the others.
    fn after_crash(&self, random: &mut Random) -> Self {
        let mut files = BTreeMap::new();
        let inner = self.inner();
        let mut before = inner.files.clone();
        let lost = random.below(inner.names.len() as u64 + 1);
        for change in inner.names.iter().rev().take(usize::try_from(lost).unwrap()) {
            take_back(&mut before, change);
        }
        for (name, file) in &before {
            let mut bytes = file.synced.clone();
            for change in &file.unsynced {
                match change {
                    Change::Write(offset, written) => {
                        for (index, sector) in written.chunks(SECTOR).enumerate() {
                            if random.below(2) == 0 {
                                let at = offset + (index * SECTOR) as u64;
                                apply(&mut bytes, &Change::Write(at, sector.to_vec()));
                            }
                        }
                    }
                    Change::Length(_) if random.below(2) == 0 => {}
                    Change::Length(_) => apply(&mut bytes, change),
                }
            }
            let file = SimulatedFile { current: bytes.clone(), synced: bytes, unsynced: Vec::new() };
            files.insert(name.clone(), file);
        }
        Self(Arc::new(Mutex::new(Inner { files, ..Inner::default() })))
    }
}

impl Disk for SimulatedDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.inner().files.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut inner = self.inner();
        if !inner.files.contains_key(name) {
            inner.change()?;
            inner.files.insert(name.to_owned(), SimulatedFile::default());
            inner.names.push(NameChange::Made(name.to_owned()));
        }
        Ok(Arc::new(Open { disk: self.clone(), name: name.to_owned() }))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut inner = self.inner();
        inner.change()?;
        if let Some(file) = inner.files.remove(name) {
            inner.names.push(NameChange::Removed(name.to_owned(), file));
        }
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut inner = self.inner();
        inner.change()?;
        let file = inner.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        let replaced = inner.files.insert(to.to_owned(), file);
        inner.names.push(NameChange::Renamed { from: from.to_owned(), to: to.to_owned(), replaced });
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut inner = self.inner();
        inner.change()?;
        inner.names.clear();
        Ok(())
    }
}

impl Open {
    fn change(&self, change: Change) -> io::Result<()> {
        let mut inner = self.disk.inner();
        let is_full = inner.is_full;
        let result = inner.change();
        let file = inner.files.entry(self.name.clone()).or_default();
        if let Change::Write(offset, bytes) = &change
            && is_full
            && offset + bytes.len() as u64 > file.current.len() as u64
        {
            return Err(io::ErrorKind::StorageFull.into());
        }
        // A write that the power interrupts may have happened in part.
        apply(&mut file.current, &change);
        file.unsynced.push(change);
        result
    }
}

impl DiskFile for Open {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let inner = self.disk.inner();
        let Some(file) = inner.files.get(&self.name) else { return Ok(0) };
        let from = usize::try_from(offset).unwrap().min(file.current.len());
        let count = buffer.len().min(file.current.len() - from);
        buffer[..count].copy_from_slice(&file.current[from..from + count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.change(Change::Write(offset, bytes.to_vec()))
    }

    fn sync(&self) -> io::Result<()> {
        let mut inner = self.disk.inner();
        inner.change()?;
        if inner.syncs_fail {
            return Err(io::Error::other("input/output error"));
        }
        let file = inner.files.entry(self.name.clone()).or_default();
        file.synced = file.current.clone();
        file.unsynced.clear();
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.inner().files.get(&self.name).map_or(0, |file| file.current.len() as u64))
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.change(Change::Length(length))
    }
}

/// A router without sockets and threads.
struct Router {
    committer: Committer,
    subscription: Option<Subscription>,
    damage: Vec<crate::journal::scan::Damage>,
}

impl Router {
    fn start(disk: &SimulatedDisk) -> io::Result<Self> {
        let disk: Arc<dyn Disk> = Arc::new(disk.clone());
        let restored = restore::restore(&disk, SEGMENT_BYTES, Time(1))?;
        let damage = restored.damage;
        let shared = Arc::new(Shared::new(restored.state, Arc::new(SystemClock)));
        let policy =
            Policy { sync: SyncMode::Always, retention: Duration::from_secs(3600), retention_bytes: 8192 };
        let (last_sync, last_retention) = (Instant::now(), Instant::now());
        let writer = restored.writer;
        let committer =
            Committer { shared, writer, disk, policy, last_sync, last_retention, checkpoint_due: false };
        Ok(Self { committer, subscription: None, damage })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.committer.shared.lock()
    }

    /// Commits what there is; whether it holds.
    fn flush(&mut self) -> bool {
        let Some(batch) = self.state().take_batch() else { return true };
        let ticket = batch.ticket;
        self.committer.commit(batch);
        self.committer.shared.progress.borrow().outcome(ticket).unwrap().is_ok()
    }

    fn publish(&mut self, body: &str) -> bool {
        let taken =
            self.state().publish(&name("orders"), [body.as_bytes()], &MessageFacts::default(), Time(1));
        taken.is_ok() && self.flush()
    }

    fn subscribe(&mut self) -> bool {
        let (client, wake) = (Arc::new(ClientInfo::default()), Arc::new(Notify::new()));
        let minute = Duration::from_secs(60);
        let joining = Joining { order: DeliveryOrder::Any, client, wake, timeout: minute, sample_rate: 0 };
        let subscription = self.state().subscribe(&name("orders"), &name("ship"), joining);
        self.state().set_ready(&subscription, 3);
        self.subscription = Some(subscription);
        self.flush()
    }

    fn deliver(&self, subscription: &Subscription, out: &mut BytesMut) -> Round {
        let round = self.state().deliver(subscription, Time(1), out);
        assert!(!matches!(round, Round::Gone));
        round
    }

    /// Hands out what the consumer is ready for: sequence and body.
    fn receive(&mut self) -> Vec<(u64, String)> {
        let Some(subscription) = self.subscription.clone() else { return Vec::new() };
        let mut out = BytesMut::new();
        while let Round::Missing(missing) = self.deliver(&subscription, &mut out) {
            let fetched = missing.read().unwrap();
            self.state().log.supply(fetched);
        }
        let mut received = Vec::new();
        while let Some(Frame::Message(message)) = decode_frame(&mut out, 1 << 20).unwrap() {
            let body = String::from_utf8(message.body.to_vec()).unwrap();
            received.push((message.id.to_number().unwrap(), body));
        }
        received
    }

    /// The unfinished messages' bodies.
    fn unfinished(&self) -> BTreeSet<String> {
        let mut state = self.state();
        let Some(topic) = state.names.get("orders").copied() else { return BTreeSet::new() };
        let mut page = PeekPage::new(None, 100_000);
        while let Some(Peek::Missing(missing)) = state.peek(topic, &name("ship"), &mut page, Time(1)) {
            let fetched = missing.read().unwrap();
            state.log.supply(fetched);
        }
        page.messages.iter().map(|message| String::from_utf8(message.body.clone()).unwrap()).collect()
    }
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// What was promised, and what may or may not hold.
#[derive(Default, Debug)]
struct Promises {
    answered: BTreeSet<String>,
    /// Finished by the consumer, whether the journal knows it or not.
    finished: BTreeSet<String>,
    /// Finished, and the journal knows it.
    finished_for_good: BTreeSet<String>,
    /// Go on when something is refused.
    goes_on: bool,
    /// Something was refused: what is finished may not be in the journal.
    is_unsure: bool,
}

impl Promises {
    /// Random traffic until it is enough or the power goes.
    fn run(&mut self, router: &mut Router, random: &mut Random, steps: u64, prefix: &str) {
        if !router.subscribe() {
            return;
        }
        let mut in_flight = Vec::new();
        for step in 0..steps {
            let holds = match random.below(4) {
                0 | 1 => {
                    let filler = "x".repeat(usize::try_from(random.below(700)).unwrap());
                    let body = format!("{prefix}-{step}-{filler}");
                    let holds = router.publish(&body);
                    if holds {
                        self.answered.insert(body);
                    }
                    holds
                }
                2 => {
                    in_flight.extend(router.receive());
                    true
                }
                _ => {
                    if let Some((sequence, body)) = in_flight.pop() {
                        let subscription = router.subscription.clone().unwrap();
                        router.state().finish(&subscription, sequence).unwrap();
                        self.finished.insert(body);
                    }
                    random.below(2) == 0 || router.flush()
                }
            };
            if !holds && !self.goes_on {
                return;
            }
            self.is_unsure |= !holds;
            if !router.state().is_dirty() && !self.is_unsure {
                self.finished_for_good.extend(self.finished.iter().cloned());
            }
        }
    }

    fn check(&self, router: &Router, situation: &str) {
        assert_eq!(router.damage, [], "{situation}: a torn tail was taken for damage");
        let found = router.unfinished();
        for body in self.answered.difference(&self.finished) {
            assert!(found.contains(body), "{situation}: answered and lost: {body}");
        }
        for body in &self.finished_for_good {
            assert!(!found.contains(body), "{situation}: finished for good, and came back: {body}");
        }
    }
}

/// Runs with power for so many changes, crashes, recovers, goes on, stops cleanly, starts again. Returns whether the
/// power went at all.
fn crash_at(point: usize, seed: u64) -> bool {
    let situation = format!("seed {seed}, crash at change {point}");
    let mut random = Random(seed);
    let mut promises = Promises::default();
    let disk = SimulatedDisk::default();
    disk.inner().power = Some(point);
    if let Ok(mut router) = Router::start(&disk) {
        promises.run(&mut router, &mut random, 60, "a");
    }
    let went = disk.inner().power == Some(0);
    let mut crash = Random(seed * 1000 + point as u64 + 1);
    let disk = disk.after_crash(&mut crash);
    let mut router = Router::start(&disk).unwrap();
    promises.check(&router, &situation);
    // What was finished and came back is to be delivered again.
    let back = router.unfinished();
    promises.finished.retain(|body| !back.contains(body));
    promises.run(&mut router, &mut random, 25, "b");
    router.flush();
    router.committer.stop().unwrap();
    let disk = disk.after_crash(&mut crash);
    promises.finished_for_good = promises.finished.clone();
    promises.check(&Router::start(&disk).unwrap(), &format!("{situation}, clean stop"));
    went
}

#[test]
fn a_crash_at_any_write_loses_nothing_that_was_answered() {
    for seed in seeds(5) {
        let mut point = 0;
        while crash_at(point, seed) {
            point += 1;
        }
        assert!(point > 100, "the run was too short to mean something: {point} changes");
    }
}

/// The seed of one run from the environment, and else the first ones.
fn seeds(count: u64) -> std::ops::Range<u64> {
    let alone = std::env::var("BIS_SEED").ok().map(|seed| seed.parse::<u64>().unwrap());
    alone.map_or(1..count + 1, |seed| seed..seed + 1)
}

#[test]
fn a_disk_that_fails_now_and_then_loses_nothing_that_was_answered() {
    let mut answered = 0;
    for seed in seeds(300) {
        let situation = format!("BIS_SEED={seed}");
        let disk = SimulatedDisk::default();
        let mut random = Random(seed);
        let mut promises = Promises { goes_on: true, ..Promises::default() };
        let mut router = Router::start(&disk).unwrap();
        assert!(router.subscribe());
        disk.inner().flaky = Some(Random(seed + 1000));
        promises.run(&mut router, &mut random, 80, "a");
        let crashed = disk.after_crash(&mut random);
        promises.check(&Router::start(&crashed).unwrap(), &situation);
        answered += promises.answered.len();
    }
    assert!(answered > 100, "too little was answered to mean something: {answered}");
}

#[test]
fn a_full_disk_refuses_and_loses_nothing() {
    let disk = SimulatedDisk::default();
    let mut router = Router::start(&disk).unwrap();
    assert!(router.subscribe());
    assert!(router.publish("before"));
    disk.inner().is_full = true;
    let refused = (0..100).filter(|number| !router.publish(&format!("{number}{}", "x".repeat(300)))).count();
    assert!(refused > 50, "only {refused} were refused");
    disk.inner().is_full = false;
    assert!(router.publish("after"));
    let all = router.unfinished();
    let disk = disk.after_crash(&mut Random(7));
    let router = Router::start(&disk).unwrap();
    assert_eq!(router.damage, []);
    assert_eq!(router.unfinished(), all);
    assert!(all.contains("before") && all.contains("after"));
    assert_eq!(all.len(), 102 - refused);
}

#[test]
fn a_failed_sync_stops_the_router_and_the_disk_tells_the_truth() {
    let disk = SimulatedDisk::default();
    let mut router = Router::start(&disk).unwrap();
    assert!(router.subscribe());
    assert!(router.publish("before"));
    disk.inner().syncs_fail = true;
    assert!(!router.publish("lost or not"));
    disk.inner().syncs_fail = false;
    assert!(!router.publish("after"), "a sync is not tried again");
    assert!(router.state().failure.is_some());
    let router = Router::start(&disk.after_crash(&mut Random(9))).unwrap();
    assert!(router.unfinished().contains("before"));
    assert!(!router.unfinished().contains("after"));
}

#[test]
fn a_flipped_bit_is_reported_and_hides_nothing_else() {
    let disk = SimulatedDisk::default();
    let mut router = Router::start(&disk).unwrap();
    assert!(router.subscribe());
    for number in 0..10 {
        assert!(router.publish(&format!("message {number}")));
    }
    let flipped = disk.after_crash(&mut Random(3));
    for file in flipped.inner().files.values_mut() {
        let found = file.current.windows(9).position(|window| window == b"message 4");
        if let Some(at) = found {
            file.current[at] ^= 1;
            file.synced = file.current.clone();
        }
    }
    let router = Router::start(&flipped).unwrap();
    assert_eq!(router.damage.len(), 1);
    let expected: BTreeSet<String> =
        (0..10).filter(|number| *number != 4).map(|number| format!("message {number}")).collect();
    assert_eq!(router.unfinished(), expected);
}
