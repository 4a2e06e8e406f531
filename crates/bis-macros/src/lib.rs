//! The attributes and derives of Bis: thin expansions on top of `bis-syntax`, which owns the grammar.
//!
//! An expansion names everything of ours through `::bis`, so a crate that uses it depends on `bis` under that name. An
//! attribute emits its input again even when it reports mistakes, and reports all of them at once. Nothing here reads a
//! file or decides what a name means: the compiler and the running app do that.

mod allow;
mod app;
mod auth;
mod calls;
mod endpoint;
mod event;
#[cfg(test)]
mod golden;
mod lifecycle;
mod mount;
mod resource;
mod subscription;
mod support;
mod test;

use bis_syntax::Hook;
use proc_macro::TokenStream;

/// Makes `pub fn app() -> bis::App` of the services that it lists.
///
/// ```ignore
/// bis::app!(services: [orders, shipping]);
/// ```
///
/// Each path is a module or a crate that calls [`service!`]. What is not listed is neither linked nor hosted.
///
/// With `layers`, tower layers are around everything that the public listener answers, the first outermost: endpoints, mounts, and
/// paths that do not exist. They see a request before it is routed.
///
/// ```ignore
/// bis::app!(services: [orders, shipping], layers: [TraceLayer::new_for_http(), CorsLayer::permissive()]);
/// ```
#[proc_macro]
pub fn app(input: TokenStream) -> TokenStream {
    // Cargo sets it for whatever it compiles; without cargo an app is called `app`.
    let package = std::env::var("CARGO_PKG_NAME").unwrap_or_default();
    app::app(&package, input.into()).into()
}

/// Makes the module that calls it a service: every handler and endpoint in it, and in the modules under it, belongs to
/// the service.
///
/// ```ignore
/// bis::service!("orders");
/// ```
///
/// With `layers`, tower layers are around each of its endpoints and mounts, the first one outermost. All of them share one instance of
/// each layer, so that a limit is one limit for the service. A mount's requests come without the mount's path.
///
/// ```ignore
/// bis::service!("orders", layers: [from_fn(audit)]);
/// ```
#[proc_macro]
pub fn service(input: TokenStream) -> TokenStream {
    app::service(input.into()).into()
}

/// Makes the value of a static that an app creates when it starts, out of the function that creates it.
///
/// ```ignore
/// pub static CARRIER: Resource<Carrier> = bis::resource!(Carrier::connect);
/// ```
///
/// The function is an `async fn() -> Result<T>` with any error that `?` takes in a handler, or a closure that is one:
/// `bis::resource!(|| async { Pool::open("orders").await })`. See `bis::Resource`.
#[proc_macro]
pub fn resource(input: TokenStream) -> TokenStream {
    resource::expand(input.into()).into()
}

/// Has an async function handle the events of a topic.
///
/// ```ignore
/// #[subscription(orders::PLACED, name = "ship", retry(max = 5, min_backoff = "1s", max_backoff = "5m"))]
/// async fn ship(order: OrderPlaced) -> Result<()> { .. }
/// ```
///
/// The function takes the event, `Delivery<..>` of it, or a `Vec` of either, and stays callable as a function.
///
/// | Option | Default | |
/// |---|---|---|
/// | `name = ".."` | the function's name in kebab-case | the subscription's name within its topic |
/// | `retry(max = N, min_backoff = "..", max_backoff = "..")` | 100, `10s`, `10m` | attempts in all, and the wait between them |
/// | `timeout = ".."` | `30s` | how long the handler may run |
/// | `concurrency = N` | 100 | how many run at once in a process |
/// | `batch(max = N, wait = "..")` | 100, `100ms` | for a handler that takes a `Vec` |
#[proc_macro_attribute]
pub fn subscription(arguments: TokenStream, item: TokenStream) -> TokenStream {
    subscription::expand(arguments.into(), item.into()).into()
}

