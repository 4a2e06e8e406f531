//! Clients that send without end leave room for others.

mod support;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use support::{Client, start};

/// How many send without end.
const FLOODS: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_commands_does_not_hold_up_a_publish() {
    let folder = tempfile::tempdir().unwrap();
    let router = start(folder.path()).await;
    let address = router.tcp_address();
    let is_over = Arc::new(AtomicBool::new(false));
    let floods: Vec<_> = (0..FLOODS)
        .map(|_| {
            let is_over = Arc::clone(&is_over);
            std::thread::spawn(move || {
                let mut stream = std::net::TcpStream::connect(address).unwrap();
                stream.write_all(b"  V2").unwrap();
                let commands = b"NOP\n".repeat(16 * 1024);
                while !is_over.load(Ordering::Relaxed) {
                    stream.write_all(&commands).unwrap();
                }
            })
        })
        .collect();
    let publishing = tokio::task::spawn_blocking(move || {
        let mut producer = Client::connect(address);
        // The client waits for 20 seconds at most, each time.
        for _ in 0..5 {
            producer.publish("orders", "one");
        }
    });
    let published = publishing.await;
    is_over.store(true, Ordering::Relaxed);
    for flood in floods {
        flood.join().unwrap();
    }
    published.unwrap();
    router.shutdown().await.unwrap();
}
