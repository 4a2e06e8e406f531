//! Streams of server-sent events in real processes: a hand-over, a stop and a kill, as a browser sees them.

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
};

use super::{ANY_PORT, LIMIT, Process, end_with, post};

mod live {
    use std::{
        pin::Pin,
        task::{Context, Poll, ready},
    };

    use axum::{
        BoxError,
        http::HeaderMap,
        response::sse::{self, KeepAlive, Sse},
    };
    use bis::{Listener, prelude::*};
    use futures_core::Stream;
    use tokio::time::{Sleep, sleep};

    bis::service!("live");

    #[derive(Event, Serialize, Deserialize)]
    struct Ticked {
        number: u64,
    }

    static TICKED: Topic<Ticked> = Topic::new("ticked");

    #[api(POST, "/ticks/{number}", public)]
    async fn tick(Path(number): Path<u64>) -> Result<()> {
        TICKED.publish(&Ticked { number }).await?;
        Ok(())
    }

    struct Ticks(Listener<Ticked>);

    impl Stream for Ticks {
        type Item = std::result::Result<sse::Event, BoxError>;

        fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            Poll::Ready(ready!(Pin::new(&mut self.0).poll_next(context)).map(|ticked| {
                let number = ticked?.number;
                Ok(sse::Event::default().id(number.to_string()).data(""))
            }))
        }
    }

    #[api(GET, "/ticks", public)]
    async fn ticks() -> Result<Sse<impl Stream<Item = std::result::Result<sse::Event, BoxError>>>> {
        Ok(Sse::new(Ticks(TICKED.listen().await?)))
    }

    /// Counts on from what its client has seen.
    struct Numbers {
        next: u64,
        pause: Pin<Box<Sleep>>,
    }

    const PAUSE: Duration = Duration::from_millis(10);

    impl Stream for Numbers {
        type Item = std::result::Result<sse::Event, BoxError>;

        fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            ready!(self.pause.as_mut().poll(context));
            self.pause = Box::pin(sleep(PAUSE));
            self.next += 1;
            let event = sse::Event::default().id((self.next - 1).to_string()).retry(PAUSE);
            Poll::Ready(Some(Ok(event.data(""))))
        }
    }

    #[api(GET, "/numbers", public)]
    async fn numbers(
        headers: HeaderMap,
    ) -> Sse<impl Stream<Item = std::result::Result<sse::Event, BoxError>>> {
        let seen = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok()).unwrap_or(0);
        Sse::new(Numbers { next: seen + 1, pause: Box::pin(sleep(PAUSE)) }).keep_alive(KeepAlive::default())
    }
}

mod app {
    use super::live;
    bis::app!(services: [live]);
}

#[test]
#[ignore = "the process that the other tests start"]
fn live_app() {
    end_with(app::app().main());
}

/// What a browser's `EventSource` does: it follows a stream, and when that ends asks for what came after the last event.
struct EventSource {
    path: &'static str,
    stream: BufReader<TcpStream>,
    last_id: u64,
}

/// How a stream went on.
#[derive(Debug, PartialEq)]
enum Next {
    Event(u64),
    /// Its body is whole.
    End,
    /// It broke off.
    Broken,
}

impl EventSource {
    fn open(address: &str, path: &'static str) -> Self {
        Self { path, stream: connect(address, path, 0), last_id: 0 }
    }

    fn open_again(&mut self, address: &str) {
        self.stream = connect(address, self.path, self.last_id);
    }

    fn next(&mut self) -> Next {
        loop {
            let mut line = String::new();
            match self.stream.read_line(&mut line) {
                Ok(0) | Err(_) => return Next::Broken,
                Ok(_) => {}
            }
            if let Some(id) = line.trim_end().strip_prefix("id: ") {
                self.last_id = id.parse().unwrap();
                return Next::Event(self.last_id);
            }
            if line == "0\r\n" {
                return Next::End;
            }
        }
    }
}

/// Asks for a stream, and waits until it has begun.
fn connect(address: &str, path: &str, last_id: u64) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nLast-Event-ID: {last_id}\r\n\r\n").unwrap();
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        assert!(stream.read_line(&mut line).unwrap() > 0, "an answer begins");
    }
    stream
}

#[test]
fn a_hand_over_loses_no_event_that_a_client_can_ask_for_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut old = Process::start_on(&listener, "streams::live_app");
    let address = old.ready();
    let mut client = EventSource::open(&address, "/numbers");
    for number in 1..=3 {
        assert_eq!(client.next(), Next::Event(number));
    }
    let mut new = Process::start_on(&listener, "streams::live_app");
    new.ready();
    old.signal("TERM");
    old.expect("\"draining\"");
    let mut expected = 4;
    loop {
        match client.next() {
            Next::End => break,
            next => assert_eq!(next, Next::Event(expected)),
        }
        expected += 1;
    }
    // Nobody waits for the limit of 30 s.
    assert_eq!(old.end().0, Some(0));
    client.open_again(&address);
    for number in expected..expected + 3 {
        assert_eq!(client.next(), Next::Event(number));
    }
}

#[test]
fn a_stop_ends_what_a_topic_feeds() {
    for signal in ["TERM", "INT"] {
        let mut process = Process::start("streams::live_app", ANY_PORT, &[]);
        let address = process.ready();
        let mut client = EventSource::open(&address, "/ticks");
        for number in 1..=3 {
            assert!(post(&address, &format!("/ticks/{number}")).starts_with("HTTP/1.1 200"));
            assert_eq!(client.next(), Next::Event(number));
        }
        process.signal(signal);
        assert_eq!(client.next(), Next::End, "{signal}");
        assert_eq!(process.end().0, Some(0));
    }
}

#[test]
fn a_client_of_a_killed_process_knows_that_its_stream_broke_off() {
    let mut process = Process::start("streams::live_app", ANY_PORT, &[]);
    let mut client = EventSource::open(&process.ready(), "/numbers");
    assert_eq!(client.next(), Next::Event(1));
    process.signal("KILL");
    loop {
        match client.next() {
            Next::Event(_) => {}
            next => break assert_eq!(next, Next::Broken),
        }
    }
}
