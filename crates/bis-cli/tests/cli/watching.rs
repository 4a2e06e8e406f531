//! What `bis run` notices: everything that the build reads, however it is saved. Each change must end in the right program.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{LIMIT, Run, StandIn, address, get, wait_until};

/// The stand-in with this expression as its version.
fn answering(expression: &str) -> String {
    include_str!("support/stand_in.rs").replace("\"one\"", expression)
}

/// A stand-in whose files were changed before its first build.
fn app(prepare: impl FnOnce(&Path)) -> StandIn {
    let app = StandIn::new();
    prepare(app.folder.path());
    app
}

#[track_caller]
fn answers(run: &Run, address: std::net::SocketAddr, version: &str) {
    let expected = format!("{version} ");
    let end = Instant::now() + LIMIT;
    while !get(address, "/").is_ok_and(|answer| answer.starts_with(&expected)) {
        assert!(Instant::now() < end, "`{version}` is not answered; stderr:\n{}", run.stderr());
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn what_a_build_script_writes_into_src_builds_nothing_again() {
    let script = r#"fn main() {
        let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
        std::fs::write("src/made.rs", format!("pub const MADE: u128 = {time};")).unwrap();
    }"#;
    let app = app(|folder| {
        fs::write(folder.join("build.rs"), script).unwrap();
        fs::write(folder.join("src/made.rs"), "").unwrap();
        fs::write(folder.join("src/main.rs"), answering("\"one\"") + "mod made;\npub use made::MADE;\n")
            .unwrap();
    });
    let run = Run::start(&app, &[]);
    let address = address(&run.wait_for("ready"), "app");
    for version in ["two", "three", "four", "five"] {
        app.save(&(answering(&format!("\"{version}\"")) + "mod made;\npub use made::MADE;\n"));
        answers(&run, address, version);
    }
    // Each has its own build, and none was built twice.
    assert_eq!(run.count("built"), 5, "{}", run.stderr());
}

#[test]
fn a_folder_of_an_earlier_time_is_noticed_by_cargo_too() {
    let app = app(|folder| {
        fs::write(folder.join("src/main.rs"), answering("text::VERSION") + "mod text;").unwrap();
        for version in ["one", "two"] {
            fs::create_dir_all(folder.join(version)).unwrap();
            let text = format!("pub const VERSION: &str = \"{version}\";");
            fs::write(folder.join(version).join("mod.rs"), text).unwrap();
        }
        fs::create_dir(folder.join("kept")).unwrap();
        fs::rename(folder.join("one"), folder.join("src/text")).unwrap();
    });
    let run = Run::start(&app, &[]);
    let address = address(&run.wait_for("ready"), "app");
    answers(&run, address, "one");
    let at = |path: &str| app.folder.path().join(path);
    fs::rename(at("src/text"), at("kept/one")).unwrap();
    fs::rename(at("two"), at("src/text")).unwrap();
    answers(&run, address, "two");
    fs::remove_dir_all(at("src/text")).unwrap();
    symlink(at("kept/one"), at("src/text")).unwrap();
    answers(&run, address, "one");
    fs::write(at("src/text/mod.rs"), "pub const VERSION: &str = \"three\";").unwrap();
    answers(&run, address, "three");
}

#[test]
fn a_link_to_an_earlier_file_is_noticed_by_cargo_too() {
    let app = app(|folder| {
        fs::write(folder.join("src/main.rs"), answering("text::VERSION") + "mod text;").unwrap();
        fs::create_dir(folder.join("texts")).unwrap();
        for version in ["one", "two"] {
            let text = format!("pub const VERSION: &str = \"{version}\";");
            fs::write(folder.join("texts").join(version), text).unwrap();
        }
        symlink("../texts/one", folder.join("src/text.rs")).unwrap();
    });
    let run = Run::start(&app, &[]);
    let address = address(&run.wait_for("ready"), "app");
    answers(&run, address, "one");
    for version in ["two", "one"] {
        let link = app.folder.path().join("src/text.rs");
        fs::remove_file(&link).unwrap();
        symlink(format!("../texts/{version}"), link).unwrap();
        answers(&run, address, version);
    }
}

#[test]
fn whatever_the_build_reads_is_watched() {
    let beside = tempfile::tempdir().unwrap();
    let at = |path: &str| beside.path().join(path);
    fs::write(at("text.txt"), "one").unwrap();
    fs::write(at("input.txt"), "one").unwrap();
    fs::write(at("code.rs"), "pub const CODE: &str = \"one\";").unwrap();
    let place = beside.path().display();
    let app = app(|folder| {
        let script = format!(
            "fn main() {{\n println!(\"cargo:rerun-if-changed={place}/input.txt\");\n \
             let text = std::fs::read_to_string(\"{place}/input.txt\").unwrap();\n \
             println!(\"cargo:rustc-env=INPUT={{text}}\");\n}}"
        );
        fs::write(folder.join("build.rs"), script).unwrap();
        let version = format!(
            "concat!(include_str!(\"{place}/text.txt\"), \"-\", env!(\"INPUT\"), \"-\", env!(\"SET\"))"
        );
        let source =
            answering(&version) + &format!("#[path = \"{place}/code.rs\"] mod code;\npub use code::CODE;\n");
        let source =
            source.replace("let body = format!(\"{VERSION} ", "let body = format!(\"{VERSION}-{CODE} ");
        fs::write(folder.join("src/main.rs"), source).unwrap();
        fs::create_dir(folder.join(".cargo")).unwrap();
        fs::write(folder.join(".cargo/config.toml"), "[env]\nSET = \"one\"\n").unwrap();
    });
    let run = Run::start(&app, &[]);
    let address = address(&run.wait_for("ready"), "app");
    answers(&run, address, "one-one-one-one");
    fs::write(at("text.txt"), "two").unwrap();
    answers(&run, address, "two-one-one-one");
    fs::write(at("input.txt"), "two").unwrap();
    answers(&run, address, "two-two-one-one");
    fs::write(app.folder.path().join(".cargo/config.toml"), "[env]\nSET = \"two\"\n").unwrap();
    answers(&run, address, "two-two-two-one");
    fs::write(at("code.rs"), "pub const CODE: &str = \"two\";").unwrap();
    answers(&run, address, "two-two-two-two");
}

#[test]
fn a_dependency_that_does_not_exist_yet_is_waited_for() {
    let beside = tempfile::tempdir().unwrap();
    let dependency = beside.path().join("greetings");
    let app = app(|folder| {
        let manifest = include_str!("support/stand_in.toml").to_owned();
        let manifest = manifest + &format!("greetings = {{ path = \"{}\" }}\n", dependency.display());
        fs::write(folder.join("Cargo.toml"), manifest).unwrap();
        fs::write(folder.join("src/main.rs"), answering("greetings::HELLO")).unwrap();
    });
    let run = Run::start(&app, &[]);
    wait_until("a complaint", || run.stderr().contains("greetings"));
    let manifest = "[package]\nname = \"greetings\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";
    fs::create_dir_all(dependency.join("src")).unwrap();
    fs::write(dependency.join("Cargo.toml"), manifest).unwrap();
    fs::write(dependency.join("src/lib.rs"), "pub const HELLO: &str = 1;").unwrap();
    run.wait_for("build-failed");
    fs::write(dependency.join("src/lib.rs"), "pub const HELLO: &str = \"hello\";").unwrap();
    let address = address(&run.wait_for("ready"), "app");
    answers(&run, address, "hello");
}

#[test]
fn a_file_that_a_failed_build_missed_is_noticed() {
    let app =
        app(|folder| fs::write(folder.join("src/main.rs"), answering("include_str!(\"text.txt\")")).unwrap());
    let run = Run::start(&app, &[]);
    assert_eq!(run.wait_for("build-failed")["still_running"], false);
    fs::write(app.folder.path().join("src/text.txt"), "found").unwrap();
    let address = address(&run.wait_for("ready"), "app");
    answers(&run, address, "found");
}

#[test]
fn saves_are_noticed_where_the_system_does_not_notify() {
    let allowed = std::process::Command::new("unshare")
        .args(["--user", "--map-root-user", "true"])
        .status()
        .is_ok_and(|status| status.success());
    if !allowed {
        eprintln!("skipped: this system has no user namespaces");
        return;
    }
    let app = StandIn::new();
    let run = Run::start_with_few_watches(&app);
    run.wait_for("watch-limited");
    let address = address(&run.wait_for("ready"), "app");
    app.save_version("two");
    answers(&run, address, "two");
}
