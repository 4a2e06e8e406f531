//! nsqadmin, the web page of an NSQ cluster, against the broker: its pages and every action that it offers, with the
//! broker's address given and with nsqlookupd.

use bis_conformance::Missing;
use serde_json::{Value, json};

use crate::broker::{Broker, Lookup, deferred_in_depth, nsqadmin};
use crate::http::request;
use crate::peers::{find, with_peers};
use crate::program::{Program, wait_until};

/// A broker, and an nsqadmin that knows it.
struct Cluster {
    broker: Broker,
    lookup: Option<Lookup>,
    _admin: Program,
    admin: String,
}

impl Cluster {
    /// nsqadmin knows the broker's address.
    fn direct() -> Result<Self, Missing> {
        let broker = Broker::start(&[])?;
        let (program, admin) = nsqadmin(&[format!("--nsqd-http-address={}", broker.http)])?;
        Ok(Self { broker, lookup: None, _admin: program, admin })
    }

    /// nsqadmin asks nsqlookupd.
    fn by_lookup() -> Result<Self, Missing> {
        let lookup = Lookup::start()?;
        let broker = Broker::start(&lookup.flags())?;
        let (program, admin) = nsqadmin(&[format!("--lookupd-http-address={}", lookup.http)])?;
        let cluster = Self { broker, lookup: Some(lookup), _admin: program, admin };
        wait_until("the broker is registered", || {
            cluster.get("/api/nodes")["nodes"].as_array().is_some_and(|nodes| nodes.len() == 1)
        });
        Ok(cluster)
    }

    fn get(&self, path: &str) -> Value {
        request(&self.admin, "GET", path, b"").json()
    }

    /// Sends a body and expects no warning.
    fn send(&self, method: &str, path: &str, body: &str) {
        let reply = request(&self.admin, method, path, body.as_bytes()).json();
        assert_eq!(reply["message"], "", "{method} {path} {body}");
    }

    fn act(&self, path: &str, action: &str) {
        self.send("POST", path, &json!({ "action": action }).to_string());
    }

    /// Makes the topic known to nsqadmin, with this many messages in each of these channels.
    fn topic(&self, topic: &str, channels: &[&str], count: usize) {
        self.broker.post(&format!("/topic/create?topic={topic}"), b"").expect_ok();
        for channel in channels {
            self.broker.post(&format!("/channel/create?topic={topic}&channel={channel}"), b"").expect_ok();
        }
        if count > 0 {
            self.broker.publish(topic, 0..count);
        }
        wait_until("nsqadmin sees the topic", || self.topics().iter().any(|known| known == topic));
    }

    fn topics(&self) -> Vec<Value> {
        self.get("/api/topics")["topics"].as_array().cloned().unwrap_or_default()
    }
}

/// Turns each case into a test with the broker's address given, and one with nsqlookupd.
macro_rules! cases {
    ($($name:ident)*) => {
        mod direct {
            $(#[test]
            fn $name() {
                super::with_peers(stringify!($name), || super::$name(&super::Cluster::direct()?));
            })*
        }

        mod by_nsqlookupd {
            $(#[test]
            fn $name() {
                super::with_peers(stringify!($name), || super::$name(&super::Cluster::by_lookup()?));
            })*
        }
    };
}

cases! {
    shows_topics_channels_nodes_and_counts
    pauses_and_goes_on
    empties
    deletes
}

fn shows_topics_channels_nodes_and_counts(cluster: &Cluster) -> Result<(), Missing> {
    cluster.topic("news", &["mail", "archive"], 5);
    let arguments = [
        "--topic=news".to_owned(),
        "--channel=mail".to_owned(),
        format!("--nsqd-tcp-address={}", cluster.broker.tcp),
    ];
    let _tail = Program::start(find("nsq_tail")?, arguments);
    wait_until("the channel is read", || cluster.broker.is_drained("news", "mail"));
    cluster.broker.post("/pub?topic=news&defer=60000", b"later").expect_ok();
    wait_until("one is deferred", || cluster.broker.channel("news", "mail")["deferred_count"] == 1);

    let topic = cluster.get("/api/topics/news");
    assert_eq!((&topic["topic_name"], &topic["message_count"]), (&json!("news"), &json!(6)), "{topic}");
    assert_eq!((&topic["paused"], &topic["message"]), (&json!(false), &json!("")));
    assert_eq!(topic["channels"].as_array().map(Vec::len), Some(2));
    let archive = cluster.get("/api/topics/news/archive");
    let unread = deferred_in_depth(1);
    let counts =
        [("depth", 5 + unread), ("deferred_count", 1 - unread), ("message_count", 6), ("client_count", 0)];
    for (field, value) in counts {
        assert_eq!(archive[field], value, "{field} of {archive}");
    }
    let mail = cluster.get("/api/topics/news/mail");
    assert_eq!((&mail["depth"], &mail["client_count"]), (&json!(0), &json!(1)), "{mail}");
    let client = &mail["clients"][0];
    assert_eq!(client["finish_count"], 5, "{client}");
    assert!(client["user_agent"].as_str().is_some_and(|agent| agent.starts_with("nsq_tail/")), "{client}");
    assert!(client["remote_address"].as_str().is_some_and(|address| address.starts_with("127.0.0.1:")));

    let nodes = cluster.get("/api/nodes");
    let (host, port) = cluster.broker.http.split_once(':').unwrap_or_default();
    let node = &nodes["nodes"][0];
    assert_eq!(node["http_port"].to_string(), port, "{nodes}");
    assert_eq!(node["out_of_date"], false, "the version is one that nsqadmin can read: {nodes}");
    let node = format!("{}:{port}", node["broadcast_address"].as_str().unwrap_or(host));
    let node = cluster.get(&format!("/api/nodes/{node}"));
    assert_eq!((&node["total_messages"], &node["total_clients"]), (&json!(6), &json!(1)), "{node}");
    let counter = cluster.get("/api/counter");
    let counts: Vec<&Value> = counter["stats"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(_, stats)| &stats["message_count"])
        .collect();
    assert_eq!(counts, [&json!(6), &json!(6)], "{counter}");
    Ok(())
}

