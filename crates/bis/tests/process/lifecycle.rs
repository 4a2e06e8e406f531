//! Functions at the start, at the stop and in the background of a real process, with signals.

use std::time::{Duration, Instant};

use super::{ANY_PORT, LIMIT, Process, end_with, get, post};

/// Two services with everything, in an order that is not that of their names.
mod orderly {
    pub(super) mod zebra {
        use bis::prelude::*;

        bis::service!("zebra");

        #[derive(Event, Serialize, Deserialize)]
        struct Job {
            millis: u64,
        }

        static JOBS: Topic<Job> = Topic::new("jobs");

        #[on_start]
        async fn first() -> Result<()> {
            println!("zebra::first");
            JOBS.publish(&Job { millis: 0 }).await?;
            Ok(())
        }

        #[on_start]
        async fn another() -> Result<()> {
            println!("zebra::another");
            Ok(())
        }

        #[on_stop]
        async fn goodbye() -> Result<()> {
            println!("zebra::goodbye");
            Ok(())
        }

        #[on_stop]
        async fn last() -> Result<()> {
            println!("zebra::last");
            Ok(())
        }

        #[background]
        async fn watch() -> Result<()> {
            println!("watch begins");
            tracing::info!("watching");
            bis::stopping().await;
            println!("watch is told");
            // It has time to finish.
            bis::time::sleep(Duration::from_millis(50)).await;
            println!("watch ends");
            Ok(())
        }

        #[api(POST, "/jobs/{millis}", public)]
        async fn start(Path(millis): Path<u64>) -> Result<()> {
            JOBS.publish(&Job { millis }).await?;
            Ok(())
        }

        #[subscription(JOBS)]
        async fn run(job: Job) -> Result<()> {
            println!("job {} starts", job.millis);
            bis::time::sleep(Duration::from_millis(job.millis)).await;
            println!("job {} ends", job.millis);
            Ok(())
        }
    }

    pub(super) mod ant {
        use bis::prelude::*;

        bis::service!("ant");

        #[on_start]
        async fn begin() -> Result<()> {
            println!("ant::begin");
            Ok(())
        }

        #[on_stop]
        async fn end() -> Result<()> {
            println!("ant::end");
            Ok(())
        }
    }

    bis::app!(services: [zebra, ant]);
}

/// The lines of stdout up to one that holds `last`, those alone that hold one of `parts`.
#[track_caller]
fn lines(process: &mut Process, parts: &[&str], last: &str) -> Vec<String> {
    let deadline = Instant::now() + LIMIT;
    let mut seen = Vec::new();
    loop {
        match process.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                if let Some(part) = parts.iter().find(|part| line.contains(**part)) {
                    seen.push((*part).to_owned());
                }
                if line.contains(last) {
                    return seen;
                }
            }
            Err(error) => {
                panic!("`{last}` did not come after {seen:?}: {error}; stderr: {}", process.stderr())
            }
        }
    }
}

#[test]
fn everything_starts_and_stops_in_order() {
    let mut process = Process::start("lifecycle::orderly_app", ANY_PORT, &[]);
    let first = ["zebra::first", "zebra::another", "ant::begin"];
    let seen = lines(&mut process, &[&first[..], &["job 0", "watch"]].concat(), "ant::begin");
    assert_eq!(seen, first);
    let address = process.ready();
    // `watch` begins as the app gets ready, and may write before the app says so.
    assert!(post(&address, "/jobs/700").starts_with("HTTP/1.1 200"));
    process.expect("job 700 starts");
    process.signal("TERM");
    let all = ["watch is told", "watch ends", "job 700 ends", "ant::end", "zebra::last", "zebra::goodbye"];
    let seen = lines(&mut process, &all, "zebra::goodbye");
    assert_eq!(seen, all);
    let (code, stderr) = process.end();
    assert_eq!(code, Some(0), "{stderr}");
    let line = stderr.lines().find(|line| line.contains("watching")).unwrap();
    assert!(line.contains(" service=zebra function=watch trace_id="), "{line}");
}

/// What is published before the app takes events is kept for its handlers.
#[test]
fn what_a_function_publishes_at_the_start_is_handled() {
    let mut process = Process::start("lifecycle::orderly_app", ANY_PORT, &[]);
    assert_eq!(
        lines(&mut process, &["zebra::first", "job 0 starts"], "job 0 starts"),
        ["zebra::first", "job 0 starts"]
    );
}

