//! Functions at the start, at the stop and in the background, from source to graph.

mod common;

use common::{analyze, check, codes, text};

const APP: &str = r#"
//- src/lib.rs
pub mod orders;
pub mod prices;
bis::app!(services: [orders, prices]);
//- src/main.rs
fn main() -> std::process::ExitCode { shop::app().main() }
//- src/prices.rs
use bis::prelude::*;
bis::service!("prices");
#[api(GET, "/price", private)]
pub async fn price() -> Result<Json<u32>> { Ok(Json(7)) }
//- src/orders.rs
use bis::prelude::*;
use crate::prices;
bis::service!("orders");

#[derive(Event, Serialize, Deserialize)]
pub struct Chased { pub n: u32 }
pub static CHASED: Topic<Chased> = Topic::new("chased");

#[subscription(CHASED)]
async fn hear(_: Chased) -> Result<()> {
    prices::price().await?;
    Ok(())
}
"#;

#[test]
fn functions_are_in_the_graph_with_what_they_use() {
    check(
        &format!(
            r#"{APP}
#[on_start]
async fn warm() -> Result<()> {{
    prices::price().await?;
    Ok(())
}}
#[bis::on_stop]
async fn goodbye() -> Result<()> {{
    chase().await
}}
#[background]
async fn idle() -> Result<()> {{
    bis::stopping().await;
    Ok(())
}}
#[background(restart(max_backoff = "5m"))]
async fn chase() -> Result<()> {{
    loop {{
        CHASED.publish(&Chased {{ n: 1 }}).await?;
        tracing::info!(price = ?prices::price().await);
    }}
}}
"#
        ),
        "
service orders = shop::orders
service prices = shop::prices
topic chased : shop::orders::Chased <- [orders]
subscription chased/hear -> orders (shop::orders::hear : shop::orders::Chased)
endpoint GET /price -> prices (shop::prices::price)
on_start shop::orders::warm -> orders [calls price of prices]
on_stop shop::orders::goodbye -> orders
background shop::orders::idle (1000..60000) -> orders
background shop::orders::chase (1000..300000) -> orders [topic chased publish] [calls price of prices]
",
    );
}

#[test]
fn waits_on_tokios_time_are_warned_of_in_background_functions_alone() {
    let analysis = analyze(&format!(
        r#"{APP}
/// Chases late orders.
#[background]
async fn chase() -> Result<()> {{
    tokio::select! {{
        _ = tokio::time::sleep(Duration::from_secs(1)) => {{}}
        _ = bis::time::sleep(tokio::time::Duration::from_secs(1)) => {{}}
    }}
    let mut every = ::tokio::time::interval(Duration::from_secs(1));
    CHASED.publish(&Chased {{ n: 1 }}).await?;
    Ok(())
}}
#[on_start]
async fn warm() -> Result<()> {{
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok(())
}}
"#
    ));
    let lines: Vec<_> = analysis.diagnostics.iter().map(|one| one.position.as_ref().unwrap().line).collect();
    assert_eq!(codes(&analysis), ["BIS0064", "BIS0064"], "{}", text(&analysis));
    assert_eq!(lines[1] - lines[0], 3);
    assert_eq!(analysis.graph.background[0].description.as_deref(), Some("Chases late orders."));
}

#[test]
fn what_cannot_be_called_is_refused() {
    let analysis = analyze(&format!(
        r#"{APP}
#[on_start]
fn warm(every: u32) {{}}
#[background(restart(min = "1s"))]
async fn chase() -> Result<()> {{ Ok(()) }}
struct Shop;
impl Shop {{
    #[on_stop]
    async fn goodbye() -> Result<()> {{ Ok(()) }}
}}
"#
    ));
    assert_eq!(
        codes(&analysis),
        ["BIS0026", "BIS0016", "BIS0016", "BIS0016", "BIS0012", "BIS0029"],
        "{}",
        text(&analysis)
    );
}

#[test]
fn a_function_outside_every_service_is_an_error() {
    let app = APP.replace("bis::service!(\"orders\");", "").replace("[orders, prices]", "[prices]");
    let analysis = analyze(&format!("{app}\n#[background]\nasync fn chase() -> Result<()> {{ Ok(()) }}\n"));
    assert!(text(&analysis).contains("the handler `chase` is outside every service"), "{}", text(&analysis));
}