/// Serves an async function over HTTP.
///
/// ```ignore
/// #[api(POST, "/orders/{id}", public)]
/// async fn change(Path(id): Path<u64>, Json(change): Json<Change>) -> Result<Json<Order>> { .. }
/// ```
///
/// The arguments are the method, the path in axum's notation, and who may call: `public` for anyone, `auth` for callers whom the
/// app's [`#[auth]`](macro@auth) function knows, `private` for the app's own services. The function takes axum's extractors and returns what axum can answer with.
///
/// | Option | Default | |
/// |---|---|---|
/// | `layers = [..]` | none | tower layers around it, the first one outermost |
/// | `body_limit = ".."` | `1MiB`, for extractors that keep the body in memory | the largest body that it takes, whatever reads it |
/// | `timeout = ".."` | none beside `http.request_timeout` | how long it may take until its answer begins |
///
/// A size is a whole number and a unit: `B`, `kB`, `MB` and `GB`, which are powers of 1000, or `KiB`, `MiB` and `GiB`, powers of 1024.
/// A body that is too large is answered with 413; one that is streamed is counted as it comes, and reading it fails. After its
/// timeout an endpoint is cut off, and the client gets 503, as after `http.request_timeout`. That one bounds layers too, and an
/// endpoint's own timeout cannot be longer: the app says so when it starts.
///
/// # Layers
/// A request meets the layers of the app (see [`app!`]), then routing, the layers of the service (see [`service!`]), those of the
/// endpoint, its timeout and body limit, the extractors, and the function. The layers of tower and tower-http work as they are
/// published, and so does a function with `axum::middleware::from_fn`.
///
/// ```ignore
/// #[api(PUT, "/photos/{id}", public, layers = [CompressionLayer::new()], body_limit = "10MB", timeout = "30s")]
/// async fn store(Path(id): Path<u64>, photo: Bytes) -> Result<()> { .. }
/// ```
///
/// The expressions are evaluated once for each app that runs, when its resources exist, so each test has layers of its own. What a
/// layer logs and where it panics belongs to the request. A CORS preflight meets the layers of the endpoint that it asks about.
/// `private` endpoints have the layers of their service and their own, and not those of the app.
///
/// # Calls
/// It stays callable as a function. Where its service lives in another process of the app, the call goes there over
/// HTTP, for which the function's arguments are `Json`, `Path`, `Query` or `Auth` of what has both serde traits, and it returns
/// `Result` of `Json` or `()`. A call skips extractors and all layers, whether it stays in the process or not.
#[proc_macro_attribute]
pub fn api(arguments: TokenStream, item: TokenStream) -> TokenStream {
    endpoint::expand(arguments.into(), item.into()).into()
}

/// Identifies the caller: the one function of an app that knows its users.
///
/// ```ignore
/// #[auth]
/// async fn authenticate(headers: HeaderMap) -> Result<User> {
///     let token = bearer(&headers).ok_or_else(|| Error::unauthorized("a token is needed"))?;
///     sessions::user_of(token).await
/// }
/// ```
///
/// It runs for each request to an `auth` endpoint, and to a public one that takes `Option<Auth<User>>`: after all layers, within
/// the request's timeout, before the endpoint's extractors. What it returns the endpoint takes as
/// [`Auth<User>`](https://docs.rs/bis/latest/bis/struct.Auth.html).
///
/// - **Takes** extractors of the request's head: `HeaderMap`, `Method`, `Parts`, `Query<..>`, typed headers and cookies of axum-extra,
///   or your own. Never the body, which is the endpoint's. One that finds the request wrong (4xx), such as a typed header that is not
///   there, means no credentials: 401.
/// - **Returns** `Result<User>` of a type that is `Clone + Send + Sync + Serialize + DeserializeOwned + 'static`: the user travels to
///   other processes of the app, and with events that ask for it. What is in it is then in the broker's store and in dead letters,
///   so keep an id and what authorization needs in it, and no secrets.
/// - **Answers** `Error::unauthorized(..)` with 401 and `WWW-Authenticate`; `Error::forbidden(..)` with 403; any other error as an
///   endpoint's, which the client learns nothing of. 401 is for callers who are not known, 403 for known ones who may not.
///
/// The header `WWW-Authenticate` is what
/// [`Error::with_challenge`](https://docs.rs/bis/latest/bis/struct.Error.html#method.with_challenge) states, else `#[auth(challenge = "Basic realm=\"shop\"")]`, else `Bearer realm="APP"`.
///
/// # Which app it belongs to
/// To each app that lists its service. Outside every service, to each app that has its crate: that calls `app!` in it, or lists a
/// service of it. An `#[auth]` of a crate that an app only depends on is not the app's; call it from one of its own. Two in one app
/// are an error.
///
/// # Comparing secrets
/// `==` on texts ends at the first difference, so that its time tells how much of a guess was right. Compare tokens in constant time,
/// as with `subtle`, or look up a hash of the token:
///
/// ```ignore
/// use subtle::ConstantTimeEq;
///
/// let is_right: bool = given.as_bytes().ct_eq(TOKEN.as_bytes()).into();
/// ```
#[proc_macro_attribute]
pub fn auth(arguments: TokenStream, item: TokenStream) -> TokenStream {
    auth::expand(arguments.into(), item.into()).into()
}

