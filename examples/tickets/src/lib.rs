//! A box office: the app that the guide quotes. Its state is in memory, so that it needs nothing but Bis.

pub mod board;
pub mod kept;
pub mod mail;
pub mod prices;
pub mod reviews;
pub mod sales;
pub mod seats;
pub mod site;
pub mod statistics;

use tower_http::cors::CorsLayer;

bis::app!(
    services: [sales, seats, mail, board, statistics, reviews, prices, site],
    layers: [CorsLayer::permissive()],
);
