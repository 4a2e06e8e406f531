//! The board in the foyer: how many seats are left, as it was last told.

use std::collections::BTreeMap;

use bis::prelude::*;

use crate::{
    kept::Kept,
    reviews::{self, ShowRated},
    seats::{self, SeatsChanged},
};

bis::service!("board");

type Board = Kept<BTreeMap<String, u32>>;

static BOARD: Resource<Board> = bis::resource!(Board::open);

// The topic is ordered by show, so the last event is the newest state and can simply replace what is there.
#[subscription(seats::CHANGED)]
async fn show_on_board(changed: SeatsChanged) -> Result<()> {
    BOARD.get().lock().insert(changed.show, changed.left);
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
    let board = BOARD.get();
    let board = board.lock();
    let shown = board.iter().filter(|(_, left)| **left >= filter.at_least);
    Ok(Json(shown.map(|(show, left)| (show.clone(), *left)).collect()))
}

type Stars = Kept<BTreeMap<String, f64>>;

static STARS: Resource<Stars> = bis::resource!(Stars::open);

#[subscription(reviews::RATED, name = "show-stars")]
async fn show_stars(rated: ShowRated) -> Result<()> {
    STARS.get().lock().insert(rated.show, rated.stars);
    Ok(())
}

/// How a show was liked, once somebody said so.
#[api(GET, "/board/{show}/stars", public)]
pub async fn stars(Path(show): Path<String>) -> Result<Json<Option<f64>>> {
    Ok(Json(STARS.get().lock().get(&show).copied()))
}
