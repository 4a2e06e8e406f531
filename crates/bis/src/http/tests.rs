//! Calls between two processes of an app, played by two runtimes with an instance each, and the way a listener stops.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use bis_config::Config;
use serde_json::{Value, json};
use tokio::{net::TcpListener, runtime::Runtime, sync::oneshot, task::JoinHandle};

use super::{
    Client, Http, Metrics, Routers,
    connection::Limits,
    no_layers,
    server::{Serving, serve},
};
use crate::{
    error::Result,
    events::{Bus, in_process::InProcess},
    instance::{
        self, Clock, Declarations, Extensions, Instance, Reach, Registered, Scope, Services, Stop, Subsystem,
    },
};

mod errors;

/// The service that calls.
mod here {
    use crate::prelude::*;

    bis::service!("here");

    #[api(GET, "/sum/{left}/{right}", public)]
    pub(super) async fn sum(Path((left, right)): Path<(u32, u32)>) -> Result<Json<u32>> {
        super::there::add(Path(left), Json(right)).await
    }
}

/// A service all of whose words are keywords.
mod r#type {
    use crate::prelude::*;

    bis::service!("type");

    #[api(GET, "/try/{number}", public)]
    pub(super) async fn r#try(Path(r#fn): Path<u32>) -> Result<Json<u32>> {
        Ok(Json(r#fn + 1))
    }
}

/// The service that is called.
mod there {
    use std::collections::BTreeMap;

    use axum::http::HeaderMap;

    use crate::{instance::Scope, prelude::*};

    bis::service!("there");

    #[api(POST, "/add/{left}", private)]
    pub(super) async fn add(Path(left): Path<u32>, Json(right): Json<u32>) -> Result<Json<u32>> {
        match left.checked_add(right) {
            Some(sum) => Ok(Json(sum)),
            None => Err(Error::bad_request(format!("{left} and {right} are too much"))),
        }
    }

    #[api(GET, "/options", public)]
    pub(super) async fn options(
        Query(options): Query<BTreeMap<String, String>>,
    ) -> Result<Json<BTreeMap<String, String>>> {
        Ok(Json(options))
    }

    #[api(GET, "/fail/{how}", public)]
    pub(super) async fn fail(Path(how): Path<String>) -> Result<()> {
        match how.as_str() {
            "later" => Err(std::io::Error::other("disk full"))?,
            "never" => Err(Error::permanent("no such customer")),
            "broker" => {
                let address = "of-the-broker:1".into();
                Err(bis_broker::PublishError::Unanswered { address }).error_context("place")
            }
            "missing" => Err(Error::not_found("no order `7`").context("read the database")),
            "sold-out" => Err(Error::permanent(Error::conflict("sold out").with_code("sold_out"))
                .with_member("type", "https://example.com/sold-out")
                .with_member("next", 8)),
            "busy" => Err(Error::too_many_requests("slowly").retry_after(Duration::from_millis(90_500))),
            "invalid" => Err(Error::invalid([("items[2].sku", "is not for sale")])),
            "panic" => panic!("broken"),
            _ => Ok(()),
        }
    }

    #[api(GET, "/headers", public)]
    pub(super) async fn takes_headers(headers: HeaderMap) -> Result<Json<usize>> {
        Ok(Json(headers.len()))
    }

    #[api(GET, "/unnamed", public)]
    pub(super) async fn unnamed() -> Result<impl IntoResponse> {
        Ok("text")
    }

    #[api(GET, "/slow/{ms}", public)]
    pub(super) async fn slow(Path(ms): Path<u64>) -> Result<()> {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        Ok(())
    }

    #[derive(Debug, Serialize, Deserialize, garde::Validate)]
    pub(super) struct Amount {
        #[garde(range(min = 1))]
        pub(super) cents: u32,
    }

    #[api(POST, "/pay", private)]
    pub(super) async fn pay(amount: crate::Valid<Json<Amount>>) -> Result<Json<u32>> {
        Ok(Json(amount.cents))
    }

    /// The trace, the service and whether there is a deadline.
    #[api(GET, "/scope", public)]
    pub(super) async fn scope() -> Result<Json<(String, Option<String>, bool)>> {
        let scope = Scope::current().error_context("an endpoint has a scope")?;
        let service = scope.service.map(str::to_owned);
        Ok(Json((format!("{:032x}", scope.span.trace), service, scope.deadline.is_some())))
    }
}

