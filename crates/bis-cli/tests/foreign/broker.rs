//! The broker under test, a process started with nsqd's flags: `bis router`, or nsqd when `BIS_FOREIGN_BROKER=nsqd`.
//! nsqlookupd runs beside it where a test wants it.
#![expect(clippy::unwrap_used, reason = "a failure here is the failure of a test")]

use std::env;
use std::ops::Range;
use std::path::Path;

use bis_conformance::Missing;
use serde_json::Value;

use crate::http::{self, Reply};
use crate::peers::find;
use crate::program::Program;

/// A running broker with its own folder.
pub(crate) struct Broker {
    program: Program,
    /// The address of its NSQ protocol, as `127.0.0.1:port`.
    pub(crate) tcp: String,
    /// The address of its HTTP API, as `127.0.0.1:port`.
    pub(crate) http: String,
    folder: tempfile::TempDir,
}

impl Broker {
    /// Starts it on free ports, with these additional nsqd flags.
    pub(crate) fn start(flags: &[String]) -> Result<Self, Missing> {
        let folder = tempfile::tempdir().unwrap();
        let (program, tcp, http) = launch("127.0.0.1:0", "127.0.0.1:0", folder.path(), flags)?;
        Ok(Self { program, tcp, http, folder })
    }

    /// Kills it and starts it again at the same addresses, without additional flags.
    pub(crate) fn kill_and_start_again(&mut self) -> Result<(), Missing> {
        self.program.kill();
        (self.program, ..) = launch(&self.tcp, &self.http, self.folder.path(), &[])?;
        Ok(())
    }

    /// Publishes a message for each of these numbers and waits for the answers. Returns the messages.
    pub(crate) fn publish(&self, topic: &str, numbers: Range<usize>) -> Vec<String> {
        let bodies: Vec<String> = numbers.map(|number| format!("message {number}")).collect();
        self.post(&format!("/mpub?topic={topic}"), bodies.join("\n").as_bytes()).expect_ok();
        bodies
    }

    pub(crate) fn post(&self, path: &str, body: &[u8]) -> Reply {
        http::request(&self.http, "POST", path, body)
    }

    /// The statistics of one channel; null when there is no such channel.
    pub(crate) fn channel(&self, topic: &str, channel: &str) -> Value {
        let path = format!("/stats?format=json&topic={topic}&channel={channel}");
        let stats = http::request(&self.http, "GET", &path, b"").json();
        stats["topics"][0]["channels"][0].clone()
    }

    /// Whether the channel exists and has nothing left to deliver or to finish.
    pub(crate) fn is_drained(&self, topic: &str, channel: &str) -> bool {
        let stats = self.channel(topic, channel);
        ["depth", "in_flight_count", "deferred_count"].iter().all(|count| stats[count] == 0)
    }

    /// Stops it as a supervisor does.
    pub(crate) fn stop(mut self) {
        self.program.stop();
    }
}

/// Whether the tests run against nsqd.
pub(crate) fn is_nsqd() -> bool {
    env::var_os("BIS_FOREIGN_BROKER").is_some_and(|broker| broker == "nsqd")
}

/// How many of this many `deferred` messages are included in the depth of a channel without consumers. A deliberate
/// difference: nsqd holds each in memory at once, the router reads them when the channel first reaches them.
pub(crate) fn deferred_in_depth(deferred: usize) -> usize {
    if is_nsqd() { 0 } else { deferred }
}

fn launch(
    tcp: &str,
    http: &str,
    folder: &Path,
    flags: &[String],
) -> Result<(Program, String, String), Missing> {
    let mut arguments = vec![
        format!("--tcp-address={tcp}"),
        format!("--http-address={http}"),
        format!("--data-path={}", folder.display()),
    ];
    arguments.extend_from_slice(flags);
    Ok(if is_nsqd() { nsqd(&arguments)? } else { router(&arguments) })
}

fn nsqd(arguments: &[String]) -> Result<(Program, String, String), Missing> {
    let own = ["--broadcast-address=127.0.0.1".to_owned()];
    let program = Program::start(find("nsqd")?, own.iter().chain(arguments));
    let (tcp, http) = (listens(&program, "TCP"), listens(&program, "HTTP"));
    Ok((program, tcp, http))
}

fn router(arguments: &[String]) -> (Program, String, String) {
    let own = ["router".to_owned(), "--format=json".to_owned()];
    let program = Program::start(env!("CARGO_BIN_EXE_bis"), own.iter().chain(arguments));
    let ready = program.wait_for("being ready", |line| {
        serde_json::from_str::<Value>(line).ok().filter(|line| line["event"] == "ready")
    });
    let text = |field: &str| ready[field].as_str().unwrap().trim_start_matches("http://").to_owned();
    let (tcp, http) = (text("router"), text("router_http"));
    (program, tcp, http)
}

/// The address in nsqd's log: `[nsqd] 2026/01/01 00:00:00.000000 INFO: TCP: listening on 127.0.0.1:4150`.
fn listens(program: &Program, protocol: &str) -> String {
    let text = format!(" {protocol}: listening on ");
    program.wait_for(&text, |line| line.split_once(&text).map(|(_, address)| address.trim().to_owned()))
}

/// A running nsqlookupd.
pub(crate) struct Lookup {
    _program: Program,
    tcp: String,
    /// The address for clients, as `127.0.0.1:port`.
    pub(crate) http: String,
}

impl Lookup {
    pub(crate) fn start() -> Result<Self, Missing> {
        let flags = ["--tcp-address=127.0.0.1:0", "--http-address=127.0.0.1:0"];
        let program = Program::start(find("nsqlookupd")?, flags);
        let (tcp, http) = (listens(&program, "TCP"), listens(&program, "HTTP"));
        Ok(Self { _program: program, tcp, http })
    }

    /// The flags by which a broker registers with it.
    pub(crate) fn flags(&self) -> Vec<String> {
        vec![format!("--lookupd-tcp-address={}", self.tcp), "--broadcast-address=127.0.0.1".to_owned()]
    }
}

/// A running nsqadmin that finds brokers by these flags, and its address.
pub(crate) fn nsqadmin(flags: &[String]) -> Result<(Program, String), Missing> {
    let own = ["--http-address=127.0.0.1:0".to_owned()];
    let program = Program::start(find("nsqadmin")?, own.iter().chain(flags));
    let http = listens(&program, "HTTP");
    Ok((program, http))
}
