//! tokio-nsq's own live tests; it is the most used Rust client. They come with its package and expect an nsqd with a
//! certificate, one that requires authentication, and nsqlookupd, each at its own host name.
#![expect(clippy::unwrap_used, reason = "a failure here is the failure of a test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bis_conformance::Missing;
use serde_json::Value;

use crate::broker::{Broker, Lookup};
use crate::http::Server;
use crate::peers::with_peers;
use crate::program::Program;
use crate::suite::Outcome;

/// How many tests it has.
const COUNT: usize = 10;
/// How long building it may take; the first time, that includes its dependencies.
const BUILD_LIMIT: Duration = Duration::from_secs(600);
/// How long running it may take.
const LIMIT: Duration = Duration::from_secs(60);
/// Permissions: everyone may do everything, as in the package's own set-up.
const AUTHORIZATION: &str = r#"{"ttl":3600,"identity":"username","identity_url":"https://test.com","authorizations":
    [{"permissions":["subscribe","publish"],"topic":".*","channels":[".*"]}]}"#;

#[test]
fn own_tests_of_tokio_nsq_pass() {
    with_peers("own_tests_of_tokio_nsq_pass", || {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tokio-nsq");
        let package = prepare(&folder)?;
        let suite = build(&folder);
        let lookup = Lookup::start()?;
        let mut flags = lookup.flags();
        flags.push("--https-address=127.0.0.1:0".to_owned());
        flags.push(format!("--tls-cert={}", package.join("keys/cert.pem").display()));
        flags.push(format!("--tls-key={}", package.join("keys/key.pem").display()));
        let broker = Broker::start(&flags)?;
        let authority = Server::start(AUTHORIZATION);
        let guarded = Broker::start(&[format!("--auth-http-address={}", authority.address)])?;
        let mut command = Command::new(suite);
        command.env("NSQ", &broker.tcp).env("NSQ_WITH_AUTH", &guarded.tcp).env("NSQ_LOOKUPD", &lookup.http);
        let mut suite = Program::spawn(command, b"");
        suite.wait(LIMIT);
        outcome(&suite.stdout()).check("tokio-nsq", COUNT, &suite.log());
        assert!(authority.asked().iter().all(|asked| asked.path.contains("secret=secret")));
        guarded.stop();
        broker.stop();
        Ok(())
    });
}

/// Assembles a package with the suite: our manifest, and its source changed to read the brokers' addresses from
/// the environment. Returns the folder of tokio-nsq itself.
fn prepare(folder: &Path) -> Result<PathBuf, Missing> {
    fs::create_dir_all(folder).unwrap();
    write(&folder.join("Cargo.toml"), include_str!("tokio_nsq/Cargo.toml"));
    write(&folder.join("Cargo.lock"), include_str!("tokio_nsq/Cargo.lock"));
    write(&folder.join("empty.rs"), "");
    let metadata = cargo(folder, &["metadata", "--format-version=1"]).output().unwrap();
    let Ok(metadata) = serde_json::from_slice::<Value>(&metadata.stdout) else {
        return Err(Missing(
            "tokio-nsq; run `cargo fetch` in `crates/bis-cli/tests/foreign/tokio_nsq`".to_owned(),
        ));
    };
    let mut packages = metadata["packages"].as_array().unwrap().iter();
    let package = packages.find(|package| package["name"] == "tokio-nsq").unwrap();
    let package = Path::new(package["manifest_path"].as_str().unwrap()).parent().unwrap().to_owned();
    let mut source = fs::read_to_string(package.join("tests/test_live.rs")).unwrap();
    for (host, from_environment) in [
        ("\"nsq:4150\"", "std::env::var(\"NSQ\").unwrap()"),
        ("\"nsqwithauth:4150\"", "std::env::var(\"NSQ_WITH_AUTH\").unwrap()"),
        ("\"http://nsqlookupd:4161\"", "format!(\"http://{}\", std::env::var(\"NSQ_LOOKUPD\").unwrap())"),
    ] {
        assert!(source.contains(host), "the suite no longer knows {host}");
        source = source.replace(host, from_environment);
    }
    write(&folder.join("live.rs"), &source);
    Ok(package)
}

/// Writes only files that changed, so that cargo builds only what is needed.
fn write(file: &Path, text: &str) {
    if fs::read_to_string(file).ok().as_deref() != Some(text) {
        fs::write(file, text).unwrap();
    }
}

/// Builds the suite: its program.
fn build(folder: &Path) -> PathBuf {
    let arguments = ["test", "--test=live", "--no-run", "--message-format=json-render-diagnostics"];
    let mut build = Program::spawn(cargo(folder, &arguments), b"");
    let status = build.wait(BUILD_LIMIT);
    let program = build.stdout().iter().find_map(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        (line["target"]["name"] == "live").then(|| line["executable"].as_str().map(PathBuf::from))?
    });
    program.unwrap_or_else(|| panic!("tokio-nsq's tests do not build, {status:?}:\n{}", build.log()))
}

/// Cargo in that folder, offline and with its own target folder.
fn cargo(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.args(arguments).args(["--offline", "--locked"]).current_dir(folder);
    command.env("CARGO_TARGET_DIR", folder.join("target")).env_remove("RUSTFLAGS");
    command
}

/// Reads what Rust's test harness prints.
fn outcome(lines: &[String]) -> Outcome {
    let mut outcome = Outcome::default();
    for line in lines {
        if let Some((name, verdict)) = line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... ")) {
            outcome.ended(name, verdict == "ok");
        }
    }
    outcome
}
