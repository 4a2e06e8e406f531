//! Every broker runs the suite, and a whole app: a test for each case on each. The run ends with one list of what was
//! skipped, which must be the one in `skipped.txt`; `BIS_UPDATE_SKIPPED=1` writes it anew.
//!
//! The processes that tests start (a router, an app) are this program again.

mod agreement;
mod app;
mod chaos;
mod closing;
mod cluster;
mod contract;
mod discovery;
mod limits;
mod listening;
mod nsqd;
mod peer;
mod router;
mod secured;
mod spawned;

use std::{collections::BTreeSet, process::ExitCode};

use bis_broker::BoxFuture;
use bis_conformance::{CASES, Case, Kind, Missing, Peer, Tag, skipped};
use libtest_mimic::{Arguments, Trial};

use peer::{Own, Site};

/// What starts a broker for a whole app.
type StartSite = fn() -> BoxFuture<'static, Result<Box<dyn Site>, Missing>>;

/// A broker to run everything on.
#[derive(Clone, Copy)]
struct Broker {
    kind: Kind,
    site: StartSite,
}

macro_rules! brokers {
    ($($name:literal => $start:expr;)*) => {
        const BROKERS: &[Broker] = &[$(Broker {
            kind: Kind {
                name: $name,
                start: || Box::pin(async { Ok(Box::new($start.await?) as Box<dyn Peer>) }),
            },
            site: || Box::pin(async { Ok(Box::new($start.await?) as Box<dyn Site>) }),
        },)*];
    };
}

brokers! {
    "in_process" => async { Ok::<_, Missing>(Own::new()) };
    "router" => router::start();
    "nsqd" => nsqd::start();
    "nsqlookupd" => cluster::start();
}

/// How many cases run at once, unless the command line says so: they wait most of their time.
const TEST_THREADS: usize = 16;

fn main() -> ExitCode {
    if let Some(code) = router::process().or_else(app::process) {
        return code;
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(TEST_THREADS);
    // The longest are started first.
    let mut trials = agreement::trials();
    trials.extend(discovery::trials());
    trials.extend(chaos::trials());
    for broker in BROKERS {
        for case in CASES {
            trials.push(trial(broker.kind.name, case.name, || bis_conformance::run(broker.kind, case)));
        }
        for case in app::CASES {
            trials.push(trial(broker.kind.name, case.name, || app::run(broker, case)));
        }
    }
    for case in CASES {
        trials.push(trial(chaos::KIND.name, case.name, || bis_conformance::run(chaos::KIND, case)));
    }
    trials.extend(app::trials());
    trials.extend(contract::trials());
    trials.extend(closing::trials());
    trials.extend(limits::trials());
    trials.extend(listening::trials());
    trials.extend(secured::trials());
    let everything = arguments.filter.is_none() && arguments.skip.is_empty() && !arguments.list;
    let conclusion = libtest_mimic::run(&arguments, trials);
    let summary = summarize();
    if conclusion.has_failed() {
        return ExitCode::from(101);
    }
    if everything { compare(&summary) } else { ExitCode::SUCCESS }
}

/// A test named `group::name`.
fn trial(group: &str, name: &str, test: impl FnOnce() + Send + 'static) -> Trial {
    Trial::test(format!("{group}::{name}"), move || {
        test();
        Ok(())
    })
}

/// Shows what was skipped.
fn summarize() -> String {
    let lines: Vec<String> = skipped().iter().map(|skip| format!("{skip}\n")).collect();
    println!("\nskipped: {} in all", lines.len());
    let text = lines.concat();
    print!("{text}");
    text
}

/// A skip whose reason nobody has reviewed is a failure.
fn compare(summary: &str) -> ExitCode {
    const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/brokers/skipped.txt");
    if std::env::var_os("BIS_UPDATE_SKIPPED").is_some_and(|value| value == "1") {
        std::fs::write(FILE, summary).expect("the crate's folder can be written");
        return ExitCode::SUCCESS;
    }
    let expected = std::fs::read_to_string(FILE).unwrap_or_default();
    let (is, ought): (BTreeSet<&str>, BTreeSet<&str>) =
        (summary.lines().collect(), expected.lines().collect());
    let new: Vec<_> = is.difference(&ought).filter(|line| !line.ends_with(" not found")).collect();
    let missing_peers = summary.lines().any(|line| line.ends_with(" not found"));
    let gone: Vec<_> = ought.difference(&is).filter(|_| !missing_peers).collect();
    if new.is_empty() && gone.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!("skipped, and not in `{FILE}`: {new:#?}\nin it, and not skipped: {gone:#?}");
    eprintln!("when this is meant, run the suite once with `BIS_UPDATE_SKIPPED=1`");
    ExitCode::from(101)
}

/// What can be said about a case, whether it runs on a bare broker or as an app.
fn everything() -> impl Iterator<Item = Described> {
    let bare = CASES.iter().map(|Case { name, promises, tags, .. }| Described {
        name: (*name).to_owned(),
        promises: promises.to_vec(),
        tags: tags.to_vec(),
    });
    bare.chain(app::CASES.iter().map(|case| Described {
        name: format!("app::{}", case.name),
        promises: case.promises.to_vec(),
        tags: case.tags.to_vec(),
    }))
}

/// A case without its code.
struct Described {
    name: String,
    promises: Vec<bis_conformance::Promise>,
    tags: Vec<Tag>,
}
