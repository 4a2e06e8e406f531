//! That events arrive: unchanged, at every subscription, at one consumer of each.

use std::{collections::BTreeSet, time::Duration};

use bis_core::{AttributeLimits, EventId, SubscriptionName, TraceContext};

use crate::{
    Context, Inbox, Peer,
    context::{ack, at_once, event, publish, publish_numbers, try_publish},
};

/// What is handled stays handled, even after every lease has ended.
pub async fn an_acked_event_does_not_come_again(context: &Context) {
    let broker = context.ready_client(&["ship"]).await;
    let mut inbox = Inbox::open(&*broker, "ship").await;
    let id = publish(&*broker, "1").await;
    let delivery = inbox.one().await;
    assert_eq!((&delivery.envelope.id, delivery.attempt), (&id, 1));
    ack(delivery).await;
    inbox.expect_nothing(<dyn Peer>::LEASE + context.slack()).await;
}

/// What was published is what is delivered, to the byte.
pub async fn bytes_and_attributes_stay_unchanged(context: &Context) {
    let broker = context.ready_client(&["ship"]).await;
    let mut inbox = Inbox::open(&*broker, "ship").await;
    for data in [
        &b"{\"a\": 1.50,\n \"b\":\"\\u00e9\"}"[..],
        b"",
        b"null",
        b" {} ",
        b"\xff\x00\xfe\r\n",
        "Grüße, \u{1F980}".as_bytes(),
        &[b'x'; 100_000],
    ] {
        let mut sent = event(data.to_vec());
        sent.content_type = Some("application/octet-stream".into());
        sent.key = Some("käse \"1\"".into());
        sent.attributes = [("region".into(), "eu\nwest".into()), ("Größe".into(), String::new())].into();
        let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into();
        sent.trace = Some(TraceContext { traceparent, tracestate: Some("v=1".into()) });
        sent.cause = Some(EventId::from("cause"));
        sent.target = Some(SubscriptionName::from_static("ship"));
        sent.replay = 3;
        try_publish(&*broker, at_once(sent.clone())).await.expect("published");
        let delivery = inbox.one().await;
        assert_eq!(*delivery.envelope, sent);
        ack(delivery).await;
    }
}

/// Each subscription has its own copy.
pub async fn every_subscription_gets_every_event(context: &Context) {
    let names = ["ship", "email", "count"];
    let broker = context.ready_client(&names).await;
    publish_numbers(&*broker, 20).await;
    for name in names {
        let mut inbox = Inbox::open(&*broker, name).await;
        let received = inbox.take(20).await;
        let data: BTreeSet<_> = received.iter().map(|delivery| delivery.envelope.data.clone()).collect();
        assert_eq!(data.len(), 20, "{name}");
        for delivery in received {
            ack(delivery).await;
        }
    }
}

/// The subscription exists before its consumer does.
pub async fn an_event_before_the_first_consumer_is_kept(context: &Context) {
    let publisher = context.ready_client(&["ship", "email"]).await;
    let id = publish(&*publisher, "1").await;
    for name in ["ship", "email"] {
        let consumer = context.client().await;
        let mut inbox = Inbox::open(&*consumer, name).await;
        let delivery = inbox.one().await;
        assert_eq!(delivery.envelope.id, id, "{name}");
        ack(delivery).await;
    }
}

/// Two consumers of one subscription get each event once between them.
pub async fn consumers_of_one_subscription_share_its_events(context: &Context) {
    let broker = context.ready_client(&["ship"]).await;
    let other = context.client().await;
    let mut first = Inbox::open(&*broker, "ship").await;
    let mut second = Inbox::open(&*other, "ship").await;
    publish_numbers(&*broker, 20).await;
    let mut data = Vec::new();
    for _ in 0..10 {
        for inbox in [&mut first, &mut second] {
            let delivery = inbox.one().await;
            data.push(delivery.envelope.data.clone());
            ack(delivery).await;
        }
    }
    assert_eq!(data.iter().collect::<BTreeSet<_>>().len(), 20, "{data:?}");
}

/// A dropped `receive` loses nothing and delivers nothing twice.
pub async fn receiving_can_be_cancelled(context: &Context) {
    let broker = context.ready_client(&["ship"]).await;
    let mut inbox = Inbox::open(&*broker, "ship").await;
    let publishing = publish_numbers(&*broker, 200);
    let receiving = async {
        let mut data = Vec::new();
        for round in 0_u64.. {
            let wait = Duration::from_micros(round * 37 % 2000);
            for delivery in inbox.receive_within(7, wait).await.unwrap_or_default() {
                assert_eq!(delivery.attempt, 1);
                data.push(delivery.envelope.data.clone());
                ack(delivery).await;
            }
            if data.len() >= 200 {
                break;
            }
        }
        data
    };
    let ((), data) = tokio::join!(publishing, receiving);
    assert_eq!(data.iter().collect::<BTreeSet<_>>().len(), 200);
    inbox.expect_nothing(Duration::from_millis(300)).await;
}

/// What a broker carries beside an event's data is bounded: attributes beyond the bounds, in number or size, still arrive.
pub async fn attributes_beyond_what_travels_beside_the_data_stay_unchanged(context: &Context) {
    let broker = context.ready_client(&["ship"]).await;
    let limits = broker.capabilities().attributes.unwrap_or(AttributeLimits::UNLIMITED);
    let one_more = |limit: usize, enough: usize| limit.min(enough) + 1;
    let mut sent = event("many");
    let numbered =
        (0..one_more(limits.count, 50)).map(|number| (format!("a{number}"), "é\n\u{0}".to_owned()));
    sent.attributes = numbered.collect();
    sent.attributes.insert("v".into(), "x".repeat(one_more(limits.value_bytes, 4096)));
    sent.attributes.insert("n".repeat(one_more(limits.name_bytes, 300)), String::new());
    try_publish(&*broker, at_once(sent.clone())).await.expect("published");
    let mut inbox = Inbox::open(&*broker, "ship").await;
    let delivery = inbox.one().await;
    assert_eq!(delivery.envelope.attributes, sent.attributes);
    ack(delivery).await;
}
