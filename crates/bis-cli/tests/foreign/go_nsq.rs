//! go-nsq's own tests; it is the client that NSQ's authors maintain. They come with its package and expect an nsqd
//! at 127.0.0.1:4150 with the certificate of their `test` folder.
#![expect(clippy::unwrap_used, reason = "a failure here is the failure of a test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bis_conformance::Missing;

use crate::broker::{Broker, Lookup};
use crate::peers::with_peers;
use crate::program::Program;
use crate::suite::Outcome;

/// The package's folder in Go's module cache, where `go mod download` puts it.
const PACKAGE: &str = "github.com/nsqio/go-nsq@v1.1.0";
/// How many tests it has.
const COUNT: usize = 24;
/// Tests that talk to the suite's own mock and rely on 25 ms being enough; on a busy machine they may need more than one
/// try.
const AGAINST_A_MOCK: [&str; 4] = [
    "TestConsumerBackoff",
    "TestConsumerRequeueNoBackoff",
    "TestConsumerBackoffDisconnect",
    "TestConsumerPause",
];
/// How often these are tried.
const TRIES: usize = 4;
/// How long building it may take, and then running it.
const LIMIT: Duration = Duration::from_secs(120);

#[test]
fn own_tests_of_go_nsq_pass() {
    with_peers("own_tests_of_go_nsq_pass", || {
        let package = package()?;
        let lookup = Lookup::start()?;
        let file = |name: &str| package.join("test").join(name).display().to_string();
        let mut flags = lookup.flags();
        flags.push("--https-address=127.0.0.1:0".to_owned());
        flags.push(format!("--tls-cert={}", file("server.pem")));
        flags.push(format!("--tls-key={}", file("server.key")));
        flags.push(format!("--tls-root-ca-file={}", file("ca.pem")));
        let broker = Broker::start(&flags)?;
        let copy = tempfile::tempdir().unwrap();
        copy_to(&package, copy.path(), &broker);
        let (outcome, output) = run(copy.path())?;
        outcome.check("go-nsq", COUNT, &output);
        broker.stop();
        Ok(())
    });
}

fn package() -> Result<PathBuf, Missing> {
    let cache =
        Command::new("go").args(["env", "GOMODCACHE"]).output().map_err(|_| Missing("`go`".to_owned()))?;
    let package = Path::new(String::from_utf8(cache.stdout).unwrap().trim()).join(PACKAGE);
    if package.is_dir() { Ok(package) } else { Err(Missing(format!("`go mod download {PACKAGE}`"))) }
}

/// Copies the package, with the broker's address instead of nsqd's.
fn copy_to(package: &Path, copy: &Path, broker: &Broker) {
    let (_, http_port) = broker.http.split_once(':').unwrap();
    let changes = [
        ("127.0.0.1:4150", broker.tcp.as_str()),
        ("(t, 4151,", &format!("(t, {http_port},")),
        // An address where nobody answers; unlike the suite's own, this one stays on this machine.
        ("1.2.3.4:4150", "127.0.0.1:1"),
    ];
    for entry in fs::read_dir(package).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let mut text = fs::read_to_string(&path).unwrap();
            for (from, to) in changes {
                text = text.replace(from, to);
            }
            fs::write(copy.join(path.file_name().unwrap()), text).unwrap();
        }
    }
}

/// Builds the suite offline and runs it; returns its result and its output.
fn run(folder: &Path) -> Result<(Outcome, String), Missing> {
    let mut go = Command::new("go");
    go.args(["test", "-c", "-o", "suite"])
        .current_dir(folder)
        .env("GOPROXY", "off")
        .env("GOFLAGS", "-mod=mod");
    let mut build = Program::spawn(go, b"");
    let built = build.wait(LIMIT);
    if build.log().contains("module lookup disabled") {
        return Err(Missing("what go-nsq depends on (`go mod download` in its folder)".to_owned()));
    }
    assert!(built.is_some_and(|status| status.success()), "go-nsq does not build:\n{}", build.log());
    let mut outcome = Outcome::default();
    let mut log = run_tests(folder, ".", &mut outcome);
    for _ in 1..TRIES {
        let again: Vec<&str> = outcome.failed().filter(|test| AGAINST_A_MOCK.contains(test)).collect();
        if again.is_empty() {
            break;
        }
        let pattern = format!("^({})$", again.join("|"));
        log += &run_tests(folder, &pattern, &mut outcome);
    }
    Ok((outcome, log))
}

/// Runs the tests that match the pattern and returns their output.
fn run_tests(folder: &Path, pattern: &str, outcome: &mut Outcome) -> String {
    let mut command = Command::new(folder.join("suite"));
    command.args(["-test.v", "-test.timeout=60s", "-test.run", pattern]).current_dir(folder);
    let mut suite = Program::spawn(command, b"");
    suite.wait(LIMIT);
    for line in suite.stdout() {
        let name = |rest: &str| rest.split_whitespace().next().unwrap_or_default().to_owned();
        if let Some(rest) = line.strip_prefix("=== RUN ") {
            outcome.started(&name(rest));
        } else if let Some((verdict, rest)) = line.strip_prefix("--- ").and_then(|line| line.split_once(": "))
        {
            outcome.ended(&name(rest), verdict == "PASS");
        }
    }
    suite.log()
}
