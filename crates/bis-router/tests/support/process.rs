//! A router as a process of its own, to be killed. The test program that uses it has a test `router_process`, which calls
//! [`run`].

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command as Process, Stdio};
use std::time::Duration;

const FOLDER: &str = "BIS_ROUTER_TEST_FOLDER";
const KIND: &str = "BIS_ROUTER_TEST_KIND";

/// How the router is set up.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Small segments, and few of them kept.
    Small,
    /// A segment for every few messages.
    Tiny,
    /// Segments that a small disk holds a few of.
    Large,
    /// Nothing is synced.
    Unsynced,
}

impl Kind {
    const ALL: [Kind; 4] = [Kind::Small, Kind::Tiny, Kind::Large, Kind::Unsynced];

    fn apply(self, options: &mut bis_router::Options) {
        match self {
            Self::Small => {
                options.journal.segment_bytes = 256 * 1024;
                options.journal.retention_bytes = 1024 * 1024;
            }
            Self::Tiny => options.journal.segment_bytes = 4096,
            Self::Large => options.journal.segment_bytes = 2 * 1024 * 1024,
            Self::Unsynced => options.journal.sync = bis_router::SyncMode::None,
        }
    }
}

/// Is the router when [`start`] started this process, and else nothing.
pub fn run() {
    let (Ok(folder), Ok(kind)) = (std::env::var(FOLDER), std::env::var(KIND)) else { return };
    let kind = Kind::ALL.into_iter().find(|one| format!("{one:?}") == kind).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut options = super::options(Path::new(&folder));
        kind.apply(&mut options);
        let router = bis_router::Router::start(options).await.unwrap();
        println!("\nanswers HTTP on {}", router.http_address());
        println!("listens on {} with {} damaged", router.tcp_address(), router.damage().len());
        // Bounded, in case nobody kills it.
        tokio::time::sleep(Duration::from_secs(300)).await;
    });
}

/// Starts this very program again, as a router on that folder.
pub fn start(kind: Kind, folder: &Path) -> (Child, SocketAddr) {
    let (child, tcp, _) = start_both(kind, folder);
    (child, tcp)
}

/// The same, for a router that may have at most this many descriptors.
pub fn start_limited(kind: Kind, folder: &Path, descriptors: u32) -> (Child, SocketAddr) {
    let mut shell = Process::new("sh");
    shell.arg("-c").arg(format!("ulimit -n {descriptors} && exec \"$0\" \"$@\""));
    let (child, tcp, _) = spawn(shell.arg(std::env::current_exe().unwrap()), kind, folder);
    (child, tcp)
}

/// The same, with the address of the HTTP API.
pub fn start_both(kind: Kind, folder: &Path) -> (Child, SocketAddr, SocketAddr) {
    spawn(&mut Process::new(std::env::current_exe().unwrap()), kind, folder)
}

fn spawn(process: &mut Process, kind: Kind, folder: &Path) -> (Child, SocketAddr, SocketAddr) {
    let mut child = process
        .args(["router_process", "--exact", "--nocapture"])
        .env(FOLDER, folder)
        .env(KIND, format!("{kind:?}"))
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut http = None;
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut lines = lines.map_while(Result::ok);
    while let Some(line) = lines.next() {
        if let Some(address) = line.strip_prefix("answers HTTP on ") {
            http = address.parse().ok();
        }
        if let Some((address, damaged)) =
            line.strip_prefix("listens on ").and_then(|line| line.split_once(" with "))
        {
            assert_eq!(damaged, "0 damaged", "a kill tears, it does not damage");
            // After a minute the child's harness says that it still runs, and ends when nobody reads that.
            std::thread::spawn(move || lines.for_each(drop));
            return (child, address.parse().unwrap(), http.unwrap());
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    panic!("the router did not start");
}
