//! An app without a broker: one event at a time, from the call of `publish` to its handler, which lets the next one go.
//!
//! Of the allocations, two are the app's own: the text that is published and the text that the handler gets. The others are the
//! event's JSON, its envelope, which all subscriptions share, the task of the handler's run, and the handler's future, whose type
//! is not known to the runtime. Waiting for an event, receiving it and settling it allocate nothing.

use std::sync::{
    OnceLock,
    atomic::{AtomicBool, Ordering},
};

use bis::prelude::*;
use tokio::sync::mpsc;

bis::service!("instructions");

mod this {
    bis::app!(services: [crate::scenarios::in_process]);
}

#[derive(Event, Serialize, Deserialize)]
struct Sample {
    number: u64,
    text: String,
}

static START: Topic<Sample> = Topic::new("start");
static SAMPLES: Topic<Sample> = Topic::new("samples");
static COUNT: OnceLock<u64> = OnceLock::new();
static ARRIVED: OnceLock<mpsc::Sender<u64>> = OnceLock::new();
static STARTED: AtomicBool = AtomicBool::new(false);

#[subscription(SAMPLES)]
async fn arrive(sample: Sample) -> Result<()> {
    if let Some(sender) = ARRIVED.get() {
        sender.try_send(sample.number)?;
    }
    Ok(())
}

/// The measured part runs in a handler: the app has no other code.
#[subscription(START, timeout = "10m")]
async fn measure(_: Sample) -> Result<()> {
    if STARTED.swap(true, Ordering::SeqCst) {
        return Ok(());
    }
    let (sender, mut arrivals) = mpsc::channel(1);
    ARRIVED.get_or_init(|| sender);
    for number in 0..COUNT.get().copied().unwrap_or(0) {
        SAMPLES.publish(&sample(number)).await?;
        let arrived = arrivals.recv().await.error_context("the handler runs")?;
        (arrived == number).then_some(()).error_context("events arrive in their order")?;
    }
    crate::print_totals();
    std::process::exit(0);
}

fn sample(number: u64) -> Sample {
    Sample { number, text: "a text of some forty bytes, as events have".into() }
}

/// Runs the app, which ends the process.
pub fn run(count: usize) -> anyhow::Result<()> {
    COUNT.get_or_init(|| count as u64);
    // Code of another runtime finds the app of the process; it starts the measurement, which then runs inside.
    std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.expect("the system gives a thread a runtime").block_on(async {
            // What is published before the subscription is there reaches nobody.
            while !STARTED.load(Ordering::SeqCst) {
                START.publish(&sample(0)).await.ok();
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
    });
    let code = this::app().main();
    anyhow::bail!("the app ended before it was measured: {code:?}")
}
