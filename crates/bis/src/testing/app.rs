//! What a test does with its app: requests, events, waiting until all is settled, and looking at the results.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{
    body::Body,
    extract::Request,
    http::{Method, header},
    response::Response,
};
use bis_core::{DeadLetter, Envelope, TopicName, codes, dead_letter::Store, format_duration};
use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::Notify;

use super::{
    chaos::{ChaosBroker, Faults},
    recorder::Recorder,
};
use crate::{
    error::{ErrorContext, Result},
    events::{
        Delivery, Event, PublishError, Published, Topic, delivery::Incoming, in_process::InProcess, publish,
    },
    http::{self, Routers},
    instance::{self, UserType, Users, VirtualClock},
};

/// The most events that may be published while a test settles: what goes on after that many is taken to be endless.
const MAX_EVENTS: u64 = 100_000;

/// How long settling may take, of real time: a minute, and longer where the test's patience is.
const MAX_REAL_TIME: Duration = Duration::from_secs(60);

/// Settling may take at least this many times the test's patience, of real time.
const MAX_PATIENCES: u32 = 6;

/// The largest answer that a test reads, in bytes.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// A running app that belongs to one test.
///
/// Events go through memory and time is virtual: it starts at the present and moves only while the test settles or lets it
/// [pass](TestApp::advance), or while something waits in [`bis::time::sleep`](crate::time::sleep) and nothing else is left to
/// run.
///
/// A handler that waits for something real, such as a socket, a thread or a lock, is waited for: time does not reach its
/// timeout meanwhile. Only when nothing that runs has made a step for 10 s of real time, the test's *patience*, does time
/// move on, so that a handler that never returns runs into its timeout; the error says so. Another patience is stated by
/// `#[bis::test(app = .., patience = "1m")]`.
#[derive(Debug)]
pub struct TestApp {
    routers: Routers,
    recorder: Arc<Recorder>,
    time: Arc<VirtualClock>,
    broker: Arc<InProcess>,
    settled: Arc<Notify>,
    chaos: Option<Arc<ChaosBroker>>,
}

/// Why an app does not settle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotSettled {
    /// Events cause events without end.
    #[error(
        "the app does not settle: {events} events were published and more keep coming, the latest on {}; does a handler publish what leads back to itself? [{}]", latest.join(", "), codes::ENDLESS)]
    Endless {
        /// How many were published.
        events: u64,
        /// The topics and publishers of the latest ones.
        latest: Vec<String>,
    },
    /// Handlers still run.
    #[error(
        "the app does not settle: after {} of real time these still have something to do: {}; if they only need longer, allow it with `patience = \"1m\"` in `#[bis::test]` [{}]", format_duration(*limit), running.join(", "), codes::HANGING)]
    Hanging {
        /// How long was waited.
        limit: Duration,
        /// The subscriptions and spawned tasks.
        running: Vec<String>,
    },
}

impl TestApp {
    pub(crate) fn new(
        routers: Routers,
        recorder: Arc<Recorder>,
        time: Arc<VirtualClock>,
        broker: Arc<InProcess>,
        settled: Arc<Notify>,
        chaos: Option<Arc<ChaosBroker>>,
    ) -> Self {
        Self { routers, recorder, time, broker, settled, chaos }
    }

    /// Sends a GET request to the public router, without a socket, and reads the answer as JSON; an answer that is not JSON
    /// reads as text, an empty one as `()`.
    ///
    /// # Errors
    /// When the status is not a success, with the status, text, [code](crate::Error::code) and
    /// [fields](crate::Error::field_errors) of the answer, or the answer is not an `R`.
    pub async fn get<R: DeserializeOwned>(&self, path: &str) -> Result<R> {
        self.call(Method::GET, path, Body::empty()).await
    }

    /// Sends a POST request with a JSON body; the rest as [`TestApp::get`].
    ///
    /// # Errors
    /// As [`TestApp::get`].
    pub async fn post<R: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<R> {
        self.call(Method::POST, path, json(body)?).await
    }

    /// Sends a PUT request with a JSON body; the rest as [`TestApp::get`].
    ///
    /// # Errors
    /// As [`TestApp::get`].
    pub async fn put<R: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<R> {
        self.call(Method::PUT, path, json(body)?).await
    }

