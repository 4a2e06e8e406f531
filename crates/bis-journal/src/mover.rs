//! Copies the few messages that keep old segments to the active one, so that the segments can go.
//!
//! It looks whenever old segments were removed, reads without the state's lock, and writes as a publisher does, slowly:
//! 256 KiB, or one message, every 10 ms. A crash between copy and removal leaves a message twice on the disk and once in its
//! channels. What fails is tried again the next time.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::journal::Journal;
use crate::options::Policy;
use crate::repeated::Repeated;

/// How much is copied at once, in bytes; at least one message.
const STEP_BYTES: usize = 256 * 1024;
/// The pause after each step.
const STEP_PAUSE: Duration = Duration::from_millis(10);

/// The pause after each look at all segments.
const ROUND_PAUSE: Duration = Duration::from_secs(1);

/// Copies until the router stops.
pub(crate) async fn run(journal: Arc<Journal>, policy: Policy) {
    let rounds = async {
        let mut failures = Repeated::default();
        loop {
            journal.expired.notified().await;
            round(&journal, &policy, &mut failures).await;
            tokio::time::sleep(ROUND_PAUSE).await;
        }
    };
    tokio::select! {
        () = rounds => {}
        () = journal.stopped() => {}
    }
}

/// Looks once at every segment, the oldest first.
async fn round(journal: &Journal, policy: &Policy, failures: &mut Repeated) {
    let segments = {
        let mut state = journal.lock();
        state.forget_handled_copies();
        state.pinned_segments(journal.clock().date(), policy)
    };
    for segment in segments {
        let pinned = journal.lock().pinned(segment);
        let Some(pinned) = pinned else { continue };
        let read = tokio::task::spawn_blocking(move || pinned.read()).await;
        match read.map_err(io::Error::other).flatten() {
            Ok(Some(records)) => {
                let messages = records.len();
                if let Err(reason) = copy(journal, &records).await {
                    let Some(before) = failures.is_due() else { return };
                    tracing::warn!(segment, %reason, before, "messages that keep an old segment could not be copied; it stays for now");
                    return;
                }
                tracing::info!(
                    segment,
                    messages,
                    "messages that keep an old segment were copied, so that it can go"
                );
            }
            Ok(None) => {}
            Err(error) => {
                let now = journal.clock().now();
                journal.lock().log.read_failed(segment, None, &error, now.0);
            }
        }
    }
}

async fn copy(journal: &Journal, mut records: &[Vec<u8>]) -> Result<(), Arc<str>> {
    while !records.is_empty() {
        let mut bytes = 0;
        let fits = records.iter().take_while(|record| {
            bytes += record.len();
            bytes <= STEP_BYTES
        });
        let (step, rest) = records.split_at(fits.count().max(1));
        let ticket = journal.lock().move_records(step)?;
        journal.kick();
        journal.decided(ticket).await?;
        records = rest;
        tokio::time::sleep(STEP_PAUSE).await;
    }
    Ok(())
}
