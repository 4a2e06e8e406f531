//! Counts tickets by country, many events at a time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use bis::prelude::*;

use crate::sales::{self, TicketSold};

bis::service!("statistics");

/// What was counted, and which events were: an event that comes twice must not count twice.
static COUNTED: Mutex<(BTreeMap<String, u64>, BTreeSet<EventId>)> =
    Mutex::new((BTreeMap::new(), BTreeSet::new()));

#[subscription(sales::SOLD, name = "count-countries", batch(max = 500, wait = "200ms"))]
async fn count_countries(batch: Vec<Delivery<TicketSold>>) -> Result<()> {
    let mut counted = COUNTED.lock().unwrap_or_else(PoisonError::into_inner);
    let (countries, seen) = &mut *counted;
    for sold in batch {
        if seen.insert(sold.id().clone()) {
            *countries.entry(sold.country.clone()).or_default() += 1;
        }
    }
    Ok(())
}

/// How many tickets went to a country.
#[api(GET, "/statistics/{country}", public)]
pub async fn tickets(Path(country): Path<String>) -> Result<Json<u64>> {
    let counted = COUNTED.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(Json(counted.0.get(&country).copied().unwrap_or(0)))
}
