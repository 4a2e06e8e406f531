//! The command's output as snapshots: help, errors with their help texts, diagnostics, and exit codes.
#![expect(clippy::unwrap_used, reason = "a failure here is the failure of a test")]

use std::fs;
use std::path::Path;
use std::process::Stdio;

use serde_json::json;

use crate::support::{Run, bis};

/// Runs the command in an empty folder and gives exit code, stdout and stderr as one text.
#[track_caller]
fn transcript(folder: &Path, arguments: &[&str]) -> String {
    let output =
        bis().args(arguments).current_dir(folder).stdin(Stdio::null()).output().unwrap_or_else(|error| {
            panic!("cannot run `bis`: {error}");
        });
    let mut text = format!("$ bis {}\nexit {}\n", arguments.join(" "), output.status.code().unwrap_or(-1));
    for (name, bytes) in [("stdout", output.stdout), ("stderr", output.stderr)] {
        if !bytes.is_empty() {
            text.push_str(&format!("-- {name}\n{}", String::from_utf8_lossy(&bytes)));
        }
    }
    let real = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
    text.replace(&*real.to_string_lossy(), "[folder]").replace(&*folder.to_string_lossy(), "[folder]")
}

#[test]
fn help_lists_commands_and_exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    insta::assert_snapshot!(transcript(folder.path(), &["--help"]));
}

#[test]
fn a_wrong_command_line_exits_with_2() {
    let folder = tempfile::tempdir().unwrap();
    insta::assert_snapshot!(transcript(folder.path(), &["runn"]));
}

#[test]
fn a_folder_without_an_application_is_named() {
    let folder = tempfile::tempdir().unwrap();
    insta::assert_snapshot!(
        [
            transcript(folder.path(), &["run", "nowhere"]),
            transcript(folder.path(), &["check", "nowhere"]),
            transcript(folder.path(), &["topic", "ls"]),
        ]
        .join("\n")
    );
}

#[test]
fn a_new_application_is_refused_where_it_cannot_be() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("used")).unwrap();
    fs::write(folder.path().join("used/notes.txt"), "keep me").unwrap();
    insta::assert_snapshot!(
        [
            transcript(folder.path(), &["new", "My_App"]),
            transcript(folder.path(), &["new", "async"]),
            transcript(folder.path(), &["new", "used"]),
        ]
        .join("\n")
    );
    assert_eq!(fs::read_to_string(folder.path().join("used/notes.txt")).unwrap(), "keep me");
}

#[test]
fn codes_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    let page = transcript(folder.path(), &["explain", "bis0022"]);
    assert!(page.starts_with("$ bis explain bis0022\nexit 0\n") && page.contains("BIS0022"), "{page}");
    insta::assert_snapshot!(transcript(folder.path(), &["explain", "BIS9999"]));
}

/// A new app with one mistake in it.
fn broken_application(folder: &Path) {
    transcript(folder, &["new", "shop"]);
    let file = folder.join("shop/src/shipping.rs");
    let source = fs::read_to_string(&file).unwrap();
    assert!(source.contains("\"order-shipped\""));
    fs::write(&file, source.replace("\"order-shipped\"", "\"order-placed\"")).unwrap();
}

#[test]
fn check_shows_both_places_and_exits_with_1() {
    let folder = tempfile::tempdir().unwrap();
    broken_application(folder.path());
    insta::assert_snapshot!(transcript(folder.path(), &["check", "shop"]));
}

#[test]
fn check_prints_diagnostics_as_json() {
    let folder = tempfile::tempdir().unwrap();
    broken_application(folder.path());
    let output =
        bis().args(["check", "shop", "--format", "json"]).current_dir(folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let printed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let duplicate = &printed["diagnostics"][1];
    let place = [
        &duplicate["code"],
        &duplicate["severity"],
        &duplicate["file"],
        &duplicate["line"],
        &duplicate["column"],
    ];
    assert_eq!(serde_json::json!(place), serde_json::json!(["BIS0022", "error", "src/shipping.rs", 19, 12]));
}

/// The example of this repository.
fn shop() -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/shop").to_owned()
}

#[test]
fn check_says_what_a_broker_cannot_do() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("orders/src")).unwrap();
    let manifest = "[package]\nname = \"orders\"\nedition = \"2024\"\n\n[dependencies]\nbis = \"0.1\"\n";
    fs::write(folder.path().join("orders/Cargo.toml"), manifest).unwrap();
    fs::write(folder.path().join("orders/src/lib.rs"), ORDERED_APPLICATION).unwrap();
    insta::assert_snapshot!(
        [
            transcript(folder.path(), &["check", "orders", "--broker", "nsqd"]),
            transcript(folder.path(), &["check", "orders", "--broker", "router"]),
        ]
        .join("\n")
    );
}

