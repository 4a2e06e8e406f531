//! The tools of NSQ's distribution that move and count messages, each against the broker.
#![expect(clippy::unwrap_used, reason = "a failure here is the failure of a test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::broker::{Broker, Lookup, deferred_in_depth, is_nsqd};
use crate::http::Server;
use crate::peers::{find, with_peers};
use crate::program::{LIMIT, Program, wait_until};

/// How many messages go through each tool: more than the 200 that they take in flight.
const COUNT: usize = 1000;

#[test]
fn nsq_tail_shows_every_message() {
    with_peers("nsq_tail_shows_every_message", || {
        let broker = Broker::start(&[])?;
        let bodies = broker.publish("news", 0..COUNT);
        let arguments = [
            "--topic=news".to_owned(),
            "--channel=tail".to_owned(),
            format!("-n={COUNT}"),
            "--print-topic".to_owned(),
            format!("--nsqd-tcp-address={}", broker.tcp),
        ];
        let mut tail = Program::start(find("nsq_tail")?, arguments);
        assert!(tail.wait(LIMIT).is_some_and(|status| status.success()), "{}", tail.log());
        let shown: Vec<String> = bodies.iter().map(|body| format!("news | {body}")).collect();
        assert_eq!(sorted(tail.stdout()), sorted(shown));
        Ok(())
    });
}

#[test]
fn nsq_tail_leaves_no_ephemeral_channel_behind() {
    with_peers("nsq_tail_leaves_no_ephemeral_channel_behind", || {
        let broker = Broker::start(&[])?;
        broker.post("/topic/create?topic=news", b"").expect_ok();
        let arguments = ["--topic=news".to_owned(), format!("--nsqd-tcp-address={}", broker.tcp)];
        let mut tail = Program::start(find("nsq_tail")?, arguments);
        wait_until("its channel", || broker.channel("news", "")["client_count"] == 1);
        broker.publish("news", 0..3);
        wait_until("its messages", || tail.stdout().len() == 3);
        tail.stop();
        wait_until("the end of its channel", || broker.channel("news", "").is_null());
        Ok(())
    });
}

#[test]
fn nsq_to_file_keeps_every_message() {
    with_peers("nsq_to_file_keeps_every_message", || {
        let broker = Broker::start(&[])?;
        let source = format!("--nsqd-tcp-address={}", broker.tcp);
        to_file(&broker, &[source])
    });
}

#[test]
fn nsq_to_file_finds_the_broker_by_nsqlookupd() {
    with_peers("nsq_to_file_finds_the_broker_by_nsqlookupd", || {
        let lookup = Lookup::start()?;
        let broker = Broker::start(&lookup.flags())?;
        let source = format!("--lookupd-http-address={}", lookup.http);
        broker.publish("early", 0..1);
        wait_until("the topic at nsqlookupd", || {
            crate::http::request(&lookup.http, "GET", "/topics", b"").expect_ok().contains("early")
        });
        to_file(&broker, &[source, "--consumer-opt=lookupd_poll_interval,100ms".to_owned()])
    });
}

fn to_file(broker: &Broker, source: &[String]) -> Result<(), bis_conformance::Missing> {
    let bodies = broker.publish("events", 0..COUNT);
    let folder = tempfile::tempdir().unwrap();
    let arguments = [
        "--topic=events".to_owned(),
        "--channel=archive".to_owned(),
        "--sync-interval=100ms".to_owned(),
        format!("--output-dir={}", folder.path().display()),
    ];
    let mut tool = Program::start(find("nsq_to_file")?, arguments.iter().chain(source));
    wait_until("all messages in the file", || lines(folder.path()).len() >= COUNT);
    wait_until("the channel is empty", || broker.is_drained("events", "archive"));
    // It finishes messages after a sync: later ones must reach the file too.
    let later = broker.publish("events", COUNT..COUNT + 10);
    wait_until("the later messages in the file", || lines(folder.path()).len() >= COUNT + later.len());
    tool.stop();
    assert!(broker.is_drained("events", "archive"));
    let all = bodies.into_iter().chain(later).collect();
    assert_eq!(sorted(lines(folder.path())), sorted(all));
    Ok(())
}

#[test]
fn nsq_to_file_misses_nothing_when_the_broker_is_killed() {
    if is_nsqd() {
        println!("skipped: nsqd keeps messages in memory and loses them");
        return;
    }
    with_peers("nsq_to_file_misses_nothing_when_the_broker_is_killed", || {
        let mut broker = Broker::start(&[])?;
        let mut bodies = broker.publish("events", 0..COUNT);
        let folder = tempfile::tempdir().unwrap();
        let arguments = [
            "--topic=events".to_owned(),
            "--channel=archive".to_owned(),
            "--sync-interval=50ms".to_owned(),
            // A tenth of the messages, so that the kill comes while most are waiting.
            format!("--max-in-flight={}", COUNT / 10),
            // How soon it reconnects to a lost broker.
            "--consumer-opt=lookupd_poll_interval,100ms".to_owned(),
            format!("--output-dir={}", folder.path().display()),
            format!("--nsqd-tcp-address={}", broker.tcp),
        ];
        let mut tool = Program::start(find("nsq_to_file")?, arguments);
        wait_until("some messages in the file", || lines(folder.path()).len() >= COUNT / 10);
        broker.kill_and_start_again()?;
        bodies.extend(broker.publish("events", COUNT..2 * COUNT));
        // Messages that were delivered before the kill and not finished come again.
        let kept = || BTreeSet::from_iter(lines(folder.path()));
        wait_until("all messages in the file", || kept().len() >= 2 * COUNT);
        wait_until("the channel is empty", || broker.is_drained("events", "archive"));
        tool.stop();
        assert_eq!(kept(), BTreeSet::from_iter(bodies));
        Ok(())
    });
}

