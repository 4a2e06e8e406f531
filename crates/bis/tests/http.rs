//! Endpoints through the public router: extractors, answers, refusals, panics, mounts, access.

#![forbid(unsafe_code)]

use axum::{
    body::Body,
    http::{Request, StatusCode},
    response::Response,
};
use bis::prelude::*;
use serde_json::{Value, json};

/// The service under test.
pub mod shop {
    use std::{collections::BTreeMap, net::SocketAddr};

    use axum::{
        Extension, Form, Router,
        body::Bytes,
        extract::{ConnectInfo, rejection::BytesRejection},
        http::{HeaderMap, StatusCode},
        response::IntoResponse,
        routing::get,
    };
    use bis::prelude::*;

    bis::service!("shop");

    /// What is ordered.
    #[derive(Debug, Serialize, Deserialize)]
    pub struct Order {
        /// How many.
        pub quantity: u32,
    }

    #[api(GET, "/hello", public)]
    async fn hello() -> &'static str {
        "hello"
    }

    #[api(POST, "/shops/{shop}/orders/{order}", public)]
    async fn everything(
        Path((shop, order)): Path<(String, u32)>,
        Query(options): Query<BTreeMap<String, String>>,
        headers: HeaderMap,
        Json(body): Json<Order>,
    ) -> Result<Json<serde_json::Value>> {
        let agent = headers.get("user-agent").and_then(|value| value.to_str().ok());
        Ok(Json(serde_json::json!([shop, order, options, agent, body.quantity])))
    }

    #[api(PUT, "/bytes", public)]
    async fn bytes(body: Bytes) -> Result<(StatusCode, String)> {
        Ok((StatusCode::CREATED, body.len().to_string()))
    }

    #[api(DELETE, "/text", public)]
    async fn text(text: String) -> Result<impl IntoResponse> {
        Ok([("x-length", text.len().to_string())])
    }

    #[api(PATCH, "/form", public)]
    async fn form(Form(order): Form<Order>) -> Json<u32> {
        Json(order.quantity)
    }

    #[api(GET, "/request", public)]
    async fn request(request: axum::extract::Request) -> String {
        request.uri().to_string()
    }

    #[api(GET, "/fails/{how}", public)]
    async fn fails(Path(how): Path<String>) -> Result<()> {
        match how.as_str() {
            "missing" => Err(Error::not_found("no order `7`").context("show the order")),
            "conflict" => Err(Error::conflict("already shipped")),
            "io" => Err(std::io::Error::other("the password is 1234"))?,
            "permanent" => Err(Error::permanent("the password is 1234")),
            "teapot" => Err(Error::status(StatusCode::IM_A_TEAPOT, "short and stout")),
            _ => panic!("the password is 1234"),
        }
    }

    #[api(GET, "/address", public)]
    async fn address(ConnectInfo(client): ConnectInfo<SocketAddr>) -> String {
        client.to_string()
    }

    #[api(GET, "/broken/extension", public)]
    async fn broken(Extension(word): Extension<u64>) -> String {
        word.to_string()
    }

    /// A path whose number of parameters nobody sees in the source.
    type Hidden = (u32, u32);

    #[api(GET, "/broken/{number}", public)]
    async fn miscounted(Path((number, _)): Path<Hidden>) -> String {
        number.to_string()
    }

    #[api(GET, "/optional", public)]
    async fn optional(body: std::result::Result<Bytes, BytesRejection>) -> StatusCode {
        body.map_or_else(|refusal| refusal.status(), |_| StatusCode::OK)
    }

    #[api(POST, "/stream", public)]
    async fn stream(request: axum::extract::Request) -> Result<String> {
        let body = axum::body::to_bytes(request.into_body(), usize::MAX).await?;
        Ok(body.len().to_string())
    }

    #[api(GET, "/inner", private)]
    async fn inner() -> Result<()> {
        Ok(())
    }

    #[mount("/files")]
    fn files() -> Router {
        Router::new().route("/readme", get(|| async { "read me" })).route(
            "/broken",
            get(|| async {
                if true {
                    panic!("broken")
                }
            }),
        )
    }

    /// A function like any other.
    #[api(GET, "/double/{number}", public)]
    pub async fn double(Path(number): Path<u32>) -> Result<Json<u32>> {
        Ok(Json(number * 2))
    }

    #[api(GET, "/quadruple/{number}", public)]
    async fn quadruple(Path(number): Path<u32>) -> Result<Json<u32>> {
        let Json(twice) = double(Path(number)).await?;
        double(Path(twice)).await
    }
}

/// A service that the app does not list.
pub mod unlisted {
    use bis::prelude::*;

    bis::service!("unlisted");

    #[api(GET, "/unlisted", public)]
    async fn unlisted() -> Result<()> {
        Ok(())
    }
}

