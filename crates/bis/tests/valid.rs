//! What is not valid gets no further: requests under `Valid<..>`, events under `#[event(validate)]`.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use bis::{FieldError, PublishError, prelude::*};
use serde_json::{Value, json};

/// The service under test.
mod shop {
    use std::collections::BTreeMap;

    use axum::Form;
    use bis::prelude::*;
    use garde::Validate;

    bis::service!("shop");

    #[derive(Serialize, Deserialize, Validate)]
    pub(super) struct PlaceOrder {
        #[garde(length(min = 1), dive)]
        pub(super) items: Vec<Item>,
        #[garde(custom(is_known))]
        pub(super) card: String,
    }

    #[derive(Serialize, Deserialize, Validate)]
    pub(super) struct Item {
        #[garde(ascii, length(min = 1))]
        pub(super) sku: String,
        #[garde(range(min = 1, max = 99))]
        pub(super) quantity: u32,
    }

    /// What rules may ask for. Its default is what they get.
    pub(super) struct Cards {
        known: &'static str,
    }

    impl Default for Cards {
        fn default() -> Self {
            Self { known: "4" }
        }
    }

    #[derive(Deserialize, Validate)]
    #[garde(context(Cards as cards))]
    struct Card {
        #[garde(custom(|number: &String, cards: &Cards| {
            number.starts_with(cards.known).then_some(()).ok_or_else(|| garde::Error::new("is not a known card"))
        }))]
        number: String,
    }

    fn is_known(number: &str, _: &()) -> garde::Result {
        number.starts_with('4').then_some(()).ok_or_else(|| garde::Error::new("is not a known card"))
    }

    #[derive(Deserialize, Validate)]
    struct Page {
        #[garde(range(max = 100))]
        limit: u32,
    }

    #[api(POST, "/orders", public)]
    pub(super) async fn place(order: Valid<Json<PlaceOrder>>) -> Result<Json<usize>> {
        let Json(order) = order.into_inner();
        Ok(Json(order.items.len()))
    }

    #[api(POST, "/shops/{shop}/orders", public)]
    async fn place_at(
        shop: Valid<Path<BTreeMap<String, Item>>>,
        page: Valid<Query<Page>>,
        order: Valid<Json<PlaceOrder>>,
    ) -> String {
        format!("{} {} {}", shop.len(), page.limit, order.items.len())
    }

    #[api(GET, "/orders", public)]
    async fn list(page: Valid<Query<Page>>, _: axum::http::HeaderMap) -> String {
        page.limit.to_string()
    }

    #[api(POST, "/pages", public)]
    async fn form(page: Valid<Form<Page>>) -> String {
        page.limit.to_string()
    }

    #[api(POST, "/cards", public)]
    async fn card(card: Valid<Json<Card>>) -> String {
        card.number.clone()
    }

    #[api(GET, "/items/{sku}/{quantity}", public)]
    async fn item(item: Valid<Path<Item>>, _: Query<Page>) -> String {
        item.sku.clone()
    }

    #[derive(Debug, Event, Serialize, Deserialize, Validate)]
    #[event(validate)]
    pub(super) struct Placed {
        #[garde(length(min = 1), custom(no_spaces))]
        #[event(sensitive)]
        pub(super) card: String,
        #[garde(inner(range(min = 1)))]
        pub(super) quantities: Vec<u32>,
    }

    /// A rule whose message holds the value.
    fn no_spaces(card: &str, _: &()) -> garde::Result {
        match card.contains(' ') {
            true => Err(garde::Error::new(format!("`{card}` has a space"))),
            false => Ok(()),
        }
    }

    pub(super) static PLACED: Topic<Placed> = Topic::new("placed");

    #[derive(Event, Serialize, Deserialize)]
    pub(super) struct Started;

    pub(super) static STARTED: Topic<Started> = Topic::new("started");

    /// Publishes what is not valid.
    #[subscription(STARTED)]
    async fn start(_: Started) -> Result<()> {
        PLACED.publish(&Placed { card: String::new(), quantities: vec![1] }).await.error_context("place")?;
        Ok(())
    }

    #[subscription(PLACED)]
    async fn ship(_: Placed) -> Result<()> {
        Ok(())
    }
}

bis::app!(services: [shop]);

/// Status and body of an answer.
async fn answer(app: &TestApp, method: &str, path: &str, media_type: &str, body: String) -> (u16, Value) {
    let request = Request::builder().method(method).uri(path).header("content-type", media_type);
    let response = app.request(request.body(Body::from(body)).unwrap()).await;
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    let text = || Value::String(String::from_utf8_lossy(&body).into_owned());
    (status, serde_json::from_slice(&body).unwrap_or_else(|_| text()))
}

async fn post(app: &TestApp, path: &str, body: &Value) -> (u16, Value) {
    answer(app, "POST", path, "application/json", body.to_string()).await
}

#[track_caller]
fn check((status, problem): (u16, Value), expected: u16, errors: &Value) {
    assert_eq!(status, expected, "{problem}");
    assert_eq!(&problem["errors"], errors);
    assert!(problem["trace_id"].is_string() && problem["code"].is_string(), "{problem}");
}

