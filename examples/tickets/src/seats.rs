//! Knows how many seats of each show are left. Sales and returns both change it.

use std::collections::BTreeMap;

use bis::prelude::*;

use crate::kept::Kept;

bis::service!("seats");

/// How many seats each hall has.
pub const CAPACITY: u32 = 100;

/// The number of free seats has changed.
#[derive(Debug, Clone, PartialEq, Event, Serialize, Deserialize)]
pub struct SeatsChanged {
    /// The show.
    #[event(key)]
    pub show: String,
    /// How many seats are left.
    pub left: u32,
}

/// What is left of each show, in the order in which it changed.
pub static CHANGED: Topic<SeatsChanged> = Topic::new("seats-changed").ordered();

type Taken = Kept<BTreeMap<String, u32>>;

static TAKEN: Resource<Taken> = bis::resource!(Taken::open);

/// Takes the next seat of a show and returns its number.
#[api(POST, "/shows/{show}/seats", private)]
pub async fn reserve(Path(show): Path<String>) -> Result<Json<u32>> {
    let seat = {
        let taken = TAKEN.get();
        let mut taken = taken.lock();
        let seats = taken.entry(show.clone()).or_default();
        if *seats == CAPACITY {
            return Err(Error::conflict(format!("`{show}` is sold out")));
        }
        *seats += 1;
        *seats
    };
    CHANGED.publish(&SeatsChanged { show, left: CAPACITY - seat }).await?;
    Ok(Json(seat))
}

/// How many seats of a show are left.
#[api(GET, "/shows/{show}/seats", public)]
pub async fn left(Path(show): Path<String>) -> Result<Json<u32>> {
    Ok(Json(CAPACITY - TAKEN.get().lock().get(&show).copied().unwrap_or(0)))
}
