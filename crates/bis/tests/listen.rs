//! Listening to topics in a test, and streams that are fed by it.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use axum::{
    body::{Body, BodyDataStream},
    http::Request,
};
use bis::{Lagged, Listener, prelude::*};
use futures_core::Stream;

/// The service under test.
pub mod shop {
    use std::{
        pin::Pin,
        task::{Context, Poll},
    };

    use axum::response::sse::{self, Sse};
    use bis::{Listener, prelude::*};
    use futures_core::Stream;

    bis::service!("shop");

    /// A number.
    #[derive(Debug, Clone, PartialEq, Eq, Event, Serialize, Deserialize)]
    pub struct Numbered {
        /// The number.
        pub number: u32,
    }

    /// What comes in.
    pub static ASKED: Topic<Numbered> = Topic::new("asked");
    /// What a handler makes of it, and nobody subscribes to.
    pub static DOUBLED: Topic<Numbered> = Topic::new("doubled");

    #[subscription(ASKED)]
    async fn double(asked: Numbered) -> Result<()> {
        DOUBLED.publish(&Numbered { number: asked.number * 2 }).await?;
        Ok(())
    }

    /// Each event as it comes.
    struct Events(Listener<Numbered>);

    impl Stream for Events {
        type Item = std::result::Result<sse::Event, axum::BoxError>;

        fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            Pin::new(&mut self.0).poll_next(context).map(|event| {
                let event = match event? {
                    Ok(event) => event,
                    Err(lagged) => return Some(Err(lagged.into())),
                };
                assert!(event.number != 13, "the number is 13");
                let id = event.id().to_string();
                Some(sse::Event::default().id(id).json_data(event.event()).map_err(Into::into))
            })
        }
    }

    #[api(GET, "/doubled", public)]
    async fn doubled() -> Result<Sse<impl Stream<Item = std::result::Result<sse::Event, axum::BoxError>>>> {
        Ok(Sse::new(Events(DOUBLED.listen().await?)))
    }
}

mod app {
    use super::shop;
    bis::app!(services: [shop]);
}

use shop::{ASKED, DOUBLED, Numbered};

async fn number(listener: &mut Listener<Numbered>) -> u32 {
    listener.next().await.unwrap().unwrap().number
}

async fn publish_doubled(numbers: impl IntoIterator<Item = u32>) {
    for number in numbers {
        DOUBLED.publish(&Numbered { number }).await.unwrap();
    }
}

#[bis::test(app = app::app)]
async fn listeners_hear_what_is_published_from_then_on(app: TestApp) -> Result<()> {
    publish_doubled([1]).await;
    let (mut first, mut second) = (DOUBLED.listen().await?, DOUBLED.listen().await?);
    app.publish(&ASKED, &Numbered { number: 2 }).await?;
    assert_eq!([number(&mut first).await, number(&mut second).await], [4, 4]);
    drop(first);
    publish_doubled([5]).await;
    assert_eq!(number(&mut second).await, 5);
    drop(second);
    let mut third = DOUBLED.listen().await?;
    publish_doubled([6]).await;
    assert_eq!(number(&mut third).await, 6);
    Ok(())
}

#[bis::test(app = app::app)]
async fn what_waits_for_a_listener_holds_up_no_settling(app: TestApp) -> Result<()> {
    let mut idle = DOUBLED.listen().await?;
    app.publish(&ASKED, &Numbered { number: 2 }).await?;
    app.settle().await;
    // It is as much a dead letter as it is an event without a subscription: not at all.
    assert!(app.dead(&DOUBLED).is_empty());
    assert_eq!(number(&mut idle).await, 4);
    Ok(())
}

#[bis::test(app = app::app)]
async fn one_that_falls_behind_misses_the_oldest_and_is_told_how_many(app: TestApp) -> Result<()> {
    let mut slow = DOUBLED.listen().buffer(2).await?;
    let mut quick = DOUBLED.listen().await?;
    publish_doubled(1..=5).await;
    app.settle().await;
    assert_eq!(slow.next().await.unwrap().unwrap_err(), Lagged(3));
    assert_eq!([number(&mut slow).await, number(&mut slow).await], [4, 5]);
    for expected in 1..=5 {
        assert_eq!(number(&mut quick).await, expected);
    }
    publish_doubled([6]).await;
    assert_eq!(number(&mut slow).await, 6);
    Ok(())
}

#[bis::test(app = app::app)]
async fn what_does_not_decode_is_skipped(app: TestApp) -> Result<()> {
    let mut listener = DOUBLED.listen().await?;
    app.publish_bytes(&DOUBLED, "not a number").await?;
    publish_doubled([7]).await;
    assert_eq!(number(&mut listener).await, 7);
    Ok(())
}

#[bis::test(app = app::app)]
async fn an_event_that_is_due_later_comes_when_the_test_settles(app: TestApp) -> Result<()> {
    let mut listener = DOUBLED.listen().await?;
    let begun = app.now();
    DOUBLED.publish(&Numbered { number: 8 }).delay(Duration::from_secs(3600)).await?;
    app.settle().await;
    assert_eq!(number(&mut listener).await, 8);
    assert!(app.now() >= begun + Duration::from_secs(3600));
    Ok(())
}

/// The next piece of a streamed answer.
async fn piece(body: &mut BodyDataStream) -> std::result::Result<String, axum::Error> {
    let next = std::future::poll_fn(|context| std::pin::Pin::new(&mut *body).poll_next(context));
    next.await.unwrap().map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
}

#[bis::test(app = app::app)]
async fn a_topic_feeds_a_stream_of_server_sent_events(app: TestApp) -> Result<()> {
    let answer = app.request(Request::get("/doubled").body(Body::empty())?).await;
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut body = answer.into_body().into_data_stream();
    app.publish(&ASKED, &Numbered { number: 2 }).await?;
    app.settle().await;
    let id = app.deliveries(&DOUBLED)[0].id().clone();
    assert_eq!(piece(&mut body).await.unwrap(), format!("id: {id}\ndata: {{\"number\":4}}\n\n"));
    Ok(())
}

#[bis::test(app = app::app)]
async fn a_stream_that_panics_breaks_off_alone(app: TestApp) -> Result<()> {
    let request = || Request::get("/doubled").body(Body::empty());
    let mut broken = app.request(request()?).await.into_body().into_data_stream();
    publish_doubled([13]).await;
    assert_eq!(piece(&mut broken).await.unwrap_err().to_string(), "the stream panicked");
    let mut other = app.request(request()?).await.into_body().into_data_stream();
    publish_doubled([14]).await;
    assert!(piece(&mut other).await.unwrap().contains("14"));
    Ok(())
}

#[tokio::test]
async fn without_an_app_nothing_is_listened_to() {
    let error = DOUBLED.listen().await.unwrap_err();
    assert!(error.to_string().contains("BIS1002"), "{error}");
}