    /// Sends a DELETE request; the rest as [`TestApp::get`].
    ///
    /// # Errors
    /// As [`TestApp::get`].
    pub async fn delete<R: DeserializeOwned>(&self, path: &str) -> Result<R> {
        self.call(Method::DELETE, path, Body::empty()).await
    }

    /// Sends any request to the public router, without a socket, and returns its answer as it is.
    pub async fn request(&self, request: Request) -> Response {
        http::answer(&self.routers.public, request).await
    }

    async fn call<R: DeserializeOwned>(&self, method: Method, path: &str, body: Body) -> Result<R> {
        let request = json_request(&method, path, body)?;
        read_answer(&method, path, self.request(request).await).await
    }

    /// The path of the app's user type.
    pub(super) fn user_type(&self) -> Option<&'static str> {
        let instance = instance::current().ok()?;
        instance.extension::<Users>().0.map(UserType::path)
    }

    /// Publishes an event, as the app's own code does.
    ///
    /// # Errors
    /// As publishing in a handler.
    pub async fn publish<T: Event>(&self, topic: &Topic<T>, event: &T) -> Result<Published, PublishError> {
        topic.publish(event).await
    }

    /// Publishes bytes as they are, as another system would that writes what it likes. A CloudEvent in JSON is read as one.
    ///
    /// # Errors
    /// When the broker does not take them.
    pub async fn publish_bytes<T>(
        &self,
        topic: &Topic<T>,
        data: impl Into<Bytes>,
    ) -> Result<Published, PublishError> {
        publish::bytes(topic.spec(), data.into()).await
    }

    /// Waits until every event is handled or dead, with all that its handlers published, and all retries and delays.
    /// Time jumps from one to the next.
    ///
    /// Tasks that nobody waits for, and their [`sleep`](crate::time::sleep)s, do not hold it up.
    ///
    /// # Panics
    /// When the app does not settle; the text says what keeps it busy. See [`TestApp::try_settle`].
    #[track_caller]
    pub fn settle(&self) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            if let Err(error) = self.try_settle().await {
                panic!("{caller}: {error}");
            }
        }
    }

    /// As [`TestApp::settle`], with an error in place of a panic.
    ///
    /// # Errors
    /// When 100,000 events were published meanwhile and more keep coming, or when it takes longer than a
    /// minute of real time, or than six times the test's patience if that is longer.
    pub async fn try_settle(&self) -> Result<(), NotSettled> {
        let _settling = VirtualClock::settle(&self.time);
        self.quiet().await
    }

    /// Lets this much of the app's time pass: events that are due, retries, the waits of background functions, each at its time.
    /// Whatever is due when it ends has been done then; what is due later has not.
    ///
    /// ```
    /// # mod shop {
    /// #     use bis::prelude::*;
    /// #     bis::service!("orders");
    /// #     #[derive(Event, Serialize, Deserialize)]
    /// #     pub struct Chased { pub round: u32 }
    /// #     pub static CHASED: Topic<Chased> = Topic::new("chased");
    /// #     bis::app!(services: [self]);
    /// /// Runs beside the handlers of its service.
    /// #[background]
    /// async fn chase_late_orders() -> Result<()> {
    ///     for round in 1.. {
    ///         bis::time::sleep(Duration::from_secs(3600)).await;
    ///         CHASED.publish(&Chased { round }).await?;
    ///     }
    ///     Ok(())
    /// }
    /// # }
    /// # use bis::prelude::*;
    /// #[bis::test(app = shop::app)]
    /// async fn late_orders_are_chased_every_hour(app: TestApp) -> Result<()> {
    ///     app.advance(Duration::from_secs(2 * 3600)).await;
    ///     assert_eq!(app.published(&shop::CHASED).len(), 2);
    ///     Ok(())
    /// }
    /// # fn main() {}
    /// ```
    ///
    /// # Panics
    /// When it takes too much of real time, or publishes too many events, as [`TestApp::settle`] does.
    #[track_caller]
    pub fn advance(&self, duration: Duration) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let _advancing = VirtualClock::advance(&self.time, duration);
            if let Err(error) = self.quiet().await {
                panic!("{caller}: {error}");
            }
        }
    }

    /// Waits until the clock has nothing left to do.
    async fn quiet(&self) -> Result<(), NotSettled> {
        self.recorder.allow(MAX_EVENTS);
        let limit = MAX_REAL_TIME.max(self.time.patience() * MAX_PATIENCES);
        let result = tokio::select! {
            biased;
            () = self.recorder.overflow() => {
                Err(NotSettled::Endless { events: MAX_EVENTS, latest: self.recorder.latest(100) })
            }
            () = self.settled.notified() => Ok(()),
            () = tokio::time::sleep(limit) => Err(NotSettled::Hanging { limit, running: self.running() }),
        };
        self.recorder.allow(0);
        result
    }

    /// What still has something to do.
    fn running(&self) -> Vec<String> {
        let mut running = self.time.running();
        running.extend(self.broker.outstanding().unfinished);
        running.sort_unstable();
        running.dedup();
        running
    }

    /// The faults that were injected so far; none without `chaos` in the test's attribute.
    pub fn faults(&self) -> Faults {
        self.chaos.as_ref().map(|chaos| chaos.faults()).unwrap_or_default()
    }

    /// The present of the app's time.
    pub fn now(&self) -> SystemTime {
        self.time.now()
    }

    /// The events that were published on a topic, in order, by the test or by the app.
    ///
    /// # Panics
    /// When one is not a `T`; those of [`TestApp::publish_bytes`] may be.
    #[track_caller]
    pub fn published<T>(&self, topic: &Topic<T>) -> Vec<T> {
        self.deliveries(topic).into_iter().map(Delivery::into_event).collect()
    }

    /// As [`TestApp::published`], with id, key, attributes and what else travels along. The attempt is 0.
    ///
    /// # Panics
    /// As [`TestApp::published`].
    #[track_caller]
    pub fn deliveries<T>(&self, topic: &Topic<T>) -> Vec<Delivery<T>> {
        let decode = |envelope| match topic.decode(Incoming { envelope, attempt: 0, generation: 0 }) {
            Ok(delivery) => delivery,
            Err(error) => panic!("an event on `{}` cannot be read: {error:#}", topic.name()),
        };
        self.recorder.of(topic.name()).into_iter().map(decode).collect()
    }

    /// The dead letters of a topic's events, in order.
    pub fn dead<T>(&self, topic: &Topic<T>) -> Vec<DeadLetter> {
        // One that was kept again, since nobody knew that it had been, counts once.
        let messages = self.recorder.of(&TopicName::DEAD).into_iter();
        let store = Store::read(messages.map(|message| ((), Some(Envelope::clone(&message)))));
        let letters = store.letters.into_iter().map(|kept| kept.letter);
        letters.filter(|letter| letter.topic == *topic.name()).collect()
    }
}

