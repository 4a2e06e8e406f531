//! A box office: the app that the guide quotes. Its state is in memory, so that it needs nothing but Bis.

pub mod board;
pub mod mail;
pub mod sales;
pub mod seats;
pub mod site;
pub mod statistics;

bis::app!(services: [sales, seats, mail, board, statistics, site]);
