//! The shop as its customers meet it, on virtual time.

use axum::{
    body::{Body, BodyDataStream},
    extract::Request,
};
use bis::prelude::*;
use futures_util::StreamExt;
use shop::{
    carrier::{Carrier, Line},
    cart::{self, Item},
    email::{self, SignedUp},
    orders::{self, Order, PlaceOrder},
    shipping,
    staff::Staff,
};

fn item(quantity: u32) -> Item {
    Item { sku: "book".into(), quantity, price_cents: 1250 }
}

/// Fills a cart and orders what is in it.
async fn order(app: &TestApp, customer: &str, country: &str) -> Result<Order> {
    let _: Vec<Item> = app.post(&format!("/carts/{customer}/items"), &item(2)).await?;
    let email = format!("{customer}@example.org");
    app.post("/orders", &PlaceOrder { customer: customer.into(), email, country: country.into() }).await
}

#[bis::test(app = shop::app)]
async fn an_order_reaches_every_service(app: TestApp) -> Result<()> {
    let placed = order(&app, "ada", "CH").await?;
    assert_eq!((placed.total_cents, placed.parcel), (2500, None));
    app.settle().await;

    let shipped = app.published(&shipping::SHIPPED);
    assert_eq!(shipped.len(), 1);
    let order: Order = app.get(&format!("/orders/{}", placed.order_id)).await?;
    assert_eq!(order.parcel.as_ref(), Some(&shipped[0].parcel));
    let letters: Vec<String> = app.get("/emails/ada@example.org").await?;
    assert_eq!(
        letters,
        [format!("Your order {}", placed.order_id), format!("Your parcel {}", shipped[0].parcel)]
    );
    let cart: Vec<Item> = app.get("/carts/ada").await?;
    assert_eq!(cart, []);
    Ok(())
}

#[bis::test(app = shop::app)]
async fn a_carrier_that_fails_at_random_ships_everything_in_the_end(app: TestApp) -> Result<()> {
    for n in 0..50 {
        order(&app, &format!("random-{n}"), "DE").await?;
    }
    app.settle().await;
    assert_eq!(app.published(&shipping::SHIPPED).len(), 50);
    assert_eq!(app.dead(&orders::PLACED), []);
    Ok(())
}

#[bis::test(app = shop::app, with(shipping::CARRIER = Carrier::over(Line::Good)))]
async fn over_a_good_line_an_order_ships_at_the_first_attempt(app: TestApp) -> Result<()> {
    let before = app.now();
    order(&app, "ada", "DE").await?;
    app.settle().await;
    assert_eq!(app.published(&shipping::SHIPPED).len(), 1);
    // The first retry would wait for 200 ms.
    assert!(app.now().duration_since(before)? < Duration::from_millis(200));
    Ok(())
}

#[bis::test(app = shop::app, with(shipping::CARRIER = Carrier::over(Line::Dead)))]
async fn an_order_that_no_carrier_takes_becomes_a_dead_letter(app: TestApp) -> Result<()> {
    order(&app, "grace", "DE").await?;
    app.settle().await;
    assert!(app.published(&shipping::SHIPPED).is_empty());
    let dead = app.dead(&orders::PLACED);
    assert_eq!((dead.len(), dead[0].attempts), (1, 20));
    assert_eq!(dead[0].error, "the carrier does not answer");

    // The next order goes out: the carrier can be reached again.
    shipping::CARRIER.get().set_line(Line::Good);
    order(&app, "grace", "DE").await?;
    app.settle().await;
    assert_eq!(app.published(&shipping::SHIPPED).len(), 1);
    Ok(())
}

#[bis::test(app = shop::app)]
async fn only_staff_see_all_orders(app: TestApp) -> Result<()> {
    let placed = order(&app, "ada", "CH").await?;
    let refused = app.get::<Vec<Order>>("/orders").await.unwrap_err();
    assert_eq!(refused.http_status(), StatusCode::UNAUTHORIZED);

    let staff = app.as_user(Staff { name: "linus".into() });
    let all: Vec<Order> = staff.get("/orders").await?;
    assert_eq!(all, [placed]);
    Ok(())
}

/// The next server-sent event with an order.
async fn next_state(events: &mut BodyDataStream) -> Result<Order> {
    let event = events.next().await.ok_or_else(|| Error::msg("the stream goes on"))??;
    let text = String::from_utf8_lossy(&event).into_owned();
    let data = text.lines().find_map(|line| line.strip_prefix("data: "));
    Ok(serde_json::from_str(data.ok_or_else(|| Error::msg(text.clone()))?)?)
}

