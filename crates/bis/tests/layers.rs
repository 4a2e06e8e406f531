//! tower layers around the app, a service and an endpoint: their order, what they see, and what happens to those that fail.

#![forbid(unsafe_code)]

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use bis::prelude::*;

/// Layers that write their names, and a service with them.
pub mod shop {
    use axum::{Router, http::HeaderValue, response::Response, routing::get};
    use bis::prelude::*;
    use tower::util::MapResponseLayer;

    bis::service!("shop", layers: [named("service"), named("service-2")]);

    /// A layer that puts its name in front of what the layers within it have written.
    pub fn named(name: &'static str) -> MapResponseLayer<impl Fn(Response) -> Response + Clone> {
        MapResponseLayer::new(move |mut response: Response| {
            let inner = response.headers().get("x-way").and_then(|way| way.to_str().ok());
            let way = [name, inner.unwrap_or_default()].join(" ");
            let way = HeaderValue::from_str(way.trim_end()).expect("names are plain text");
            response.headers_mut().insert("x-way", way);
            response
        })
    }

    #[api(GET, "/plain", public)]
    async fn plain() -> &'static str {
        "plain"
    }

    #[api(GET, "/layered/{id}", public, layers = [named("endpoint"), named("endpoint-2")])]
    async fn layered(Path(id): Path<u32>) -> String {
        id.to_string()
    }

    #[mount("/files")]
    fn files() -> Router {
        Router::new().route("/readme", get(|| async { "read me" }))
    }

    /// Called by another service.
    #[api(GET, "/double/{number}", public, layers = [named("never")])]
    pub async fn double(Path(number): Path<u32>) -> Result<Json<u32>> {
        Ok(Json(number * 2))
    }
}

/// A service without layers of its own.
pub mod other {
    use bis::prelude::*;

    bis::service!("other");

    #[api(GET, "/other", public)]
    async fn other() -> Result<Json<u32>> {
        super::shop::double(Path(4)).await
    }
}

bis::app!(services: [shop, other], layers: [shop::named("app"), shop::named("app-2")]);

async fn send(app: &TestApp, path: &str) -> (StatusCode, String) {
    let request = Request::get(path).body(Body::empty()).expect("a request");
    let response = app.request(request).await;
    let way = response.headers().get("x-way").and_then(|way| way.to_str().ok()).unwrap_or_default();
    (response.status(), way.to_owned())
}

#[bis::test(app = app)]
async fn layers_are_around_in_the_documented_order(app: TestApp) {
    for (path, status, way) in [
        ("/plain", 200, "app app-2 service service-2"),
        ("/layered/7", 200, "app app-2 service service-2 endpoint endpoint-2"),
        ("/layered/x", 400, "app app-2 service service-2 endpoint endpoint-2"),
        ("/files/readme", 200, "app app-2 service service-2"),
        ("/files/missing", 404, "app app-2 service service-2"),
        ("/nowhere", 404, "app app-2"),
        ("/other", 200, "app app-2"),
    ] {
        let expected = (StatusCode::from_u16(status).expect("a status"), way.to_owned());
        assert_eq!(send(&app, path).await, expected, "{path}");
    }
}
