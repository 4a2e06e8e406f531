//! The router as a process, killed without warning under load, again and again: what was answered is delivered.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use bis_nsq::Command;
use support::process::start;
use support::{Client, name};

const ROUNDS: u32 = 6;
const PRODUCERS: u32 = 3;

/// Not a test by itself: the process that the test below starts and kills.
#[test]
fn router_process() {
    support::process::run();
}

/// Publishes until the router is gone; adds what was answered to `answered`.
fn produce(address: SocketAddr, prefix: String, answered: Arc<Mutex<HashSet<String>>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let run = || {
            let mut client = Client::connect(address);
            for number in 0.. {
                let bodies: Vec<String> = (0..8).map(|at| format!("{prefix}-{number}-{at}")).collect();
                for body in &bodies {
                    client.send(&Command::Publish { topic: name("orders"), body: body.clone().into() });
                }
                for body in bodies {
                    assert_eq!(client.response(), "OK");
                    answered.lock().unwrap().insert(body);
                }
            }
        };
        // It ends with a panic when the connection breaks: that is what the test does to it.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
    })
}

/// Finishes until the router is gone; adds what came to `delivered`.
fn consume(address: SocketAddr, delivered: Arc<Mutex<HashSet<String>>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let run = || {
            let mut client = Client::subscribe(address, "orders", "ship", 20);
            loop {
                let message = client.message();
                delivered.lock().unwrap().insert(String::from_utf8(message.body.to_vec()).unwrap());
                client.finish(&message);
            }
        };
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
    })
}

#[test]
fn what_was_answered_survives_kill_9() {
    std::panic::set_hook(Box::new(|info| {
        if std::thread::current().name().is_some_and(|name| name.starts_with("what_was")) {
            eprintln!("{info}");
        }
    }));
    let folder = tempfile::tempdir().unwrap();
    let answered = Arc::new(Mutex::new(HashSet::new()));
    let delivered = Arc::new(Mutex::new(HashSet::new()));
    for round in 0..ROUNDS {
        let (mut child, address) = start(folder.path());
        let mut threads: Vec<_> = (0..PRODUCERS)
            .map(|producer| produce(address, format!("{round}-{producer}"), Arc::clone(&answered)))
            .collect();
        // Every other round piles up a backlog.
        if round % 2 == 1 {
            threads.push(consume(address, Arc::clone(&delivered)));
        }
        std::thread::sleep(Duration::from_millis(300 + 70 * u64::from(round)));
        child.kill().unwrap();
        child.wait().unwrap();
        for thread in threads {
            thread.join().unwrap();
        }
    }
    let answered = answered.lock().unwrap().clone();
    assert!(answered.len() > 100, "too little was published: {}", answered.len());
    let (mut child, address) = start(folder.path());
    let mut client = Client::subscribe(address, "orders", "ship", 1000);
    let mut seen = delivered.lock().unwrap().clone();
    while !answered.is_subset(&seen) {
        let message = client.message();
        seen.insert(String::from_utf8(message.body.to_vec()).unwrap());
        client.finish(&message);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    println!("{} answered publishes, {ROUNDS} kills, all delivered", answered.len());
}
