//! Layers that cannot be made, that lose the request, and timeouts that never come.

use axum::body::Body;

use super::*;
use crate::http::{Routers, no_layers};

/// A layer whose expression panics.
mod unmade {
    use tower::layer::util::Identity;

    use crate::prelude::*;

    bis::service!("unmade");

    fn broken() -> Identity {
        panic!("`LIMIT` is not set")
    }

    #[api(GET, "/unmade", public, layers = [broken()])]
    async fn endpoint() -> Result<()> {
        Ok(())
    }
}

/// A layer that makes a request of its own.
mod loses {
    use axum::{
        extract::Request,
        middleware::{Next, from_fn},
        response::Response,
    };

    use crate::prelude::*;

    bis::service!("loses", layers: [from_fn(lose)]);

    async fn lose(request: Request, next: Next) -> Response {
        next.run(Request::new(request.into_body())).await
    }

    #[api(GET, "/loses", public, timeout = "2m")]
    async fn endpoint() -> Result<()> {
        Ok(())
    }

    #[api(GET, "/in-time", public, timeout = "1m")]
    async fn in_time() -> Result<()> {
        Ok(())
    }
}

#[test]
fn layers_that_cannot_be_made_are_an_error_that_names_whose_they_are() {
    let services = Services::new(&[&unmade::__SERVICE_OF_THIS_MODULE]);
    let error = Routers::new(&services, None, no_layers).unwrap_err().to_string();
    for part in ["the layers of `GET /unmade` at ", "tests.rs:", "`LIMIT` is not set", "[BIS1070]"] {
        assert!(error.contains(part), "`{error}` lacks `{part}`");
    }
    let error = Routers::new(&Services::default(), None, || panic!("no")).unwrap_err().to_string();
    assert!(error.starts_with("the layers of the app cannot be made: the code panicked: no;"), "{error}");
}

#[tokio::test]
async fn a_request_that_a_layer_lost_is_an_error_of_the_app() {
    let services = Services::new(&[&loses::__SERVICE_OF_THIS_MODULE]);
    let routers = Routers::new(&services, None, no_layers).unwrap();
    let request = Request::get("/loses").body(Body::empty()).unwrap();
    let response = crate::http::answer(&routers.public, request).await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let text = LostRequest { service: "loses" }.to_string();
    assert!(text.ends_with("hand them on [BIS1071]"), "{text}");
}

#[test]
fn a_timeout_longer_than_a_request_may_take_is_said() {
    let services = Services::new(&[&loses::__SERVICE_OF_THIS_MODULE]);
    let found = too_long(&services, Duration::from_secs(60));
    let texts: Vec<_> = found.iter().map(ToString::to_string).collect();
    let expected = "the timeout of `GET /loses` (2m) is longer than `http.request_timeout` (1m), after which the request is cut off: make one of them fit [BIS1072]";
    assert_eq!(texts, [expected]);
}
