//! `bis run` with real processes and sockets: handover without a lost request, a failed build, a crash, the end.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Run, StandIn, address, bis, get, lives, post, wait_until};
use nix::sys::signal::Signal;
use serde_json::json;

#[test]
fn handovers_lose_no_request() {
    let app = StandIn::new();
    let run = Run::start(&app, &[]);
    let ready = run.wait_for("ready");
    let address = address(&ready, "app");
    let stop = AtomicBool::new(false);
    let answered = AtomicUsize::new(0);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|client| {
                let (stop, answered) = (&stop, &answered);
                scope.spawn(move || {
                    while !stop.load(Ordering::SeqCst) {
                        // Nearly all the time, one client is in the middle of a slow request.
                        let path = if client == 0 { "/slow" } else { "/" };
                        if let Err(error) = get(address, path) {
                            stop.store(true, Ordering::SeqCst);
                            panic!("a request was lost: {error}");
                        }
                        answered.fetch_add(1, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        let mut process = ready["process"].as_u64().unwrap();
        for version in ["two", "three", "four"] {
            if stop.load(Ordering::SeqCst) {
                break;
            }
            app.save_version(version);
            let restarted = run.wait_for("restarted");
            assert_eq!(run.wait_for("drained")["pid"].as_u64().unwrap(), process);
            process = restarted["process"].as_u64().unwrap();
            assert_eq!(get(address, "/").unwrap(), format!("{version} {process}"));
        }
        stop.store(true, Ordering::SeqCst);
        clients.into_iter().for_each(|client| client.join().unwrap());
    });
    assert!(answered.load(Ordering::SeqCst) > 100);
}

#[test]
fn what_collects_events_undeclared_is_named() {
    let app = StandIn::new();
    let mut run = Run::start(&app, &[]);
    let router = address(&run.wait_for("ready"), "router_http");
    for path in ["/topic/create?topic=orders", "/channel/create?topic=orders&channel=ship"] {
        post(router, path, "").unwrap();
    }
    run.signal(Signal::SIGINT);
    run.wait();
    let run = Run::start(&app, &[]);
    let router = address(&run.wait_for("ready"), "router_http");
    let orphans = run.wait_for("orphaned")["orphans"].clone();
    assert_eq!(orphans, json!([{ "topic": "orders", "subscription": "ship", "events": 0 }]));
    let topics = get(router, "/stats?format=json").unwrap();
    assert!(topics.contains("\"ship\""), "nothing is removed unasked: {topics}");
}

#[test]
fn a_failing_build_keeps_the_old_process() {
    let app = StandIn::new();
    let run = Run::start(&app, &[]);
    let ready = run.wait_for("ready");
    app.save(&include_str!("support/stand_in.rs").replace("\"one\"", "1"));
    let failed = run.wait_for("build-failed");
    assert_eq!(failed["still_running"], true);
    run.wait_for_stderr("error[E0308]: mismatched types");
    assert_eq!(get(address(&ready, "app"), "/").unwrap(), format!("one {}", ready["process"]));
    app.save_version("two");
    run.wait_for("drained");
    assert!(get(address(&ready, "app"), "/").unwrap().starts_with("two "));
}

#[test]
fn a_first_source_that_cannot_be_read_is_waited_for() {
    let app = StandIn::new();
    app.save(&include_str!("support/stand_in.rs").replace("fn main() {", "fn main() { ("));
    let run = Run::start(&app, &["--services", "stand-in"]);
    run.wait_for("build-failed");
    app.save_version("two");
    let ready = run.wait_for("ready");
    assert!(get(address(&ready, "app"), "/").unwrap().starts_with("two "));
}

#[test]
fn a_save_without_effect_starts_nothing() {
    let app = StandIn::new();
    let run = Run::start(&app, &[]);
    let ready = run.wait_for("ready");
    std::fs::write(app.folder.path().join("src/unused.rs"), "").unwrap();
    run.wait_for("unchanged");
    assert_eq!(get(address(&ready, "app"), "/").unwrap(), format!("one {}", ready["process"]));
}

#[test]
fn an_application_that_dies_is_started_again() {
    let app = StandIn::new();
    let run = Run::start(&app, &[]);
    let address = address(&run.wait_for("ready"), "app");
    for wait in [1000, 2000] {
        assert!(get(address, "/crash").is_err());
        let exited = run.wait_for("exited");
        assert_eq!((&exited["code"], &exited["again_in_milliseconds"]), (&json!(7), &json!(wait)));
        let process = run.wait_for("restarted")["process"].clone();
        assert_eq!(get(address, "/").unwrap(), format!("one {process}"));
    }
}

#[test]
fn a_mended_file_starts_a_dead_application_at_once() {
    let app = StandIn::new();
    let dead =
        include_str!("support/stand_in.rs").replace("fn main() {", "fn main() { std::process::exit(3);");
    app.save(&dead);
    let run = Run::start(&app, &[]);
    for wait in [1000, 2000, 4000] {
        let failed = run.wait_for("start-failed");
        assert_eq!(failed["reason"], "ended with exit status 3 before it was ready");
        assert_eq!(
            (&failed["still_running"], &failed["again_in_milliseconds"]),
            (&json!(false), &json!(wait))
        );
    }
    app.save_version("two");
    let address = address(&run.wait_for("ready"), "app");
    assert!(get(address, "/").unwrap().starts_with("two "));
}

#[test]
fn a_new_process_that_cannot_start_leaves_the_old_one() {
    let app = StandIn::new();
    let run = Run::start(&app, &[]);
    let ready = run.wait_for("ready");
    app.save(
        &include_str!("support/stand_in.rs").replace("fn main() {", "fn main() { std::process::exit(3);"),
    );
    let failed = run.wait_for("start-failed");
    assert_eq!(failed["reason"], "ended with exit status 3 before it was ready");
    assert_eq!(get(address(&ready, "app"), "/").unwrap(), format!("one {}", ready["process"]));
}

#[test]
fn ctrl_c_stops_everything() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let app = StandIn::new();
        let mut run = Run::start(&app, &[]);
        let ready = run.wait_for("ready");
        let address = address(&ready, "app");
        let slow = thread::spawn(move || get(address, "/slow"));
        thread::sleep(Duration::from_millis(100));
        run.signal(signal);
        assert!(slow.join().unwrap().is_ok(), "a request in progress is finished");
        run.wait_for("stopped");
        assert_eq!(run.wait().code(), Some(0));
        assert!(!lives(ready["process"].as_u64().unwrap()));
        assert!(get(address, "/").is_err(), "nobody listens any more");
        assert!(!app.folder.path().join(".bis/default/run.json").exists());
    }
}

#[test]
fn a_second_ctrl_c_stops_at_once() {
    let app = StandIn::new();
    let mut run = Run::start(&app, &[]);
    let ready = run.wait_for("ready");
    get(address(&ready, "app"), "/hang").unwrap();
    run.signal(Signal::SIGINT);
    run.wait_for("stopping");
    thread::sleep(Duration::from_millis(200));
    assert!(lives(ready["process"].as_u64().unwrap()), "it drains");
    let asked = Instant::now();
    run.signal(Signal::SIGINT);
    assert_eq!(run.wait().code(), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(5));
    assert!(!lives(ready["process"].as_u64().unwrap()));
}

#[test]
fn the_application_dies_with_the_command() {
    let app = StandIn::new();
    let mut run = Run::start(&app, &[]);
    let process = run.wait_for("ready")["process"].as_u64().unwrap();
    run.signal(Signal::SIGKILL);
    run.wait();
    wait_until("the end of the app", || !lives(process));
    // The leftovers of the dead command are recognised and do no harm.
    assert!(app.folder.path().join(".bis/default/run.json").exists());
    Run::start(&app, &[]).wait_for("ready");
}

#[test]
fn a_taken_port_is_replaced() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let app = StandIn::new();
    let run = Run::start(&app, &["--port", &port.to_string()]);
    let ready = run.wait_for("ready");
    assert_ne!(address(&ready, "app").port(), port);
    assert!(get(address(&ready, "app"), "/").is_ok());
}