#[bis::test(app = app)]
async fn every_wrong_field_is_listed(app: TestApp) -> Result<()> {
    let good = json!({ "items": [{ "sku": "a", "quantity": 1 }], "card": "4111" });
    assert_eq!(app.post::<usize>("/orders", &good).await?, 1);
    let bad = json!({
        "items": [{ "sku": "a", "quantity": 1 }, { "sku": "", "quantity": 0 }, { "sku": "\u{e9}", "quantity": 100 }],
        "card": "5111 1111"
    });
    let expected = json!([
        { "path": "card", "message": "is not a known card" },
        { "path": "items[1].quantity", "message": "lower than 1" },
        { "path": "items[1].sku", "message": "length is lower than 1" },
        { "path": "items[2].quantity", "message": "greater than 99" },
        { "path": "items[2].sku", "message": "not ascii" },
    ]);
    let (status, mut problem) = post(&app, "/orders", &bad).await;
    assert!(!problem.to_string().contains("5111"), "{problem}");
    problem["errors"].as_array_mut().unwrap().sort_by_key(|error| error["path"].to_string());
    check((status, problem), 422, &expected);
    Ok(())
}

#[bis::test(app = app)]
async fn what_does_not_deserialize_is_answered_in_the_same_shape(app: TestApp) {
    let (status, problem) = answer(&app, "POST", "/orders", "application/json", "{".into()).await;
    assert_eq!((status, &problem["code"]), (400, &json!("bad_request")));
    let lacking = json!({ "items": [{ "sku": "a" }], "card": "4" });
    let message = "missing field `quantity` at line 1 column 37";
    let (status, problem) = post(&app, "/orders", &lacking).await;
    assert!(problem["errors"][0]["message"].as_str().unwrap().starts_with(&message[..24]), "{problem}");
    assert_eq!((status, &problem["errors"][0]["path"]), (422, &json!("items[0].quantity")));
}

#[bis::test(app = app)]
async fn every_extractor_can_be_validated(app: TestApp) {
    let form = "application/x-www-form-urlencoded";
    let over = json!([{ "path": "limit", "message": "greater than 100" }]);
    assert_eq!(answer(&app, "GET", "/orders?limit=7", "x/y", String::new()).await, (200, json!(7)));
    check(answer(&app, "GET", "/orders?limit=101", "x/y", String::new()).await, 422, &over);
    assert_eq!(answer(&app, "POST", "/pages", form, "limit=7".into()).await, (200, json!(7)));
    check(answer(&app, "POST", "/pages", form, "limit=101".into()).await, 422, &over);
    let none = json!([{ "path": "quantity", "message": "lower than 1" }]);
    check(answer(&app, "GET", "/items/a/0?limit=1", "x/y", String::new()).await, 422, &none);
    assert_eq!(answer(&app, "GET", "/items/a/1?limit=101", "x/y", String::new()).await, (200, json!("a")));
}

#[bis::test(app = app)]
async fn rules_get_the_default_of_their_context(app: TestApp) {
    assert_eq!(post(&app, "/cards", &json!({ "number": "4111" })).await, (200, json!(4111)));
    let unknown = json!([{ "path": "number", "message": "is not a known card" }]);
    check(post(&app, "/cards", &json!({ "number": "5111" })).await, 422, &unknown);
}

#[bis::test(app = app)]
async fn a_caller_cannot_make_what_is_not_valid(app: TestApp) -> Result<()> {
    let order = |quantity| {
        let items = vec![shop::Item { sku: "a".into(), quantity }];
        Json(shop::PlaceOrder { items, card: "4111".into() })
    };
    assert_eq!(shop::place(Valid::new(order(1))?).await?.0, 1);
    let error = Valid::new(order(0)).map(drop).unwrap_err();
    assert_eq!(error.http_status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(error.to_string(), "not valid: `items[0].quantity`: lower than 1");
    assert!(error.is_permanent() && app.now() > std::time::UNIX_EPOCH);
    Ok(())
}

#[bis::test(app = app)]
async fn an_event_that_is_not_valid_is_not_published(app: TestApp) -> Result<()> {
    let placed = |card: &str, quantity| shop::Placed { card: card.into(), quantities: vec![1, quantity] };
    app.publish(&shop::PLACED, &placed("4111", 1)).await?;
    let error = app.publish(&shop::PLACED, &placed("4111 2222", 0)).await.unwrap_err();
    let PublishError::Invalid { fields, .. } = &error else { panic!("{error}") };
    let field = |path: &str, message: &str| FieldError { path: path.into(), message: message.into() };
    assert_eq!(
        *fields,
        [field("card", "`[redacted]` has a space"), field("quantities[1]", "lower than 1")],
        "no sensitive value is told"
    );
    assert!(error.to_string().ends_with("`quantities[1]`: lower than 1 [BIS1080]"), "{error}");
    assert!(Error::from(error).is_permanent());

    let results = shop::PLACED.publish_all(&[placed("4", 0), placed("4", 1)]).await;
    assert!(matches!(&results[..], [Err(PublishError::Invalid { .. }), Ok(_)]), "{results:?}");
    assert_eq!(app.published(&shop::PLACED).len(), 2);
    Ok(())
}

#[bis::test(app = app)]
async fn a_handler_that_publishes_what_is_not_valid_is_not_retried(app: TestApp) -> Result<()> {
    app.publish(&shop::STARTED, &shop::Started).await?;
    app.settle().await;
    let dead = app.dead(&shop::STARTED);
    assert_eq!((dead[0].reason, dead[0].attempts), (bis::DeadReason::Permanent, 1));
    assert!(dead[0].error.contains("`card`: length is lower than 1"), "{}", dead[0].error);
    Ok(())
}

#[bis::test(app = app)]
async fn an_event_that_is_older_than_a_rule_is_still_handled(app: TestApp) -> Result<()> {
    app.publish_bytes(&shop::PLACED, r#"{"card":"","quantities":[0]}"#).await?;
    app.settle().await;
    assert!(app.dead(&shop::PLACED).is_empty());
    Ok(())
}