fn services() -> Services {
    let (here, there) = (&here::__SERVICE_OF_THIS_MODULE, &there::__SERVICE_OF_THIS_MODULE);
    Services::new(module_path!(), &[here, there, &r#type::__SERVICE_OF_THIS_MODULE])
}

const SECRET: &str = "of-the-tests";

fn serving(stop_within: Duration) -> Serving {
    let request_timeout = Duration::from_secs(60);
    Serving {
        request_timeout,
        takes_deadlines: true,
        when_closed: None,
        stop_within,
        limits: Limits::DEFAULT,
    }
}

/// One process of the app.
struct Process {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<std::io::Result<()>>>,
    _registered: Registered,
    runtime: Runtime,
}

impl Process {
    fn start(service: &str, secret: &str, there: Option<SocketAddr>, address: &str) -> Self {
        Self::try_start(service, secret, there, address).unwrap()
    }

    fn try_start(service: &str, secret: &str, there: Option<SocketAddr>, address: &str) -> Result<Self> {
        let addresses = match there {
            Some(address) => {
                json!({ "there": format!("http://{address}"), "type": format!("http://{address}") })
            }
            None => json!({}),
        };
        let config: Config = serde_json::from_value(json!({
            "app": { "services": [service] },
            "internal": { "secret": secret, "services": addresses },
        }))
        .unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (registered, address, stop, serving) = runtime.block_on(async {
            let broker = Arc::new(InProcess::new());
            let services = services();
            let callers = Http.callers(&services);
            Http.check(&Declarations { services: &services, config: &config, callers: &callers })?;
            let hosted = services.hosted(&config.app)?;
            let routers = Routers::new(&hosted, config.internal.known_secret(), no_layers)?;
            let extensions =
                Extensions::default().with(Bus::new(broker)).with(Client::default()).with(Metrics::default());
            let instance = Arc::new(Instance::new("shop", config, Clock::System, extensions));
            let registered = instance::register(instance, Reach::Runtime);
            let listener = TcpListener::bind(address).await.unwrap();
            let address = listener.local_addr().unwrap();
            let (stop, stopped) = oneshot::channel();
            let stopped = async move { stopped.await.map_or(Stop::HandOver, |()| Stop::HandOver) };
            let router = routers.internal.unwrap();
            let serving = tokio::spawn(serve(listener, router, stopped, serving(Duration::from_secs(5))));
            Ok::<_, crate::Error>((registered, address, stop, serving))
        })?;
        Ok(Self { address, stop: Some(stop), serving: Some(serving), _registered: registered, runtime })
    }

    /// Both processes: the caller, and the one that it calls.
    fn pair() -> (Self, Self) {
        let there = Self::start("there", SECRET, None, "127.0.0.1:0");
        let here = Self::start("here", SECRET, Some(there.address), "127.0.0.1:0");
        (here, there)
    }

    fn stop(&mut self) {
        if let (Some(stop), Some(serving)) = (self.stop.take(), self.serving.take()) {
            // The receiver is gone only when the listener has ended by itself.
            let _ = stop.send(());
            self.runtime.block_on(serving).unwrap().unwrap();
        }
    }

    fn run<T>(&self, test: impl Future<Output = T>) -> T {
        let limited = async { tokio::time::timeout(Duration::from_secs(20), test).await };
        self.runtime.block_on(limited).expect("a test takes no 20 seconds")
    }
}

#[test]
fn a_call_of_another_process_is_a_function_call() {
    let (here, _there) = Process::pair();
    here.run(async {
        let axum::Json(sum) = there::add(axum::extract::Path(2), axum::Json(3)).await.unwrap();
        assert_eq!(sum, 5);
        assert_eq!(here::sum(axum::extract::Path((4, 5))).await.unwrap().0, 9);
        let options = [("a".to_owned(), "b & c".to_owned())];
        let echoed = there::options(axum::extract::Query(options.clone().into())).await.unwrap();
        assert_eq!(echoed.0, options.into());
    });
}

#[test]
fn raw_identifiers_are_plain_words_in_calls() {
    let there = Process::start("type", SECRET, None, "127.0.0.1:0");
    let here = Process::start("here", SECRET, Some(there.address), "127.0.0.1:0");
    assert_eq!(here.run(r#type::r#try(axum::extract::Path(1))).unwrap().0, 2);
    let description = format!("{:?}", Http.describe(&services()));
    assert!(
        description.contains(r#"("name", String("try"))"#) && !description.contains("r#"),
        "{description}"
    );
}

/// What a client of the caller gets to see.
fn status_and_text(error: crate::Error) -> (StatusCode, String) {
    use axum::response::IntoResponse;
    let text = format!("{error:#}");
    (error.into_response().status(), text)
}

#[test]
fn a_public_listener_says_that_it_is_the_wrong_address() {
    let there = Process::start("there", SECRET, None, "127.0.0.1:0");
    let public = there.run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Routers::new(&services(), None, no_layers).unwrap().public;
        let serving = serve(listener, router, std::future::pending(), serving(Duration::from_secs(5)));
        tokio::spawn(serving);
        address
    });
    let here = Process::start("here", SECRET, Some(public), "127.0.0.1:0");
    let error = here.run(there::fail(axum::extract::Path("not".into()))).unwrap_err();
    let (status, text) = status_and_text(error);
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    for part in ["service `there` at", &public.to_string(), "this is a public listener", "`internal.address`"]
    {
        assert!(text.contains(part), "`{text}` lacks `{part}`");
    }
}

#[test]
fn what_the_callee_refuses_is_not_the_clients_mistake() {
    // The address of `there` leads to a process that hosts something else.
    let elsewhere = Process::start("type", SECRET, None, "127.0.0.1:0");
    let here = Process::start("here", SECRET, Some(elsewhere.address), "127.0.0.1:0");
    let error = here.run(there::fail(axum::extract::Path("not".into()))).unwrap_err();
    let (status, text) = status_and_text(error);
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(text.contains("hosts no endpoint") && text.contains("there::fail"), "{text}");
}

#[test]
fn a_late_answer_is_a_504_and_a_callee_that_is_down_a_503() {
    let (here, mut there) = Process::pair();
    let mut scope = Scope::continuing(None);
    scope.deadline = Some(crate::time::now());
    let late = here.run(scope.run(there::slow(axum::extract::Path(10_000)))).unwrap_err();
    assert!(late.to_string().ends_with(" [BIS1051]"), "{late}");
    assert_eq!(status_and_text(late).0, StatusCode::GATEWAY_TIMEOUT);
    there.stop();
    let away = here.run(there::fail(axum::extract::Path("not".into()))).unwrap_err();
    assert!(away.to_string().ends_with(" [BIS1050]"), "{away}");
    assert_eq!(status_and_text(away).0, StatusCode::SERVICE_UNAVAILABLE);
}

#[test]
fn what_cannot_travel_says_so_at_the_call() {
    let (here, there) = Process::pair();
    here.run(async {
        let error = there::takes_headers(axum::http::HeaderMap::new()).await.unwrap_err();
        let text = "cannot be called from another process: argument `headers` is not a `Json`, `Path`, `Query` or `Auth`";
        assert!(error.is_permanent() && error.to_string().contains(text), "{error}");
        assert!(error.to_string().ends_with(" [BIS1053]"), "{error}");
        let Err(error) = there::unnamed().await else { panic!("it cannot travel") };
        assert!(format!("{error:#}").contains("cannot be called from another process"), "{error:#}");
    });
    // Where the service lives, they are functions like others.
    there.run(async {
        assert_eq!(there::takes_headers(axum::http::HeaderMap::new()).await.unwrap().0, 0);
        assert!(there::unnamed().await.is_ok());
    });
}

#[test]
fn trace_and_deadline_travel_along() {
    let (here, _there) = Process::pair();
    here.run(async {
        let mut scope = Scope::continuing(None);
        scope.deadline = Some(crate::time::now() + Duration::from_millis(300));
        let trace = format!("{:032x}", scope.span.trace);
        let seen = scope.clone().run(there::scope()).await.unwrap();
        assert_eq!(seen.0, (trace, Some("there".to_owned()), true));
        let started = std::time::Instant::now();
        let error = scope.run(there::slow(axum::extract::Path(10_000))).await.unwrap_err();
        assert!(started.elapsed() < Duration::from_secs(5), "it waits until its deadline: {error:#}");
    });
}

#[test]
fn a_wrong_secret_is_refused() {
    let there = Process::start("there", SECRET, None, "127.0.0.1:0");
    let here = Process::start("here", "another", Some(there.address), "127.0.0.1:0");
    let error = here.run(there::fail(axum::extract::Path("not".into()))).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("secret is missing or wrong") && text.contains("`internal.secret`"), "{text}");
    assert!(text.ends_with(" [BIS1052]"), "{text}");
}

#[test]
fn the_internal_listener_serves_private_endpoints_with_the_secret() {
    let (here, there) = Process::pair();
    here.run(async {
        let base = format!("http://{}", there.address);
        let client = Client::default();
        for (path, secret, expected) in [
            ("/add/1", Some(SECRET), StatusCode::OK),
            ("/add/1", Some("wrong"), StatusCode::UNAUTHORIZED),
            ("/add/1", None, StatusCode::UNAUTHORIZED),
            ("/nowhere", None, StatusCode::UNAUTHORIZED),
            ("/nowhere", Some(SECRET), StatusCode::NOT_FOUND),
            ("/options", Some(SECRET), StatusCode::NOT_FOUND),
        ] {
            let mut request =
                Request::post(path).header("host", "x").header("content-type", "application/json");
            if let Some(secret) = secret {
                request = request.header("bis-secret", secret);
            }
            let (status, body) = client.send(&base, request.body(Body::from("2")).unwrap()).await.unwrap();
            assert_eq!(status, expected, "{path} {secret:?}: {body:?}");
        }
    });
}

#[test]
fn bad_calls_are_refused_with_a_reason() {
    let (here, there) = Process::pair();
    here.run(async {
        let base = format!("http://{}", there.address);
        let client = Client::default();
        let add = concat!(module_path!(), "::there::add");
        for (function, arguments, status, part) in [
            (add, "[1, 2]", 200, "3"),
            (add, "[1]", 400, "lacks the argument `right`"),
            (add, "[1, \"x\"]", 400, "the argument `right` of the call"),
            (add, "{}", 400, "not a JSON array"),
            (add, "[1, 2", 400, "not a JSON array"),
            ("shop::missing", "[]", 404, "hosts no endpoint `shop::missing`"),
        ] {
            let request = Request::post(format!("/_bis/call/{function}"))
                .header("host", "x")
                .header("bis-secret", SECRET)
                .body(Body::from(arguments))
                .unwrap();
            let (actual, body) = client.send(&base, request).await.unwrap();
            let body = String::from_utf8(body.to_vec()).unwrap();
            assert_eq!(actual.as_u16(), status, "{function} {arguments}: {body}");
            assert!(body.contains(part), "{function} {arguments}: {body}");
        }
    });
}

#[test]
fn a_service_that_cannot_be_reached_is_an_error_that_says_which() {
    // The source of `here` shows that it calls `there`, so that it does not even start.
    let Err(error) = Process::try_start("here", SECRET, None, "127.0.0.1:0").map(drop) else {
        panic!("it starts");
    };
    let text = error.to_string();
    for part in
        ["here::sum` calls `", "there::add` of the service `there`", "`internal.services.there`", "[BIS1014]"]
    {
        assert!(text.contains(part), "`{text}` lacks `{part}`");
    }

    let nowhere = Process::start("type", SECRET, None, "127.0.0.1:0");
    let error = nowhere.run(there::fail(axum::extract::Path("not".into()))).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("`internal.services.there`") && text.ends_with(" [BIS1014]"), "{text}");

    let mut gone = Process::start("there", SECRET, None, "127.0.0.1:0");
    let here = Process::start("here", SECRET, Some(gone.address), "127.0.0.1:0");
    gone.stop();
    let error = here.run(there::fail(axum::extract::Path("not".into()))).unwrap_err();
    let text = format!("{error:#}");
    assert!(text.contains("service `there` at") && text.contains("cannot connect"), "{text}");
    assert!(!error.is_permanent());
}

#[test]
fn a_kept_connection_to_a_process_that_was_replaced_is_replaced_too() {
    let (here, mut there) = Process::pair();
    here.run(there::fail(axum::extract::Path("not".into()))).unwrap();
    there.stop();
    let address = there.address.to_string();
    drop(there);
    let _again = Process::start("there", SECRET, None, &address);
    here.run(there::fail(axum::extract::Path("not".into()))).unwrap();
}

#[test]
fn stopping_lets_running_requests_finish() {
    let (here, mut there) = Process::pair();
    let call = here.runtime.spawn(there::slow(axum::extract::Path(400)));
    std::thread::sleep(Duration::from_millis(150));
    let started = std::time::Instant::now();
    there.stop();
    assert!(started.elapsed() >= Duration::from_millis(100), "it did not wait for the request");
    here.run(call).unwrap().unwrap();
}

#[test]
fn stopping_takes_no_longer_than_its_limit() {
    let there = Process::start("there", SECRET, None, "127.0.0.1:0");
    let here = Process::start("here", SECRET, Some(there.address), "127.0.0.1:0");
    there.run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Routers::new(&services(), None, no_layers).unwrap().public;
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async move { stopped.await.map_or(Stop::HandOver, |()| Stop::HandOver) };
        let serving = tokio::spawn(serve(listener, router, stopped, serving(Duration::from_millis(200))));
        let request = here.runtime.spawn(async move {
            let request = Request::get("/slow/15000").header("host", "x").body(Body::empty()).unwrap();
            Client::default().send(&format!("http://{address}"), request).await.is_ok()
        });
        tokio::time::sleep(Duration::from_millis(200)).await;
        let started = std::time::Instant::now();
        drop(stop);
        serving.await.unwrap().unwrap();
        let took = started.elapsed();
        assert!((Duration::from_millis(150)..Duration::from_secs(5)).contains(&took), "{took:?}");
        request.abort();
    });
}

