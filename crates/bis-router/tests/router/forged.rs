//! Bytes that look like a journal's, in a message: whatever breaks around them, they are never taken for the journal's own.

use std::path::Path;
use std::sync::Arc;

use crate::support::{Client, http, start};
use bis_journal::inspect::inspect;
use bis_journal::{Disk, Folder};

const SEGMENT: &str = "0000000000000001.segment";

fn remove_checkpoints(folder: &Path) {
    for name in ["checkpoint", "checkpoint.previous"] {
        let _ = std::fs::remove_file(folder.join(name));
    }
}

/// What a start finds: topic and body.
fn bodies(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let disk: Arc<dyn Disk> = Arc::new(Folder::open(folder).unwrap());
    let mut found = Vec::new();
    inspect(&disk, |message| found.push((message.topic.to_owned(), message.body.to_vec()))).unwrap();
    found
}

/// The first segment of a journal whose first topic was deleted.
async fn backup_of_a_deleted_topic() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let router = start(folder.path()).await;
    Client::connect(router.tcp_address()).publish("orders", "of another journal");
    assert_eq!(http(router.http_address(), "POST", "/topic/delete?topic=orders", b"").0, 200);
    router.shutdown().await.unwrap();
    let mut bytes = std::fs::read(folder.path().join(SEGMENT)).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    // The last record may end with zeros.
    bytes.truncate(end + 64);
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_sent_as_a_message_is_not_played_back() {
    let backup = backup_of_a_deleted_topic().await;
    let folder = tempfile::tempdir().unwrap();
    let router = start(folder.path()).await;
    let mut client = Client::connect(router.tcp_address());
    // Topics are defined a second time by the commit after their first.
    for _ in 0..2 {
        client.publish("orders", "kept");
        client.publish("backups", "before");
    }
    client.publish("backups", backup.clone());
    client.publish("orders", "later");
    router.shutdown().await.unwrap();
    remove_checkpoints(folder.path());
    // The message's length breaks, so that what follows is looked through byte by byte.
    let path = folder.path().join(SEGMENT);
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(backup.len()).position(|window| window == backup).unwrap();
    bytes[at - 64] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let found = bodies(folder.path());
    for body in ["kept", "later"] {
        assert!(found.contains(&("orders".to_owned(), body.into())), "`{body}` is gone: {found:?}");
    }
    assert!(!found.iter().any(|(_, body)| body == b"of another journal"), "{found:?}");
}
