//! What listeners leave behind at a server: nothing, however their processes end.

use std::time::Duration;

use bis_broker::{BoxFuture, Broker};
use bis_conformance::{
    Inbox, Missing, bounded,
    case_words::{TOPIC, ack, publish, topology},
    skip_missing,
};
use bis_drivers::nsq::{Nsq, NsqOptions};
use libtest_mimic::Trial;
use tokio::time::{sleep, timeout};

use crate::{
    cluster::http,
    nsqd,
    peer::{Single, quick},
    router,
    spawned::Spawned,
    trial,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// What starts a server.
type Start = fn() -> BoxFuture<'static, Result<Single, Missing>>;

pub(crate) fn trials() -> Vec<Trial> {
    let servers: [(&'static str, Start); 2] =
        [("router", || Box::pin(router::start())), ("nsqd", || Box::pin(nsqd::start()))];
    let trials = servers.map(|(name, start)| {
        let case = "nothing_is_left_of_a_listener";
        trial(name, case, move || {
            bounded(case, async move {
                match start().await {
                    Ok(site) => nothing_is_left_of_a_listener(&site.server).await,
                    Err(missing) => skip_missing(name, case, &missing),
                }
            });
        })
    });
    trials.into()
}

async fn nothing_is_left_of_a_listener(server: &Spawned) {
    let client = Nsq::start(quick(NsqOptions::new(server.address(0))));
    client.ensure(&topology(&["ship"], false)).await.expect("ensured");
    // One that leaves, and one whose process dies with all its connections.
    let left = Inbox::listen(&client).await;
    let address = server.address(0).to_owned();
    let crash = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let held = runtime.block_on(async {
            let client = Nsq::start(quick(NsqOptions::new(address)));
            let mut inbox = Inbox::listen(&client).await;
            publish(&client, "1").await;
            let delivery = inbox.one().await;
            (client, inbox, delivery)
        });
        drop(runtime);
        drop(held);
    });
    crash.await.expect("it crashes as planned");
    drop(left);
    let gone = async {
        while channels(server).await != ["ship"] {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, gone).await.expect("the channels of listeners go");
    let mut inbox = Inbox::open(&client, "ship").await;
    ack(inbox.one().await).await;
    client.close().await;
}

/// The channels of the topic.
async fn channels(server: &Spawned) -> Vec<String> {
    let stats = http(server).request("GET", "/stats?format=json", b"", PATIENCE).await.expect("stats");
    let stats: serde_json::Value = serde_json::from_slice(&stats).expect("JSON");
    let topics = stats["topics"].as_array().expect("topics");
    let topic =
        topics.iter().find(|found| found["topic_name"] == TOPIC.as_str()).expect("the topic is there");
    let channels = topic["channels"].as_array().expect("channels").iter();
    channels.map(|channel| channel["channel_name"].as_str().expect("a name").to_owned()).collect()
}
