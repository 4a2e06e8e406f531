//! An app that keeps the contract of `bis run` with the standard library alone, so that supervision is tested
//! without the SDK. It answers every request with its version, and finishes requests after SIGTERM.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::FromRawFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

bis::service!("stand-in");
bis::app!(services: [crate]);

const VERSION: &str = "one";

const DESCRIPTION: &str =
    r#"{"services":[{"name":"stand-in"}],"subscriptions":[],"endpoints":[],"mounts":[]}"#;

static STOPPING: AtomicBool = AtomicBool::new(false);
static OPEN: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" {
    fn signal(number: i32, handler: extern "C" fn(i32)) -> usize;
}

extern "C" fn stop(_number: i32) {
    STOPPING.store(true, Ordering::SeqCst);
}

fn main() {
    if std::env::var_os("BIS_DESCRIBE").is_some() {
        println!("{}", DESCRIPTION);
        return;
    }
    unsafe { signal(15, stop) };
    assert_eq!(std::env::var("LISTEN_FDS").as_deref(), Ok("1"));
    assert_eq!(std::env::var("LISTEN_PID"), Ok(std::process::id().to_string()));
    assert_eq!(std::env::var("BIS_READY_FD").as_deref(), Ok("4"));
    let config = fs::read_to_string(std::env::var("BIS_CONFIG").unwrap()).unwrap();
    assert!(config.contains("\"nsq\""), "{config}");
    let listener = unsafe { TcpListener::from_raw_fd(3) };
    listener.set_nonblocking(true).unwrap();
    {
        let mut ready = unsafe { fs::File::from_raw_fd(4) };
        ready.write_all(b"{\"event\":\"ready\"}\n").unwrap();
    }
    eprintln!("serving version {VERSION}");
    while !STOPPING.load(Ordering::SeqCst) {
        match listener.accept() {
            Ok((stream, _)) => {
                OPEN.fetch_add(1, Ordering::SeqCst);
                thread::spawn(|| {
                    answer(stream);
                    OPEN.fetch_sub(1, Ordering::SeqCst);
                });
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(Duration::from_millis(1)),
            Err(error) => panic!("{error}"),
        }
    }
    while OPEN.load(Ordering::SeqCst) > 0 {
        thread::sleep(Duration::from_millis(1));
    }
}

fn answer(mut stream: TcpStream) {
    stream.set_nonblocking(false).unwrap();
    let mut request = [0; 1024];
    let length = stream.read(&mut request).unwrap_or(0);
    if length == 0 {
        return;
    }
    if request.starts_with(b"GET /slow") {
        thread::sleep(Duration::from_millis(500));
    }
    if request.starts_with(b"GET /crash") {
        std::process::exit(7);
    }
    if request.starts_with(b"GET /hang") {
        // From now on SIGTERM alone does not end the process.
        OPEN.fetch_add(1, Ordering::SeqCst);
    }
    let body = format!("{VERSION} {}", std::process::id());
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    stream.write_all(answer.as_bytes()).unwrap();
}
