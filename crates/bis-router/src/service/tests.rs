//! A whole router on a disk that fails: clients are answered, the holder of the handle learns why, a restart recovers.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use bis_journal::{Disk, DiskFile, Folder};
use bis_nsq::client::{Consumer, Options as ClientOptions, Publisher};
use bis_nsq::{Command, MAGIC_V2, Name};
use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(20);

/// What a sync does.
const WORKS: u8 = 0;
const FAILS: u8 = 1;
const PANICS: u8 = 2;
const STALLS: u8 = 3;

#[derive(Clone)]
struct Failing {
    folder: Arc<Folder>,
    sync: Arc<AtomicU8>,
    reads_fail: Arc<AtomicBool>,
}

impl Failing {
    fn new(folder: &tempfile::TempDir) -> Self {
        let folder = Arc::new(Folder::open(folder.path()).unwrap());
        Self { folder, sync: Arc::new(AtomicU8::new(WORKS)), reads_fail: Arc::default() }
    }
}

struct FailingFile {
    file: Arc<dyn DiskFile>,
    disk: Failing,
}

impl Disk for Failing {
    fn list(&self) -> io::Result<Vec<String>> {
        self.folder.list()
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(FailingFile { file: self.folder.open(name)?, disk: self.clone() }))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.folder.remove(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.folder.rename(from, to)
    }

    fn sync_names(&self) -> io::Result<()> {
        self.folder.sync_names()
    }
}

impl DiskFile for FailingFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if self.disk.reads_fail.load(Ordering::SeqCst) {
            return Err(io::Error::other("input/output error"));
        }
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        match self.disk.sync.load(Ordering::SeqCst) {
            FAILS => Err(io::Error::other("input/output error")),
            PANICS => panic!("a defect in the committer"),
            STALLS => {
                let since = std::time::Instant::now();
                while self.disk.sync.load(Ordering::SeqCst) == STALLS && since.elapsed() < LIMIT {
                    std::thread::sleep(Duration::from_millis(5));
                }
                self.file.sync()
            }
            _ => self.file.sync(),
        }
    }

    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.file.set_length(length)
    }
}

async fn start_on(disk: Failing, options: Options) -> Handle {
    let trust = Trust::new(&options).unwrap();
    let keeper = Keeper::open_on(Arc::new(disk), &options.journal).await.unwrap();
    Router::start_with(keeper, options, trust).await.unwrap()
}

fn options(folder: &tempfile::TempDir) -> Options {
    let mut options = Options::new(folder.path());
    options.tcp_address.set_port(0);
    options.http_address.set_port(0);
    options
}

/// Breaks the disk under a router with one client; what is said is `expected`.
async fn check(what: u8, expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    let disk = Failing::new(&folder);
    let sync = Arc::clone(&disk.sync);
    let router = start_on(disk, options(&folder)).await;
    let publisher = Publisher::start(ClientOptions::new(router.tcp_address().to_string()));
    let event =
        |body: &'static str| Command::Publish { topic: Name::new("orders").unwrap(), body: body.into() };
    publisher.publish(event("before")).await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(50), router.failed()).await;
    assert!(early.is_err(), "nothing has failed yet: {early:?}");

    sync.store(what, Ordering::SeqCst);
    for body in ["in the middle", "after"] {
        let refused = tokio::time::timeout(LIMIT, publisher.publish(event(body))).await;
        refused.expect("every publish is answered").expect_err("and refused");
    }
    let failure = tokio::time::timeout(LIMIT, router.failed()).await.unwrap();
    assert!(failure.to_string().contains(expected), "{failure}");
    tokio::time::timeout(LIMIT, router.shutdown()).await.unwrap().unwrap_err();

    let again = Router::start(options(&folder)).await.unwrap();
    let kept = again.keeper.journal().lock().topics_by_name()[0].depth();
    assert!(kept > 1, "what was answered is there");
    again.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_disk_makes_publishers_wait_and_not_memory_grow() {
    const CLIENTS: usize = 100;
    const EACH: usize = 10;
    const BYTES: usize = 100_000;
    let folder = tempfile::tempdir().unwrap();
    let disk = Failing::new(&folder);
    let sync = Arc::clone(&disk.sync);
    let router = start_on(disk, options(&folder)).await;
    sync.store(STALLS, Ordering::SeqCst);
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let address = router.tcp_address();
        clients.spawn(async move {
            let mut bytes = BytesMut::from(&MAGIC_V2[..]);
            let publish = Command::Publish { topic: Name::new("t").unwrap(), body: vec![b'x'; BYTES].into() };
            (0..EACH).for_each(|_| publish.encode(&mut bytes));
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(&bytes).await.unwrap();
            let mut answers = vec![0; EACH * 10];
            stream.read_exact(&mut answers).await.unwrap();
            assert_eq!(answers, b"\0\0\0\x06\0\0\0\0OK".repeat(EACH));
        });
    }
    let uncommitted = || router.keeper.journal().lock().uncommitted();
    let bound = 32 * 1024 * 1024;
    let (mut before, mut now) = (0, uncommitted());
    let is_full = async {
        while now < bound || now != before {
            tokio::time::sleep(Duration::from_millis(300)).await;
            (before, now) = (now, uncommitted());
        }
    };
    tokio::time::timeout(LIMIT, is_full).await.expect("clients send until the bound is reached");
    assert!((bound..bound + 2 * BYTES).contains(&now), "{now} bytes wait");
    assert!(3 * now < 2 * CLIENTS * EACH * BYTES, "the clients sent too little to mean something");
    sync.store(WORKS, Ordering::SeqCst);
    while let Some(answered) = tokio::time::timeout(LIMIT, clients.join_next()).await.unwrap() {
        answered.unwrap();
    }
    router.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_failed_sync_is_told() {
    check(FAILS, "the journal could not be synced (input/output error); restart the router to recover").await;
}

