//! Closing. A client is closed while it holds deliveries that nobody received: the router takes them back
//! uncounted. A server that stops and comes back: what it refused meanwhile is published, or kept, then.

use std::{collections::BTreeSet, time::Duration};

use bis_broker::{Broker, PublishError, TopicSpec, Topology};
use bis_conformance::{
    Inbox, bounded,
    case_words::{at_once, event, publish, topology, try_publish},
    skip_missing,
};
use bis_core::{Retention, TopicName};
use bis_drivers::nsq::{Nsq, NsqOptions};
use bis_nsq::{
    Command, Extension, FEATURE_REPLAY, FEATURE_RETENTION, IdentifyReply, Limits, OK, decode_command,
    encode_error, encode_response,
};
use bytes::BytesMut;
use libtest_mimic::Trial;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{cluster::http, peer::quick, router, spawned::Spawned, trial};

const EVENTS: usize = 20;
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn trials() -> Vec<Trial> {
    let name = "what_nobody_received_is_no_attempt";
    let received = trial("closing", name, || bounded(name, what_nobody_received_is_no_attempt()));
    let name = "what_a_stopping_server_refuses_is_taken_by_the_next";
    let refused =
        trial("closing", name, || bounded(name, what_a_stopping_server_refuses_is_taken_by_the_next()));
    let name = "a_retention_that_a_stopping_server_refuses_is_asked_for_again";
    let retained = trial("closing", name, || {
        bounded(name, a_retention_that_a_stopping_server_refuses_is_asked_for_again())
    });
    vec![received, refused, retained]
}

async fn what_nobody_received_is_no_attempt() {
    let router = match router::start().await {
        Ok(router) => router,
        Err(missing) => return skip_missing("router", "what_nobody_received_is_no_attempt", &missing),
    };
    let client = || Nsq::start(quick(NsqOptions::new(router.server.address(0))));
    let (first, second) = (client(), client());
    first.ensure(&topology(&["ship"], false)).await.expect("ensured");
    let mut inbox = Inbox::open(&first, "ship").await;
    // It asks for as many, and gives up before any is there.
    inbox.expect_nothing(Duration::from_millis(100)).await;
    let mut events = BTreeSet::new();
    for number in 0..EVENTS {
        events.insert(publish(&second, number.to_string()).await);
    }
    let arrived = async {
        while in_flight(&router.server, "order-placed").await == 0 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, arrived).await.expect("deliveries arrive in time");
    first.close().await;
    let mut again = Inbox::open(&second, "ship").await;
    for delivery in again.take(EVENTS).await {
        assert!(events.remove(&delivery.envelope.id), "each comes once");
        assert_eq!(delivery.attempt, 1, "nobody has started it");
        delivery.settle.ack().await.expect("acked");
    }
    second.close().await;
}

/// How many messages of the topic its one channel's consumer has been sent.
pub(crate) async fn in_flight(server: &Spawned, topic: &str) -> u64 {
    let stats = http(server).request("GET", "/stats?format=json", b"", PATIENCE).await.expect("stats");
    let stats: serde_json::Value = serde_json::from_slice(&stats).expect("JSON");
    let topics = stats["topics"].as_array().expect("topics");
    let topic = topics.iter().find(|found| found["topic_name"] == topic).expect("the topic is there");
    topic["channels"][0]["in_flight_count"].as_u64().expect("a count")
}

async fn what_a_stopping_server_refuses_is_taken_by_the_next() {
    let (client, listener) = client_of_a_script().await;
    let serving = async {
        answer(&listener, "E_PUB_FAILED PUB failed exiting").await;
        answer(&listener, "OK").await;
    };
    tokio::join!(publish(&client, "1"), serving);
    // Any other refusal is reported to the publisher at once.
    let (client, listener) = client_of_a_script().await;
    let full = answer(&listener, "E_PUB_FAILED PUB failed disk full");
    let (refused, ()) = tokio::join!(try_publish(&client, at_once(event("2"))), full);
    assert!(
        matches!(&refused, Err(PublishError::Unavailable(text)) if text.contains("disk full")),
        "{refused:?}"
    );
}

/// An app that starts while its router is restarted, or has no room, waits as it does for everything else.
async fn a_retention_that_a_stopping_server_refuses_is_asked_for_again() {
    let (client, listener) = client_of_a_script().await;
    let retention = Retention { max_age: Duration::from_secs(60), ..Retention::DEFAULT };
    let topics = vec![TopicSpec { retention, ..TopicSpec::new(TopicName::from_static("orders")) }];
    let topology = Topology { topics, subscriptions: Vec::new() };
    let (mut asked, mut connections) = (0, JoinSet::new());
    let serving = async {
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let (stream, _) = accepted.expect("accepted");
                    connections.spawn(retains(stream));
                }
                Some(retain) = connections.join_next() => {
                    let Some(mut stream) = retain.expect("served") else { continue };
                    let mut output = BytesMut::new();
                    match asked {
                        0 => encode_error(&mut output, "E_PUB_FAILED RETAIN failed exiting"),
                        _ => encode_response(&mut output, OK),
                    }
                    asked += 1;
                    stream.write_all_buf(&mut output).await.expect("written");
                }
            }
        }
    };
    let ensured = tokio::select! {
        ensured = timeout(PATIENCE, client.ensure(&topology)) => ensured.expect("in time"),
        () = serving => unreachable!("it serves without end"),
    };
    assert_eq!((ensured, asked), (Ok(()), 2));
}

/// Serves a connection as a router does until it asks for a retention; `None` when it never does.
async fn retains(mut stream: TcpStream) -> Option<TcpStream> {
    let bis = Some(Extension::offer(&[FEATURE_REPLAY, FEATURE_RETENTION]));
    let reply = IdentifyReply { bis, ..IdentifyReply::default() }.to_json();
    let limits = Limits { extensions: true, ..Limits::default() };
    let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
    stream.read_exact(&mut [0; 4]).await.ok()?;
    loop {
        match decode_command(&mut input, &limits, |_| Ok(())).expect("commands") {
            None if stream.read_buf(&mut input).await.unwrap_or(0) == 0 => return None,
            Some(Command::Identify(_)) => encode_response(&mut output, &reply),
            Some(Command::Retain { .. }) => return Some(stream),
            _ => {}
        }
        stream.write_all_buf(&mut output).await.ok()?;
    }
}

async fn client_of_a_script() -> (Nsq, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    (Nsq::start(quick(NsqOptions::new(address.to_string()))), listener)
}

/// Serves one connection as nsqd does, and answers its first publish.
async fn answer(listener: &TcpListener, answer: &str) {
    let (mut stream, _) = timeout(PATIENCE, listener.accept()).await.expect("in time").expect("accepted");
    let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
    stream.read_exact(&mut [0; 4]).await.expect("the magic");
    loop {
        let command = decode_command(&mut input, &Limits::default(), |_| Ok(())).expect("commands");
        match command {
            None => assert!(stream.read_buf(&mut input).await.expect("read") > 0, "it publishes"),
            Some(Command::Identify(_)) => encode_response(&mut output, &IdentifyReply::default().to_json()),
            Some(_) if answer == "OK" => encode_response(&mut output, OK),
            Some(_) => encode_error(&mut output, answer),
        }
        let is_answered = !matches!(command, None | Some(Command::Identify(_)));
        stream.write_all_buf(&mut output).await.expect("written");
        if is_answered {
            // A refused client hangs up; an accepted one may say more.
            let _ = timeout(Duration::from_millis(500), stream.read_buf(&mut input)).await;
            return;
        }
    }
}
