//! The analysed graph of each example equals the built example's description of itself.

#![expect(clippy::unwrap_used, reason = "an example that does not run fails its test")]

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use bis_analyzer::{Options, analyze};
use serde_json::Value;

/// Building an example from scratch takes a while on a small machine.
const LIMIT: Duration = Duration::from_secs(600);

/// The output of the example under `BIS_DESCRIBE=1`.
fn describe(package: &str) -> Value {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml");
    let output = tempfile::NamedTempFile::new().unwrap();
    let mut child = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--package", package, "--manifest-path"])
        .arg(manifest)
        .env("BIS_DESCRIBE", "1")
        .stdin(Stdio::null())
        .stdout(output.reopen().unwrap())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while start.elapsed() < LIMIT {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{package} ended with {status}");
            return serde_json::from_str(&std::fs::read_to_string(output.path()).unwrap()).unwrap();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    panic!("{package} was not built and run within {LIMIT:?}");
}

/// Lists in one order: the two sides sort by different keys where names repeat.
fn sorted(mut description: Value) -> Value {
    for list in description.as_object_mut().unwrap().values_mut().filter_map(Value::as_array_mut) {
        list.sort_by_key(Value::to_string);
    }
    description
}

#[track_caller]
fn check(package: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(package);
    let analysis = analyze(&folder, &Options::default());
    assert!(!analysis.has_errors(), "{:#?}", analysis.diagnostics);
    let analysed = sorted(bis_graph::json::description(&analysis.graph));
    assert_eq!(analysed, sorted(describe(package)));
    assert!(!analysis.graph.subscriptions.is_empty() && !analysis.graph.endpoints.is_empty());
}

#[test]
fn shop() {
    check("shop");
}

#[test]
fn flights() {
    check("flights");
}