#[tokio::test]
async fn a_committer_that_died_is_told() {
    check(PANICS, "the thread that writes the journal has panicked; restart the router to recover").await;
}

#[tokio::test]
async fn a_failed_read_delays_messages_and_loses_none_that_is_not_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(&folder);
    // Sealed segments and the active one are read alike.
    options.journal.segment_bytes = 4096;
    let router = Router::start(options.clone()).await.unwrap();
    let publisher = Publisher::start(ClientOptions::new(router.tcp_address().to_string()));
    let topic = Name::new("orders").unwrap();
    let bodies: Vec<String> = (0..20).map(|number| format!("{number}{}", "x".repeat(900))).collect();
    for body in &bodies {
        let publish = Command::Publish { topic: topic.clone(), body: body.clone().into() };
        publisher.publish(publish).await.unwrap();
    }
    publisher.close().await;
    router.shutdown().await.unwrap();

    let disk = Failing::new(&folder);
    let router = start_on(disk.clone(), options).await;
    disk.reads_fail.store(true, Ordering::SeqCst);
    let client = ClientOptions::new(router.tcp_address().to_string());
    let mut consumer = Consumer::start(client, topic, Name::new("ship").unwrap());
    let early = tokio::time::timeout(Duration::from_millis(1500), consumer.receive(1)).await;
    assert!(early.is_err(), "a message came that could not be read");
    let errors = router.keeper.journal().lock().totals().read_errors;
    // One a second for the consumer, and the scrubber's.
    assert!((1..=30).contains(&errors), "{errors} reads in a second and a half");
    let id = router.keeper.journal().lock().number_of("orders").unwrap();
    router.keeper.journal().lock().finish_idle(id, "ship", 0).unwrap();
    disk.reads_fail.store(false, Ordering::SeqCst);
    for body in &bodies[1..] {
        let delivery = tokio::time::timeout(LIMIT, consumer.receive(1)).await.unwrap().unwrap().remove(0);
        assert_eq!(delivery.body(), body.as_bytes());
        assert_eq!(delivery.attempts(), 1, "a read that fails is no delivery");
        delivery.finish().unwrap();
    }
    assert_eq!(router.keeper.journal().lock().totals().damaged, 0);
    consumer.stop().await;
    router.shutdown().await.unwrap();
}

#[tokio::test]
async fn damage_is_found_before_anybody_asks() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(&folder);
    options.journal.segment_bytes = 4096;
    let router = Router::start(options.clone()).await.unwrap();
    let publisher = Publisher::start(ClientOptions::new(router.tcp_address().to_string()));
    for number in 0..20 {
        let body = format!("{number}{}", "x".repeat(900)).into();
        publisher.publish(Command::Publish { topic: Name::new("orders").unwrap(), body }).await.unwrap();
    }
    publisher.close().await;
    router.shutdown().await.unwrap();
    let path = folder.path().join("0000000000000001.segment");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[1500] ^= 4;
    std::fs::write(&path, bytes).unwrap();

    let router = Router::start(options).await.unwrap();
    assert!(router.damage().is_empty(), "a start reads no sealed segment");
    let found = async {
        while router.keeper.journal().lock().totals().damaged == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LIMIT, found).await.unwrap();
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(router.keeper.journal().lock().totals().damaged, 1, "the other segments are sound");
    router.shutdown().await.unwrap();
}