/// A service that relies on order by key.
const ORDERED_APPLICATION: &str = r#"use bis::prelude::*;

bis::service!("orders");
bis::app!(services: [crate]);

#[derive(Event, Serialize, Deserialize)]
pub struct OrderPlaced {
    #[event(key)]
    pub order_id: u64,
}

pub static PLACED: Topic<OrderPlaced> = Topic::new("order-placed").ordered();

pub async fn place(order: OrderPlaced) -> Result<()> {
    PLACED.publish(&order).await?;
    Ok(())
}

#[subscription(PLACED)]
async fn ship(order: Delivery<OrderPlaced>) -> Result<()> {
    Ok(())
}
"#;

#[test]
fn check_takes_the_broker_from_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.json");
    let check = |text: &str| {
        fs::write(&config, text).unwrap();
        let output = bis()
            .args(["check", &shop(), "--format", "json"])
            .env("BIS_CONFIG", &config)
            .current_dir(folder.path())
            .output()
            .unwrap();
        let printed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (printed, String::from_utf8(output.stderr).unwrap(), output.status.code())
    };
    let (printed, stderr, code) = check(r#"{"broker": {"nsq": {"address": "10.0.0.7:4150"}}}"#);
    assert_eq!((&printed["broker"], code), (&"router".into(), Some(0)));
    assert!(stderr.contains("`10.0.0.7:4150`") && stderr.contains("`--broker nsqd`"), "{stderr}");
    let (printed, _, code) = check("{}");
    assert_eq!((&printed["broker"], code), (&"in-process".into(), Some(0)));
    assert_eq!(printed["diagnostics"][0]["code"], "BIS0044");
    let (_, stderr, code) = check(r#"{"broker": {"kafka": {}}}"#);
    assert_eq!(code, Some(3));
    assert!(stderr.contains("expected `in_process` or `nsq`") && stderr.contains("`--broker`"), "{stderr}");
    // The whole file is checked, and secrets that only the app has are not required.
    let (_, stderr, code) = check(r#"{"http": {"port": 1}}"#);
    assert_eq!(code, Some(3));
    assert!(stderr.contains("unknown field `port`"), "{stderr}");
    let (_, stderr, code) = check(r#"{"broker": {"nsq": {"address": "a:1", "auth": {"secret_env": "S"}}}}"#);
    assert_eq!(code, Some(3));
    assert!(stderr.contains(r#"write `{ "env": "S" }`"#), "{stderr}");
    let (_, _, code) = check(r#"{"broker": {"nsq": {"address": "a:1", "auth": {"env": "BIS_TEST_NONE"}}}}"#);
    assert_eq!(code, Some(0));
}

#[test]
fn features_choose_what_is_read() {
    let folder = tempfile::tempdir().unwrap();
    transcript(folder.path(), &["new", "shop"]);
    let file = folder.path().join("shop/src/shipping.rs");
    let source = fs::read_to_string(&file).unwrap();
    fs::write(&file, source + "\n#[cfg(feature = \"broken\")]\nmod missing;\n").unwrap();
    let manifest = folder.path().join("shop/Cargo.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text + "\n[features]\nbroken = []\n").unwrap();
    let exit = |arguments: &[&str]| {
        let text = transcript(folder.path(), arguments);
        text.lines().nth(1).unwrap_or_default().to_owned()
    };
    assert_eq!(exit(&["check", "shop"]), "exit 0");
    assert_eq!(exit(&["check", "shop", "--features", "broken"]), "exit 1");
    assert_eq!(exit(&["graph", "shop", "--all-features"]), "exit 1");
    let shop = folder.path().join("shop");
    Run::start_in(&shop, &shop.join("target"), &["-F", "broken"]).wait_for("check-failed");
}

#[test]
fn run_builds_nothing_while_the_source_has_errors() {
    let folder = tempfile::tempdir().unwrap();
    broken_application(folder.path());
    let shop = folder.path().join("shop");
    let run = Run::start_in(&shop, &shop.join("target"), &[]);
    let failed = run.wait_for("check-failed");
    assert_eq!((&failed["errors"], &failed["still_running"]), (&json!(2), &json!(false)));
    run.wait_for_stderr("error[BIS0022]");
    assert!(!shop.join("target").exists(), "{}", run.stderr());
}

#[test]
fn a_broken_manifest_is_a_diagnostic() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("Cargo.toml"), "[package\nname = \"shop\"\n").unwrap();
    insta::assert_snapshot!(transcript(folder.path(), &["run"]));
}

#[test]
fn the_graph_of_a_new_application() {
    let folder = tempfile::tempdir().unwrap();
    transcript(folder.path(), &["new", "shop"]);
    insta::assert_snapshot!(
        [transcript(folder.path(), &["check", "shop"]), transcript(folder.path(), &["graph", "shop"]),]
            .join("\n")
    );
    let json = bis().args(["graph", "--format", "json"]).arg(folder.path().join("shop")).output().unwrap();
    let graph: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(graph["subscriptions"][0]["handler"], "shop::shipping::ship");
}

#[test]
fn commands_on_an_application_that_does_not_run_say_so() {
    let folder = tempfile::tempdir().unwrap();
    transcript(folder.path(), &["new", "shop"]);
    insta::assert_snapshot!(
        [
            transcript(&folder.path().join("shop"), &["topic", "ls"]),
            transcript(&folder.path().join("shop"), &["dead", "ls", "--router-http", "127.0.0.1:1"]),
            transcript(&folder.path().join("shop"), &["topic", "ls", "--namespace", "No Name"]),
        ]
        .join("\n")
    );
}

#[test]
fn a_run_that_cannot_begin_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let file = |name: &str, text: &str| {
        fs::create_dir_all(path.join(name).parent().unwrap()).unwrap();
        fs::write(path.join(name), text).unwrap();
    };
    for name in ["cart", "shop"] {
        file(
            &format!("two/{name}/Cargo.toml"),
            &format!("[package]\nname = \"{name}\"\nedition = \"2024\"\n[dependencies]\nbis = \"*\"\n"),
        );
        file(&format!("two/{name}/src/lib.rs"), "bis::service!(\"one\");\nbis::app!(services: [crate]);\n");
        file(&format!("two/{name}/src/main.rs"), &format!("fn main() {{ {name}::app().main(); }}\n"));
    }
    file("two/Cargo.toml", "[workspace]\nmembers = [\"cart\", \"shop\"]\nresolver = \"3\"\n");
    file("plain/Cargo.toml", "[package]\nname = \"plain\"\nedition = \"2024\"\n");
    file("plain/src/main.rs", "fn main() {}\n");
    file("stateless/.bis", "a file where a folder should be");
    let manifest = "[package]\nname = \"stateless\"\nedition = \"2024\"\n[dependencies]\nbis = \"*\"\n";
    file("stateless/Cargo.toml", manifest);
    file("stateless/src/lib.rs", "bis::service!(\"one\");\nbis::app!(services: [crate]);\n");
    fs::create_dir(path.join("empty")).unwrap();
    let run = |name: &str| transcript(path, &["run", name, "--port", "0", "--router-port", "0"]);
    insta::assert_snapshot!([run("empty"), run("two"), run("plain"), run("stateless")].join("\n"));
    let no_cargo =
        bis().args(["run", "two/shop"]).env("CARGO", "no-cargo").current_dir(path).output().unwrap();
    assert_eq!(no_cargo.status.code(), Some(3));
    insta::assert_snapshot!("no_cargo", String::from_utf8(no_cargo.stderr).unwrap());
}

#[test]
fn a_workspace_with_one_application_is_as_good_as_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    transcript(folder.path(), &["new", "shop"]);
    fs::write(folder.path().join("Cargo.toml"), "[workspace]\nmembers = [\"shop\"]\nresolver = \"3\"\n")
        .unwrap();
    let manifest = folder.path().join("shop/Cargo.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("[workspace]\n", "")).unwrap();
    let text = transcript(folder.path(), &["topic", "ls"]);
    assert!(text.contains("the app in `shop` does not run"), "{text}");
}

/// The HTTP address of a `bis run` and the TCP address of another router would be two routers in one command.
#[test]
fn a_router_is_not_named_by_its_tcp_address_alone() {
    let folder = tempfile::tempdir().unwrap();
    let text = transcript(folder.path(), &["topic", "ls", "--router", "10.0.0.1:4150"]);
    assert!(text.contains("exit 2") && text.contains("--router-http <HOST:PORT>"), "{text}");
}
