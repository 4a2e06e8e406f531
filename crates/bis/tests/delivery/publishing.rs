//! Publishing: what it takes, what it refuses, and what its receipt says.

use bis::prelude::*;

use super::{FLAKY, FLAKY_RUNS, Order, PLACED, SHIPPED, of, this};

#[bis::test(app = this::app)]
async fn a_publish_takes_a_delay_a_key_and_attributes(app: TestApp) -> Result<()> {
    let before = app.now();
    let order = Order::new(200);
    let hour = Duration::from_secs(3600);
    FLAKY.publish(&order).delay(hour).key("k").attribute("region", "us").attribute("more", "1").await?;
    app.settle().await;
    let runs = of(&FLAKY_RUNS, 200);
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0].1.duration_since(before).unwrap(), hour);
    let published = &app.deliveries(&FLAKY)[0];
    assert_eq!(published.key(), Some("k"));
    assert_eq!((&*published.attributes()["region"], &*published.attributes()["more"]), ("us", "1"));
    Ok(())
}

/// Without an id of its own an event that is published again is another event.
#[bis::test(app = this::app)]
async fn an_event_that_is_published_again_under_its_id_is_delivered_once(app: TestApp) -> Result<()> {
    let order = Order::new(210);
    for id in ["order 210", "0198b2f0-0000-7000-8000-0000000000d2"] {
        let first = FLAKY.publish(&order).id(id).await?;
        let again = FLAKY.publish(&order).id(id).await?;
        assert_eq!((first.id.as_str(), first.duplicate, again.duplicate), (id, false, true));
        assert!(first.position.is_some(), "{first:?}");
        assert_eq!(again.position, first.position);
    }
    let other = FLAKY.publish(&order).id("order 211".to_owned()).await?;
    app.settle().await;
    assert!(!other.duplicate);
    assert_eq!(of(&FLAKY_RUNS, 210).len(), 3);
    assert_eq!(app.published(&FLAKY).len(), 3);
    // Also where nobody subscribes.
    let [first, again] = [SHIPPED.publish(&order).id("s").await?, SHIPPED.publish(&order).id("s").await?];
    assert_eq!((first.duplicate, again.duplicate), (false, true));
    Ok(())
}

#[bis::test(app = this::app)]
async fn an_id_that_no_event_can_have_is_refused(app: TestApp) -> Result<()> {
    let long = "x".repeat(257);
    for (id, reason) in
        [("", "must not be empty"), (&*long, "256 bytes"), ("a\u{1b}[2J", "control characters")]
    {
        let error = FLAKY.publish(&Order::new(1)).id(id).delay(Duration::ZERO).await.unwrap_err().to_string();
        assert!(error.contains("the `Order` cannot be published") && error.contains(reason), "{error}");
        assert!(!error.contains('\u{1b}'), "{error:?}");
    }
    assert!(app.published(&FLAKY).is_empty());
    Ok(())
}

#[bis::test(app = this::app)]
async fn publish_all_has_a_result_for_each_event(app: TestApp) -> Result<()> {
    let huge = Order { id: 301, region: "x".repeat(2_000_000) };
    let results = FLAKY.publish_all(&[Order::new(300), huge, Order::new(302)]).await;
    let is_ok: Vec<bool> = results.iter().map(|result| result.is_ok()).collect();
    assert_eq!(is_ok, [true, false, true]);
    let error = results[1].as_ref().unwrap_err().to_string();
    assert!(error.contains("takes 1048576"), "{error}");
    app.settle().await;
    assert_eq!(
        (of(&FLAKY_RUNS, 300).len(), of(&FLAKY_RUNS, 301).len(), of(&FLAKY_RUNS, 302).len()),
        (1, 0, 1)
    );
    Ok(())
}

#[bis::test(app = this::app)]
async fn a_topic_without_a_subscriber_takes_events(app: TestApp) -> Result<()> {
    app.publish(&SHIPPED, &Order::new(1)).await?;
    app.settle().await;
    assert_eq!(app.published(&SHIPPED).len(), 1);
    Ok(())
}

#[test]
fn a_bare_thread_gets_an_error_with_a_remedy() {
    let future = std::future::IntoFuture::into_future(PLACED.publish(&Order::new(1)));
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(Err(error)) = future.as_mut().poll(&mut context) else {
        panic!("an error is due")
    };
    assert!(error.to_string().contains("Handle::current()"), "{error}");
}

// ---- what cannot be read back

#[derive(Event, Serialize, Deserialize)]
struct Measured {
    sensor: u32,
    values: Vec<Option<f64>>,
}

#[derive(Event, Serialize, Deserialize)]
struct OneSided {
    #[serde(skip_serializing)]
    #[expect(dead_code, reason = "it is never read back")]
    id: u32,
}

static MEASURED: Topic<Measured> = Topic::new("measured");
static ONE_SIDED: Topic<OneSided> = Topic::new("one-sided");

#[bis::test(app = this::app)]
async fn what_could_not_be_read_back_is_not_published(app: TestApp) -> Result<()> {
    let measured = |value| Measured { sensor: 7, values: vec![Some(1.0), Some(value)] };
    let error = app.publish(&MEASURED, &measured(f64::NAN)).await.unwrap_err().to_string();
    assert!(error.starts_with("the `Measured` cannot be published: `values[1]` is NaN"), "{error}");
    assert!(error.ends_with(" [BIS1030]"), "{error}");
    let results = MEASURED.publish_all(&[measured(f64::INFINITY), measured(2.0)]).await;
    assert!(results[0].is_err() && results[1].is_ok(), "{results:?}");
    let error = app.publish(&ONE_SIDED, &OneSided { id: 7 }).await.unwrap_err().to_string();
    assert!(error.contains("cannot be read back: missing field `id`"), "{error}");
    assert_eq!((app.published(&MEASURED).len(), app.published(&ONE_SIDED).len()), (1, 0));
    assert_eq!(app.published(&MEASURED)[0].sensor, 7);
    Ok(())
}
