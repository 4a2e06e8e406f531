//! An nsqd whose limits are lower than what an app asks for by default: it is used within them.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use bis_broker::{Broker, SubscriptionSpec, Topology};
use bis_conformance::{bounded, skip_missing};
use bis_core::{SubscriptionName, TopicName};
use bis_drivers::nsq::{Nsq, NsqOptions};
use libtest_mimic::Trial;

use crate::{app::publish, nsqd, spawned::Spawned, trial};

pub(crate) fn trials() -> Vec<Trial> {
    let name = "a_server_with_low_limits_is_used_within_them";
    vec![trial("nsqd", name, || bounded(name, a_server_with_low_limits_is_used_within_them(name)))]
}

async fn a_server_with_low_limits_is_used_within_them(name: &str) {
    let flags = [
        "--max-heartbeat-interval=3s",
        "--max-msg-timeout=4s",
        "--msg-timeout=2s",
        "--min-output-buffer-timeout=1ms",
        "--max-output-buffer-timeout=10ms",
        "--max-output-buffer-size=1024",
        "--max-rdy-count=2",
    ];
    let program = match nsqd::program(flags.map(str::to_owned).to_vec()) {
        Ok(program) => program,
        Err(missing) => return skip_missing("nsqd", name, &missing),
    };
    let server = Spawned::start(program).await;
    let broker: Arc<dyn Broker> = Arc::new(Nsq::start(NsqOptions::new(server.address(0))));
    let spec = SubscriptionSpec {
        topic: TopicName::from_static("jobs"),
        name: SubscriptionName::from_static("work"),
        ordered: false,
    };
    let topology = Topology { topics: Vec::new(), subscriptions: vec![spec.clone()] };
    broker.ensure(&topology).await.expect("the server is used");
    publish(&broker, "jobs", (0..10).map(|number| number.to_string())).await;
    let mut consumer = broker.subscribe(&spec).await.expect("subscribed");
    for _ in 0..10 {
        let delivery = consumer.receive(NonZeroUsize::MIN).await.expect("received").remove(0);
        assert!(delivery.lease.is_some_and(|lease| lease <= Duration::from_secs(4)), "{delivery:?}");
        assert_eq!(delivery.attempt, 1);
        delivery.settle.ack().await.expect("acked");
    }
    broker.close().await;
}
