//! The board in the foyer: how many seats are left, as it was last told.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use bis::prelude::*;

use crate::seats::{self, SeatsChanged};

bis::service!("board");

static BOARD: Mutex<BTreeMap<String, u32>> = Mutex::new(BTreeMap::new());

// The topic is ordered by show, so the last event is the newest state and can simply replace what is there.
#[subscription(seats::CHANGED)]
async fn show_on_board(changed: SeatsChanged) -> Result<()> {
    BOARD.lock().unwrap_or_else(PoisonError::into_inner).insert(changed.show, changed.left);
    Ok(())
}

/// Which part of the board to show.
#[derive(Debug, Deserialize)]
pub struct Filter {
    /// Only shows with at least this many seats.
    #[serde(default)]
    pub at_least: u32,
}

/// The board, as in `/board?at_least=2`.
#[api(GET, "/board", public)]
pub async fn board(Query(filter): Query<Filter>) -> Result<Json<BTreeMap<String, u32>>> {
    let board = BOARD.lock().unwrap_or_else(PoisonError::into_inner);
    let shown = board.iter().filter(|(_, left)| **left >= filter.at_least);
    Ok(Json(shown.map(|(show, left)| (show.clone(), *left)).collect()))
}