/// Serves the `axum::Router` that a function returns, as it is, under a path on the public listener. It is public: its own layers
/// must guard what needs guarding.
///
/// ```ignore
/// #[mount("/files")]
/// fn files() -> axum::Router { .. }
/// ```
///
/// The layers of the app and of the service are around it. What it answers is left as it is, a 404 without a body too. An endpoint
/// goes before a mount, and a mount at `/` takes what nothing else does.
///
/// # Static files
/// With tower-http's feature `fs`. `ServeDir` answers ranges and `index.html`, and leads no path out of its folder.
///
/// ```ignore
/// #[mount("/assets")]
/// fn assets() -> axum::Router {
///     axum::Router::new().fallback_service(ServeDir::new("assets"))
/// }
///
/// /// A single-page app: every other path has its page.
/// #[mount("/")]
/// fn page() -> axum::Router {
///     axum::Router::new().fallback_service(ServeDir::new("dist").fallback(ServeFile::new("dist/index.html")))
/// }
/// ```
#[proc_macro_attribute]
pub fn mount(arguments: TokenStream, item: TokenStream) -> TokenStream {
    mount::expand(arguments.into(), item.into()).into()
}

/// Runs an async function of a service at the start of an app, before it is ready.
///
/// ```ignore
/// #[on_start]
/// async fn load_prices() -> Result<()> { .. }
/// ```
///
/// The function takes no parameters, returns `bis::Result<()>` and stays callable. Functions run one after the other: services in
/// the order of [`app!`], within a service by file and line. Nothing is handled or served before the last one has ended. They may
/// publish, and call endpoints of services in this process.
///
/// An error, a panic, or the end of the time to start (`app.start_within`, 30 s) ends the process, with the function's name and
/// place in the log.
#[proc_macro_attribute]
pub fn on_start(arguments: TokenStream, item: TokenStream) -> TokenStream {
    lifecycle::hook(Hook::OnStart, &arguments.into(), item.into()).into()
}

/// Runs an async function of a service when an app stops, after requests and events are finished.
///
/// ```ignore
/// #[on_stop]
/// async fn say_goodbye() -> Result<()> { .. }
/// ```
///
/// The function takes no parameters, returns `bis::Result<()>` and stays callable. Functions run one after the other, in the reverse
/// order of [`macro@on_start`], within the app's time to stop (`app.stop_within`, 30 s); a late one has 1 s. All run, even
/// if one fails, panics or hangs, which is logged. They run only if every `on_start` function of their service has. They may
/// publish.
#[proc_macro_attribute]
pub fn on_stop(arguments: TokenStream, item: TokenStream) -> TokenStream {
    lifecycle::hook(Hook::OnStop, &arguments.into(), item.into()).into()
}

