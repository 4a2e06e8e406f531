//! Commands that bring much: they fit into segments that a start reads, and limits that could not be kept are refused.

use crate::support::{http, options};
use bis_router::{MAX_BODY_BYTES, Router, StartError};

const SEGMENT_BYTES: u64 = 8 * 1024 * 1024;
/// Their records take 65 MB.
const MESSAGES: usize = 1_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn many_messages_of_one_request_are_read_back_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(folder.path());
    options.journal.segment_bytes = SEGMENT_BYTES;
    options.max_body_bytes = MAX_BODY_BYTES;
    let router = Router::start(options.clone()).await.unwrap();
    let body = b"x\n".repeat(MESSAGES);
    assert_eq!(http(router.http_address(), "POST", "/mpub?topic=t", &body).0, 200);
    router.shutdown().await.unwrap();
    let files =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len());
    let largest = files.max().unwrap();
    assert!(largest < 3 * SEGMENT_BYTES, "a file has {largest} bytes");

    let router = Router::start(options).await.unwrap();
    let (_, stats) = http(router.http_address(), "GET", "/stats?format=json", &[]);
    let stats: serde_json::Value = serde_json::from_str(&stats).unwrap();
    assert_eq!(stats["topics"][0]["depth"].as_u64(), Some(MESSAGES as u64));
    router.shutdown().await.unwrap();
}

#[tokio::test]
async fn limits_that_the_journal_cannot_keep_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (message, body) in [(MAX_BODY_BYTES + 1, 1024), (1024, MAX_BODY_BYTES + 1)] {
        let mut options = options(folder.path());
        (options.max_message_bytes, options.max_body_bytes) = (message, body);
        let refused = Router::start(options).await.unwrap_err();
        assert!(matches!(refused, StartError::Bound(_)), "{refused}");
        assert!(refused.to_string().contains("allow at most 268435456"), "{refused}");
    }
}
