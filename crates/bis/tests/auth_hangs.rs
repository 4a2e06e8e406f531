//! An `#[auth]` function that does not come to an end: the endpoint's timeout ends it, and it holds up nobody else.

#![forbid(unsafe_code)]

use axum::{
    body::Body,
    http::{HeaderMap, Request},
};
use bis::prelude::*;

mod slow {
    use super::*;

    bis::service!("slow");

    #[derive(Clone, Serialize, Deserialize)]
    struct User;

    /// Never answers whoever says `hang`.
    #[auth]
    async fn authenticate(headers: HeaderMap) -> Result<User> {
        if headers.contains_key("hang") {
            bis::time::sleep(Duration::from_secs(3600)).await;
        }
        Ok(User)
    }

    #[api(GET, "/me", auth, timeout = "5s")]
    async fn me(Auth(_): Auth<User>) -> &'static str {
        "you"
    }
}

bis::app!(services: [slow]);

async fn ask(app: &TestApp, hangs: bool) -> StatusCode {
    let mut request = Request::get("/me");
    if hangs {
        request = request.header("hang", "1");
    }
    app.request(request.body(Body::empty()).expect("a request")).await.status()
}

#[bis::test(app = app)]
async fn the_endpoints_timeout_ends_it(app: TestApp) {
    let before = app.now();
    let (late, quick) = tokio::join!(ask(&app, true), ask(&app, false));
    assert_eq!((late, quick), (StatusCode::SERVICE_UNAVAILABLE, StatusCode::OK));
    let took = app.now().duration_since(before).expect("time goes on");
    assert_eq!(took, Duration::from_secs(5));
}