#[test]
fn a_second_run_is_refused_unless_it_has_a_namespace_of_its_own() {
    let app = StandIn::new();
    let run = Run::start(&app, &[]);
    run.wait_for("ready");
    let second = bis().arg("run").arg(app.folder.path()).output().unwrap();
    assert_eq!(second.status.code(), Some(3));
    let stderr = String::from_utf8(second.stderr).unwrap();
    assert!(stderr.contains("this app already runs in the namespace `default`"), "{stderr}");
    let other = Run::start(&app, &["--namespace", "other"]);
    other.wait_for("ready");
}

#[test]
fn a_first_build_that_fails_waits_for_a_mended_file() {
    let app = StandIn::new();
    app.save(&include_str!("support/stand_in.rs").replace("\"one\"", "1"));
    let run = Run::start(&app, &[]);
    assert_eq!(run.wait_for("build-failed")["still_running"], false);
    run.wait_for_stderr("error[E0308]: mismatched types");
    app.save(&include_str!("support/stand_in.rs").replace("\"stand-in\"", "\"Stand In\""));
    assert_eq!(run.wait_for("check-failed")["still_running"], false);
    app.save_version("two");
    let ready = run.wait_for("ready");
    assert!(get(address(&ready, "app"), "/").unwrap().starts_with("two "));
}

#[test]
fn the_program_is_chosen_as_cargo_does() {
    let app = StandIn::new();
    let folder = app.folder.path();
    std::fs::create_dir_all(folder.join("src/bin/admin")).unwrap();
    std::fs::write(folder.join("src/bin/tool.rs"), "fn main() { not rust }").unwrap();
    let admin = include_str!("support/stand_in.rs").replace("\"one\"", "\"admin\"");
    std::fs::write(folder.join("src/bin/admin/main.rs"), admin).unwrap();
    let manifest = include_str!("support/stand_in.toml")
        .replace("[workspace]", "default-run = \"stand-in\"\n\n[workspace]");
    std::fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    for (arguments, version) in [(&[][..], "one "), (&["--bin", "admin"], "admin ")] {
        let run = Run::start(&app, arguments);
        let ready = run.wait_for("ready");
        assert!(get(address(&ready, "app"), "/").unwrap().starts_with(version));
    }
}

