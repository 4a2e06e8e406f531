//! One scheduled departure, and the file that holds them.

use std::{env, fs::File, io, path::PathBuf};

use serde::{Deserialize, Serialize};

/// A scheduled departure from one of New York's airports, as far as this example looks at it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Flight {
    /// The airline's code.
    pub carrier: String,
    /// The flight's number.
    pub flight: u32,
    /// Where it leaves.
    pub origin: String,
    /// Where it goes.
    pub dest: String,
    /// Minutes; none when it was cancelled.
    pub dep_delay: Option<i32>,
    /// Minutes; none when it never arrived there.
    pub arr_delay: Option<i32>,
}

/// The file of departures: `FLIGHTS`, or else January 2013.
pub fn path() -> PathBuf {
    match env::var_os("FLIGHTS") {
        Some(path) => path.into(),
        None => concat!(env!("CARGO_MANIFEST_DIR"), "/data/flights-2013-01.csv.gz").into(),
    }
}

/// Reads every departure of a gzipped CSV file, in its order.
pub fn read(path: &PathBuf) -> io::Result<Vec<Flight>> {
    let file = flate2::read::GzDecoder::new(File::open(path)?);
    csv::Reader::from_reader(file).into_deserialize().map(|row| row.map_err(io::Error::from)).collect()
}
