//! Adds up how late flights arrive, by airport, and reports those that are very late.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bis::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    departures::{self, FlightDeparted},
    flight::Flight,
};

bis::service!("delays");

/// From how many minutes on a delay is long.
pub const LONG_DELAY_MINUTES: i32 = 120;

/// Fewer arrivals than this say nothing about an airport.
const ENOUGH_ARRIVALS: u64 = 100;

/// A flight arrived very late.
#[derive(Debug, Clone, Event, Serialize, Deserialize)]
pub struct LongDelay {
    /// Which replay it is of.
    pub replay: u64,
    /// The departure's place in the file.
    pub number: u32,
    /// Whose flight.
    #[event(attribute)]
    pub carrier: String,
    /// How late, in minutes.
    pub minutes: i32,
}

/// Flights that arrived very late.
pub static LONG: Topic<LongDelay> = Topic::new("long-delay");

/// How late flights arrive.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Departures, cancelled ones too.
    pub flights: u64,
    /// Of them, cancelled.
    pub cancelled: u64,
    /// Of them, very late.
    pub long_delays: u64,
    /// By airport of destination.
    pub airports: BTreeMap<String, Airport>,
}

/// How late flights arrive at one airport.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Airport {
    /// Arrivals.
    pub arrivals: u64,
    /// Their delays in all, in minutes; early arrivals count against late ones.
    pub delay_minutes: i64,
}

impl Totals {
    /// Counts one departure.
    pub fn add(&mut self, flight: &Flight) {
        self.flights += 1;
        self.cancelled += u64::from(flight.dep_delay.is_none());
        self.long_delays += u64::from(is_long(flight).is_some());
        if let Some(minutes) = flight.arr_delay {
            let airport = self.airports.entry(flight.dest.clone()).or_default();
            airport.arrivals += 1;
            airport.delay_minutes += i64::from(minutes);
        }
    }

    /// The `count` airports where flights arrive latest on average, with that average in minutes.
    pub fn worst(&self, count: usize) -> Vec<(String, f64)> {
        let known = self.airports.iter().filter(|(_, airport)| airport.arrivals >= ENOUGH_ARRIVALS);
        let mut means: Vec<(String, f64)> = known
            .map(|(name, airport)| (name.clone(), airport.delay_minutes as f64 / airport.arrivals as f64))
            .collect();
        means.sort_by(|a, b| b.1.total_cmp(&a.1));
        means.truncate(count);
        means
    }
}

/// How late the flight arrived, when that is long.
fn is_long(flight: &Flight) -> Option<i32> {
    flight.arr_delay.filter(|minutes| *minutes >= LONG_DELAY_MINUTES)
}

/// What became of the newest replay.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    /// Whether every departure was handled.
    pub complete: bool,
    /// Departures handled a second, from the start of the replay to the last one so far.
    pub events_per_second: f64,
    /// The airports where flights arrive latest on average, with that average in minutes.
    pub worst: Vec<(String, f64)>,
    /// The sums.
    pub totals: Totals,
}

/// The newest replay, as far as it was handled.
struct Progress {
    replay: u64,
    /// Places that were counted: delivery is at least once, counting is once.
    seen: HashSet<u32>,
    of: u32,
    last: SystemTime,
    totals: Totals,
}

static PROGRESS: Mutex<Option<Progress>> = Mutex::new(None);

impl Progress {
    fn new(first: &FlightDeparted) -> Self {
        Self {
            replay: first.replay,
            seen: HashSet::new(),
            of: first.of,
            last: UNIX_EPOCH,
            totals: Totals::default(),
        }
    }

    /// Counts a departure; one that was counted before changes nothing.
    fn count(&mut self, departed: &FlightDeparted) {
        if self.seen.insert(departed.number) {
            self.totals.add(&departed.flight);
            self.last = bis::time::now();
        }
    }

    fn is_complete(&self) -> bool {
        self.seen.len() == self.of as usize
    }

    fn report(&self) -> Report {
        let began = UNIX_EPOCH + Duration::from_millis(self.replay);
        let seconds = self.last.duration_since(began).unwrap_or_default().as_secs_f64();
        Report {
            complete: self.is_complete(),
            events_per_second: (self.seen.len() as f64 / seconds.max(0.001)).round(),
            worst: self.totals.worst(5),
            totals: self.totals.clone(),
        }
    }
}

/// What became of the newest replay.
#[api(GET, "/report", public)]
async fn report() -> Result<Json<Report>> {
    let progress = progress();
    let progress =
        progress.as_ref().ok_or_else(|| Error::not_found("nothing was replayed yet: POST /replay"))?;
    Ok(Json(progress.report()))
}

#[subscription(departures::DEPARTED, name = "add-up", concurrency = 4, batch(max = 500, wait = "5ms"))]
async fn add_up(departed: Vec<FlightDeparted>) -> Result<()> {
    let long: Vec<LongDelay> = departed
        .iter()
        .filter_map(|event| {
            let FlightDeparted { replay, number, flight, .. } = event;
            let carrier = flight.carrier.clone();
            is_long(flight).map(|minutes| LongDelay { replay: *replay, number: *number, carrier, minutes })
        })
        .collect();
    for result in LONG.publish_all(&long).await {
        result?;
    }

    let mut progress = progress();
    for event in &departed {
        if progress.as_ref().is_none_or(|progress| progress.replay < event.replay) {
            *progress = Some(Progress::new(event));
        }
        if let Some(current) = progress.as_mut().filter(|progress| progress.replay == event.replay) {
            let was_complete = current.is_complete();
            current.count(event);
            if current.is_complete() && !was_complete {
                announce(&current.report());
            }
        }
    }
    Ok(())
}

/// Says how a replay went.
fn announce(report: &Report) {
    let Totals { flights, cancelled, long_delays, .. } = report.totals;
    tracing::info!(
        flights,
        cancelled,
        long_delays,
        events_per_second = report.events_per_second,
        "replay complete"
    );
    for (airport, minutes) in &report.worst {
        tracing::info!("flights to {airport} arrive {minutes:.1} minutes late on average");
    }
}

fn progress() -> MutexGuard<'static, Option<Progress>> {
    PROGRESS.lock().unwrap_or_else(PoisonError::into_inner)
}
