//! Counts long delays by airline.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use bis::prelude::*;

use crate::delays::{self, LongDelay};

bis::service!("alerts");

/// The flights that were long delayed in the newest replay, by airline.
static ALERTS: Mutex<(u64, BTreeMap<String, BTreeSet<u32>>)> = Mutex::new((0, BTreeMap::new()));

/// How many long delays each airline had in the newest replay.
#[api(GET, "/alerts", public)]
async fn alerts() -> Result<Json<BTreeMap<String, usize>>> {
    Ok(Json(locked().1.iter().map(|(carrier, flights)| (carrier.clone(), flights.len())).collect()))
}

#[subscription(delays::LONG, name = "alert")]
async fn alert(delay: LongDelay) -> Result<()> {
    let (replay, alerts) = &mut *locked();
    if delay.replay > *replay {
        *replay = delay.replay;
        alerts.clear();
    }
    if delay.replay == *replay {
        alerts.entry(delay.carrier).or_default().insert(delay.number);
    }
    Ok(())
}

fn locked() -> MutexGuard<'static, (u64, BTreeMap<String, BTreeSet<u32>>)> {
    ALERTS.lock().unwrap_or_else(PoisonError::into_inner)
}
