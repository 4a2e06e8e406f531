//! The router as a process, killed without warning under load, again and again: what was answered is delivered. Among the load are
//! bodies as large as may be and larger, bodies that look like a part of the journal, messages of programs that know nothing of Bis,
//! and consumers that vanish with what they hold.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::support::process::{Kind, start};
use crate::support::{Client, name};
use bis_nsq::{Command, Frame, Headers};

const ROUNDS: u32 = 20;
const ROUNDS_LONG: u32 = 300;
const PRODUCERS: u32 = 3;
/// The largest message that the router takes.
const LARGEST: usize = 1024 * 1024;
/// How long a consumer that vanishes stays away.
const PAUSE: Duration = Duration::from_millis(20);
/// How many messages a consumer finishes before it asks whether that is on the disk.
const MARK_EVERY: usize = 50;

/// What the router has promised, and what it did.
#[derive(Default)]
struct Book {
    answered: HashSet<String>,
    delivered: HashSet<String>,
    /// Finished, and known to be on the disk: a publish after it on the same connection was answered.
    finished: HashSet<String>,
    /// Delivered although it was finished for good.
    returned: Vec<String>,
}

/// Publishes with event ids until the router is gone; notes what was answered.
fn produce(address: SocketAddr, round: u32, producer: u32, book: Arc<Mutex<Book>>) -> JoinHandle<()> {
    let run = move || {
        let mut client = Client::connect_extended(address);
        for number in 0_u64.. {
            let bodies: Vec<String> = (0..8).map(|at| format!("{round}-{producer}-{number}-{at}")).collect();
            for (body, at) in bodies.iter().zip(0_u128..) {
                let event =
                    (u128::from(round) << 80) | (u128::from(producer) << 72) | (u128::from(number) << 8) | at;
                let headers = Headers { event: Some(event.to_be_bytes()), ..Headers::default() };
                client.send(&Command::HeadedPublish {
                    topic: name("orders"),
                    headers,
                    body: body.clone().into(),
                });
            }
            for body in bodies {
                assert_eq!(client.response(), "OK");
                book.lock().unwrap().answered.insert(body);
            }
        }
    };
    until_it_breaks(run)
}

/// Publishes as a program that knows nothing of Bis: plain messages without ids, some as large as may be, some that look like
/// a part of the journal, and some that are too large and are refused.
fn produce_foreign(address: SocketAddr, round: u32, book: Arc<Mutex<Book>>) -> JoinHandle<()> {
    until_it_breaks(move || {
        let mut client = Client::connect(address);
        for number in 0_usize.. {
            let id = format!("{round}-foreign-{number}");
            let tail = match number % 10 {
                3 => " BISb\0\0\0\u{1}BISJRNL2".repeat(50),
                6 => format!(" {}", "x".repeat(LARGEST - id.len() - 1)),
                9 => format!(" {}", "x".repeat(LARGEST)),
                _ => String::new(),
            };
            let is_too_large = id.len() + tail.len() > LARGEST;
            client.send(&Command::Publish { topic: name("orders"), body: format!("{id}{tail}").into() });
            if is_too_large {
                assert!(matches!(client.try_frame(), Some(Frame::Error(_))), "too large, and taken");
                client = Client::connect(address);
                continue;
            }
            assert_eq!(client.response(), "OK");
            book.lock().unwrap().answered.insert(id);
        }
    })
}

/// Takes what comes and vanishes with it, as a program does that each message kills, until the router is gone.
fn vanish(address: SocketAddr) -> JoinHandle<()> {
    until_it_breaks(move || {
        loop {
            let mut client = Client::subscribe(address, "orders", "ship", 5);
            client.try_frame().unwrap();
            std::thread::sleep(PAUSE);
        }
    })
}

/// What tells a body from all others.
fn id_of(body: &[u8]) -> String {
    let id = body.split(|byte| *byte == b' ').next().unwrap();
    String::from_utf8(id.to_vec()).unwrap()
}

/// Finishes what comes until the router is gone.
fn consume(address: SocketAddr, book: Arc<Mutex<Book>>) -> JoinHandle<()> {
    until_it_breaks(move || {
        let mut client = Client::subscribe(address, "orders", "ship", 20);
        let (mut unmarked, mut marked) = (Vec::new(), Vec::new());
        while let Some(frame) = client.try_frame() {
            match frame {
                Frame::Message(message) => {
                    client.finish(&message);
                    let body = id_of(&message.body);
                    let mut book = book.lock().unwrap();
                    if book.finished.contains(&body) {
                        book.returned.push(body.clone());
                    }
                    book.delivered.insert(body.clone());
                    unmarked.push(body);
                }
                Frame::Response(_) => book.lock().unwrap().finished.extend(marked.drain(..)),
                Frame::Error(error) => panic!("{error:?}"),
            }
            if marked.is_empty() && unmarked.len() >= MARK_EVERY {
                marked = std::mem::take(&mut unmarked);
                client.send(&Command::Publish { topic: name("marks"), body: "mark".into() });
            }
        }
    })
}

/// Runs something that ends with a panic when the connection breaks: that is what the test does to it.
fn until_it_breaks(run: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    std::thread::spawn(|| {
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
    let rounds = if std::env::var_os("BIS_LONG").is_some() { ROUNDS_LONG } else { ROUNDS };
    let folder = tempfile::tempdir().unwrap();
    let book = Arc::new(Mutex::new(Book::default()));
    for round in 0..rounds {
        let (mut child, address) = start(Kind::Small, folder.path());
        let mut threads: Vec<_> =
            (0..PRODUCERS).map(|producer| produce(address, round, producer, Arc::clone(&book))).collect();
        threads.push(produce_foreign(address, round, Arc::clone(&book)));
        // Every third round piles up a backlog.
        if round % 3 != 0 {
            threads.push(consume(address, Arc::clone(&book)));
            threads.push(consume(address, Arc::clone(&book)));
            threads.push(vanish(address));
        }
        std::thread::sleep(Duration::from_millis(100 + u64::from(round * 37 % 100)));
        child.kill().unwrap();
        child.wait().unwrap();
        for thread in threads {
            thread.join().unwrap();
        }
    }
    let mut book = std::mem::take(&mut *book.lock().unwrap());
    let foreign = book.answered.iter().filter(|id| id.contains("foreign")).count();
    assert!(book.answered.len() > 100, "too little was published: {}", book.answered.len());
    assert!(foreign > 20, "too little was published without ids: {foreign}");
    assert!(book.finished.len() > 100, "too little was finished: {}", book.finished.len());
    let (mut child, address) = start(Kind::Small, folder.path());
    let mut client = Client::subscribe(address, "orders", "ship", 1000);
    let mut left = book.answered.difference(&book.delivered).count();
    while left > 0 {
        let message = client.message();
        let body = id_of(&message.body);
        if book.finished.contains(&body) {
            book.returned.push(body.clone());
        }
        left -= usize::from(book.delivered.insert(body.clone()) && book.answered.contains(&body));
        client.finish(&message);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(book.returned.is_empty(), "finished for good, and came back: {:?}", book.returned);
    println!(
        "{rounds} kills: {} answered publishes, {foreign} of them foreign, all delivered; {} finished for good, none came back",
        book.answered.len(),
        book.finished.len()
    );
}
