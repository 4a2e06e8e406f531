//! Replays the file: each departure becomes an event.

use std::time::UNIX_EPOCH;

use bis::prelude::*;
use serde::{Deserialize, Serialize};

use crate::flight::{self, Flight};

bis::service!("departures");

/// How many events are published at once.
const BATCH: usize = 500;

/// A flight left, or was cancelled.
#[derive(Debug, Clone, Event, Serialize, Deserialize)]
pub struct FlightDeparted {
    /// Which replay this is of: when it began, in ms since 1970.
    pub replay: u64,
    /// The departure's place in the file, from 0.
    pub number: u32,
    /// How many departures the file holds.
    pub of: u32,
    /// The departure.
    pub flight: Flight,
}

/// Departures, in the order in which they were due.
pub static DEPARTED: Topic<FlightDeparted> = Topic::new("flight-departed");

/// What a replay answers.
#[derive(Debug, Serialize, Deserialize)]
pub struct Replay {
    /// Which replay: when it began, in ms since 1970.
    pub replay: u64,
    /// How many events were published.
    pub published: u32,
}

/// Publishes every departure of the file. Answers once the broker has them all; `/report` tells what became of them.
#[api(POST, "/replay", public)]
async fn replay() -> Result<Json<Replay>> {
    let flights = flight::read(&flight::path())?;
    let of = u32::try_from(flights.len())?;
    let replay = u64::try_from(bis::time::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    let events: Vec<FlightDeparted> =
        (0..of).zip(flights).map(|(number, flight)| FlightDeparted { replay, number, of, flight }).collect();
    for batch in events.chunks(BATCH) {
        for result in DEPARTED.publish_all(batch).await {
            result?;
        }
    }
    Ok(Json(Replay { replay, published: of }))
}
