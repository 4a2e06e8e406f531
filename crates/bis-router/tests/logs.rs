//! What the router logs: nothing of what others say can forge a line or move a terminal's cursor, and no password is in it.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

use std::fmt::{Debug, Write as _};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bis_router::Router;
use support::authority::Authority;
use support::http::get;
use support::{Client, options};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Keeps every event as a log shows it that quotes text and does nothing else.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("bis_router")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl Log {
    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    fn wait_for(&self, what: &str) {
        let end = Instant::now() + Duration::from_secs(20);
        while !self.lines().iter().any(|line| line.contains(what)) {
            assert!(Instant::now() < end, "nothing of `{what}` in {:#?}", self.lines());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Speaks as nsqlookupd at first, and then only answers with errors.
fn evil_lookupd() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let said = "E_INVALID \u{1b}[31mred\nforged";
            let length = u32::try_from(said.len()).unwrap().to_be_bytes();
            // The router may have given up.
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(&[&length[..], said.as_bytes()].concat());
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_say_is_quoted_and_passwords_are_left_out() {
    let log = Log::default();
    tracing::subscriber::set_global_default(log.clone()).unwrap();
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::start());
    authority.allow("known", 60, ".*", ".*", &["publish", "subscribe"]);
    authority.answer("broken", "{\"ttl\":9,\"authorizations\":[{\"topic\":\"(\\u001b\\n\"}]}");
    let mut options = options(folder.path());
    options.auth.addresses = vec![
        format!("http://user:pass:word@{}/auth", authority.address),
        "http://user:pass:word@a b".to_owned(),
    ];
    options.lookup.tcp_addresses = vec![evil_lookupd()];
    let router = Router::start(options).await.unwrap();
    let http = router.http_address();

    for secret in ["broken", "unknown \u{9b}31m\n"] {
        let mut client = Client::connect(router.tcp_address());
        client.send_sized("AUTH", secret.as_bytes());
        client.ends_with("E_AUTH_FAILED AUTH failed");
    }
    let mut stream = TcpStream::connect(http).unwrap();
    let request = "DELETE /\u{9b}31m\u{7f} HTTP/1.1\r\nhost: localhost\r\nuser-agent: \u{9b}\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap();
    let mut client = Client::connect(router.tcp_address());
    client.send_raw("SUB \u{1b}[31m \u{7f}\n".as_bytes());
    client.error();
    let mut client = Client::connect(router.tcp_address());
    client.identify(&serde_json::json!({"user_agent": "a\u{1b}[2J\nforged", "hostname": "\u{9b}"})).unwrap();
    client.send_sized("AUTH", b"known");
    client.response();
    client.send_raw(b"SUB orders ship\n");
    client.response();
    let stats = get(http, "/stats").body;
    assert!(stats.contains("forged") && !stats.contains("\nforged"), "{stats}");
    assert!(!stats.contains(['\u{1b}', '\u{9b}']), "{stats}");
    assert_eq!(get(http, "/config/auth_http_addresses").body.matches("***").count(), 2);
    for what in ["could not be authorized", "an HTTP request", "nsqlookupd cannot be reached"] {
        log.wait_for(what);
    }
    router.shutdown().await.unwrap();
    for line in log.lines() {
        assert!(!line.chars().any(char::is_control), "{line:?}");
        assert!(!line.contains("pass") && !line.contains("word"), "{line}");
    }
}