#[bis::test(app = shop::app, with(shipping::CARRIER = Carrier::over(Line::Dead)))]
async fn a_customer_sees_the_order_go_out(app: TestApp) -> Result<()> {
    let placed = order(&app, "ada", "CH").await?;
    let follow = Request::get(format!("/orders/{}/states", placed.order_id)).body(Body::empty())?;
    let mut events = app.request(follow).await.into_body().into_data_stream();
    assert_eq!(next_state(&mut events).await?, placed);

    shipping::CARRIER.get().set_line(Line::Good);
    app.settle().await;
    let shipped = next_state(&mut events).await?;
    assert_eq!(shipped.order_id, placed.order_id);
    assert!(shipped.parcel.is_some());
    Ok(())
}

#[bis::test(app = shop::app)]
async fn a_web_page_of_any_origin_may_call(app: TestApp) -> Result<()> {
    let asked = Request::get("/popular/book").header("origin", "https://example.org").body(Body::empty())?;
    let answer = app.request(asked).await;
    assert_eq!(answer.headers()["access-control-allow-origin"], "*");
    Ok(())
}

#[bis::test(app = shop::app)]
async fn where_the_carrier_does_not_go_the_order_becomes_a_dead_letter(app: TestApp) -> Result<()> {
    let placed = order(&app, "erik", "AQ").await?;
    app.settle().await;

    let dead = app.dead(&orders::PLACED);
    assert_eq!(dead.len(), 1);
    assert_eq!((dead[0].subscription.as_str(), dead[0].attempts), ("ship", 1));
    assert_eq!(dead[0].error, "the carrier does not go to `AQ`");
    assert_eq!(app.published(&orders::PLACED)[0].order_id, placed.order_id);
    let letters: Vec<String> = app.get("/emails/erik@example.org").await?;
    assert_eq!(letters, [format!("Your order {}", placed.order_id)]);
    Ok(())
}

#[bis::test(app = shop::app)]
async fn an_address_that_is_not_valid_gets_no_letter(app: TestApp) -> Result<()> {
    app.publish(&email::SIGNED_UP, &SignedUp { email: "nobody".into() }).await?;
    app.publish(&email::SIGNED_UP, &SignedUp { email: "grace@example.org".into() }).await?;
    app.settle().await;
    assert_eq!(app.dead(&email::SIGNED_UP).len(), 1);
    let letters: Vec<String> = app.get("/emails/grace@example.org").await?;
    assert_eq!(letters, ["Welcome"]);
    Ok(())
}

#[bis::test(app = shop::app)]
async fn what_is_popular_is_counted_in_batches(app: TestApp) -> Result<()> {
    for quantity in 1..=4 {
        let item = Item { sku: "map".into(), ..item(quantity) };
        let _: Vec<Item> = app.post("/carts/amundsen/items", &item).await?;
    }
    app.settle().await;
    let count: u32 = app.get("/popular/map").await?;
    assert_eq!(count, 10);
    assert_eq!(app.published(&cart::ITEM_ADDED).len(), 4);
    Ok(())
}

#[bis::test(app = shop::app)]
async fn an_empty_cart_cannot_be_ordered(app: TestApp) -> Result<()> {
    let request =
        PlaceOrder { customer: "nil".into(), email: "nil@example.org".into(), country: "CH".into() };
    let refused = app.post::<Order>("/orders", &request).await.unwrap_err();
    assert!(refused.to_string().contains("the cart is empty"), "{refused}");
    assert!(app.published(&orders::PLACED).is_empty());
    Ok(())
}

/// Whatever the broker does to the events: whoever orders gets one parcel, and each letter once.
#[bis::test(app = shop::app, chaos = 0..20)]
async fn what_happens_twice_has_its_effect_once(app: TestApp) -> Result<()> {
    let mut placed = Vec::new();
    for _ in 0..5 {
        // Each seed runs in this process, and has customers of its own.
        let customer = uuid::Uuid::new_v4().to_string();
        placed.push((order(&app, &customer, "FR").await?, customer));
    }
    app.settle().await;

    for (Order { order_id, .. }, customer) in placed {
        let shown: Order = app.get(&format!("/orders/{order_id}")).await?;
        let parcel = shown.parcel.error_context("the order has its parcel")?;
        let mut letters: Vec<String> = app.get(&format!("/emails/{customer}@example.org")).await?;
        letters.sort();
        assert_eq!(letters, [format!("Your order {order_id}"), format!("Your parcel {parcel}")]);
    }
    assert_eq!(app.dead(&orders::PLACED), []);
    Ok(())
}
