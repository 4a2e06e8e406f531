//! What an extractor says when it refuses a request: axum's own answers, whatever the extractor, as problem details. Where
//! axum's text names the field that serde stopped at, the field is listed as that of a validation is.

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{error, problem::Problem};
use crate::error::FieldError;

/// The longest refusal of an extractor that is taken over as text.
const MAX_REFUSAL_BYTES: usize = 16 * 1024;

/// A refusal as problem details, when it is a plain text; else as it is. A refusal that is not the client's fault says
/// nothing to the client: its text is for the log.
/// `limit` is the endpoint's for its body, in bytes.
pub(super) async fn refused(response: Response, limit: usize) -> Response {
    let status = response.status();
    let content_type = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !content_type.is_some_and(|media_type| media_type.starts_with("text/plain")) {
        if status.is_server_error() {
            tracing::error!(%status, "an extractor does not work");
        }
        return response;
    }
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        return too_large(limit);
    }
    let text = text_of(response).await;
    if status.is_server_error() {
        tracing::error!(error = %text, "an extractor does not work");
        return error::answer(status, error::message(status));
    }
    let errors = field(&text).into_iter().collect();
    Problem { errors, ..Problem::new(status, text) }.into_response()
}

/// What an extractor says when it refuses.
pub(super) async fn text_of(refusal: Response) -> String {
    let body = axum::body::to_bytes(refusal.into_body(), MAX_REFUSAL_BYTES).await.unwrap_or_default();
    String::from_utf8_lossy(&body).into_owned()
}

/// The answer to a body over the limit.
pub(super) fn too_large(limit: usize) -> Response {
    error::answer(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {limit} bytes"))
}

/// Before the path and serde's text in what axum answers.
const OF_SERDE: [&str; 4] = [
    "Failed to deserialize the JSON body into the target type: ",
    "Failed to deserialize query string: ",
    "Failed to deserialize form body: ",
    "Failed to deserialize form: ",
];

/// The field that a refusal of axum names.
fn field(text: &str) -> Option<FieldError> {
    if let Some(rest) = text.strip_prefix("Invalid URL: Cannot parse `") {
        let (path, _) = rest.split_once("` with value ")?;
        let message = text.trim_start_matches("Invalid URL: ").to_owned();
        return Some(FieldError { path: path.to_owned(), message });
    }
    let rest = OF_SERDE.iter().find_map(|prefix| text.strip_prefix(prefix))?;
    let (parent, message) = match rest.split_once(": ") {
        // A path holds no space, and the first words of serde's texts do.
        Some((path, message)) if !path.contains(' ') => (path, message),
        _ => ("", rest),
    };
    let missing = message.strip_prefix("missing field `").and_then(|name| name.split_once('`'));
    let path = match (parent, missing) {
        (parent, None) => parent.to_owned(),
        ("", Some((name, _))) => name.to_owned(),
        (parent, Some((name, _))) => format!("{parent}.{name}"),
    };
    Some(FieldError { path, message: message.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use axum::{
        Form, Json, RequestExt,
        body::Body,
        extract::{FromRequest, Path, Query},
        http::Request,
    };
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "it is only read")]
    struct Order {
        items: Vec<Item>,
        prices: Option<HashMap<String, u8>>,
    }

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "it is only read")]
    struct Item {
        sku: String,
        quantity: u8,
    }

    /// The path in the answer to a request that the extractor refuses.
    async fn check<E: FromRequest<(), M>, M>(request: Request<Body>, path: &str, message: &str) {
        let Err(refusal) = E::from_request(request, &()).await else { panic!("it is not refused") };
        let response = refused(refusal.into_response(), 1 << 20).await;
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let problem = Problem::read(&body).unwrap();
        let [field] = &*problem.errors else { panic!("{problem:?}") };
        assert_eq!(field.path, path, "{field:?}");
        assert!(field.message.starts_with(message), "{field:?}");
    }

    fn json(body: &'static str) -> Request<Body> {
        Request::post("/").header("content-type", "application/json").body(body.into()).unwrap()
    }

    #[tokio::test]
    async fn the_field_that_serde_stops_at_is_listed() {
        let item = r#"{"items":[{"sku":"a","quantity":1},{"sku":"b"}]}"#;
        check::<Json<Order>, _>(json(item), "items[1].quantity", "missing field `quantity` at line 1").await;
        check::<Json<Order>, _>(json("{}"), "items", "missing field `items`").await;
        check::<Json<Order>, _>(json(r#"{"items":7}"#), "items", "invalid type: integer `7`").await;
        check::<Json<Order>, _>(json("7"), "", "invalid type: integer `7`").await;
        let map = r#"{"items":[],"prices":{"a":-1}}"#;
        check::<Json<Order>, _>(json(map), "prices.a", "invalid value: integer `-1`").await;
        let query = Request::get("/?sku=a&quantity=x").body(Body::empty()).unwrap();
        check::<Query<Item>, _>(query, "quantity", "invalid digit").await;
        let query = Request::get("/?sku=a").body(Body::empty()).unwrap();
        check::<Query<Item>, _>(query, "quantity", "missing field `quantity`").await;
        let form = Request::post("/").header("content-type", "application/x-www-form-urlencoded");
        check::<Form<Item>, _>(
            form.body("sku=a&quantity=300".into()).unwrap(),
            "quantity",
            "number too large",
        )
        .await;
    }

    #[tokio::test]
    async fn the_parameter_of_a_path_is_listed() {
        let app = axum::Router::new().route(
            "/{sku}/{quantity}",
            axum::routing::get(async |request: Request<Body>| {
                let refusal = request.extract::<Path<Item>, _>().await.err().unwrap();
                refused(refusal.into_response(), 1 << 20).await
            }),
        );
        let request = Request::get("/a/many").body(Body::empty()).unwrap();
        let response = tower::ServiceExt::oneshot(app, request).await.unwrap();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let problem = Problem::read(&body).unwrap();
        assert_eq!(problem.errors[0].path, "quantity");
        assert_eq!(problem.errors[0].message, "Cannot parse `quantity` with value `many` to a `u8`");
    }

    #[test]
    fn a_text_that_names_no_field_lists_none() {
        for text in [
            "Expected request with `Content-Type: application/json`",
            "Invalid URL: Invalid UTF-8 in `a`",
            "",
        ] {
            assert_eq!(field(text), None);
        }
    }
}