bis::app!(services: [shop]);

const MIB: usize = 1024 * 1024;

async fn send(app: &TestApp, request: Request<Body>) -> (StatusCode, String) {
    read(app.request(request).await).await
}

async fn read(response: Response) -> (StatusCode, String) {
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), 64 * MIB).await.expect("a short answer");
    (status, String::from_utf8(body.to_vec()).expect("text"))
}

fn request(method: &str, path: &str, content_type: &str, body: impl Into<Body>) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", content_type)
        .body(body.into())
        .expect("a request")
}

/// Sends a request and compares status, code and a part of the text of the problem.
async fn check_refused(app: &TestApp, request: Request<Body>, status: u16, code: &str, part: &str) {
    let what = format!("{} {}", request.method(), request.uri());
    let response = app.request(request).await;
    assert_eq!(response.headers()["content-type"], "application/problem+json", "{what}");
    let (actual, body) = read(response).await;
    assert_eq!(actual.as_u16(), status, "{what}: {body}");
    let body: Value = serde_json::from_str(&body).expect(&body);
    assert_eq!(body["code"], code, "{what}");
    assert_eq!(body["type"], "about:blank");
    assert_eq!(body["status"], status);
    assert_eq!(body["title"], actual.canonical_reason().expect("a known status"));
    let detail = body["detail"].as_str().expect("a text");
    assert!(detail.contains(part), "{what}: `{detail}` lacks `{part}`");
    assert!(!body.to_string().contains("1234"), "a client sees what is not meant for it");
    let known = ["type", "title", "status", "detail", "code", "trace_id", "errors"];
    assert!(body.as_object().expect("an object").keys().all(|name| known.contains(&name.as_str())), "{body}");
}

#[bis::test(app = app)]
async fn extractors_take_what_they_name(app: TestApp) -> Result<()> {
    assert_eq!(app.get::<String>("/hello").await?, "hello");
    let mut everything = request("POST", "/shops/x/orders/7?a=b", "application/json", r#"{"quantity":3}"#);
    everything.headers_mut().insert("user-agent", "test".parse()?);
    let (status, body) = send(&app, everything).await;
    assert_eq!((status.as_u16(), body), (200, json!(["x", 7, {"a": "b"}, "test", 3]).to_string()));
    assert_eq!(
        send(&app, request("PUT", "/bytes", "x/y", vec![0; 5])).await,
        (StatusCode::CREATED, "5".into())
    );
    let text = app.request(request("DELETE", "/text", "text/plain", "four")).await;
    assert_eq!(text.headers()["x-length"], "4");
    let form = request("PATCH", "/form", "application/x-www-form-urlencoded", "quantity=9");
    assert_eq!(send(&app, form).await, (StatusCode::OK, "9".into()));
    assert_eq!(app.get::<String>("/request?x=1").await?, "/request?x=1");
    Ok(())
}

#[bis::test(app = app)]
async fn refusals_of_extractors_are_json(app: TestApp) {
    let post = |path: &str, body: &str| request("POST", path, "application/json", body.to_owned());
    let path = "/shops/x/orders/7";
    check_refused(&app, post("/shops/x/orders/y", "{}"), 400, "bad_request", "`y`").await;
    check_refused(&app, post(path, "{"), 400, "bad_request", "JSON").await;
    check_refused(&app, post(path, "{}"), 422, "unprocessable_entity", "quantity").await;
    let untyped = request("POST", path, "text/plain", "{}");
    check_refused(&app, untyped, 415, "unsupported_media_type", "application/json").await;
}

#[bis::test(app = app)]
async fn a_body_over_the_limit_is_refused(app: TestApp) {
    let fits = request("PUT", "/bytes", "x/y", vec![0; MIB]);
    assert_eq!(send(&app, fits).await.0, StatusCode::CREATED);
    let over = request("PUT", "/bytes", "x/y", vec![0; MIB + 1]);
    check_refused(&app, over, 413, "body_too_large", "larger than 1048576 bytes").await;
}

/// A body that declares its length. The first read of one that is over the limit says so in its text.
struct Declared(u64);

impl http_body::Body for Declared {
    type Data = axum::body::Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<std::result::Result<http_body::Frame<Self::Data>, Self::Error>>> {
        let length = usize::try_from(std::mem::take(&mut self.0)).expect("it fits");
        std::task::Poll::Ready(
            Some(Ok(http_body::Frame::data(vec![0; length].into()))).filter(|_| length > 0),
        )
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.0)
    }
}

/// One whose first read panics.
struct Unread;

impl http_body::Body for Unread {
    type Data = axum::body::Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<std::result::Result<http_body::Frame<Self::Data>, Self::Error>>> {
        panic!("nobody may read a body that is known to be too large")
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(MIB as u64 + 1)
    }
}