fn pauses_and_goes_on(cluster: &Cluster) -> Result<(), Missing> {
    cluster.topic("news", &["mail"], 1);
    cluster.act("/api/topics/news/mail", "pause");
    assert_eq!(cluster.get("/api/topics/news/mail")["paused"], true);
    assert_eq!(cluster.get("/api/topics/news")["paused"], false);
    cluster.act("/api/topics/news/mail", "unpause");
    assert_eq!(cluster.get("/api/topics/news/mail")["paused"], false);
    cluster.act("/api/topics/news", "pause");
    assert_eq!(cluster.get("/api/topics/news")["paused"], true);
    cluster.act("/api/topics/news", "unpause");
    assert_eq!(cluster.get("/api/topics/news")["paused"], false);
    Ok(())
}

fn empties(cluster: &Cluster) -> Result<(), Missing> {
    cluster.topic("news", &["mail"], 5);
    cluster.act("/api/topics/news/mail", "empty");
    assert_eq!(cluster.get("/api/topics/news/mail")["depth"], 0);
    cluster.topic("waiting", &[], 5);
    wait_until("the messages", || cluster.get("/api/topics/waiting")["depth"] == 5);
    cluster.act("/api/topics/waiting", "empty");
    assert_eq!(cluster.get("/api/topics/waiting")["depth"], 0);
    Ok(())
}

fn deletes(cluster: &Cluster) -> Result<(), Missing> {
    cluster.topic("news", &["mail", "archive"], 5);
    cluster.send("DELETE", "/api/topics/news/mail", "");
    wait_until("one channel is left", || {
        cluster.get("/api/topics/news")["channels"].as_array().is_some_and(|channels| channels.len() == 1)
    });
    assert!(cluster.broker.channel("news", "mail").is_null());
    cluster.send("DELETE", "/api/topics/news", "");
    wait_until("no topic is left", || cluster.topics().is_empty());
    assert!(cluster.broker.channel("news", "archive").is_null());
    Ok(())
}

#[test]
fn creates_where_nsqlookupd_says() {
    with_peers("creates_where_nsqlookupd_says", || {
        let cluster = Cluster::by_lookup()?;
        cluster.topic("news", &[], 0);
        cluster.send("POST", "/api/topics", r#"{"topic":"news","channel":"mail"}"#);
        wait_until("the channel is there", || !cluster.broker.channel("news", "mail").is_null());
        // A topic that no broker has yet is registered at nsqlookupd.
        cluster.send("POST", "/api/topics", r#"{"topic":"plans","channel":"mail"}"#);
        let inactive = cluster.get("/api/topics?inactive=true");
        assert_eq!(inactive["topics"]["plans"], json!(["mail"]), "{inactive}");
        // The broker that creates the topic asks nsqlookupd for its channels, so that they miss no message.
        cluster.broker.publish("plans", 0..3);
        wait_until("the channel has the messages", || cluster.broker.channel("plans", "mail")["depth"] == 3);
        Ok(())
    });
}

#[test]
fn takes_a_topic_from_a_node() {
    with_peers("takes_a_topic_from_a_node", || {
        let cluster = Cluster::by_lookup()?;
        cluster.topic("news", &["mail"], 1);
        let node = &cluster.broker.http;
        cluster.send("DELETE", &format!("/api/nodes/{node}"), r#"{"topic":"news"}"#);
        wait_until("the topic is gone", || cluster.broker.channel("news", "mail").is_null());
        let Some(lookup) = &cluster.lookup else { return Ok(()) };
        wait_until("nsqlookupd knows no producer", || {
            let reply = request(&lookup.http, "GET", "/lookup?topic=news", b"");
            !reply.body.contains("tcp_port")
        });
        Ok(())
    });
}
