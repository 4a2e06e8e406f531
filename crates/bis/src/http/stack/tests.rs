//! Layers on both listeners, what they know of a request, and those that cannot be made, lose the request or are never ready.

use std::convert::Infallible;

use axum::{body::Body, http::HeaderValue, response::Response};
use bis_config::Secret;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower::{layer::layer_fn, util::MapResponseLayer};

use super::*;
use crate::{
    http::{
        Routers,
        connection::Limits,
        layer,
        layers::Answering,
        no_layers,
        server::{self, Serving},
        wire::SECRET,
    },
    instance::Scope,
};

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
    let services = Services::new(module_path!(), &[&unmade::__SERVICE_OF_THIS_MODULE]);
    let error = Routers::new(&services, None, no_layers).unwrap_err().to_string();
    for part in ["the layers of `GET /unmade` at ", "tests.rs:", "`LIMIT` is not set", "[BIS1070]"] {
        assert!(error.contains(part), "`{error}` lacks `{part}`");
    }
    let error = Routers::new(&Services::default(), None, || panic!("no")).unwrap_err().to_string();
    assert!(error.starts_with("the layers of the app cannot be made: the code panicked: no;"), "{error}");
}

#[tokio::test]
async fn a_request_that_a_layer_lost_is_an_error_of_the_app() {
    let services = Services::new(module_path!(), &[&loses::__SERVICE_OF_THIS_MODULE]);
    let routers = Routers::new(&services, None, no_layers).unwrap();
    let request = Request::get("/loses").body(Body::empty()).unwrap();
    let response = crate::http::answer(&routers.public, request).await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let text = LostRequest { service: "loses" }.to_string();
    assert!(text.ends_with("hand them on [BIS1071]"), "{text}");
}

#[test]
fn a_timeout_longer_than_a_request_may_take_is_said() {
    let services = Services::new(module_path!(), &[&loses::__SERVICE_OF_THIS_MODULE]);
    let found = too_long(&services, Duration::from_secs(60));
    let texts: Vec<_> = found.iter().map(ToString::to_string).collect();
    let expected = "the timeout of `GET /loses` (2m) is longer than `http.request_timeout` (1m), after which the request is cut off: make one of them fit [BIS1072]";
    assert_eq!(texts, [expected]);
}

/// Notes in a header which layer an answer passed, and what was known of its request then.
fn noting(name: &'static str) -> MapResponseLayer<impl Fn(Response) -> Response + Clone> {
    MapResponseLayer::new(move |mut response: Response| {
        let route = Scope::with(|scope| scope.and_then(|scope| scope.route)).unwrap_or("-");
        let note = HeaderValue::from_str(&format!("{name}@{route}")).unwrap();
        response.headers_mut().append("x-note", note);
        response
    })
}

/// A layer whose service is never ready.
#[derive(Clone)]
struct NeverReady;

impl tower::Service<Request> for NeverReady {
    type Response = Response;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Pending
    }

    fn call(&mut self, _: Request) -> Answering {
        unreachable!("it is never ready")
    }
}

mod layered {
    use super::*;
    use crate::prelude::*;

    bis::service!("layered", layers: [noting("service")]);

    #[api(GET, "/private/{id}", private, layers = [noting("endpoint")])]
    async fn private(Path(_): Path<u32>) -> Result<Json<u32>> {
        Ok(Json(7))
    }

    #[api(GET, "/public", public)]
    async fn public() -> Result<()> {
        Ok(())
    }

    #[api(GET, "/stuck", public, layers = [layer_fn(|_| NeverReady)])]
    async fn stuck() -> Result<()> {
        Ok(())
    }
}

fn layered(secret: Option<&Secret>) -> Routers {
    let services = Services::new(module_path!(), &[&layered::__SERVICE_OF_THIS_MODULE]);
    Routers::new(&services, secret, || Layers::new(vec![layer(noting("app"))])).unwrap()
}

fn notes(response: &Response) -> Vec<&str> {
    response.headers().get_all("x-note").iter().map(|note| note.to_str().unwrap()).collect()
}

#[tokio::test]
async fn the_layers_of_the_app_are_on_the_public_listener_only() {
    let secret = Secret::from("of-the-tests".to_owned());
    let routers = layered(Some(&secret));
    let internal = routers.internal.as_ref().unwrap();
    let get = |path: &str| Request::get(path).header(SECRET, "of-the-tests").body(Body::empty()).unwrap();
    let response = crate::http::answer(internal, get("/private/7")).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(notes(&response), ["endpoint@/private/{id}", "service@/private/{id}"]);
    // A call by its function goes to the function alone.
    let function = format!("/_bis/call/{}::layered::private", module_path!());
    let call = Request::post(function).header(SECRET, "of-the-tests").body(Body::from("[7]")).unwrap();
    let response = crate::http::answer(internal, call).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(notes(&response), [""; 0]);
    let response = crate::http::answer(&routers.public, get("/public")).await;
    assert_eq!(notes(&response), ["service@/public", "app@/public"]);
    let response = crate::http::answer(&routers.public, get("/private/7")).await;
    assert_eq!((response.status(), notes(&response)), (StatusCode::NOT_FOUND, vec!["app@-"]));
}

#[tokio::test]
async fn what_waits_for_a_layer_for_ever_is_cut_off_and_others_are_not() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = Serving {
        request_timeout: Duration::from_millis(50),
        takes_deadlines: false,
        when_closed: None,
        stop_within: Duration::ZERO,
        limits: Limits::DEFAULT,
    };
    tokio::spawn(server::serve(listener, layered(None).public, std::future::pending(), serving));
    for (path, status) in [("/stuck", "503"), ("/public", "200"), ("/stuck", "503")] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let reading = stream.read_to_string(&mut answer);
        tokio::time::timeout(Duration::from_secs(20), reading).await.expect("an answer").unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {answer}");
    }
}
