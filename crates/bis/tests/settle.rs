//! What `settle` waits for when test and handlers do real I/O, and how time passes meanwhile.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    net::SocketAddr,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use bis::prelude::*;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

bis::service!("work");

mod this {
    bis::app!(services: [crate]);
}

#[derive(Event, Serialize, Deserialize)]
pub(crate) struct Job {
    n: u32,
    how: How,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
enum How {
    RoundTrips,
    TokioSleep,
    SlowSocket,
    SlowThread,
    SlowPoll,
    Never,
}

static STARTED: Topic<Job> = Topic::new("started");
static DONE: Topic<Job> = Topic::new("done");

/// A server on a thread of its own that sends back each byte, after as many milliseconds as the byte says.
fn server() -> SocketAddr {
    static ADDRESS: OnceLock<SocketAddr> = OnceLock::new();
    *ADDRESS.get_or_init(|| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                std::thread::spawn(move || echo(stream.unwrap()));
            }
        });
        address
    })
}

fn echo(mut stream: std::net::TcpStream) {
    let mut byte = [0];
    while std::io::Read::read_exact(&mut stream, &mut byte).is_ok() {
        std::thread::sleep(Duration::from_millis(u64::from(byte[0]) * 10));
        let _ = std::io::Write::write_all(&mut stream, &byte);
    }
}

async fn round_trips(count: usize, hundredths: u8) -> Result<()> {
    let mut stream = TcpStream::connect(server()).await?;
    for _ in 0..count {
        stream.write_u8(hundredths).await?;
        stream.read_u8().await?;
    }
    Ok(())
}

#[subscription(STARTED, retry(max = 1))]
async fn work(job: Job) -> Result<()> {
    match job.how {
        How::RoundTrips => round_trips(3, 0).await?,
        How::TokioSleep => tokio::time::sleep(Duration::from_millis(1)).await,
        How::SlowSocket => round_trips(1, 150).await?,
        How::SlowThread => {
            tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(1500))).await?
        }
        How::SlowPoll => std::thread::sleep(Duration::from_millis(1500)),
        How::Never => std::future::pending().await,
    }
    DONE.publish(&job).await?;
    Ok(())
}

#[subscription(DONE)]
async fn tell(job: Job) -> Result<()> {
    if let How::RoundTrips = job.how {
        round_trips(1, 0).await?;
    }
    TOLD.fetch_max(job.n, Ordering::SeqCst);
    Ok(())
}

/// The highest number that came to the end.
static TOLD: AtomicU32 = AtomicU32::new(0);

fn rounds() -> u32 {
    if std::env::var_os("BIS_LONG").is_some() { 100_000 } else { 1_000 }
}

#[bis::test(app = this::app)]
async fn settling_never_ends_before_the_handlers(app: TestApp) -> Result<()> {
    for n in 1..=rounds() {
        let how = if n % 4 == 0 { How::TokioSleep } else { How::RoundTrips };
        // The test's own wait ends at any moment of what the harness does.
        match n % 3 {
            0 => round_trips(1, 0).await?,
            1 => tokio::task::spawn_blocking(|| ()).await?,
            _ => {}
        }
        app.publish(&STARTED, &Job { n, how }).await?;
        app.settle().await;
        assert_eq!(TOLD.load(Ordering::SeqCst), n, "settle returned before the handlers had run");
    }
    Ok(())
}

#[bis::test(app = this::app)]
async fn real_waiting_is_waited_for(app: TestApp) -> Result<()> {
    for how in [How::SlowSocket, How::SlowThread, How::SlowPoll] {
        app.publish(&STARTED, &Job { n: 0, how }).await?;
    }
    app.settle().await;
    assert_eq!(app.dead(&STARTED), []);
    assert_eq!(app.published(&DONE).len(), 3);
    Ok(())
}

#[bis::test(app = this::app)]
async fn time_that_passes_for_others_does_not_reach_the_timeout_of_real_waiting(app: TestApp) -> Result<()> {
    tokio::spawn(async {
        loop {
            bis::time::sleep(Duration::from_secs(1)).await;
        }
    });
    app.publish(&STARTED, &Job { n: 0, how: How::SlowSocket }).await?;
    app.settle().await;
    assert_eq!(app.dead(&STARTED), []);
    assert_eq!(app.published(&DONE).len(), 1);
    Ok(())
}

#[bis::test(app = this::app, patience = "200ms")]
async fn a_handler_that_never_returns_times_out_when_patience_is_over(app: TestApp) -> Result<()> {
    app.publish(&STARTED, &Job { n: 0, how: How::Never }).await?;
    app.settle().await;
    let errors: Vec<_> = app.dead(&STARTED).into_iter().map(|letter| letter.error).collect();
    let text = "the handler did not finish within 30s and was cancelled; it waited 200ms of real time for something other \
        than the app's time, the longest that `patience` in `#[bis::test]` allows [BIS1042]";
    assert_eq!(errors, [text]);
    Ok(())
}