#[bis::test(app = app)]
async fn a_body_whose_declared_length_is_over_the_limit_is_not_read(app: TestApp) {
    let unread = |method: &str, path: &str| request(method, path, "application/json", Body::new(Unread));
    check_refused(&app, unread("PUT", "/bytes"), 413, "body_too_large", "larger than 1048576 bytes").await;
    let json = unread("POST", "/shops/x/orders/7");
    check_refused(&app, json, 413, "body_too_large", "larger than 1048576 bytes").await;
    assert_eq!(send(&app, unread("GET", "/optional")).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    // A handler of the whole request reads as much as it likes.
    let streamed = request("POST", "/stream", "x/y", Body::new(Declared(3 * MIB as u64)));
    assert_eq!(send(&app, streamed).await, (StatusCode::OK, (3 * MIB).to_string()));
}

#[bis::test(app = app)]
async fn an_extractor_that_cannot_work_tells_the_client_nothing(app: TestApp) {
    let get = |path: &str| request("GET", path, "x/y", "");
    check_refused(&app, get("/broken/extension"), 500, "internal", "internal error").await;
    check_refused(&app, get("/broken/7"), 500, "internal", "internal error").await;
}

#[bis::test(app = app)]
async fn a_client_has_an_address(app: TestApp) -> Result<()> {
    assert_eq!(app.get::<String>("/address").await?, "127.0.0.1:0");
    let mut request = request("GET", "/address", "x/y", "");
    let client: std::net::SocketAddr = "10.0.0.7:4711".parse()?;
    request.extensions_mut().insert(axum::extract::ConnectInfo(client));
    assert_eq!(send(&app, request).await.1, "10.0.0.7:4711");
    Ok(())
}

#[bis::test(app = app)]
async fn errors_say_what_clients_may_know(app: TestApp) {
    let get = |how: &str| request("GET", &format!("/fails/{how}"), "x/y", "");
    check_refused(&app, get("missing"), 404, "not_found", "no order `7`").await;
    check_refused(&app, get("conflict"), 409, "conflict", "already shipped").await;
    check_refused(&app, get("teapot"), 418, "i'm_a_teapot", "short and stout").await;
    check_refused(&app, get("io"), 500, "internal", "internal error").await;
    check_refused(&app, get("permanent"), 500, "internal", "internal error").await;
}

#[bis::test(app = app)]
async fn a_panic_is_an_answer(app: TestApp) {
    check_refused(&app, request("GET", "/fails/panic", "x/y", ""), 500, "internal", "internal error").await;
    check_refused(&app, request("GET", "/files/broken", "x/y", ""), 500, "internal", "internal error").await;
    assert_eq!(app.get::<String>("/hello").await.unwrap(), "hello");
}

#[bis::test(app = app)]
async fn what_is_not_there_is_said_in_json(app: TestApp) {
    check_refused(&app, request("GET", "/nowhere", "x/y", ""), 404, "not_found", "`/nowhere`").await;
    check_refused(&app, request("POST", "/hello", "x/y", ""), 405, "method_not_allowed", "`POST`").await;
    let response = app.request(request("POST", "/hello", "x/y", "")).await;
    assert_eq!(response.headers()["allow"], "GET,HEAD");
    let head = send(&app, request("HEAD", "/hello", "x/y", "")).await;
    assert_eq!(head, (StatusCode::OK, String::new()));
}

#[bis::test(app = app)]
async fn what_is_private_or_not_listed_is_not_public(app: TestApp) {
    check_refused(&app, request("GET", "/inner", "x/y", ""), 404, "not_found", "`/inner`").await;
    check_refused(&app, request("GET", "/unlisted", "x/y", ""), 404, "not_found", "`/unlisted`").await;
    let call = request("POST", "/_bis/call/http::shop::double", "application/json", "[1]");
    let (status, body) = send(&app, call).await;
    assert_eq!(status, StatusCode::MISDIRECTED_REQUEST);
    assert!(body.contains("this is a public listener") && body.contains("`internal.address`"), "{body}");
}

#[bis::test(app = app)]
async fn a_mounted_router_is_served_as_it_is(app: TestApp) -> Result<()> {
    assert_eq!(app.get::<String>("/files/readme").await?, "read me");
    assert_eq!(send(&app, request("GET", "/files/nothing", "x/y", "")).await.0, StatusCode::NOT_FOUND);
    Ok(())
}

#[bis::test(app = app)]
async fn an_endpoint_is_still_a_function(app: TestApp) -> Result<()> {
    assert_eq!(shop::double(Path(4)).await?.0, 8);
    assert_eq!(app.get::<u32>("/quadruple/5").await?, 20);
    Ok(())
}

#[tokio::test]
async fn without_an_app_it_is_a_function_too() {
    assert_eq!(shop::double(Path(4)).await.unwrap().0, 8);
}
