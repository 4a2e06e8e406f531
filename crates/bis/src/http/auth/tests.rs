//! Who asks, between two processes of an app, played by two runtimes with an instance each: over real sockets, with a client that
//! speaks HTTP as it likes.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::http::StatusCode;
use bis_config::Config;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};

use super::Authentication;
use crate::{
    events::{Bus, in_process::InProcess},
    http::{
        Client, Metrics, Routers,
        connection::Limits,
        no_layers,
        server::{Serving, serve},
    },
    instance::{self, Clock, Extensions, Instance, Reach, Registered, Scope, Services},
};

/// The service with the public endpoints and the app's `#[auth]` function.
mod front {
    use super::back;
    use crate::prelude::*;

    bis::service!("auth-front");

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub(super) struct User {
        pub(super) id: u64,
        pub(super) name: String,
    }

    #[auth]
    async fn authenticate(headers: HeaderMap) -> Result<User> {
        match headers.get("authorization").map(|value| value.as_bytes()) {
            None => Err(Error::unauthorized("no token")),
            Some(b"hangs") => std::future::pending().await,
            Some(b"large") => Ok(User { id: 1, name: "x".repeat(9000) }),
            Some(_) => Ok(User { id: 7, name: "Zoë 🦀".into() }),
        }
    }

    #[api(GET, "/seen", auth)]
    async fn seen(user: Auth<User>) -> Result<Json<(u64, bool, Option<User>)>> {
        let given = User { id: user.0.id + 1, ..user.0 };
        back::seen(Auth(given), None).await
    }

    #[api(GET, "/open", public)]
    async fn open() -> Result<Json<Option<User>>> {
        back::guarded().await
    }
}

/// The service that is called.
mod back {
    use super::front::User;
    use crate::prelude::*;

    bis::service!("auth-back");

    /// What is given, and who asks.
    #[api(GET, "/private/seen", private)]
    pub(super) async fn seen(
        given: Auth<User>,
        maybe: Option<Auth<User>>,
    ) -> Result<Json<(u64, bool, Option<User>)>> {
        Ok(Json((given.0.id, maybe.is_some(), Auth::<User>::current())))
    }

    #[api(GET, "/guarded", auth)]
    pub(super) async fn guarded() -> Result<Json<Option<User>>> {
        Ok(Json(Auth::<User>::current()))
    }
}

const SECRET: &str = "of-the-auth-tests";

/// One process of the app, with both listeners.
struct Process {
    public: SocketAddr,
    internal: SocketAddr,
    _registered: Registered,
    runtime: Runtime,
}

impl Process {
    fn start(service: &str, back: Option<SocketAddr>, request_timeout: Duration) -> Self {
        let back = back.map(|address| format!("http://{address}"));
        let addresses = back.map_or(json!({}), |back| json!({ "auth-back": back }));
        let config: Config = serde_json::from_value(json!({
            "app": { "services": [service] },
            "internal": { "secret": SECRET, "services": addresses },
        }))
        .unwrap();
        let listed = [&front::__SERVICE_OF_THIS_MODULE, &back::__SERVICE_OF_THIS_MODULE];
        let services = Services::new("bis::http::auth::tests", &listed);
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (registered, public, internal) = runtime.block_on(async {
            let hosted = services.hosted(&config.app).unwrap();
            let routers = Routers::new(&hosted, config.internal.known_secret(), no_layers).unwrap();
            let authentication = Authentication::of(&services);
            let extensions = Extensions::default()
                .with(Bus::new(Arc::new(InProcess::new())))
                .with(Client::default())
                .with(Metrics::default())
                .with(authentication)
                .with(authentication.users());
            let instance = Arc::new(Instance::new("shop", config, Clock::System, extensions));
            let registered = instance::register(instance, Reach::Runtime);
            let mut addresses = Vec::new();
            for (app, takes_deadlines) in [(routers.public, false), (routers.internal.unwrap(), true)] {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                addresses.push(listener.local_addr().unwrap());
                let serving = Serving {
                    request_timeout,
                    takes_deadlines,
                    when_closed: None,
                    stop_within: Duration::from_secs(5),
                    limits: Limits::DEFAULT,
                };
                tokio::spawn(serve(listener, app, std::future::pending(), serving));
            }
            (registered, addresses[0], addresses[1])
        });
        Self { public, internal, _registered: registered, runtime }
    }

