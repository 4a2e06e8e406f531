//! `/metrics` read as Prometheus reads it: every line of its form, every number where it belongs.

use std::collections::{BTreeMap, BTreeSet};

use bis_nsq::{Command, Headers};

use crate::support::http::{get, post};
use crate::support::{Client, name, start};

/// Reads the text format; panics at a line that is not valid.
fn parse(text: &str) -> BTreeMap<String, f64> {
    let is_name =
        |name: &str| name.chars().all(|one| one.is_ascii_lowercase() || one == '_') && !name.is_empty();
    let (mut kinds, mut samples) = (BTreeMap::new(), BTreeMap::new());
    let mut helped = BTreeSet::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a help text");
            assert!(is_name(name) && !help.is_empty() && helped.insert(name), "{line}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a type");
            assert!(["counter", "gauge", "histogram"].contains(&kind) && helped.contains(name), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            kinds.insert(name, kind);
        } else {
            let (series, value) = line.rsplit_once(' ').expect("a value");
            let name = series.split('{').next().expect("a name");
            let family = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|end| name.strip_suffix(end).filter(|name| kinds.get(name) == Some(&"histogram")))
                .unwrap_or(name);
            assert!(kinds.contains_key(family), "{line} has no type");
            assert!(!series.contains('{') || series.ends_with("\"}"), "{line}");
            let value = value.parse().expect("a number");
            assert!(samples.insert(series.to_owned(), value).is_none(), "{line} stands twice");
        }
    }
    samples
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_what_prometheus_reads() {
    let folder = tempfile::tempdir().expect("a folder");
    let router = start(folder.path()).await;
    let mut client = Client::subscribe(router.tcp_address(), "zoo", "feed", 2);
    let mut publisher = Client::connect(router.tcp_address());
    for body in ["one", "two", "three"] {
        publisher.publish("zoo", body);
    }
    let first = client.message();
    client.message();
    client.finish(&first);
    client.message();
    let answer = get(router.http_address(), "/metrics");
    assert!(
        answer.head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"),
        "{}",
        answer.head
    );
    let samples = parse(&answer.body);
    let channel = r#"{topic="zoo",channel="feed"}"#;
    for (series, value) in [
        ("bis_router_healthy".to_owned(), 1.0),
        ("bis_router_connections".to_owned(), 2.0),
        (r#"bis_router_topic_messages_total{topic="zoo"}"#.to_owned(), 3.0),
        (r#"bis_router_topic_message_bytes_total{topic="zoo"}"#.to_owned(), 11.0),
        (format!("bis_router_channel_finished_total{channel}"), 1.0),
        (format!("bis_router_channel_delivered_total{channel}"), 3.0),
        (format!("bis_router_channel_in_flight{channel}"), 2.0),
        (format!("bis_router_channel_clients{channel}"), 1.0),
        ("bis_router_journal_segments".to_owned(), 1.0),
        ("bis_router_journal_damaged_records_total".to_owned(), 0.0),
        ("bis_router_journal_commit_failures_total".to_owned(), 0.0),
    ] {
        assert_eq!(samples.get(&series), Some(&value), "{series} in\n{}", answer.body);
    }
    let syncs = samples["bis_router_journal_sync_seconds_count"];
    assert!(syncs >= 3.0 && samples["bis_router_journal_commits_total"] >= 3.0, "{}", answer.body);
    assert_eq!(samples[r#"bis_router_journal_sync_seconds_bucket{le="+Inf"}"#], syncs);
    assert!(samples[r#"bis_router_journal_sync_seconds_bucket{le="1"}"#] <= syncs);
    assert!(samples["bis_router_journal_written_bytes_total"] > 11.0);
    router.shutdown().await.expect("a clean stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_reaches_no_consumer_is_counted_with_its_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let router = start(folder.path()).await;
    let (tcp, http) = (router.tcp_address(), router.http_address());
    let mut publisher = Client::connect_extended(tcp);
    for _ in 0..2 {
        let headers = Headers { event: Some([7; 16]), ..Headers::default() };
        publisher.send(&Command::HeadedPublish { topic: name("zoo"), headers, body: "same".into() });
        assert_eq!(publisher.response(), "OK");
    }
    publisher.publish("zoo", "other");
    for channel in ["feed", "clean"] {
        post(http, &format!("/channel/create?topic=zoo&channel={channel}"), b"");
    }
    post(http, "/channel/empty?topic=zoo&channel=feed", b"");
    publisher.publish("zoo", "last");
    post(http, "/channel/delete?topic=zoo&channel=clean", b"");
    let samples = parse(&get(http, "/metrics").body);
    let topic = r#"{topic="zoo"}"#;
    for (series, value) in [
        (format!("bis_router_topic_unrouted_total{topic}"), 2.0),
        (format!("bis_router_topic_duplicates_total{topic}"), 1.0),
        (format!("bis_router_topic_deleted_total{topic}"), 1.0),
        (r#"bis_router_channel_dropped_total{topic="zoo",channel="feed"}"#.to_owned(), 2.0),
        (r#"bis_router_channel_gone_total{topic="zoo",channel="feed"}"#.to_owned(), 0.0),
        (r#"bis_router_channel_sampled_out_total{topic="zoo",channel="feed"}"#.to_owned(), 0.0),
    ] {
        assert_eq!(samples.get(&series), Some(&value), "{series}");
    }
    router.shutdown().await.expect("it stops");
}
