//! Both services together: the test waits until every event is handled, on a clock that does not make it wait.

use bis::prelude::*;
use {{crate}}::orders::{Order, PLACED, PlaceOrder};
use {{crate}}::shipping::SHIPPED;

#[bis::test(app = {{crate}}::app)]
async fn an_order_ships(app: TestApp) -> Result<()> {
    let order: Order = app.post("/orders", &PlaceOrder { item: "tea".into(), quantity: 2 }).await?;
    assert_eq!(order.status, "placed");
    app.settle().await;
    assert_eq!(app.published(&SHIPPED)[0].order_id, order.order_id);
    let order: Order = app.get(&format!("/orders/{}", order.order_id)).await?;
    assert_eq!(order.status, "shipped");
    Ok(())
}

#[bis::test(app = {{crate}}::app)]
async fn an_empty_order_becomes_a_dead_letter(app: TestApp) -> Result<()> {
    let _: Order = app.post("/orders", &PlaceOrder { item: "tea".into(), quantity: 0 }).await?;
    app.settle().await;
    assert_eq!(app.dead(&PLACED).len(), 1);
    assert!(app.published(&SHIPPED).is_empty());
    Ok(())
}
