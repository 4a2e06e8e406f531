//! A data folder that a person, a backup or `fsck` has been at: files that vanished, that are cut, or that are none of the
//! router's. A start runs and reports what is gone, or ends with an error that names the file; it never panics.

use std::error::Error;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use crate::support::{Client, http, options};
use bis_router::{Damage, Handle, Options, Router, StartError};

const MESSAGES: u64 = 40;
const TOPICS: [&str; 2] = ["orders", "bills"];
const QUIET: Duration = Duration::from_millis(200);

fn small_segments(folder: &Path) -> Options {
    let mut options = options(folder);
    options.journal.segment_bytes = 4096;
    options
}

async fn start(folder: &Path) -> Handle {
    Router::start(small_segments(folder)).await.unwrap()
}

fn segment(number: u64) -> String {
    format!("{number:016x}.segment")
}

/// A journal of several segments; nothing of it is finished.
async fn make(folder: &Path) {
    let router = start(folder).await;
    for topic in TOPICS {
        http(router.http_address(), "POST", &format!("/topic/create?topic={topic}"), b"");
        http(router.http_address(), "POST", &format!("/channel/create?topic={topic}&channel=ship"), b"");
    }
    let mut client = Client::connect(router.tcp_address());
    for number in 0..MESSAGES {
        for topic in TOPICS {
            client.publish(topic, format!("{number} {}", "x".repeat(300)));
        }
    }
    router.shutdown().await.unwrap();
    assert!(folder.join(segment(6)).exists());
}

/// What a metric says, over all its labels.
fn metric(router: &Handle, name: &str) -> u64 {
    let page = http(router.http_address(), "GET", "/metrics", b"").1;
    let lines = page.lines().filter(|line| line.starts_with(name));
    lines.map(|line| line.split_whitespace().next_back().unwrap().parse::<u64>().unwrap()).sum()
}

fn dropped(router: &Handle) -> u64 {
    metric(router, "bis_router_channel_dropped_total")
}

/// The numbers of the messages that a channel delivers.
fn delivered(router: &Handle, topic: &str) -> Vec<u64> {
    let mut consumer = Client::subscribe(router.tcp_address(), topic, "ship", 1);
    let depth = http(router.http_address(), "GET", &format!("/stats?format=json&topic={topic}"), b"").1;
    let depth: serde_json::Value = serde_json::from_str(&depth).unwrap();
    let depth = depth["topics"][0]["channels"][0]["depth"].as_u64().unwrap()
        + depth["topics"][0]["channels"][0]["in_flight_count"].as_u64().unwrap();
    let number = |body: &[u8]| std::str::from_utf8(body).unwrap().split(' ').next().unwrap().parse().unwrap();
    let found = (0..depth).map(|_| number(&consumer.message_finished().body)).collect();
    assert!(consumer.is_quiet(QUIET), "there is more in `{topic}` than it says");
    found
}

