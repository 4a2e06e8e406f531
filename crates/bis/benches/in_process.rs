//! Publish to handler in one process: how long one event takes from the call of `publish` to the first line of its
//! handler, one event at a time, and how many allocations an event costs from publish to ack.
//!
//! `cargo bench -p bis --bench in_process`

use std::{
    alloc::System,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use bis::prelude::*;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::sync::mpsc;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const WARM_UP: usize = 10_000;
const EVENTS: usize = 100_000;
const BATCH: usize = 1_000;

bis::service!("bench");

mod this {
    bis::app!(services: [crate]);
}

#[derive(Event, Serialize, Deserialize)]
struct Sample {
    number: u64,
    text: String,
}

static START: Topic<Sample> = Topic::new("start");
static SAMPLES: Topic<Sample> = Topic::new("samples");
static STARTED: AtomicUsize = AtomicUsize::new(0);
static ARRIVED: OnceLock<mpsc::UnboundedSender<Instant>> = OnceLock::new();

#[subscription(SAMPLES)]
async fn arrive(sample: Sample) -> Result<()> {
    let now = Instant::now();
    std::hint::black_box(sample);
    if let Some(sender) = ARRIVED.get() {
        sender.send(now)?;
    }
    Ok(())
}

#[subscription(START, timeout = "10m")]
async fn measure(_: Sample) -> Result<()> {
    if STARTED.fetch_add(1, Ordering::SeqCst) > 0 {
        return Ok(());
    }
    let (sender, mut arrivals) = mpsc::unbounded_channel();
    ARRIVED.get_or_init(|| sender);
    one_at_a_time(WARM_UP, &mut arrivals).await?;

    let region = Region::new(ALLOCATOR);
    let mut latencies = one_at_a_time(EVENTS, &mut arrivals).await?;
    let change = region.change();
    latencies.sort_unstable();
    let at = |share: f64| latencies[(latencies.len() as f64 * share) as usize].as_nanos() as f64 / 1000.0;
    println!(
        "publish to handler, one at a time: p50 {:.2} us, p99 {:.2} us, p99.9 {:.2} us",
        at(0.5),
        at(0.99),
        at(0.999)
    );
    println!(
        "an event: {:.1} allocations, {:.0} bytes",
        change.allocations as f64 / EVENTS as f64,
        change.bytes_allocated as f64 / EVENTS as f64
    );
    println!("many at once, {BATCH} a publish: {:.0} events/s", many_at_once(&mut arrivals).await?);
    std::process::exit(0);
}

fn sample(number: u64) -> Sample {
    Sample { number, text: "a text of some forty bytes, as events have".into() }
}

async fn one_at_a_time(
    count: usize,
    arrivals: &mut mpsc::UnboundedReceiver<Instant>,
) -> Result<Vec<Duration>> {
    let mut latencies = Vec::with_capacity(count);
    for number in 0..count {
        let event = sample(number as u64);
        let before = Instant::now();
        SAMPLES.publish(&event).await?;
        let arrived = arrivals.recv().await.error_context("the handler runs")?;
        latencies.push(arrived - before);
    }
    Ok(latencies)
}

async fn many_at_once(arrivals: &mut mpsc::UnboundedReceiver<Instant>) -> Result<f64> {
    let events: Vec<Sample> = (0..BATCH as u64).map(sample).collect();
    let before = Instant::now();
    for _ in 0..EVENTS / BATCH {
        for result in SAMPLES.publish_all(&events).await {
            result?;
        }
        for _ in 0..BATCH {
            arrivals.recv().await.error_context("the handler runs")?;
        }
    }
    Ok(EVENTS as f64 / before.elapsed().as_secs_f64())
}

fn main() -> std::process::ExitCode {
    // Code of another runtime finds the app of the process; it starts the measurement, which then runs inside.
    std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.expect("a runtime is made").block_on(async {
            while STARTED.load(Ordering::SeqCst) == 0 {
                START.publish(&sample(0)).await.ok();
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
    });
    this::app().main()
}
