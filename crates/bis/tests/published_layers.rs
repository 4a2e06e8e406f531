//! tower-http's and tower's layers as they are published, around endpoints: CORS, compression, request ids, traces, limits of rate and
//! size, and layers that misbehave.

#![forbid(unsafe_code)]

use axum::{
    body::Body,
    http::{Method, Request, StatusCode},
    response::Response,
};
use bis::prelude::*;

/// Endpoints with published layers.
pub mod shop {
    use std::{convert::Infallible, future::pending, task::Poll, time::Duration};

    use axum::{
        body::{Body, Bytes},
        error_handling::HandleErrorLayer,
        extract::Request,
        http::{HeaderName, HeaderValue, StatusCode},
        response::{IntoResponse, Response},
    };
    use bis::prelude::*;
    use tower::{BoxError, Layer, Service, ServiceBuilder, buffer::BufferLayer, limit::RateLimitLayer};
    use tower_http::{
        compression::CompressionLayer,
        cors::CorsLayer,
        limit::RequestBodyLimitLayer,
        request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
        timeout::TimeoutLayer,
        trace::TraceLayer,
    };

    bis::service!("shop", layers: [
        SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid),
        PropagateRequestIdLayer::new(REQUEST_ID),
    ]);

    const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

    #[api(GET, "/plain", public)]
    async fn plain() -> &'static str {
        "plain"
    }

    #[api(
        PUT,
        "/cors/{id}",
        public,
        layers = [CorsLayer::new().allow_origin(HeaderValue::from_static("https://shop.example")).allow_methods([axum::http::Method::PUT])],
    )]
    async fn cors(Path(id): Path<u32>) -> String {
        id.to_string()
    }

    #[api(GET, "/cors/{id}", public)]
    async fn no_cors(Path(id): Path<u32>) -> String {
        id.to_string()
    }

    #[api(GET, "/text", public, layers = [CompressionLayer::new()])]
    async fn text() -> String {
        "the same ".repeat(1000)
    }

    #[api(GET, "/parts", public, layers = [CompressionLayer::new()])]
    async fn parts() -> Body {
        Body::new(super::Parts::new("text/plain"))
    }

    /// Server-sent events as any program may write them.
    #[api(GET, "/events", public, layers = [CompressionLayer::new()])]
    async fn events() -> impl IntoResponse {
        ([("content-type", "text/event-stream")], Body::new(super::Parts::new("events")))
    }

    async fn too_many(error: BoxError) -> Error {
        Error::too_many_requests(error)
    }

    /// At most two requests in an hour, of all who ask. More are refused at once.
    fn two_an_hour() -> impl Layer<
        bis::http::RequestService,
        Service = impl Service<Request, Response = Response, Error = Infallible, Future: Send>
                  + Clone
                  + Send
                  + Sync,
    > {
        ServiceBuilder::new()
            .layer(HandleErrorLayer::new(too_many))
            .load_shed()
            .layer(BufferLayer::new(1))
            .layer(RateLimitLayer::new(2, Duration::from_secs(3600)))
    }

    #[api(GET, "/limited", public, layers = [two_an_hour()])]
    async fn limited() -> &'static str {
        "one of two"
    }

    #[api(PUT, "/small", public, layers = [TraceLayer::new_for_http(), RequestBodyLimitLayer::new(4)])]
    async fn small(body: Bytes) -> String {
        body.len().to_string()
    }

    #[api(
        GET,
        "/slow",
        public,
        layers = [TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_millis(1))]
    )]
    async fn slow() -> &'static str {
        pending().await
    }

    /// A layer whose service panics.
    #[derive(Debug, Clone, Copy)]
    pub struct Panics;

    impl<S> Layer<S> for Panics {
        type Service = Panics;

        fn layer(&self, _: S) -> Panics {
            Panics
        }
    }

    impl Service<Request> for Panics {
        type Response = Response;
        type Error = Infallible;
        type Future = std::future::Ready<std::result::Result<Response, Infallible>>;

        fn poll_ready(
            &mut self,
            _: &mut std::task::Context<'_>,
        ) -> Poll<std::result::Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request) -> Self::Future {
            panic!("the password is 1234")
        }
    }

    #[api(GET, "/panics", public, layers = [Panics])]
    async fn panics() -> &'static str {
        "never"
    }
}

/// A body of two parts of text, each of which is there at once.
struct Parts {
    left: u32,
    line: &'static str,
}

impl Parts {
    fn new(line: &'static str) -> Self {
        Self { left: 2, line }
    }
}

impl http_body::Body for Parts {
    type Data = axum::body::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<std::result::Result<http_body::Frame<Self::Data>, Self::Error>>> {
        let Some(left) = self.left.checked_sub(1) else { return std::task::Poll::Ready(None) };
        self.left = left;
        std::task::Poll::Ready(Some(Ok(http_body::Frame::data(self.line.repeat(100).into()))))
    }
}

bis::app!(services: [shop]);

/// The same service in an app whose every answer browsers may read.
mod open {
    use tower_http::cors::CorsLayer;

    bis::app!(services: [super::shop], layers: [CorsLayer::permissive()]);
}

async fn send(app: &TestApp, method: Method, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    app.request(request.body(Body::empty()).expect("a request")).await
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name).and_then(|value| value.to_str().ok())
}

async fn text(response: Response) -> Vec<u8> {
    axum::body::to_bytes(response.into_body(), 1024 * 1024).await.expect("a short answer").to_vec()
}