/// Starts after something happened to the folder: what is reported, and that every message is delivered or counted.
async fn check_lost(break_it: impl Fn(&Path), expected: &[Damage]) {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path()).await;
    break_it(folder.path());
    let router = start(folder.path()).await;
    assert_eq!(router.damage(), expected);
    let segments = expected.iter().map(|damage| match damage {
        Damage::Bytes { .. } => 1,
        Damage::Segments { first, last } => last - first + 1,
    });
    assert_eq!(metric(&router, "bis_router_journal_damaged_records_total"), segments.sum::<u64>());
    let lost = dropped(&router);
    let found: usize = TOPICS.iter().map(|topic| delivered(&router, topic).len()).sum();
    assert!(lost > 0 && found > 0, "{lost} lost, {found} found");
    assert_eq!(found as u64 + lost, TOPICS.len() as u64 * MESSAGES);
    router.shutdown().await.unwrap();

    let router = start(folder.path()).await;
    assert_eq!(router.damage(), [], "it is told once");
    assert_eq!(dropped(&router), 0);
    for topic in TOPICS {
        assert!(delivered(&router, topic).is_empty());
    }
    router.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_vanished_is_reported_and_its_messages_are_counted() {
    let remove = |folder: &Path| fs::remove_file(folder.join(segment(3))).unwrap();
    check_lost(remove, &[Damage::Segments { first: 3, last: 3 }]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_that_vanished_are_reported_in_pieces() {
    let remove = |folder: &Path| {
        for number in [1, 2, 4] {
            fs::remove_file(folder.join(segment(number))).unwrap();
        }
    };
    check_lost(remove, &[Damage::Segments { first: 1, last: 2 }, Damage::Segments { first: 4, last: 4 }])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_that_vanished_is_reported() {
    let remove = |folder: &Path| {
        let mut number = 1;
        while folder.join(segment(number + 1)).exists() {
            number += 1;
        }
        // Named as the sixth, so that the number is known.
        assert!(number > 6);
        for number in 6..=number {
            fs::remove_file(folder.join(segment(number))).unwrap();
        }
    };
    let folder = tempfile::tempdir().unwrap();
    make(folder.path()).await;
    let segments = fs::read_dir(folder.path()).unwrap();
    let last =
        segments.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(".segment"));
    let last = last.count() as u64;
    check_lost(remove, &[Damage::Segments { first: 6, last }]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_put_back_is_there_for_a_replay() {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path()).await;
    let (path, aside) = (folder.path().join(segment(1)), folder.path().join("aside"));
    fs::rename(&path, &aside).unwrap();
    let router = start(folder.path()).await;
    assert_eq!(router.damage().len(), 1);
    router.shutdown().await.unwrap();
    fs::rename(&aside, &path).unwrap();
    let router = start(folder.path()).await;
    assert_eq!(router.damage(), []);
    let replay = "/channel/replay?topic=orders&channel=ship&from=0";
    assert_eq!(http(router.http_address(), "POST", replay, b"").0, 200);
    assert_eq!(delivered(&router, "orders"), (0..MESSAGES).collect::<Vec<_>>());
    router.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_without_segments_goes_on_and_keeps_what_comes_then() {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path()).await;
    let mut number = 1;
    while fs::remove_file(folder.path().join(segment(number))).is_ok() {
        number += 1;
    }
    let router = start(folder.path()).await;
    assert_eq!(router.damage(), [Damage::Segments { first: 1, last: number - 1 }]);
    assert_eq!(dropped(&router), 2 * MESSAGES);
    // The checkpoint that was there must not hide what is written now.
    let checkpoint = fs::read(folder.path().join("checkpoint")).unwrap();
    Client::connect(router.tcp_address()).publish("new", "kept");
    router.shutdown().await.unwrap();
    fs::write(folder.path().join("checkpoint"), checkpoint).unwrap();
    let router = start(folder.path()).await;
    let mut consumer = Client::subscribe(router.tcp_address(), "new", "ship", 1);
    assert_eq!(consumer.message_finished().body, b"kept".as_slice());
    router.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_lost_its_end_is_reported() {
    for left in [0, 64, 1000, 2000] {
        let folder = tempfile::tempdir().unwrap();
        make(folder.path()).await;
        let path = folder.path().join(segment(3));
        File::options().write(true).open(&path).unwrap().set_len(left).unwrap();
        for checkpoints in [true, false] {
            if !checkpoints {
                for name in ["checkpoint", "checkpoint.previous"] {
                    fs::remove_file(folder.path().join(name)).unwrap();
                }
            }
            let router = start(folder.path()).await;
            let is_told =
                router.damage().iter().any(|damage| matches!(damage, Damage::Bytes { segment: 3, .. }));
            // Without a checkpoint nothing says how long it was.
            assert!(
                is_told || (!checkpoints && left > 0),
                "{left} bytes left, with checkpoints: {checkpoints}"
            );
            if checkpoints {
                let found: usize = TOPICS.iter().map(|topic| delivered(&router, topic).len()).sum();
                assert_eq!(found as u64 + dropped(&router), TOPICS.len() as u64 * MESSAGES);
            }
            router.shutdown().await.unwrap();
            File::options().write(true).open(&path).unwrap().set_len(left).unwrap();
        }
    }
}

/// The whole chain of an error.
fn told(error: &StartError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text += &format!(": {error}");
        source = error.source();
    }
    text
}

/// A start on a folder where something was done ends with an error that says all of this.
async fn check_refused(break_it: impl Fn(&Path), expected: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path()).await;
    break_it(folder.path());
    let before = files(folder.path());
    let started = tokio::time::timeout(Duration::from_secs(20), Router::start(small_segments(folder.path())));
    let error = told(&started.await.unwrap().unwrap_err());
    for part in expected {
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(files(folder.path()), before, "a start that is refused changes nothing");
}

/// Names and lengths.
fn files(folder: &Path) -> Vec<(String, u64)> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let file = |entry: fs::DirEntry| {
        let length = entry.metadata().unwrap().len();
        (entry.file_name().into_string().unwrap(), length)
    };
    let mut files: Vec<_> = entries.map(file).collect();
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_in_a_segments_place_is_named() {
    let directory = |folder: &Path| fs::create_dir(folder.join(segment(200))).unwrap();
    check_refused(directory, &["`00000000000000c8.segment`", "directory"]).await;
    let directory = |folder: &Path| {
        fs::remove_file(folder.join("salt")).unwrap();
        fs::create_dir(folder.join("salt")).unwrap();
    };
    check_refused(directory, &["`salt`", "directory"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_may_be_linked() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    make(folder.path()).await;
    let (path, other) = (folder.path().join(segment(3)), elsewhere.path().join("moved"));
    fs::copy(&path, &other).unwrap();
    fs::remove_file(&path).unwrap();
    symlink(&other, &path).unwrap();
    let router = start(folder.path()).await;
    assert_eq!(router.damage(), []);
    assert_eq!(delivered(&router, "orders"), (0..MESSAGES).collect::<Vec<_>>());
    router.shutdown().await.unwrap();
    // The other disk is not there.
    fs::remove_dir_all(elsewhere).unwrap();
    let error = Router::start(small_segments(folder.path())).await.unwrap_err();
    assert!(told(&error).contains("`0000000000000003.segment`"), "{}", told(&error));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_leads_nowhere_is_named() {
    let circle = |folder: &Path| symlink(segment(200), folder.join(segment(200))).unwrap();
    check_refused(circle, &["`00000000000000c8.segment`"]).await;
    let device = |folder: &Path| symlink("/dev/zero", folder.join(segment(200))).unwrap();
    check_refused(device, &["`00000000000000c8.segment` is not a plain file; move it out of the folder"])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_too_large_or_with_a_wild_number_is_named() {
    let large = |folder: &Path| File::create(folder.join(segment(3))).unwrap().set_len(1 << 40).unwrap();
    check_refused(large, &["`0000000000000003.segment`", "1099511627776 bytes", "move it out of the folder"])
        .await;
    let wild = |folder: &Path| drop(File::create(folder.join("ffffffffffffffff.segment")).unwrap());
    check_refused(wild, &["`ffffffffffffffff.segment`", "move it out of the folder"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_is_none_is_passed_over() {
    for wild in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        make(folder.path()).await;
        let path = folder.path().join("checkpoint");
        let file = File::options().write(true).truncate(!wild).open(&path).unwrap();
        if wild {
            // It says to be longer than the file, which is long and has nothing in most of it.
            std::os::unix::fs::FileExt::write_all_at(&file, &(1_u64 << 39).to_le_bytes(), 8).unwrap();
        }
        file.set_len(if wild { 1 << 38 } else { 1 << 40 }).unwrap();
        let router = start(folder.path()).await;
        assert_eq!(router.damage(), []);
        assert_eq!(delivered(&router, "orders"), (0..MESSAGES).collect::<Vec<_>>());
        router.shutdown().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_of_an_older_format_is_refused_and_left_alone() {
    let older = |folder: &Path| {
        let path = folder.join(segment(1));
        let mut bytes = fs::read(&path).unwrap();
        bytes[..64].fill(0);
        bytes[..8].copy_from_slice(b"BISJRNL1");
        bytes[16] = 1;
        // Of the first format's header: this number, and no time.
        bytes[8..12].copy_from_slice(&0x9724_0a62_u32.to_le_bytes());
        fs::write(&path, bytes).unwrap();
    };
    check_refused(older, &["another version", "remove the folder", "`bis run --fresh`"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_another_name_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path()).await;
    let names = ["00000000000000AB.segment", "+00000000000000c.segment", "5.segment", "notes", "é.segment"];
    for name in names {
        fs::write(folder.path().join(name), "nothing of the router's").unwrap();
    }
    let router = start(folder.path()).await;
    assert_eq!(router.damage(), []);
    assert_eq!(delivered(&router, "orders").len() as u64, MESSAGES);
    router.shutdown().await.unwrap();
    for name in names {
        assert_eq!(fs::read(folder.path().join(name)).unwrap(), b"nothing of the router's");
    }
    assert!(!folder.path().join(segment(0xab)).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_file_of_salt_is_not_needed() {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path()).await;
    for broken in [None, Some(b"short".to_vec()), Some(vec![b'x'; 4096])] {
        let path = folder.path().join("salt");
        let before = fs::read(&path).unwrap();
        match broken {
            Some(bytes) => fs::write(&path, bytes).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let router = start(folder.path()).await;
        assert_eq!(router.damage(), []);
        router.shutdown().await.unwrap();
        assert_eq!(fs::read(&path).unwrap()[..28], before[..28]);
    }
    let router = start(folder.path()).await;
    assert_eq!(delivered(&router, "orders"), (0..MESSAGES).collect::<Vec<_>>());
    router.shutdown().await.unwrap();
}
