//! Static files by a mount with tower-http's `ServeDir`: files, ranges, what is not there, paths that lead out, and single-page apps.

#![forbid(unsafe_code)]

use axum::{
    body::Body,
    http::{Request, StatusCode},
    response::Response,
};
use bis::prelude::*;

/// Two mounts of one folder.
pub mod site {
    use axum::Router;
    use bis::prelude::*;
    use tower_http::services::{ServeDir, ServeFile};

    bis::service!("site");

    const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/assets");

    #[mount("/assets")]
    fn assets() -> Router {
        Router::new().fallback_service(ServeDir::new(FOLDER))
    }

    /// A single-page app: whatever path it has, its page is the same.
    #[mount("/")]
    fn page() -> Router {
        let page = ServeFile::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/assets/index.html"));
        Router::new().fallback_service(ServeDir::new(FOLDER).fallback(page))
    }

    #[api(GET, "/api/orders", public)]
    async fn orders() -> Json<[u32; 2]> {
        Json([1, 2])
    }
}

bis::app!(services: [site]);

async fn get(app: &TestApp, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    app.request(request.body(Body::empty()).expect("a request")).await
}

async fn check(app: &TestApp, path: &str, status: u16, content_type: Option<&str>, part: &str) {
    let response = get(app, path, &[]).await;
    assert_eq!(response.status().as_u16(), status, "{path}");
    let actual = response.headers().get("content-type").map(|value| value.to_str().expect("text").to_owned());
    assert_eq!(actual.as_deref(), content_type, "{path}");
    let body = axum::body::to_bytes(response.into_body(), 10_000).await.expect("a short answer");
    let body = String::from_utf8(body.to_vec()).expect("text");
    assert!(body.contains(part) && body.is_empty() == part.is_empty(), "{path}: {body}");
}

#[bis::test(app = app)]
async fn files_are_served_with_their_types(app: TestApp) {
    check(&app, "/assets/app.css", 200, Some("text/css"), "color: black").await;
    check(&app, "/assets/", 200, Some("text/html"), "<title>Shop").await;
    check(&app, "/assets", 200, Some("text/html"), "<title>Shop").await;
    // The answer is `ServeDir`'s own: a mounted router is served as it is.
    check(&app, "/assets/missing.css", 404, None, "").await;
}

#[bis::test(app = app)]
async fn a_range_of_a_file_is_served(app: TestApp) {
    let response = get(&app, "/assets/app.css", &[("range", "bytes=0-3")]).await;
    assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(response.headers()["content-range"], "bytes 0-3/22");
    let body = axum::body::to_bytes(response.into_body(), 100).await.expect("a short answer");
    assert_eq!(body, "body");
    let beyond = get(&app, "/assets/app.css", &[("range", "bytes=100-200")]).await;
    assert_eq!(beyond.status(), StatusCode::RANGE_NOT_SATISFIABLE);
}

#[bis::test(app = app)]
async fn no_path_leads_out_of_the_folder(app: TestApp) {
    for path in [
        "/assets/../static_files.rs",
        "/assets/%2e%2e/static_files.rs",
        "/assets/..%2fstatic_files.rs",
        "/assets//etc/passwd",
    ] {
        check(&app, path, 404, None, "").await;
    }
}

#[bis::test(app = app)]
async fn a_single_page_app_answers_what_nothing_else_does(app: TestApp) {
    check(&app, "/", 200, Some("text/html"), "<title>Shop").await;
    check(&app, "/orders/7/details", 200, Some("text/html"), "<title>Shop").await;
    check(&app, "/app.css", 200, Some("text/css"), "color: black").await;
    check(&app, "/api/orders", 200, Some("application/json"), "[1,2]").await;
}