/// A request with a body that is JSON, or empty.
pub(super) fn json_request(method: &Method, path: &str, body: Body) -> Result<Request> {
    let request =
        Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, "application/json");
    request.body(body).error_context("the path is not valid")
}

/// The answer to a request as an `R`.
pub(super) async fn read_answer<R: DeserializeOwned>(
    method: &Method,
    path: &str,
    response: Response,
) -> Result<R> {
    let (axum::http::response::Parts { status, headers, .. }, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, MAX_ANSWER).await.error_context("read the answer")?;
    if !status.is_success() {
        let error = http::error_of(status, &headers, &bytes);
        let text = format!("{method} {path} answered {status}: {error}");
        return Err(error.context(text));
    }
    read(&bytes).with_context_of(method, path)
}

pub(super) fn json(body: &impl Serialize) -> Result<Body> {
    Ok(Body::from(serde_json::to_vec(body).error_context("the request's body does not serialize")?))
}

fn read<R: DeserializeOwned>(bytes: &[u8]) -> serde_json::Result<R> {
    if bytes.is_empty() {
        return serde_json::from_value(serde_json::Value::Null);
    }
    serde_json::from_slice(bytes).or_else(|error| match std::str::from_utf8(bytes) {
        // Text that is not JSON at all; JSON of another type keeps its own error.
        Ok(text) if serde_json::from_slice::<serde_json::Value>(bytes).is_err() => {
            serde_json::from_value(serde_json::Value::String(text.to_owned())).map_err(|_| error)
        }
        _ => Err(error),
    })
}

trait WithContextOf<R> {
    fn with_context_of(self, method: &Method, path: &str) -> Result<R>;
}

impl<R> WithContextOf<R> for serde_json::Result<R> {
    fn with_context_of(self, method: &Method, path: &str) -> Result<R> {
        self.error_context(format_args!(
            "the answer to {method} {path} is not a `{}`",
            std::any::type_name::<R>()
        ))
    }
}