#[test]
fn nsq_to_http_posts_every_message() {
    with_peers("nsq_to_http_posts_every_message", || {
        let broker = Broker::start(&[])?;
        let server = Server::start("");
        let bodies = broker.publish("events", 0..COUNT);
        let arguments = [
            "--topic=events".to_owned(),
            format!("--post=http://{}/hook", server.address),
            format!("--nsqd-tcp-address={}", broker.tcp),
        ];
        let mut tool = Program::start(find("nsq_to_http")?, arguments);
        wait_until("all messages are posted", || server.asked().len() >= COUNT);
        wait_until("the channel is empty", || broker.is_drained("events", "nsq_to_http"));
        tool.stop();
        assert!(server.asked().iter().all(|asked| asked.method == "POST" && asked.path == "/hook"));
        let posted = server.asked().into_iter().map(|asked| asked.body).collect();
        assert_eq!(sorted(posted), sorted(bodies));
        Ok(())
    });
}

#[test]
fn nsq_to_nsq_moves_every_message() {
    with_peers("nsq_to_nsq_moves_every_message", || {
        let (from, to) = (Broker::start(&[])?, Broker::start(&[])?);
        to.post("/topic/create?topic=copies", b"").expect_ok();
        to.post("/channel/create?topic=copies&channel=all", b"").expect_ok();
        from.publish("events", 0..COUNT);
        let arguments = [
            "--topic=events".to_owned(),
            "--channel=copier".to_owned(),
            "--destination-topic=copies".to_owned(),
            format!("--nsqd-tcp-address={}", from.tcp),
            format!("--destination-nsqd-tcp-address={}", to.tcp),
        ];
        let mut tool = Program::start(find("nsq_to_nsq")?, arguments);
        wait_until("all messages are copied", || to.channel("copies", "all")["depth"] == COUNT);
        wait_until("the channel is empty", || from.is_drained("events", "copier"));
        tool.stop();
        assert_eq!(to.channel("copies", "all")["message_count"], COUNT);
        Ok(())
    });
}

#[test]
fn to_nsq_publishes_every_line() {
    with_peers("to_nsq_publishes_every_line", || {
        let broker = Broker::start(&[])?;
        let text: String = (0..COUNT).map(|number| format!("line {number}\n")).collect();
        let mut command = Command::new(find("to_nsq")?);
        command.args(["--topic=lines".to_owned(), format!("--nsqd-tcp-address={}", broker.tcp)]);
        let mut tool = Program::spawn(command, text.as_bytes());
        assert!(tool.wait(LIMIT).is_some_and(|status| status.success()), "{}", tool.log());
        broker.post("/channel/create?topic=lines&channel=all", b"").expect_ok();
        wait_until("all lines are there", || broker.channel("lines", "all")["depth"] == COUNT);
        Ok(())
    });
}

#[test]
fn nsq_stat_counts_what_there_is() {
    with_peers("nsq_stat_counts_what_there_is", || {
        let lookup = Lookup::start()?;
        let broker = Broker::start(&lookup.flags())?;
        broker.post("/topic/create?topic=events", b"").expect_ok();
        broker.post("/channel/create?topic=events&channel=all", b"").expect_ok();
        broker.publish("events", 0..COUNT);
        broker.post("/pub?topic=events&defer=60000", b"later").expect_ok();
        wait_until("the topic at nsqlookupd", || {
            crate::http::request(&lookup.http, "GET", "/topics", b"").expect_ok().contains("events")
        });
        for source in [
            format!("--nsqd-http-address={}", broker.http),
            format!("--lookupd-http-address={}", lookup.http),
        ] {
            let arguments = ["--topic=events", "--channel=all", "--interval=50ms", "--count=1", &source]
                .map(str::to_owned);
            let mut stat = Program::start(find("nsq_stat")?, arguments);
            assert!(stat.wait(LIMIT).is_some_and(|status| status.success()), "{}", stat.log());
            let printed = stat.stdout();
            let row: Vec<&str> = printed[2].split_whitespace().filter(|word| *word != "|").collect();
            // ingress egress | total mem disk inflight deferred | requeued timed-out messages clients
            let unread = deferred_in_depth(1);
            let columns = [
                (0, 0),
                (1, 0),
                (2, COUNT + unread),
                (5, 0),
                (6, 1 - unread),
                (7, 0),
                (8, 0),
                (9, COUNT + 1),
                (10, 0),
            ];
            for (column, value) in columns {
                assert_eq!(row[column], value.to_string(), "column {column} of {printed:#?}");
            }
        }
        Ok(())
    });
}

/// Every line of every file in a folder.
fn lines(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files
        .flat_map(|file| fs::read_to_string(file).unwrap().lines().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}
