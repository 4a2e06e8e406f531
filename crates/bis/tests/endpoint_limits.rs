//! `body_limit` and `timeout` of an endpoint.

#![forbid(unsafe_code)]

use std::{
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes},
    http::{Request, StatusCode},
};
use bis::prelude::*;
use tokio::sync::Notify;

/// Endpoints with limits.
pub mod uploads {
    use std::sync::Arc;

    use axum::{
        Extension,
        body::{Body, Bytes},
    };
    use bis::prelude::*;
    use http_body_util::BodyExt;
    use tokio::sync::Notify;

    bis::service!("uploads");

    #[api(PUT, "/small", public, body_limit = "10B")]
    async fn small(body: Bytes) -> String {
        body.len().to_string()
    }

    #[api(PUT, "/large", public, body_limit = "3MB", timeout = "1m")]
    async fn large(body: Bytes) -> String {
        body.len().to_string()
    }

    /// Counts what comes, and says so of the first part.
    #[api(PUT, "/stream", public, body_limit = "3MB")]
    async fn stream(Extension(came): Extension<Arc<Notify>>, mut body: Body) -> Result<String> {
        let mut bytes = 0;
        while let Some(frame) = body.frame().await {
            bytes += frame?.data_ref().map_or(0, Bytes::len);
            came.notify_one();
        }
        Ok(bytes.to_string())
    }

    #[api(GET, "/sleep/{seconds}", public, timeout = "5s")]
    async fn sleep(Path(seconds): Path<u64>) -> &'static str {
        bis::time::sleep(Duration::from_secs(seconds)).await;
        "slept"
    }
}

bis::app!(services: [uploads]);

fn put(path: &str, body: Body) -> Request<Body> {
    let mut request = Request::put(path).body(body).expect("a request");
    request.extensions_mut().insert(Arc::new(Notify::new()));
    request
}

async fn send(app: &TestApp, request: Request<Body>) -> (StatusCode, String) {
    let response = app.request(request).await;
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), 10_000).await.expect("a short answer");
    (status, String::from_utf8(body.to_vec()).expect("text"))
}

#[bis::test(app = app)]
async fn a_body_may_be_as_large_as_its_endpoint_says(app: TestApp) {
    let bytes = |count: usize| Body::from(vec![0; count]);
    assert_eq!(send(&app, put("/small", bytes(10))).await, (StatusCode::OK, "10".into()));
    assert_eq!(send(&app, put("/large", bytes(3_000_000))).await, (StatusCode::OK, "3000000".into()));
    for (path, count, limit) in [
        ("/small", 11, "10 bytes"),
        ("/large", 3_000_001, "3000000 bytes"),
        ("/stream", 3_000_001, "3000000 bytes"),
    ] {
        let (status, body) = send(&app, put(path, bytes(count))).await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{path}: {body}");
        assert!(body.contains("body_too_large") && body.contains(limit), "{path}: {body}");
    }
}

/// A body without a declared length, whose second part comes once the first was seen.
struct InTwo {
    parts: Vec<Bytes>,
    seen: Arc<Notify>,
}

impl http_body::Body for InTwo {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<http_body::Frame<Bytes>, Self::Error>>> {
        if self.parts.len() == 1 {
            let seen = self.seen.clone();
            std::task::ready!(pin!(seen.notified()).poll(context));
        }
        Poll::Ready(self.parts.pop().map(|part| Ok(http_body::Frame::data(part))))
    }
}

async fn stream(app: &TestApp, parts: [usize; 2]) -> (StatusCode, String) {
    let seen = Arc::new(Notify::new());
    let parts = parts.into_iter().rev().map(|count| vec![0; count].into()).collect();
    let mut request = put("/stream", Body::new(InTwo { parts, seen: seen.clone() }));
    request.extensions_mut().insert(seen);
    send(app, request).await
}

#[bis::test(app = app)]
async fn a_streamed_body_is_counted_and_not_gathered(app: TestApp) {
    assert_eq!(stream(&app, [2_000_000, 1_000_000]).await, (StatusCode::OK, "3000000".into()));
    let (status, body) = stream(&app, [2_000_000, 1_000_001]).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{body}");
    assert!(body.contains("body_too_large"), "{body}");
}

#[bis::test(app = app)]
async fn an_endpoint_that_takes_too_long_is_cut_off(app: TestApp) {
    let get = |path: &str| Request::get(path).body(Body::empty()).expect("a request");
    assert_eq!(send(&app, get("/sleep/4")).await, (StatusCode::OK, "slept".into()));
    let start = app.now();
    let (status, body) = send(&app, get("/sleep/3600")).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.contains("the request took too long"), "{body}");
    assert_eq!(app.now(), start + Duration::from_secs(5));
}
