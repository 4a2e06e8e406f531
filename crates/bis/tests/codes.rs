//! Errors that a user can cause end with a code, and each code is raised by a real situation in some test.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeSet,
    fs,
    future::IntoFuture,
    path::Path as FilePath,
    pin::pin,
    task::{Context, Poll, Waker},
};

use bis::{Chaos, NotSettled, prelude::*};

mod this {
    use super::*;

    bis::service!("this");

    #[derive(Event, Serialize, Deserialize)]
    pub(crate) struct Note {
        pub(crate) text: String,
    }

    pub(crate) static NOTED: Topic<Note> = Topic::new("noted");
    pub(crate) static ECHOED: Topic<Note> = Topic::new("echoed");

    #[subscription(ECHOED)]
    async fn echo(note: Note) -> Result<()> {
        match note.text.as_str() {
            "endless" => {
                ECHOED.publish(&note).await?;
                Ok(())
            }
            _ => std::future::pending().await,
        }
    }

    #[subscription(NOTED)]
    async fn keep(_: Note) -> Result<()> {
        Ok(())
    }

    bis::app!(services: [super::this]);
}

use this::{ECHOED, NOTED, Note};

fn note(text: &str) -> Note {
    Note { text: text.into() }
}

#[track_caller]
fn check(error: &impl std::fmt::Display, code: &str) {
    let text = format!("{error:#}");
    assert!(text.ends_with(&format!(" {code}")), "`{text}` does not end with {code}");
}

#[test]
fn a_topic_on_a_bare_thread() {
    let note = note("lost");
    let publishing = pin!(NOTED.publish(&note).into_future());
    let Poll::Ready(result) = publishing.poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("it waits for something");
    };
    check(&result.unwrap_err(), "[BIS1001]");
}

#[test]
fn a_topic_without_an_app() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    check(&runtime.block_on(async { NOTED.publish(&note("early")).await }).unwrap_err(), "[BIS1002]");
}

#[bis::test(app = this::app, chaos = Chaos::only(1).publish_errors(1.0).requests_too())]
async fn a_broker_that_is_away(app: TestApp) {
    // A publish fails in one of two ways: nobody is there, or nobody answers.
    loop {
        let error = app.publish(&NOTED, &note("lost")).await.unwrap_err();
        if error.to_string().contains("cannot be reached") {
            return check(&error, "[BIS1022]");
        }
    }
}

#[bis::test(app = this::app)]
async fn an_event_that_is_too_large(app: TestApp) {
    check(&app.publish(&NOTED, &note(&"x".repeat(2_000_000))).await.unwrap_err(), "[BIS1031]");
}

#[bis::test(app = this::app)]
async fn a_message_that_is_no_cloudevent(app: TestApp) -> Result<()> {
    app.publish_bytes(&NOTED, r#"{"specversion":"1.0","data":{"text":"x"}}"#).await?;
    app.settle().await;
    check(&app.dead(&NOTED)[0].error, "[BIS1041]");
    Ok(())
}

#[bis::test(app = this::app)]
async fn events_without_end(app: TestApp) -> Result<()> {
    app.publish(&ECHOED, &note("endless")).await?;
    let error = app.try_settle().await.unwrap_err();
    assert!(matches!(error, NotSettled::Endless { .. }));
    check(&error, "[BIS1060]");
    Ok(())
}

#[test]
fn a_test_that_hangs() {
    let error = NotSettled::Hanging { limit: Duration::from_secs(60), running: vec!["noted/keep".into()] };
    check(&error, "[BIS1061]");
}

/// The codes in brackets that the tests in `folder` name.
fn named(folder: &FilePath, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            named(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let codes = text.split("[BIS").skip(1).filter_map(|rest| rest.split_once(']'));
            found.extend(codes.map(|(digits, _)| format!("BIS{digits}")));
        }
    }
}

#[test]
fn every_code_is_raised_in_a_test() {
    let mut found = BTreeSet::new();
    for folder in ["tests", "src/app", "src/http", "../bis-conformance"] {
        named(&FilePath::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut found);
    }
    // `#[api]` refuses what would be a path that cannot be served at the start.
    let refused_before = [bis_core::codes::ROUTE];
    let all = bis_core::codes::ALL.iter().chain(bis_core::codes::SHARED);
    let missing: Vec<_> =
        all.filter(|code| !found.contains(**code) && !refused_before.contains(code)).collect();
    assert!(missing.is_empty(), "no test raises {missing:?}");
}
