//! How much a consumer takes, and what happens to it when the consumer goes away.

use std::collections::BTreeSet;

use crate::{
    Context, Inbox, Peer,
    context::{ack, publish_numbers},
};

/// A consumer with three free handlers leaves the rest to others, and does not get more by asking again.
pub async fn no_more_is_taken_than_asked_for(context: &Context) {
    let broker = context.ready_client(&["ship"]).await;
    publish_numbers(&*broker, 10).await;
    let mut busy = Inbox::open(&*broker, "ship").await;
    let mut held = busy.take(3).await;
    let other = context.client().await;
    let mut idle = Inbox::open(&*other, "ship").await;
    let rest = idle.take(7).await;
    assert!(rest.iter().all(|delivery| delivery.attempt == 1), "nothing was held back and given away");
    ack(held.remove(0)).await;
    for delivery in rest.into_iter().chain(held) {
        ack(delivery).await;
    }
    publish_numbers(&*broker, 10).await;
    let first = busy.take(2).await;
    let second = busy.take(1).await;
    assert_eq!((first.len(), second.len()), (2, 1));
    for delivery in first.into_iter().chain(second) {
        ack(delivery).await;
    }
    for delivery in idle.take(7).await {
        ack(delivery).await;
    }
}

/// What was returned can be acked after stopping; what was not goes to others.
pub async fn a_stopped_consumer_gives_back_what_it_did_not_return(context: &Context) {
    let broker = context.ready_client(&["ship"]).await;
    let mut stopping = Inbox::open(&*broker, "ship").await;
    publish_numbers(&*broker, 10).await;
    let returned = stopping.receive(8).await;
    stopping.stop().await;
    let other = context.client().await;
    let mut inbox = Inbox::open(&*other, "ship").await;
    let held: BTreeSet<_> = returned.iter().map(|delivery| delivery.envelope.data.clone()).collect();
    for delivery in returned {
        ack(delivery).await;
    }
    let rest = inbox.take(10 - held.len()).await;
    for delivery in rest {
        assert!(!held.contains(&delivery.envelope.data), "acked after stopping, and came again");
        ack(delivery).await;
    }
    inbox.expect_nothing(<dyn Peer>::LEASE + context.slack()).await;
}

/// A dropped consumer holds nothing back.
pub async fn a_dropped_consumer_gives_everything_back(context: &Context) {
    let broker = context.ready_client(&["ship"]).await;
    publish_numbers(&*broker, 10).await;
    let mut going = Inbox::open(&*broker, "ship").await;
    let held = going.take(4).await;
    drop(going);
    let mut inbox = Inbox::open(&*broker, "ship").await;
    let all = inbox.take(10).await;
    let data: BTreeSet<_> = all.iter().map(|delivery| delivery.envelope.data.clone()).collect();
    assert_eq!(data.len(), 10);
    for delivery in all {
        ack(delivery).await;
    }
    drop(held);
}

/// A client whose process dies in the middle of handling: all of it is delivered again, elsewhere.
pub async fn a_crashed_consumer_loses_nothing(context: &Context) {
    let broker = context.ready_client(&["ship"]).await;
    publish_numbers(&*broker, 10).await;
    if context.process().is_none() {
        return context.skip("its one client crashes together with it");
    }
    context.crash_while_holding("ship", 5).await;
    let mut inbox = Inbox::open(&*broker, "ship").await;
    let (mut data, mut counted) = (BTreeSet::new(), 0);
    // One by one: a broker that does not know which of them ended the process gives them out that way.
    for _ in 0..10 {
        let delivery = inbox.one().await;
        data.insert(delivery.envelope.data.clone());
        counted += usize::from(delivery.attempt > 1);
        ack(delivery).await;
    }
    assert_eq!(data.len(), 10);
    if broker.capabilities().uncounted_release {
        assert_eq!(counted, 0, "nobody knows which of the five it was");
    } else {
        assert!(counted >= 5, "the five that were started count");
    }
}
