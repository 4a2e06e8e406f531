//! Order by key: events of one key one at a time and in order, for the subscriptions of ordered topics only.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bis_broker::{Broker, EnsureError, Outgoing};
use bis_core::OrderScope;

use crate::{
    Context, Inbox,
    context::{ack, at_once, event, topic, topology},
};

/// Long enough for a delivery that should not come.
const QUIET: Duration = Duration::from_millis(50);

/// An event of this key.
fn keyed(key: &str, data: impl ToString) -> Outgoing {
    let mut event = event(data.to_string());
    event.key = Some(key.into());
    at_once(event)
}

async fn publish(broker: &dyn Broker, events: impl IntoIterator<Item = Outgoing>) {
    for result in broker.publish(&topic(true), events.into_iter().collect()).await {
        result.expect("published");
    }
}

/// A driver with [`TOPIC`] ordered and the subscription `ship`; `None` when the broker keeps no order.
async fn ordered(context: &Context) -> Option<Arc<dyn Broker>> {
    let broker = context.client().await;
    let ensured = broker.ensure(&topology(&["ship"], true)).await;
    if broker.capabilities().order.keeps_keys_in_order() {
        assert_eq!(ensured, Ok(()));
        return Some(broker);
    }
    context.skip("it keeps no order by key");
    None
}

/// Where order is claimed, events of one key come one at a time and in order, and one that failed comes again before
/// its successors; elsewhere an ordered topic is refused.
pub async fn an_ordered_topic_is_kept_or_refused(context: &Context) {
    let broker = context.client().await;
    let ensured = broker.ensure(&topology(&["ship"], true)).await;
    if !broker.capabilities().order.keeps_keys_in_order() {
        assert!(matches!(ensured, Err(EnsureError::Unsupported { .. })), "{ensured:?}");
        assert!(ensured.expect_err("refused").to_string().ends_with(" [BIS1023]"));
        return;
    }
    assert_eq!(ensured, Ok(()));
    let mut inbox = Inbox::open_ordered(&*broker, "ship").await;
    publish(&*broker, (0..20).map(|number| keyed("one", number))).await;
    for number in 0..20 {
        let mut delivery = inbox.one().await;
        inbox.expect_nothing(QUIET).await;
        if number % 5 == 0 {
            delivery.settle.retry(Duration::from_millis(100)).await.expect("retried");
            inbox.expect_nothing(QUIET).await;
            delivery = inbox.one().await;
            assert_eq!(delivery.attempt, 2);
        }
        assert_eq!(delivery.envelope.data, number.to_string());
        ack(delivery).await;
    }
}

/// An event that is being handled, or that waits to be tried again, holds up only its own key.
pub async fn other_keys_are_not_held_up(context: &Context) {
    let Some(broker) = ordered(context).await else { return };
    if broker.capabilities().order != OrderScope::Key {
        return context.skip("it keeps more in order than the events of a key");
    }
    let mut inbox = Inbox::open_ordered(&*broker, "ship").await;
    publish(&*broker, [keyed("a", "a1"), keyed("a", "a2")]).await;
    let slow = inbox.one().await;
    assert_eq!(slow.envelope.data, "a1");
    let others = ["b1", "c1", "b2", "c2"].map(|data| keyed(&data[..1], data));
    publish(&*broker, others.into_iter().chain([at_once(event("keyless"))])).await;
    let first = inbox.take(3).await;
    let data: Vec<_> = first.iter().map(|delivery| delivery.envelope.data.clone()).collect();
    assert_eq!(data, ["b1", "c1", "keyless"]);
    inbox.expect_nothing(QUIET).await;
    slow.settle.retry(Duration::from_secs(60)).await.expect("retried");
    for delivery in first {
        ack(delivery).await;
    }
    for delivery in inbox.take(2).await {
        assert_ne!(delivery.envelope.data, "a2", "its predecessor waits to be tried again");
        ack(delivery).await;
    }
    inbox.expect_nothing(QUIET).await;
}

/// Two consumers of a subscription, of two drivers, never have two events of one key; what one drops comes again first.
pub async fn consumers_share_the_order(context: &Context) {
    let Some(broker) = ordered(context).await else { return };
    let other = context.client().await;
    let mut first = Inbox::open_ordered(&*broker, "ship").await;
    let mut second = Inbox::open_ordered(&*other, "ship").await;
    publish(&*broker, (0..3).map(|number| keyed("one", number))).await;
    let delivery = first.one().await;
    assert_eq!(delivery.envelope.data, "0");
    second.expect_nothing(QUIET).await;
    ack(delivery).await;
    first.stop().await;
    let delivery = second.one().await;
    assert_eq!(delivery.envelope.data, "1");
    let mut third = Inbox::open_ordered(&*broker, "ship").await;
    third.expect_nothing(QUIET).await;
    drop(delivery);
    drop(second);
    for expected in ["1", "2"] {
        let delivery = third.one().await;
        assert_eq!(delivery.envelope.data, expected);
        ack(delivery).await;
    }
}

/// On a topic that is not ordered, a key means nothing to the broker.
pub async fn a_key_without_order_holds_nobody_up(context: &Context) {
    let broker = context.ready_client(&["ship"]).await;
    let mut inbox = Inbox::open(&*broker, "ship").await;
    publish(&*broker, (0..5).map(|number| keyed("one", number))).await;
    for delivery in inbox.take(5).await {
        ack(delivery).await;
    }
}

/// What a killed broker held comes in order from the next one, and so does what waited to be tried again.
pub async fn order_survives_a_kill(context: &Context) {
    let Some(broker) = ordered(context).await else { return };
    let Some(process) = context.process().filter(|_| broker.capabilities().durable) else {
        return context.skip("it forgets everything with its process");
    };
    let mut inbox = Inbox::open_ordered(&*broker, "ship").await;
    publish(&*broker, (0..30).map(|number| keyed(["a", "b", "c"][number % 3], number))).await;
    let waiting = inbox.take(3).await;
    for delivery in waiting {
        delivery.settle.retry(Duration::from_millis(300)).await.expect("retried");
    }
    process.kill().await;
    process.start().await;
    let mut last: HashMap<String, usize> = HashMap::new();
    for _ in 0..30 {
        let delivery = inbox.one().await;
        let key = delivery.envelope.key.clone().expect("a key");
        let number: usize =
            std::str::from_utf8(&delivery.envelope.data).expect("text").parse().expect("a number");
        let expected = last.get(&key).map_or(number % 3, |last| last + 3);
        assert_eq!(number, expected, "key {key}");
        last.insert(key, number);
        ack(delivery).await;
    }
    inbox.expect_nothing(QUIET).await;
}
