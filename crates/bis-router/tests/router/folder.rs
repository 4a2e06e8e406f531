//! The data folder: one router's alone, noticed when it goes away, and read with few descriptors however long the journal is.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use crate::support::process::Kind;
use crate::support::{Client, http, name, options, process};
use bis_nsq::{Command, Frame};
use bis_router::{Handle, OpenError, Router, StartError};

/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(20);
/// Far more segments than the descriptors that the router may have.
const MESSAGES: usize = 400;
/// As much as a router and few clients need.
const DESCRIPTORS: u32 = 128;

/// A running router in the folder `data`, from which something is taken away; a publish is not answered then, and the router
/// fails with a reason that says `expected`.
async fn check(take: fn(&Path), expected: &str) {
    let parent = tempfile::tempdir().unwrap();
    let data = parent.path().join("data");
    let router = Router::start(options(&data)).await.unwrap();
    let mut client = Client::connect(router.tcp_address());
    client.publish("t", "before");
    take(&data);
    client.send(&Command::Publish { topic: name("t"), body: "after".into() });
    match client.try_frame() {
        Some(Frame::Response(answer)) => panic!("it was answered: {answer:?}"),
        Some(Frame::Error(_)) | None => {}
        other => panic!("{other:?}"),
    }
    fails(router, expected).await;
}

async fn fails(router: Handle, expected: &str) {
    let failure = tokio::time::timeout(LIMIT, router.failed()).await.unwrap().to_string();
    assert!(failure.contains(expected) && failure.contains(".segment"), "{failure}");
    router.shutdown().await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_removed_is_noticed() {
    // The router may write a checkpoint meanwhile.
    let remove = |data: &Path| {
        while data.exists() {
            let _ = std::fs::remove_dir_all(data);
        }
    };
    check(remove, "was removed or moved while the router ran").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_emptied_is_noticed() {
    let empty = |data: &Path| {
        for entry in std::fs::read_dir(data).unwrap() {
            let _ = std::fs::remove_file(entry.unwrap().path());
        }
    };
    check(empty, "was removed or moved").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_replaced_is_noticed_and_its_successor_is_left_alone() {
    let replace = |data: &Path| {
        std::fs::rename(data, data.with_file_name("old")).unwrap();
        std::fs::create_dir(data).unwrap();
        for entry in std::fs::read_dir(data.with_file_name("old")).unwrap() {
            let from = entry.unwrap().path();
            let _ = std::fs::copy(&from, data.join(from.file_name().unwrap()));
        }
    };
    check(replace, "was replaced while the router ran").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_router_notices_too() {
    let parent = tempfile::tempdir().unwrap();
    let data = parent.path().join("data");
    let router = Router::start(options(&data)).await.unwrap();
    std::fs::rename(&data, parent.path().join("moved")).unwrap();
    let successor = Router::start(options(&data)).await.unwrap();
    fails(router, "was re").await;
    let mut client = Client::connect(successor.tcp_address());
    client.publish("t", "its own");
    successor.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_second_router_starts_whatever_became_of_the_lock_file() {
    let parent = tempfile::tempdir().unwrap();
    let data = parent.path().join("data");
    let router = Router::start(options(&data)).await.unwrap();
    std::fs::remove_file(data.join("lock")).unwrap();
    let second = Router::start(options(&data)).await;
    assert!(matches!(second, Err(StartError::Journal(OpenError::FolderInUse(_)))), "{second:?}");
    router.shutdown().await.unwrap();
    Router::start(options(&data)).await.unwrap().shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_router_makes_is_for_its_owner_alone() {
    let parent = tempfile::tempdir().unwrap();
    let data = parent.path().join("data");
    let router = Router::start(options(&data)).await.unwrap();
    Client::connect(router.tcp_address()).publish("t", "secret");
    router.shutdown().await.unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    let files: Vec<_> = std::fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 4, "{files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_of_many_segments_takes_few_descriptors() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(folder.path());
    options.journal.segment_bytes = 4096;
    let router = Router::start(options).await.unwrap();
    let body = |number: usize| format!("{number} {}", "x".repeat(3800));
    assert_eq!(http(router.http_address(), "POST", "/topic/create?topic=t", b"").0, 200);
    assert_eq!(http(router.http_address(), "POST", "/channel/create?topic=t&channel=c", b"").0, 200);
    let mut client = Client::connect(router.tcp_address());
    for number in 0..MESSAGES {
        client.publish("t", body(number));
    }
    drop(client);
    router.shutdown().await.unwrap();

    let (mut child, address) = process::start_limited(Kind::Tiny, folder.path(), DESCRIPTORS);
    let open = std::fs::read_dir(format!("/proc/{}/fd", child.id())).unwrap().count();
    assert!(open < DESCRIPTORS as usize, "{open}");
    let mut consumer = Client::subscribe(address, "t", "c", 1);
    for number in 0..MESSAGES {
        let message = consumer.message();
        assert_eq!(message.body, body(number).as_bytes());
        consumer.finish(&message);
    }
    // Others find room, and so do new segments.
    let mut clients: Vec<_> = (0..20).map(|_| Client::connect(address)).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.publish("t", body(number));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}