/// Runs an async function of a service beside its handlers, from the moment that the app is ready until it stops, in every process
/// that hosts the service.
///
/// ```ignore
/// #[background]
/// async fn poll_carrier() -> Result<()> {
///     loop {
///         tokio::select! {
///             () = bis::stopping() => return Ok(()),
///             () = bis::time::sleep(Duration::from_secs(60)) => ask_carrier().await?,
///         }
///     }
/// }
/// ```
///
/// The function takes no parameters, returns `bis::Result<()>` and stays callable. When it ends, with `Ok` too, or panics, that is
/// logged and it runs again after a wait, which doubles with each end, and starts anew after a run of a minute. A function that has
/// nothing left to do waits in `bis::stopping().await`.
///
/// When the app stops, `bis::stopping()` completes; what still runs at the end of the app's time to stop (`app.stop_within`, 30 s)
/// is cut off, with a warning.
///
/// In a `#[bis::test]`, the waits of a background function in `bis::time::sleep` do not hold up `settle`, and do not move time by
/// themselves: `app.advance(..)` does.
///
/// | Option | Default | |
/// |---|---|---|
/// | `restart(min_backoff = "..", max_backoff = "..")` | `1s`, `1m` | the wait before it runs again |
#[proc_macro_attribute]
pub fn background(arguments: TokenStream, item: TokenStream) -> TokenStream {
    lifecycle::background(arguments.into(), item.into()).into()
}

/// Makes a type an event, which topics carry.
///
/// ```ignore
/// #[derive(Event, Serialize, Deserialize)]
/// pub struct OrderPlaced {
///     #[event(key)]
///     pub order_id: u64,
///     #[event(attribute)]
///     pub region: String,
///     #[event(sensitive)]
///     pub email: String,
/// }
/// ```
///
/// | On a field | |
/// |---|---|
/// | `key` | the ordering key, a JSON scalar |
/// | `attribute` | also an attribute of the event, a JSON scalar, for filters |
/// | `sensitive` | redacted where `bis` shows events, and in the text of an error that names its value |
/// | `schema = ".."` | its JSON Schema, on a type too |
///
/// `#[event(identity)]` on the type makes its events carry the user who caused them, as the app's `#[auth]` function returned it:
/// handlers have it as `Auth::<User>::current()`. It is in the broker's store, in dead letters and in replays, and redacted where
/// `bis` shows events. Events of other types carry no identity.
#[proc_macro_derive(Event, attributes(event))]
pub fn event(input: TokenStream) -> TokenStream {
    event::expand(input.into()).into()
}

/// Lets warnings of `bis check` pass in the item under it. To rustc the item is as it was.
///
/// ```ignore
/// #[bis::allow(BIS0034)]
/// #[derive(Event, Serialize, Deserialize)]
/// pub struct Paid { pub sum: money::Amount }
/// ```
///
/// The arguments are codes as `bis check` shows them. Errors cannot be allowed. For the whole app, write
/// `[check]` and `allow = ["BIS0034"]` into a `bis.toml` beside the `Cargo.toml`.
#[proc_macro_attribute]
pub fn allow(arguments: TokenStream, item: TokenStream) -> TokenStream {
    allow::expand(arguments.into(), item.into()).into()
}

/// Runs an async function as a test of an app, which is started for it alone.
///
/// ```ignore
/// #[bis::test(app = shop::app)]
/// async fn an_order_ships(app: TestApp) -> Result<()> { .. }
/// ```
///
/// With `chaos = 42` the broker does what it may: events come twice, late, and while it restarts, as the seed says. A
/// range of seeds, `chaos = 0..20`, runs the test with each; `chaos = Chaos::seeded(42).restarts(0.1)` sets rates. See
/// `bis::chaos`.
///
/// With `patience = "1m"`, handlers may wait this long, of real time, for something other than the app's time, before its
/// time moves on and they run into their timeouts; 10 s otherwise. Settling may take six times as long, and at least a minute.
/// The constructors of resources may wait as long.
///
/// With `with(shipping::CARRIER = Carrier::fake())` other values take the places of resources, whose constructors do not run.
///
/// Without `app` the function takes no parameter and starts its app itself, with `TestApp::builder(shop::app())`.
#[proc_macro_attribute]
pub fn test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    test::expand(arguments.into(), item.into()).into()
}

/// Takes the place of [`macro@test`] where `bis` is built without its feature `testing`, and says how to enable it. The test
/// itself is left out, or its `TestApp` would be a second error.
#[doc(hidden)]
#[proc_macro_attribute]
pub fn test_without_feature(_: TokenStream, _: TokenStream) -> TokenStream {
    let message = "`#[bis::test]` needs the feature `testing` of `bis`: add it to `[dev-dependencies]` in Cargo.toml, as in `bis = { version = \"0.1\", features = [\"testing\"] }`";
    quote::quote!(::core::compile_error!(#message);).into()
}
