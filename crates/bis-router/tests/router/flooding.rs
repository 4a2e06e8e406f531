//! Clients that send without end leave room for others.

use std::io::Write;
use std::net::TcpStream;

use crate::support::{Client, start};

/// How many send without end.
const FLOODS: usize = 60;

/// A client that always has something to be read would be read from for a second before another has its turn: the publish
/// would wait for more than the 20 seconds that its client has patience.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_flood_of_commands_does_not_hold_up_a_publish() {
    check(b"NOP\n".repeat(16 * 1024)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_flood_of_long_lines_does_not_hold_up_a_publish() {
    let line = [b"NOP ".as_slice(), &[b'x'; 16_000], b"\n"].concat();
    check(line.repeat(8)).await;
}

async fn check(commands: Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let router = start(folder.path()).await;
    let address = router.tcp_address();
    let flood = || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"  V2").unwrap();
        let commands = commands.clone();
        // Until the router closes the connection.
        std::thread::spawn(move || while stream.write_all(&commands).is_ok() {})
    };
    let floods: Vec<_> = (0..FLOODS).map(|_| flood()).collect();
    let publishing = tokio::task::spawn_blocking(move || {
        let mut producer = Client::connect(address);
        for _ in 0..5 {
            producer.publish("orders", "one");
        }
    });
    publishing.await.unwrap();
    router.shutdown().await.unwrap();
    for flood in floods {
        flood.join().unwrap();
    }
}
