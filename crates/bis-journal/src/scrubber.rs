//! Reads sealed segments in the background, slowly, so that damage is reported before somebody needs the data.
//!
//! At most 8 MiB a second, each segment when it was sealed or found and then once a day. It never writes, and never holds
//! the state's lock while it reads.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::files::scrub::{Scrub, Step};
use crate::journal::Journal;

/// The pause after each step, which reads 1 MiB.
const STEP_PAUSE: Duration = Duration::from_millis(125);
/// How often newly sealed segments are looked for.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// How often all are read again.
const ROUND: Duration = Duration::from_secs(24 * 60 * 60);

/// Verifies until the router stops.
pub(crate) async fn run(journal: Arc<Journal>) {
    let rounds = async {
        let (mut last, mut began) = (0, Instant::now());
        loop {
            if began.elapsed() >= ROUND {
                (last, began) = (0, Instant::now());
            }
            let next = journal.lock().log.sealed_after(last);
            let Some((segment, scrub)) = next else {
                tokio::time::sleep(LOOK_AGAIN).await;
                continue;
            };
            verify(&journal, segment, scrub).await;
            last = segment;
            tokio::time::sleep(STEP_PAUSE).await;
        }
    };
    tokio::select! {
        () = rounds => {}
        () = journal.stopped() => {}
    }
}

async fn verify(journal: &Journal, segment: u64, mut scrub: Scrub) {
    loop {
        let step = tokio::task::spawn_blocking(move || {
            let step = scrub.step();
            (scrub, step)
        });
        let Ok((back, step)) = step.await else { return };
        scrub = back;
        match step {
            Ok(Step::More) => {}
            Ok(Step::Sound) => return,
            Ok(Step::Damaged(damage)) => {
                let mut state = journal.lock();
                damage.iter().for_each(|damage| state.log.report(damage));
                return;
            }
            Err(error) => {
                let now = journal.clock().now();
                journal.lock().log.read_failed(segment, None, &error, now.0);
                return;
            }
        }
        tokio::time::sleep(STEP_PAUSE).await;
    }
}
