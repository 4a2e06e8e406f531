//! What `bis_core::route` takes, axum takes, and the other way round: thousands of random sets of routes.

use std::panic::{AssertUnwindSafe, catch_unwind};

use axum::{
    Router,
    body::Body,
    http::{Method, Request},
    routing::{MethodFilter, on},
};
use bis_core::route::{self, RouteConflict, Routes};
use tower::ServiceExt;

/// Pieces of paths, wrong ones among them.
const SEGMENTS: [&str; 20] = [
    "a", "b", "a", "{x}", "{y}", "{x}", "{*x}", "{*rest}", "", ":x", "*x", "*", "{}", "{*}", "x{y}", "{x}y",
    "{", "é", "a%20b", "..",
];

const METHODS: [&str; 4] = ["GET", "HEAD", "POST", "OPTIONS"];

fn path(random: &mut fastrand::Rng) -> String {
    let mut path = String::new();
    for _ in 0..random.usize(1..4) {
        // Mostly sound paths, so that sets of routes have something to conflict about.
        let kinds = if random.u8(0..4) == 0 { SEGMENTS.len() } else { 8 };
        path.push('/');
        path.push_str(SEGMENTS[random.usize(..kinds)]);
    }
    path
}

enum Added {
    Endpoint(&'static str, String),
    Mount(String),
}

/// The routes of a set, in the order in which an app adds them.
fn set(random: &mut fastrand::Rng) -> Vec<Added> {
    let mut endpoints: Vec<_> =
        (0..random.usize(1..6)).map(|_| (path(random), METHODS[random.usize(..METHODS.len())])).collect();
    endpoints.sort();
    let mut mounts: Vec<_> = (0..random.usize(..3)).map(|_| path(random)).collect();
    mounts.sort();
    let endpoints = endpoints.into_iter().map(|(path, method)| Added::Endpoint(method, path));
    endpoints.chain(mounts.into_iter().map(Added::Mount)).collect()
}

fn add_to_axum(router: Router, added: &Added) -> Option<Router> {
    let add = || match added {
        Added::Endpoint(method, path) => {
            let method: Method = method.parse().expect("a method");
            let filter = MethodFilter::try_from(method).expect("a filter");
            let found = path.clone();
            router.route(path, on(filter, async move || found))
        }
        Added::Mount(path) if path == "/" => router,
        Added::Mount(path) => {
            let found = path.clone();
            router.nest_service(path, Router::new().fallback(async move || found))
        }
    };
    catch_unwind(AssertUnwindSafe(add)).ok()
}

/// A path that a request for this route has, as a client sends it.
fn example(path: &str) -> String {
    let segments = path.split('/').map(|segment| if segment.starts_with('{') { "value" } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

#[test]
fn axum_takes_what_we_take() {
    std::panic::set_hook(Box::new(|_| {}));
    let mut random = fastrand::Rng::with_seed(7);
    let (mut taken, mut refused, mut invalid) = (0, 0, 0);
    for _ in 0..20_000 {
        let mut router = Router::new();
        let mut routes = Routes::default();
        for added in set(&mut random) {
            let (text, mistakes, verdict) = match &added {
                Added::Endpoint(method, path) => (
                    format!("{method} {path}"),
                    route::path_mistakes(path),
                    routes.endpoint(method, path, ()),
                ),
                Added::Mount(path) => {
                    (format!("mount {path}"), route::mount_mistakes(path), routes.mount(path, ()))
                }
            };
            if !mistakes.is_empty() {
                // The macro refuses it, so that no app has it.
                invalid += 1;
                break;
            }
            let is_root_mount = matches!(&added, Added::Mount(path) if path == "/");
            match (verdict, add_to_axum(router, &added)) {
                (Ok(()), Some(next)) => {
                    taken += 1;
                    router = next;
                }
                (Err(RouteConflict::Invalid { reason }), _) => panic!("`{text}` is valid, but: {reason}"),
                // axum does not support a mount at the root; an app makes it the fallback.
                (Err(_), _) if is_root_mount => break,
                (Err(_), None) => {
                    refused += 1;
                    break;
                }
                (ours, theirs) => panic!("`{text}` of {routes:?}: {ours:?}, but axum: {}", theirs.is_some()),
            }
        }
    }
    assert!(taken > 10_000 && refused > 1_000 && invalid > 1_000, "{taken} {refused} {invalid}");
}

#[tokio::test]
async fn what_we_take_is_reached() {
    let mut random = fastrand::Rng::with_seed(8);
    let mut reached = 0;
    for _ in 0..5_000 {
        let path = path(&mut random);
        if !route::path_mistakes(&path).is_empty() {
            continue;
        }
        let router = Router::new().route(&path, axum::routing::get(async || "here"));
        let request = Request::get(example(&path)).body(Body::empty()).expect("a client can send it");
        let response = router.oneshot(request).await.expect("a router answers");
        assert_eq!(response.status(), 200, "{path}");
        reached += 1;
    }
    assert!(reached > 1_000, "{reached}");
}