/// Routes that cannot be served together, each in a service of its own, since all of them are linked into this test.
mod clashes {
    pub(super) mod duplicate {
        use crate::prelude::*;

        bis::service!("duplicate");

        #[api(GET, "/same", public)]
        async fn first() -> Result<()> {
            Ok(())
        }

        #[api(GET, "/same", public)]
        async fn second() -> Result<()> {
            Ok(())
        }
    }

    pub(super) mod parameters {
        use crate::prelude::*;

        bis::service!("parameters");

        #[api(GET, "/orders/{id}", public)]
        async fn show(Path(_): Path<u32>) -> Result<()> {
            Ok(())
        }

        #[api(DELETE, "/orders/{order}", public)]
        async fn delete(Path(_): Path<u32>) -> Result<()> {
            Ok(())
        }
    }

    pub(super) mod mounted {
        use crate::prelude::*;

        bis::service!("mounted");

        #[api(GET, "/files/{name}", public)]
        async fn file(Path(_): Path<String>) -> Result<()> {
            Ok(())
        }

        #[mount("/files")]
        fn files() -> axum::Router {
            axum::Router::new()
        }
    }

    pub(super) mod peaceful {
        use crate::prelude::*;

        bis::service!("peaceful");

        #[api(GET, "/assets/latest", public)]
        async fn latest() -> &'static str {
            "endpoint"
        }

