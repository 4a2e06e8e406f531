//! Listeners see what is published from then on, and nobody else notices them.

use std::{collections::BTreeSet, time::Duration};

use bis_broker::ConsumeError;

use crate::{
    Context, Inbox,
    context::{TOPIC, ack, at_once, bounded_inquiry, event, publish, publish_numbers, try_publish},
};

/// How long to wait to see that nothing comes.
const QUIET: Duration = Duration::from_millis(500);

/// What was published before is not for it; what comes after is, no matter who publishes it.
pub async fn a_listener_gets_what_is_published_from_then_on(context: &Context) {
    let publisher = context.ready_client(&["ship"]).await;
    publish(&*publisher, "before").await;
    let (first, second) = (context.client().await, context.client().await);
    let mut inboxes = [Inbox::listen(&*first).await, Inbox::listen(&*second).await];
    let published = BTreeSet::from([publish(&*publisher, "1").await, publish(&*first, "2").await]);
    for inbox in &mut inboxes {
        let received = inbox.take(2).await;
        let ids: BTreeSet<_> = received.iter().map(|delivery| delivery.envelope.id.clone()).collect();
        assert_eq!(ids, published);
        for delivery in received {
            assert_eq!(delivery.attempt, 1);
            ack(delivery).await;
        }
        inbox.expect_nothing(QUIET).await;
    }
}

/// A delayed event reaches listeners, too, when it is due.
pub async fn a_delayed_event_comes_to_listeners_after_its_delay(context: &Context) {
    let broker = context.client().await;
    let mut inbox = Inbox::listen(&*broker).await;
    let mut outgoing = at_once(event("later"));
    outgoing.delay = Duration::from_secs(1);
    let id = outgoing.envelope.id.clone();
    try_publish(&*broker, outgoing).await.expect("published");
    let now = publish(&*broker, "now").await;
    for expected in [now, id] {
        let delivery = inbox.one().await;
        assert_eq!(delivery.envelope.id, expected);
        ack(delivery).await;
    }
}

/// Neither a listener that receives nothing nor one that is gone holds up subscriptions or publishers.
pub async fn a_listener_holds_up_nobody(context: &Context) {
    let broker = context.ready_client(&["ship"]).await;
    let idle = Inbox::listen(&*broker).await;
    drop(Inbox::listen(&*broker).await);
    let mut inbox = Inbox::open(&*broker, "ship").await;
    publish_numbers(&*broker, 200).await;
    for delivery in inbox.take(200).await {
        ack(delivery).await;
    }
    drop(idle);
}

/// A closed broker can no longer be listened to.
pub async fn a_closed_broker_is_not_listened_to(context: &Context) {
    let broker = context.client().await;
    broker.close().await;
    let refused = bounded_inquiry(broker.listen(&TOPIC)).await;
    assert!(matches!(refused, Err(ConsumeError::Closed)));
}