#[test]
fn a_description_has_every_function() {
    let process = Process::start("lifecycle::orderly_app", ANY_PORT, &[("BIS_DESCRIBE", "1")]);
    let deadline = Instant::now() + LIMIT;
    let mut text = String::new();
    while let Ok(line) = process.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        text += &line;
    }
    let json = &text[text.find('{').unwrap()..];
    let mut values = serde_json::Deserializer::from_str(json).into_iter::<serde_json::Value>();
    let description = values.next().unwrap().unwrap();
    let list = |name: &str| -> Vec<String> {
        let items = description[name].as_array().unwrap().iter();
        items.map(|item| item.to_string().replace("process::lifecycle::orderly::", "")).collect()
    };
    assert_eq!(list("background"), [r#"{"handler":"zebra::watch","service":"zebra"}"#]);
    let hooks = list("hooks");
    assert_eq!(hooks.len(), 6, "{hooks:?}");
    assert_eq!(hooks[0], r#"{"handler":"ant::begin","role":"on_start","service":"ant"}"#);
    assert_eq!(hooks[5], r#"{"handler":"zebra::last","role":"on_stop","service":"zebra"}"#);
}

/// A service whose start waits without end, after one that has started.
mod slow {
    pub(super) mod early {
        use bis::prelude::*;

        bis::service!("early");

        #[on_start]
        async fn begin() -> Result<()> {
            Ok(())
        }

        #[on_stop]
        async fn end() -> Result<()> {
            println!("early::end");
            Ok(())
        }
    }

    pub(super) mod late {
        use bis::prelude::*;

        bis::service!("late");

        #[on_start]
        async fn begin() -> Result<()> {
            println!("late::begin");
            std::future::pending().await
        }

        #[on_stop]
        async fn end() -> Result<()> {
            println!("late::end");
            Ok(())
        }
    }

    bis::app!(services: [early, late]);
}

#[test]
fn a_signal_during_the_start_stops_what_has_started() {
    let mut process = Process::start("lifecycle::slow_app", ANY_PORT, &[]);
    process.expect("late::begin");
    process.signal("TERM");
    process.expect("early::end");
    let (code, stderr) = process.end();
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("stopped before the app was ready"), "{stderr}");
    assert!(process.lines.try_iter().all(|line| !line.contains("late::end")));
}

#[test]
fn a_start_that_hangs_ends_the_process_and_stops_what_has_started() {
    let config = r#"{"http":{"address":"127.0.0.1:0"},"app":{"start_within":"300ms"}}"#;
    let mut process = Process::start("lifecycle::slow_app", config, &[]);
    process.expect("early::end");
    let (code, stderr) = process.end();
    assert_eq!(code, Some(1), "{stderr}");
    let error = stderr.lines().find(|line| line.contains(" ERROR ")).unwrap();
    assert!(
        error.contains("cannot start the `on_start` function `process::lifecycle::slow::late::begin` ("),
        "{error}"
    );
    assert!(error.contains("it did not finish within the 300ms that the app has to start"), "{error}");
    assert!(process.lines.try_iter().all(|line| !line.contains("late::end")));
}

/// Functions that do what they should not.
mod stubborn {
    pub(super) mod work {
        use std::sync::atomic::{AtomicU32, Ordering};

        use bis::prelude::*;

        bis::service!("work");

        static PANICS: AtomicU32 = AtomicU32::new(0);

        #[api(GET, "/healthy", public)]
        async fn healthy() -> Result<Json<u32>> {
            Ok(Json(PANICS.load(Ordering::SeqCst)))
        }

        #[background(restart(min_backoff = "20ms", max_backoff = "20ms"))]
        async fn panics() -> Result<()> {
            let times = PANICS.fetch_add(1, Ordering::SeqCst);
            println!("panic {times};");
            panic!("for ever");
        }

        #[background]
        async fn ignores() -> Result<()> {
            std::future::pending().await
        }

        #[background]
        async fn blocks() -> Result<()> {
            std::thread::sleep(Duration::from_secs(3600));
            Ok(())
        }

        #[on_stop]
        async fn fifth() -> Result<()> {
            println!("fifth");
            Ok(())
        }

        #[on_stop]
        async fn fourth() -> Result<()> {
            panic!("at the end")
        }

        #[on_stop]
        async fn third() -> Result<()> {
            Err(Error::msg("no carrier"))
        }

        #[on_stop]
        async fn second() -> Result<()> {
            std::future::pending().await
        }

        #[on_stop]
        async fn first() -> Result<()> {
            println!("first");
            Ok(())
        }
    }

    bis::app!(services: [work]);
}

#[test]
fn functions_that_fail_hang_panic_and_block_neither_harm_the_app_nor_hold_its_stop() {
    let config = r#"{"http":{"address":"127.0.0.1:0"},"app":{"stop_within":"300ms"}}"#;
    let env = [("RUST_BACKTRACE", "0"), ("TOKIO_WORKER_THREADS", "4")];
    let mut process = Process::start("lifecycle::stubborn_app", config, &env);
    let address = process.ready();
    // Long enough to find the thread that is blocked.
    process.expect("panic 100;");
    assert!(get(&address, "/healthy").starts_with("HTTP/1.1 200"));
    let before = Instant::now();
    process.signal("TERM");
    process.expect("first");
    process.expect("fifth");
    let (code, stderr) = process.end();
    assert_eq!(code, Some(0), "{stderr}");
    assert!(before.elapsed() < Duration::from_secs(15));
    let count = |text: &str| stderr.lines().filter(|line| line.contains(text)).count();
    let name = |role: &str, function: &str| {
        format!("the `{role}` function `process::lifecycle::stubborn::work::{function}` (")
    };
    for (role, function, what) in [
        ("background", "ignores", "is cut off: it outlived the time to stop"),
        ("background", "blocks", "is cut off: it outlived the time to stop"),
        ("background", "blocks", "blocks its thread"),
        ("on_stop", "second", "did not finish within the time to stop and is cut off"),
        ("on_stop", "third", "failed: no carrier"),
        ("on_stop", "fourth", "failed: it panicked: at the end"),
    ] {
        let name = name(role, function);
        assert!(
            stderr.lines().any(|line| line.contains(&name) && line.contains(what)),
            "{name} .. {what}: {stderr}"
        );
    }
    // Each of the first ends is logged, then one per minute.
    assert_eq!(count("failed: it panicked: for ever"), 10, "{stderr}");
}

/// Functions that end the start.
mod broken {
    pub(super) mod fails {
        use bis::prelude::*;

        bis::service!("fails");

        #[on_start]
        async fn begin() -> Result<()> {
            Err(Error::msg("no carrier"))
        }
    }

    pub(super) mod panics {
        use bis::prelude::*;

        bis::service!("panics");

        #[on_start]
        async fn begin() -> Result<()> {
            panic!("no carrier")
        }
    }

    pub(super) mod failing {
        use super::fails;
        bis::app!(services: [fails]);
    }

    pub(super) mod panicking {
        use super::panics;
        bis::app!(services: [panics]);
    }
}

#[test]
fn a_start_that_fails_or_panics_ends_the_process_with_its_name() {
    for (app, expected) in [
        ("lifecycle::failing_app", "): no carrier"),
        ("lifecycle::panicking_app", "): it panicked: no carrier"),
    ] {
        let (code, stderr) = Process::start(app, ANY_PORT, &[]).end();
        assert_eq!(code, Some(1), "{stderr}");
        let error = stderr.lines().find(|line| line.contains(" ERROR ")).unwrap();
        assert!(
            error.contains("cannot start the `on_start` function") && error.ends_with(expected),
            "{error}"
        );
        assert!(error.contains("process/lifecycle.rs:"), "{error}");
    }
}

#[test]
#[ignore = "the process that the other tests start"]
fn orderly_app() {
    end_with(orderly::app().main());
}

#[test]
#[ignore = "the process that the other tests start"]
fn slow_app() {
    end_with(slow::app().main());
}

#[test]
#[ignore = "the process that the other tests start"]
fn stubborn_app() {
    end_with(stubborn::app().main());
}

#[test]
#[ignore = "the process that the other tests start"]
fn failing_app() {
    end_with(broken::failing::app().main());
}

#[test]
#[ignore = "the process that the other tests start"]
fn panicking_app() {
    end_with(broken::panicking::app().main());
}
