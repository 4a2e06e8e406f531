//! What an error says: to clients as problem details, to handlers' runtimes as a decision about the event.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use bis::prelude::*;
use serde_json::{Value, json};

/// The service under test.
mod shop {
    use bis::prelude::*;

    bis::service!("shop");

    #[api(POST, "/carts/{cart}/order", public)]
    async fn order(Path(cart): Path<String>) -> Result<()> {
        match cart.as_str() {
            "empty" => Err(Error::conflict("the cart is empty")
                .with_code("cart_empty")
                .with_member("cart", &cart)
                .context("order")),
            "typed" => Err(Error::conflict("the cart is empty")
                .with_member("type", "https://example.com/problems/empty-cart")
                .with_member("title", "The cart is empty")),
            "gone" => Err(Error::msg("the password is 1234").with_status(StatusCode::GONE)),
            "busy" => Err(Error::unavailable("in a minute").retry_after(Duration::from_millis(60_500))),
            "wrong" => Err(Error::invalid([("items[2].sku", "is not for sale"), ("", "has no address")])),
            _ => Err(std::io::Error::other("the password is 1234"))?,
        }
    }
}

/// What handlers return.
mod shipping {
    use bis::prelude::*;

    bis::service!("shipping");

    #[derive(Event, Serialize, Deserialize)]
    pub(super) struct Placed {
        pub(super) how: String,
    }

    impl Placed {
        pub(super) fn of(how: &str) -> Self {
            Self { how: how.to_owned() }
        }
    }

    pub(super) static PLACED: Topic<Placed> = Topic::new("placed");

    /// The endpoint that the handler calls.
    #[api(POST, "/ship/{how}", private)]
    pub(super) async fn ship(Path(how): Path<String>) -> Result<()> {
        let minute = Duration::from_secs(60);
        let error = match how.as_str() {
            "io" => std::io::Error::other("disk full").into(),
            "permanent" => Error::permanent("no such customer"),
            "bad_request" => Error::bad_request("no such country"),
            "invalid" => Error::invalid([("country", "is not known")]),
            "gone" => Error::msg("closed").with_status(StatusCode::GONE),
            "forbidden" => Error::forbidden("not yours"),
            "not_found" => Error::not_found("no such order"),
            "conflict" => Error::conflict("in use"),
            "settled" => Error::permanent(Error::conflict("in use")),
            "busy" => Error::too_many_requests("slowly").retry_after(minute),
            "moment" => Error::unavailable("in a moment").retry_after(Duration::from_millis(1)),
            "day" => Error::unavailable("tomorrow").retry_after(minute * 60 * 24),
            "again" => Error::bad_request("the catalogue is old").retry_after(minute),
            how => Error::msg(format!("`{how}`?")),
        };
        Err(error)
    }

    #[subscription(PLACED, retry(max = 2, min_backoff = "10s", max_backoff = "10m"))]
    async fn handle(placed: Placed) -> Result<()> {
        ship(Path(placed.how)).await.error_context("ship")
    }

    #[subscription(
        PLACED,
        batch(max = 10, wait = "1s"),
        retry(max = 2, min_backoff = "10s", max_backoff = "10m")
    )]
    async fn handle_several(placed: Vec<Placed>) -> Result<()> {
        for placed in placed {
            ship(Path(placed.how)).await?;
        }
        Ok(())
    }
}

bis::app!(services: [shop, shipping]);

/// The body of the answer to a `POST` with no body, within the trace `4b..36`.
async fn problem(app: &TestApp, path: &str) -> Value {
    let request = Request::post(path)
        .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        .body(Body::empty())
        .unwrap();
    let response = app.request(request).await;
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["status"], status);
    body
}

#[bis::test(app = app)]
async fn every_error_is_a_problem_with_the_trace_of_its_request(app: TestApp) {
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    assert_eq!(
        problem(&app, "/carts/empty/order").await,
        json!({
            "type": "about:blank", "title": "Conflict", "status": 409, "detail": "the cart is empty",
            "code": "cart_empty", "trace_id": trace, "cart": "empty"
        })
    );
    assert_eq!(
        problem(&app, "/carts/typed/order").await,
        json!({
            "type": "https://example.com/problems/empty-cart", "title": "The cart is empty", "status": 409,
            "detail": "the cart is empty", "code": "conflict", "trace_id": trace
        })
    );
    assert_eq!(
        problem(&app, "/carts/wrong/order").await,
        json!({
            "type": "about:blank", "title": "Unprocessable Entity", "status": 422,
            "detail": "not valid: `items[2].sku`: is not for sale, has no address",
            "code": "unprocessable_entity", "trace_id": trace,
            "errors": [
                { "path": "items[2].sku", "message": "is not for sale" },
                { "path": "", "message": "has no address" }
            ]
        })
    );
}

#[bis::test(app = app)]
async fn a_text_that_was_not_written_for_clients_is_not_in_the_answer(app: TestApp) {
    let gone = problem(&app, "/carts/gone/order").await;
    assert_eq!((&gone["detail"], &gone["code"]), (&json!("the request was refused"), &json!("gone")));
    let internal = problem(&app, "/carts/io/order").await;
    assert_eq!((&internal["detail"], &internal["code"]), (&json!("internal error"), &json!("internal")));
}

