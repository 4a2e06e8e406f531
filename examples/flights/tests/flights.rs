//! What the services add up from events is what one adds up from the file.

use std::collections::BTreeMap;

use bis::{TestApp, prelude::*};
use flights::{
    delays::{LONG_DELAY_MINUTES, Report, Totals},
    departures::Replay,
    flight,
};

#[bis::test(app = flights::app)]
async fn a_month_of_departures_adds_up(app: TestApp) -> Result<()> {
    let flights = flight::read(&flight::path())?;
    let mut direct = Totals::default();
    let mut long_by_carrier = BTreeMap::<String, usize>::new();
    for flight in &flights {
        direct.add(flight);
        if flight.arr_delay.is_some_and(|minutes| minutes >= LONG_DELAY_MINUTES) {
            *long_by_carrier.entry(flight.carrier.clone()).or_default() += 1;
        }
    }
    assert_eq!((direct.flights, direct.cancelled), (27_004, 521));

    let replay: Replay = app.post("/replay", &()).await?;
    assert_eq!(replay.published, 27_004);
    app.settle().await;

    let report: Report = app.get("/report").await?;
    assert!(report.complete);
    assert_eq!(report.totals, direct);
    let alerts: BTreeMap<String, usize> = app.get("/alerts").await?;
    assert_eq!(alerts, long_by_carrier);
    Ok(())
}