#[bis::test(app = app)]
async fn cors_of_an_endpoint_answers_its_preflight_and_no_other(app: TestApp) {
    let origin = ("origin", "https://shop.example");
    let asks = |method| ("access-control-request-method", method);
    let preflight = send(&app, Method::OPTIONS, "/cors/7", &[origin, asks("PUT")]).await;
    assert_eq!(preflight.status(), StatusCode::OK);
    assert_eq!(header(&preflight, "access-control-allow-origin"), Some("https://shop.example"));
    assert_eq!(header(&preflight, "access-control-allow-methods"), Some("PUT"));
    let put = send(&app, Method::PUT, "/cors/7", &[origin]).await;
    assert_eq!(header(&put, "access-control-allow-origin"), Some("https://shop.example"));
    assert_eq!(text(put).await, b"7");
    for (headers, status) in [(&[origin, asks("GET")][..], 405), (&[origin][..], 405)] {
        let refused = send(&app, Method::OPTIONS, "/cors/7", headers).await;
        assert_eq!(refused.status().as_u16(), status);
        assert_eq!(header(&refused, "access-control-allow-origin"), None);
    }
    let get = send(&app, Method::GET, "/cors/7", &[origin]).await;
    assert_eq!(header(&get, "access-control-allow-origin"), None);
}

#[bis::test(app = open::app)]
async fn cors_of_the_app_is_on_every_answer_and_preflight(app: TestApp) {
    let origin = ("origin", "https://any.example");
    for (method, path, status) in
        [(Method::GET, "/plain", 200), (Method::GET, "/nowhere", 404), (Method::POST, "/plain", 405)]
    {
        let response = send(&app, method, path, &[origin]).await;
        assert_eq!(
            (response.status().as_u16(), header(&response, "access-control-allow-origin")),
            (status, Some("*"))
        );
        let preflight =
            send(&app, Method::OPTIONS, path, &[origin, ("access-control-request-method", "GET")]).await;
        assert_eq!(preflight.status(), StatusCode::OK, "{path}");
        assert_eq!(header(&preflight, "access-control-allow-methods"), Some("*"), "{path}");
    }
}

#[bis::test(app = app)]
async fn compression_takes_texts_and_leaves_server_sent_events(app: TestApp) {
    let gzip = [("accept-encoding", "gzip")];
    let whole = send(&app, Method::GET, "/text", &gzip).await;
    assert_eq!(header(&whole, "content-encoding"), Some("gzip"));
    assert!(text(whole).await.len() < 1000);
    let streamed = send(&app, Method::GET, "/parts", &gzip).await;
    assert_eq!(header(&streamed, "content-encoding"), Some("gzip"));
    assert!(text(streamed).await.starts_with(&[0x1f, 0x8b]), "gzip's magic number");
    let events = send(&app, Method::GET, "/events", &gzip).await;
    assert_eq!(header(&events, "content-encoding"), None);
    assert_eq!(text(events).await, "events".repeat(200).into_bytes());
    assert_eq!(text(send(&app, Method::GET, "/text", &[]).await).await.len(), 9000);
}

#[bis::test(app = app)]
async fn request_ids_are_made_and_kept(app: TestApp) {
    let made = send(&app, Method::GET, "/plain", &[]).await;
    assert_eq!(header(&made, "x-request-id").map(str::len), Some(36));
    let kept = send(&app, Method::GET, "/plain", &[("x-request-id", "mine")]).await;
    assert_eq!(header(&kept, "x-request-id"), Some("mine"));
}

async fn check_rate(app: &TestApp) {
    for _ in 0..2 {
        assert_eq!(send(app, Method::GET, "/limited", &[]).await.status(), StatusCode::OK);
    }
    // What the buffer takes waits; what it does not take is refused.
    let mut waiting = Vec::new();
    for _ in 0..8 {
        let mut request = Box::pin(send(app, Method::GET, "/limited", &[]));
        tokio::select! {
            biased;
            response = &mut request => {
                assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
                return;
            }
            () = tokio::task::yield_now() => waiting.push(request),
        }
    }
    panic!("none of {} requests over the limit was refused", waiting.len());
}

#[bis::test(app = app)]
async fn a_limit_of_rate_holds(app: TestApp) {
    check_rate(&app).await;
}

#[bis::test(app = app)]
async fn a_limit_of_rate_is_that_of_one_app(app: TestApp) {
    // Another test has used up the limit of its own app.
    check_rate(&app).await;
}

#[bis::test(app = app)]
async fn a_layer_may_change_the_body_or_end_the_wait(app: TestApp) {
    let put = |body: &'static str| Request::put("/small").body(Body::from(body)).expect("a request");
    assert_eq!(text(app.request(put("four")).await).await, b"4");
    assert_eq!(app.request(put("fives")).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(send(&app, Method::GET, "/slow", &[]).await.status(), StatusCode::GATEWAY_TIMEOUT);
}

#[bis::test(app = app)]
async fn a_layer_that_panics_is_an_answer(app: TestApp) {
    let response = send(&app, Method::GET, "/panics", &[]).await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let body = String::from_utf8(text(response).await).expect("text");
    assert!(body.contains("trace_id") && !body.contains("1234"), "{body}");
    assert_eq!(send(&app, Method::GET, "/plain", &[]).await.status(), StatusCode::OK);
}