#[bis::test(app = app)]
async fn a_test_reads_what_the_answer_says(app: TestApp) {
    let error = app.post::<()>("/carts/empty/order", &()).await.unwrap_err();
    assert_eq!((error.http_status(), &*error.code()), (StatusCode::CONFLICT, "cart_empty"));
    assert_eq!(error.to_string(), "POST /carts/empty/order answered 409 Conflict: the cart is empty");
    let busy = app.request(Request::post("/carts/busy/order").body(Body::empty()).unwrap()).await;
    assert_eq!(busy.headers()["retry-after"], "61", "a part of a second is waited for too");
    let busy = app.post::<()>("/carts/busy/order", &()).await.unwrap_err();
    assert_eq!(busy.retry_wait(), Some(Duration::from_secs(61)));
    let error = app.post::<()>("/carts/wrong/order", &()).await.unwrap_err();
    assert_eq!(error.field_errors()[0].path, "items[2].sku");
}

/// Each trait's method on each kind of value, in modules that import both traits.
mod contexts {
    use anyhow::Context as _;
    use bis::{ErrorContext as _, prelude::*};

    fn io() -> std::io::Result<()> {
        Err(std::io::Error::other("disk full"))
    }

    fn of_anyhow() -> anyhow::Result<()> {
        io().context("write")?;
        None.context("nothing to write")
    }

    /// In a module of its own, since its trait and that of anyhow clash.
    mod with_eyre {
        use bis::prelude::*;
        use eyre::WrapErr as _;

        pub(super) fn save() -> Result<()> {
            super::io().context("write").error_context("save")
        }
    }

    fn of_miette() -> miette::Result<()> {
        Err(miette::miette!("disk full"))
    }

    fn ours() -> Result<()> {
        io().error_context("write")
    }

    /// Every error, as `{:#}` shows it.
    pub(super) fn all() -> Vec<String> {
        let none = || None::<()>;
        let all: [Result<()>; 8] = [
            io().error_context("save"),
            none().error_context("save"),
            of_anyhow().error_context("save"),
            of_anyhow().context("save").map_err(Error::from),
            with_eyre::save(),
            of_miette().error_context("save"),
            ours().error_context("save"),
            (|| Ok(of_anyhow()?))(),
        ];
        all.into_iter().map(|result| format!("{:#}", result.unwrap_err())).collect()
    }
}

#[test]
fn our_context_and_that_of_others_do_not_clash() {
    assert_eq!(
        contexts::all(),
        [
            "save: disk full",
            "save",
            "save: write: disk full",
            "save: write: disk full",
            "save: write: disk full",
            "save: disk full",
            "save: write: disk full",
            "write: disk full",
        ]
    );
}

/// What a handler that fails so makes of its event: why it is dead, after how many attempts, and how many seconds later.
async fn fate(app: &TestApp, how: &str) -> (bis::DeadReason, u32, u64) {
    let begun = app.now();
    let before = app.dead(&shipping::PLACED).len();
    app.publish(&shipping::PLACED, &shipping::Placed::of(how)).await.unwrap();
    app.settle().await;
    let dead = app.dead(&shipping::PLACED).split_off(before);
    let letter = dead.iter().find(|letter| letter.subscription.as_str() == "handle").unwrap();
    let seconds = letter.at.duration_since(begun).unwrap().as_secs();
    (letter.reason, letter.attempts, seconds)
}

#[bis::test(app = app)]
async fn what_is_wrong_with_the_request_is_wrong_with_the_event(app: TestApp) {
    for how in ["permanent", "bad_request", "invalid", "gone", "settled"] {
        assert_eq!(fate(&app, how).await, (bis::DeadReason::Permanent, 1, 0), "{how}");
    }
    for how in ["io", "forbidden", "not_found", "conflict"] {
        let (reason, attempts, seconds) = fate(&app, how).await;
        assert_eq!((reason, attempts), (bis::DeadReason::Exhausted, 2), "{how}");
        assert!((10..13).contains(&seconds), "{how}: {seconds}");
    }
}

#[bis::test(app = app)]
async fn an_error_that_says_when_is_retried_then_within_the_policys_bounds(app: TestApp) {
    for (how, seconds) in [("busy", 60..=75), ("moment", 10..=12), ("day", 600..=600), ("again", 60..=75)] {
        let (reason, attempts, waited) = fate(&app, how).await;
        assert_eq!((reason, attempts), (bis::DeadReason::Exhausted, 2), "{how}");
        assert!(seconds.contains(&waited), "{how}: {waited}");
    }
}

#[bis::test(app = app)]
async fn a_batch_that_failed_together_waits_as_its_error_says(app: TestApp) {
    let begun = app.now();
    for result in shipping::PLACED.publish_all(&["busy", "busy"].map(shipping::Placed::of)).await {
        result.unwrap();
    }
    app.settle().await;
    let dead = app.dead(&shipping::PLACED);
    let waits: Vec<_> = dead
        .iter()
        .filter(|letter| letter.subscription.as_str() == "handle-several")
        .map(|letter| letter.at.duration_since(begun).unwrap().as_secs())
        .collect();
    // Once together, which does not count, and twice alone.
    assert!(waits.len() == 2 && waits.iter().all(|wait| (120..152).contains(wait)), "{waits:?}");
}
