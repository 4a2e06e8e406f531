//! The company that takes the parcels: often out of reach, and not going everywhere.

use std::sync::{Mutex, PoisonError};

use bis::prelude::*;
use uuid::Uuid;

use crate::table::Table;

/// Where the carrier goes.
const COUNTRIES: [&str; 5] = ["AT", "CH", "DE", "FR", "IT"];

/// How the carrier can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// It always answers.
    Good,
    /// One call in three gets no answer.
    Bad,
    /// It never answers.
    Dead,
}

/// A client of the carrier.
#[derive(Debug)]
pub struct Carrier {
    line: Mutex<Line>,
    /// The parcels that were booked, by order: an order whose event comes again must not get a second one.
    parcels: Table<Uuid, String>,
}

impl Carrier {
    /// Connects to the carrier, over a bad line. A real one would read its address and credentials here.
    ///
    /// # Errors
    /// When the carrier cannot be used.
    pub async fn connect() -> Result<Self> {
        Ok(Self::over(Line::Bad))
    }

    /// A carrier that can be reached as a test needs it.
    pub fn over(line: Line) -> Self {
        Self { line: Mutex::new(line), parcels: Table::default() }
    }

    /// Changes how it can be reached.
    pub fn set_line(&self, line: Line) {
        *self.line.lock().unwrap_or_else(PoisonError::into_inner) = line;
    }

    /// Books a parcel, once for each order, and returns its number.
    ///
    /// # Errors
    /// When the carrier does not answer, which a retry cures, or does not go there, which none does.
    pub async fn book(&self, order: Uuid, country: &str) -> Result<String> {
        let mut parcels = self.parcels.lock();
        if let Some(parcel) = parcels.get(&order) {
            return Ok(parcel.clone());
        }
        if !COUNTRIES.contains(&country) {
            return Err(Error::permanent(format!("the carrier does not go to `{country}`")));
        }
        let answers = match *self.line.lock().unwrap_or_else(PoisonError::into_inner) {
            Line::Good => true,
            Line::Bad => fastrand::u8(0..3) > 0,
            Line::Dead => false,
        };
        if !answers {
            return Err(Error::msg("the carrier does not answer"));
        }
        let parcel = format!("P-{:08}", fastrand::u32(0..100_000_000));
        parcels.insert(order, parcel.clone());
        Ok(parcel)
    }
}