    fn pair(request_timeout: Duration) -> (Self, Self) {
        let back = Self::start("auth-back", None, request_timeout);
        let front = Self::start("auth-front", Some(back.internal), request_timeout);
        (front, back)
    }

    fn run<T>(&self, test: impl Future<Output = T>) -> T {
        let limited = async { tokio::time::timeout(Duration::from_secs(30), test).await };
        self.runtime.block_on(limited).expect("a test takes no 30 seconds")
    }
}

const LONG: Duration = Duration::from_secs(60);

/// Sends a request as it is and gives the connection.
async fn send(address: SocketAddr, start: &str, headers: &[&str], body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let length = body.len();
    let text = format!(
        "{start} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    );
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// The status and the body of an answer.
async fn receive(mut stream: TcpStream) -> (u16, String) {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

async fn exchange(address: SocketAddr, start: &str, headers: &[&str], body: &str) -> (u16, String) {
    receive(send(address, start, headers, body).await).await
}

const ROOT: &str = r#"bis-identity: {"id":1,"name":"root"}"#;

#[test]
fn an_identity_travels_to_another_process_beside_what_is_passed() {
    let (front, _back) = Process::pair(LONG);
    front.run(async {
        let (status, body) = exchange(front.public, "GET /seen", &["authorization: zoe"], "").await;
        assert_eq!((status, body.as_str()), (200, r#"[8,false,{"id":7,"name":"Zoë 🦀"}]"#));
        let given = crate::Auth(front::User { id: 3, name: "c".into() });
        let seen = back::seen(given.clone(), Some(given)).await.unwrap().0;
        assert_eq!(seen, (3, true, None), "nobody asked");
    });
}

#[test]
fn a_client_brings_no_identity_to_either_listener() {
    let (front, back) = Process::pair(LONG);
    front.run(async {
        assert_eq!(exchange(front.public, "GET /seen", &[ROOT], "").await.0, 401);
        // The endpoint calls one that is guarded, as code of the app may, and nobody is passed on.
        assert_eq!(exchange(front.public, "GET /open", &[ROOT], "").await, (200, "null".to_owned()));
        let secret = format!("bis-secret: {SECRET}");
        let call = "POST /_bis/call/bis::http::auth::tests::back::guarded";
        assert_eq!(exchange(back.internal, call, &[ROOT], "[]").await.0, 401, "without the secret");
        assert_eq!(exchange(back.public, call, &[ROOT, &secret], "[]").await.0, 421);
        let (status, body) = exchange(back.internal, call, &[ROOT, &secret], "[]").await;
        assert_eq!((status, body.as_str()), (200, r#"{"id":1,"name":"root"}"#), "from a process of the app");
        for wrong in ["bis-identity: \"root\"", "bis-identity: ", "bis-identity: \u{e9}"] {
            let (status, body) = exchange(back.internal, call, &[wrong, &secret], "[]").await;
            assert_eq!(status, 400, "{wrong}: {body}");
        }
        let large = format!("bis-identity: {{\"id\":1,\"name\":\"{}\"}}", "x".repeat(9000));
        let (status, body) = exchange(back.internal, call, &[&large, &secret], "[]").await;
        assert!(status == 400 && body.contains("[BIS1075]"), "{status} {body}");
    });
}

#[test]
fn an_identity_that_is_too_large_is_not_sent() {
    let (front, _back) = Process::pair(LONG);
    front.run(async {
        let (status, body) = exchange(front.public, "GET /seen", &["authorization: large"], "").await;
        assert_eq!(status, 500);
        assert!(!body.contains("BIS"), "{body}");
        let mut scope = Scope::continuing(None);
        scope.identity =
            Some(crate::instance::AnyIdentity::new(front::User { id: 1, name: "x".repeat(9000) }));
        let error = scope.run(back::guarded()).await.unwrap_err();
        assert!(error.is_permanent() && format!("{error:#}").ends_with(" [BIS1075]"), "{error:#}");
        assert_eq!(error.http_status(), StatusCode::INTERNAL_SERVER_ERROR);
    });
}

#[test]
fn a_function_that_hangs_ends_with_the_request_and_holds_up_no_other() {
    let (front, _back) = Process::pair(Duration::from_secs(1));
    front.run(async {
        let hanging = send(front.public, "GET /seen", &["authorization: hangs"], "").await;
        let (status, _) = exchange(front.public, "GET /seen", &["authorization: zoe"], "").await;
        assert_eq!(status, 200);
        assert_eq!(receive(hanging).await.0, 503);
    });
}