#[test]
fn a_second_program_that_is_added_leaves_the_old_process() {
    let app = StandIn::new();
    let run = Run::start(&app, &[]);
    let ready = run.wait_for("ready");
    let tool = app.folder.path().join("src/bin/tool.rs");
    std::fs::create_dir(tool.parent().unwrap()).unwrap();
    std::fs::write(&tool, "fn main() {}").unwrap();
    assert_eq!(run.wait_for("no-single-program")["still_running"], true);
    assert_eq!(get(address(&ready, "app"), "/").unwrap(), format!("one {}", ready["process"]));
    std::fs::remove_file(&tool).unwrap();
    run.wait_for("unchanged");
}

#[test]
fn only_the_services_that_are_asked_for_are_hosted() {
    let app = StandIn::new();
    let run = Run::start(&app, &["--services", "stand-in"]);
    run.wait_for("ready");
    let config = std::fs::read_to_string(app.folder.path().join(".bis/default/config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    assert_eq!(config["app"]["services"], json!(["stand-in"]));
    let refused =
        bis().arg("run").arg(app.folder.path()).args(["--services", "stand-in,cart"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let stderr = String::from_utf8(refused.stderr).unwrap();
    assert!(stderr.contains("no service `cart`") && stderr.contains("`stand-in`"), "{stderr}");
}

#[test]
fn what_a_run_writes_is_for_its_user_alone() {
    let app = StandIn::new();
    let others = app.folder.path().join(".bis");
    std::fs::create_dir_all(others.join("default")).unwrap();
    std::fs::set_permissions(&others, std::fs::Permissions::from_mode(0o755)).unwrap();
    Run::start(&app, &[]).wait_for("ready");
    let mode = |path: &str| std::fs::metadata(others.join(path)).unwrap().permissions().mode() & 0o777;
    for (path, expected) in
        [("", 0o700), ("default", 0o700), ("default/config.json", 0o600), ("default/lock", 0o600)]
    {
        assert_eq!(mode(path), expected, "{path}");
    }
}

#[test]
fn sources_with_errors_are_not_built() {
    let app = StandIn::new();
    let run = Run::start(&app, &[]);
    let ready = run.wait_for("ready");
    app.save(&include_str!("support/stand_in.rs").replace("\"stand-in\"", "\"Stand In\""));
    assert_eq!(run.wait_for("check-failed")["errors"], 1);
    run.wait_for_stderr("error[BIS0013]");
    assert_eq!(get(address(&ready, "app"), "/").unwrap(), format!("one {}", ready["process"]));
}

#[test]
fn ctrl_c_stops_a_build_and_all_that_it_started() {
    let app = StandIn::new();
    let script = "fn main() { std::thread::sleep(std::time::Duration::from_secs(300)) }";
    std::fs::write(app.folder.path().join("build.rs"), script).unwrap();
    let mut run = Run::start(&app, &[]);
    let marker = app.folder.path().join("target").to_string_lossy().into_owned();
    wait_until("the build script to run", || {
        commands_with(&marker).iter().any(|line| line.contains("build-script"))
    });
    run.signal(Signal::SIGINT);
    assert_eq!(run.wait().code(), Some(0));
    wait_until("the end of the build", || commands_with(&marker).is_empty());
}

/// All processes whose command line contains `text`.
fn commands_with(text: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).into_owned()).filter(|line| line.contains(text)).collect()
}

#[test]
fn chaos_reaches_the_application_and_restarts_the_router() {
    let app = StandIn::new();
    let tell = "eprintln!(\"chaos {:?}\", std::env::var(\"BIS_CHAOS\")); unsafe { signal(15, stop) };";
    app.save(&include_str!("support/stand_in.rs").replacen("unsafe { signal(15, stop) };", tell, 1));
    let mut run = Run::start(&app, &["--chaos", "42"]);
    let ready = run.wait_for("ready");
    assert_eq!(ready["chaos"], "42");
    run.wait_for_stderr("chaos Ok(\"42,restarts=0\")");
    run.wait_for("router-restarted");
    // At the same addresses as before.
    let router = address(&ready, "router_http");
    assert_eq!(get(router, "/ping").unwrap(), "OK");
    assert!(get(address(&ready, "app"), "/").unwrap().starts_with("one "));
    run.signal(Signal::SIGINT);
    let ended = run.wait_for("chaos-ended");
    assert!(ended["chaos"] == "42" && ended["router_restarts"].as_u64() >= Some(1), "{ended}");
    run.wait_for("stopped");
    assert_eq!(run.wait().code(), Some(0));
}

#[test]
fn a_package_without_an_application_starts_nothing() {
    let app = StandIn::new();
    app.save("fn main() {}");
    let mut run = Run::start(&app, &[]);
    run.wait_for("check-failed");
    assert_eq!(run.wait().code(), Some(1));
    run.wait_for_stderr("BIS0005");
    assert!(!app.folder.path().join(".bis").exists());
}
