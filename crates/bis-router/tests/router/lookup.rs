//! Registration with real nsqlookupd: what is there is known there, through its restarts and ours.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::support::http::{post, request};
use crate::support::lookupd::Lookupd;
use crate::support::{Client, options};
use bis_router::{Handle, Router};

/// Longer than any pause between two attempts here.
const LIMIT: Duration = Duration::from_secs(20);

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < end, "{what}: not within {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

async fn start(folder: &std::path::Path, lookupds: &[SocketAddr]) -> Handle {
    let mut options = options(folder);
    options.lookup.tcp_addresses = lookupds.iter().map(SocketAddr::to_string).collect();
    options.lookup.broadcast_address = Some("127.0.0.1".to_owned());
    Router::start(options).await.expect("the router starts")
}

fn port(router: &Handle) -> u64 {
    router.tcp_address().port().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_and_channels_are_registered_and_taken_back() {
    let (Some(one), Some(other)) = (Lookupd::start(), Lookupd::start()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let router = start(folder.path(), &[one.tcp, other.tcp]).await;
    let http = router.http_address();
    for path in
        ["/topic/create?topic=zoo", "/channel/create?topic=zoo&channel=feed", "/topic/create?topic=ark"]
    {
        assert_eq!(post(http, path, "").status, 200);
    }
    for lookupd in [&one, &other] {
        until("zoo is registered", || lookupd.lookup("zoo") == (vec!["feed".into()], vec![port(&router)]));
        until("ark is registered", || lookupd.lookup("ark") == (vec![], vec![port(&router)]));
    }
    assert_eq!(post(http, "/channel/delete?topic=zoo&channel=feed", "").status, 200);
    // nsqlookupd keeps a channel that nobody has, so that new topics get it; only its producers go.
    let of_feed = |lookupd: &Lookupd| {
        crate::support::http::get(lookupd.http, "/debug").json()["channel:zoo:feed"].clone()
    };
    until("feed is taken back", || of_feed(&one).as_array().is_none_or(Vec::is_empty));
    assert_eq!(post(http, "/topic/delete?topic=ark", "").status, 200);
    until("ark is taken back", || other.lookup("ark").1.is_empty());

    // An ephemeral channel comes and goes with its client.
    let client = Client::subscribe(router.tcp_address(), "zoo", "look#ephemeral", 1);
    until("look is registered", || one.lookup("zoo").0.contains(&"look#ephemeral".to_owned()));
    drop(client);
    until("look is taken back", || !one.lookup("zoo").0.contains(&"look#ephemeral".to_owned()));

    router.shutdown().await.unwrap();
    until("the router is gone", || one.lookup("zoo").1.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_nsqlookupd_is_followed() {
    let Some(lookupd) = Lookupd::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let router = start(folder.path(), &[lookupd.tcp]).await;
    assert_eq!(post(router.http_address(), "/topic/create?topic=zoo", "").status, 200);
    until("zoo is registered", || lookupd.lookup("zoo").1 == [port(&router)]);
    let (tcp, http) = (lookupd.tcp, lookupd.http);
    lookupd.stop();
    // Nothing waits for an nsqlookupd that is away.
    assert_eq!(post(router.http_address(), "/pub?topic=ark", "x").status, 200);
    let mut client = Client::subscribe(router.tcp_address(), "ark", "look", 1);
    assert_eq!(&client.message().body[..], b"x");
    let Some(again) = Lookupd::start_on(tcp, http) else { return };
    until("zoo is registered again", || again.lookup("zoo").1 == [port(&router)]);
    until("ark is registered", || again.lookup("ark") == (vec!["look".into()], vec![port(&router)]));
    router.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_change_at_run_time() {
    let (Some(one), Some(other)) = (Lookupd::start(), Lookupd::start()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let router = start(folder.path(), &[]).await;
    let http = router.http_address();
    let set = |addresses: &str| {
        let answer = request(http, "PUT", "/config/nsqlookupd_tcp_addresses", addresses.as_bytes());
        assert_eq!(answer.status, 200);
    };
    assert_eq!(post(http, "/topic/create?topic=zoo", "").status, 200);
    set(&format!(r#"["{}"]"#, one.tcp));
    until("zoo is registered", || one.lookup("zoo").1 == [port(&router)]);
    set(&format!(r#"["{}"]"#, other.tcp));
    until("zoo is registered at the other", || other.lookup("zoo").1 == [port(&router)]);
    until("the first is left", || one.lookup("zoo").1.is_empty());
    router.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_topic_gets_the_channels_that_it_has_elsewhere() {
    let Some(lookupd) = Lookupd::start() else { return };
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let elsewhere = start(folders[0].path(), &[lookupd.tcp]).await;
    let _ephemeral = Client::subscribe(elsewhere.tcp_address(), "zoo", "look#ephemeral", 1);
    for channel in ["feed", "clean"] {
        let path = format!("/channel/create?topic=zoo&channel={channel}");
        assert_eq!(post(elsewhere.http_address(), &path, "").status, 200);
    }
    until("zoo is registered", || lookupd.lookup("zoo").0.len() == 3);

    let here = start(folders[1].path(), &[lookupd.tcp]).await;
    let mut publisher = Client::connect(here.tcp_address());
    for number in 0..100 {
        publisher.publish("zoo", number.to_string());
    }
    for channel in ["clean", "feed"] {
        let mut client = Client::subscribe(here.tcp_address(), "zoo", channel, 1);
        for number in 0..100 {
            let message = client.message();
            assert_eq!(message.body, number.to_string(), "{channel} misses what was published before it");
            client.finish(&message);
        }
    }
    let stats = crate::support::http::get(here.http_address(), "/stats?format=json").json();
    let channels = stats["topics"][0]["channels"].as_array().unwrap();
    let names: Vec<_> = channels.iter().map(|channel| channel["channel_name"].as_str().unwrap()).collect();
    assert_eq!(names, ["clean", "feed"], "an ephemeral channel is nothing without a client");
    for router in [here, elsewhere] {
        router.shutdown().await.unwrap();
    }
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

/// Holds a topic for an nsqlookupd that never answers, with a channel made meanwhile; what a kill then leaves, and what a stop
/// leaves.
async fn held_topics() -> [tempfile::TempDir; 3] {
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut options = options(folders[0].path());
    options.lookup.tcp_addresses = vec![silent.local_addr().unwrap().to_string()];
    options.lookup.connect_timeout = Duration::from_secs(3600);
    let router = Router::start(options).await.unwrap();
    let http = router.http_address();
    assert_eq!(post(http, "/pub?topic=zoo", "one").status, 200);
    assert_eq!(post(http, "/channel/create?topic=zoo&channel=bill", "").status, 200);
    assert_eq!(post(http, "/pub?topic=zoo", "two").status, 200);
    copy(folders[0].path(), folders[1].path());
    router.shutdown().await.unwrap();
    copy(folders[0].path(), folders[2].path());
    folders
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_was_held_when_the_router_ended_gets_its_channels_after_the_start() {
    let Some(lookupd) = Lookupd::start() else { return };
    assert_eq!(post(lookupd.http, "/topic/create?topic=zoo", "").status, 200);
    assert_eq!(post(lookupd.http, "/channel/create?topic=zoo&channel=ship", "").status, 200);
    for folder in held_topics().await {
        let router = start(folder.path(), &[lookupd.tcp]).await;
        let http = router.http_address();
        let channels = || {
            crate::support::http::get(http, "/stats?format=json&topic=zoo").json()["topics"][0]["channels"]
                .clone()
        };
        until("the channel is there", || channels().as_array().is_some_and(|channels| channels.len() == 2));
        for channel in ["bill", "ship"] {
            let mut client = Client::subscribe(router.tcp_address(), "zoo", channel, 1);
            assert_eq!(&client.message_finished().body[..], b"one", "{channel}");
            assert_eq!(&client.message_finished().body[..], b"two", "{channel}");
        }
        // It is no longer held: a channel that is deleted is not made again.
        assert_eq!(post(http, "/channel/delete?topic=zoo&channel=ship", "").status, 200);
        router.shutdown().await.unwrap();
        let router = start(folder.path(), &[lookupd.tcp]).await;
        until("the router is registered", || lookupd.lookup("zoo").1 == [port(&router)]);
        let http = router.http_address();
        let stats = crate::support::http::get(http, "/stats?format=json&topic=zoo").json();
        assert_eq!(stats["topics"][0]["channels"].as_array().unwrap().len(), 1);
        router.shutdown().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_was_held_is_released_when_nobody_is_to_be_asked() {
    for folder in held_topics().await {
        let router = start(folder.path(), &[]).await;
        let mut client = Client::subscribe(router.tcp_address(), "zoo", "bill", 1);
        assert_eq!(&client.message_finished().body[..], b"one");
        router.shutdown().await.unwrap();
    }
}
