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
            "wrong" => Err(Error::invalid([("items[2].sku", "is not for sale"), ("", "has no address")])),
            _ => Err(std::io::Error::other("the password is 1234"))?,
        }
    }
}

bis::app!(services: [shop]);

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
