//! Counts tickets by country, many events at a time.

use std::collections::{BTreeMap, BTreeSet};

use bis::prelude::*;

use crate::{
    kept::Kept,
    sales::{self, TicketSold},
};

bis::service!("statistics");

/// What was counted, and which events were: an event that comes twice must not count twice.
type Counted = Kept<(BTreeMap<String, u64>, BTreeSet<EventId>)>;

static COUNTED: Resource<Counted> = bis::resource!(Counted::open);

#[subscription(sales::SOLD, name = "count-countries", batch(max = 500, wait = "200ms"))]
async fn count_countries(batch: Vec<Delivery<TicketSold>>) -> Result<()> {
    let counted = COUNTED.get();
    let mut counted = counted.lock();
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
    Ok(Json(COUNTED.get().lock().0.get(&country).copied().unwrap_or(0)))
}