        #[mount("/assets")]
        fn assets() -> axum::Router {
            axum::Router::new().route("/{name}", axum::routing::get(async || "mount"))
        }

        #[mount("/")]
        fn rest() -> axum::Router {
            axum::Router::new().fallback(async || "rest")
        }
    }
}

#[track_caller]
fn check_clash(service: &'static crate::instance::ServiceEntry, parts: &[&str]) {
    let error = Routers::check(&Services::new(module_path!(), &[service])).unwrap_err().to_string();
    for part in parts {
        assert!(error.contains(part), "`{error}` lacks `{part}`");
    }
    assert_eq!(error.matches("tests.rs:").count(), 2, "both positions: {error}");
}

#[test]
fn routes_that_clash_are_an_error_that_names_both_places() {
    check_clash(&clashes::duplicate::__SERVICE_OF_THIS_MODULE, &["`GET /same` is declared twice"]);
    check_clash(
        &clashes::parameters::__SERVICE_OF_THIS_MODULE,
        &["`/orders/{id}`", "`/orders/{order}`", "same name"],
    );
    check_clash(&clashes::mounted::__SERVICE_OF_THIS_MODULE, &["`/files/{name}`", "`/files`"]);
}

#[test]
fn endpoints_go_before_mounts() {
    let services = Services::new(module_path!(), &[&clashes::peaceful::__SERVICE_OF_THIS_MODULE]);
    let routers = Routers::new(&services, None, no_layers).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        for (path, expected) in [
            ("/assets/latest", "endpoint"),
            ("/assets/other", "mount"),
            ("/", "rest"),
            ("/anything/else", "rest"),
        ] {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let response = super::answer(&routers.public, request).await;
            let body = axum::body::to_bytes(response.into_body(), 1024).await.unwrap();
            assert_eq!(body, expected, "{path}");
        }
    });
}

#[test]
fn results_read_as_what_was_written() -> Result<()> {
    use super::probe::{Probe, methods::*};
    let probe = &&&Probe::<Result<axum::Json<Value>>>::new();
    let written = probe.encode_result(Ok(axum::Json(json!({ "a": [1, null] }))))?;
    assert_eq!(probe.decode_result(Ok(written.into()))?.0, json!({ "a": [1, null] }));
    Ok(())
}
