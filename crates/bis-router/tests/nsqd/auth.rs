//! `AUTH`: whom a server asks, what clients may do, and in which words they are refused.

use std::time::Duration;

use bis_nsq::Command;
use bis_router::{ClientCertificates, TlsRequired};
use serde_json::json;

use crate::against_both;
use crate::support::authority::Authority;
use crate::support::layers::{Certificates, LayeredClient, Layers};
use crate::support::peer::{Peer, Server, Settings, TlsSettings};
use crate::support::{Client, name};

against_both! {
    a_secret_is_asked_for_first,
    a_secret_says_what_is_allowed,
    a_refused_secret_is_fatal,
    who_is_allowed_nothing_is_not_let_in,
    a_secret_is_said_once,
    without_servers_there_is_no_authorization,
    servers_are_tried_in_turn,
    what_has_run_out_is_asked_for_again,
    a_server_is_told_who_asks,
    a_secret_need_not_be_text,
    a_server_is_asked_over_tls,
    a_server_that_nobody_vouches_for_is_not_believed,
    statistics_show_who_a_client_is,
    the_commands_form_is_checked,
}

fn start(peer: Peer, authority: &Authority) -> Server {
    let auth_addresses = vec![authority.address.to_string()];
    peer.start_with(&Settings { auth_addresses, ..Settings::default() })
}

fn authorized(server: &Server, secret: &str) -> Client {
    let mut client = server.connect();
    client.send_sized("AUTH", secret.as_bytes());
    let reply: serde_json::Value = serde_json::from_str(&client.response()).unwrap();
    let expected = json!({
        "identity": "somebody",
        "identity_url": "http://example.com/somebody",
        "permission_count": 1,
    });
    assert_eq!(reply, expected);
    client
}

fn a_secret_is_asked_for_first(peer: Peer) {
    let authority = Authority::start();
    let server = start(peer, &authority);
    let mut client = server.connect();
    let reply = client.identify(&json!({"feature_negotiation": true})).unwrap();
    assert!(reply.contains(r#""auth_required":true"#), "{reply}");
    for (line, word) in [("PUB orders", "PUB"), ("DPUB orders 1", "DPUB")] {
        let mut client = server.connect();
        client.send_sized(line, b"x");
        client.ends_with(&format!("E_AUTH_FIRST AUTH required before {word}"));
    }
    let mut client = server.connect();
    client.send_sized("MPUB orders", b"\0\0\0\x01\0\0\0\x01x");
    client.ends_with("E_AUTH_FIRST AUTH required before MPUB");
    let mut client = server.connect();
    client.send_raw(b"SUB orders ship\n");
    client.ends_with("E_AUTH_FIRST AUTH required before SUB");
    assert!(authority.asked().is_empty());
}

fn a_secret_says_what_is_allowed(peer: Peer) {
    let authority = Authority::start();
    authority.allow("both", 60, "^orders$", ".*", &["publish", "subscribe"]);
    authority.allow("publisher", 60, "^orders$", ".*", &["publish"]);
    authority.allow("subscriber", 60, "orders", "^ship", &["subscribe"]);
    let server = start(peer, &authority);

    let mut both = authorized(&server, "both");
    both.publish("orders", "one");
    both.send_sized("MPUB orders", b"\0\0\0\x01\0\0\0\x01x");
    assert_eq!(both.response(), "OK");
    both.send_sized("DPUB orders 1", b"x");
    assert_eq!(both.response(), "OK");
    both.send(&Command::Subscribe { topic: name("orders"), channel: name("any"), ordered: false });
    assert_eq!(both.response(), "OK");
    both.send_sized("PUB other", b"x");
    both.ends_with(r#"E_UNAUTHORIZED AUTH failed for PUB on "other" """#);

    let mut publisher = authorized(&server, "publisher");
    publisher.send_raw(b"SUB orders ship\n");
    publisher.ends_with(r#"E_UNAUTHORIZED AUTH failed for SUB on "orders" "ship""#);

    let mut subscriber = authorized(&server, "subscriber");
    subscriber.send_raw(b"SUB my-orders shipping\n");
    assert_eq!(subscriber.response(), "OK");
    subscriber.send_sized("DPUB orders 1", b"x");
    subscriber.ends_with(r#"E_UNAUTHORIZED AUTH failed for DPUB on "orders" """#);
    let clients = server.channel("my-orders")["clients"].clone();
    assert!(clients.as_array().is_none_or(Vec::is_empty) || clients[0]["auth_identity"] == "somebody");

    let mut elsewhere = authorized(&server, "subscriber");
    elsewhere.send_raw(b"SUB orders bill\n");
    elsewhere.ends_with(r#"E_UNAUTHORIZED AUTH failed for SUB on "orders" "bill""#);
}

fn a_refused_secret_is_fatal(peer: Peer) {
    let authority = Authority::start();
    authority.answer("no json", "no json");
    authority.answer("no time", r#"{"ttl":0,"authorizations":[]}"#);
    let bad = r#"{"ttl":9,"authorizations":[{"topic":"(","channels":[".*"],"permissions":["publish"]}]}"#;
    authority.answer("no expression", bad);
    let server = start(peer, &authority);
    for secret in ["unknown", "no json", "no time", "no expression"] {
        let mut client = server.connect();
        client.send_sized("AUTH", secret.as_bytes());
        client.ends_with("E_AUTH_FAILED AUTH failed");
    }
}

fn who_is_allowed_nothing_is_not_let_in(peer: Peer) {
    let authority = Authority::start();
    authority.answer("nothing", r#"{"ttl":60,"authorizations":[]}"#);
    let server = start(peer, &authority);
    let mut client = server.connect();
    client.send_sized("AUTH", b"nothing");
    client.ends_with("E_UNAUTHORIZED AUTH no authorizations found");
}

fn a_secret_is_said_once(peer: Peer) {
    let authority = Authority::start();
    authority.allow("both", 60, ".*", ".*", &["publish", "subscribe"]);
    let server = start(peer, &authority);
    let mut client = authorized(&server, "both");
    client.send_sized("AUTH", b"both");
    client.ends_with("E_INVALID AUTH already set");
    let mut client = authorized(&server, "both");
    client.send_raw(b"SUB orders ship\n");
    assert_eq!(client.response(), "OK");
    client.send_sized("AUTH", b"both");
    client.ends_with("E_INVALID cannot AUTH in current state");
}

fn without_servers_there_is_no_authorization(peer: Peer) {
    let server = peer.start();
    let mut client = server.connect();
    client.send_sized("AUTH", b"secret");
    client.ends_with("E_AUTH_DISABLED AUTH disabled");
}

fn servers_are_tried_in_turn(peer: Peer) {
    let (refusing, authority) = (Authority::start(), Authority::start());
    authority.allow("both", 60, ".*", ".*", &["publish", "subscribe"]);
    // Nobody listens there.
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let auth_addresses =
        vec![dead.to_string(), format!("http://{}/auth", refusing.address), authority.address.to_string()];
    let server = peer.start_with(&Settings { auth_addresses, ..Settings::default() });
    for _ in 0..6 {
        authorized(&server, "both").publish("orders", "one");
    }
    assert_eq!(authority.asked().len(), 6);
}

fn what_has_run_out_is_asked_for_again(peer: Peer) {
    let authority = Authority::start();
    authority.allow("both", 1, ".*", ".*", &["publish", "subscribe"]);
    let server = start(peer, &authority);
    let mut client = authorized(&server, "both");
    client.publish("orders", "one");
    assert_eq!(authority.asked().len(), 1);
    std::thread::sleep(Duration::from_millis(1200));
    // Two at once: the question is asked once for both.
    client.send_raw(b"PUB orders\n\0\0\0\x01aPUB orders\n\0\0\0\x01b");
    assert_eq!((client.response(), client.response()), ("OK".to_owned(), "OK".to_owned()));
    assert_eq!(authority.asked().len(), 2);
    authority.allow("both", 60, "^other$", ".*", &["publish"]);
    std::thread::sleep(Duration::from_millis(1200));
    client.send_sized("PUB orders", b"x");
    client.ends_with(r#"E_UNAUTHORIZED AUTH failed for PUB on "orders" """#);

    authority.allow("both", 1, ".*", ".*", &["publish", "subscribe"]);
    let mut client = authorized(&server, "both");
    authority.answer("both", "gone");
    std::thread::sleep(Duration::from_millis(1200));
    client.send_sized("PUB orders", b"x");
    client.ends_with("E_AUTH_FAILED AUTH failed");
}

fn a_server_is_told_who_asks(peer: Peer) {
    let (authority, certificates) = (Authority::start(), Certificates::new());
    authority.allow("a secret&more", 60, ".*", ".*", &["publish"]);
    let tls = TlsSettings {
        certificate: certificates.path("server.pem"),
        key: certificates.path("server.key"),
        root_ca: certificates.path("ca.pem"),
        required: TlsRequired::ExceptHttp,
        client_certificates: ClientCertificates::Verified,
    };
    let auth_addresses = vec![authority.address.to_string()];
    let server = peer.start_with(&Settings { tls: Some(tls), auth_addresses, ..Settings::default() });
    let layers = Layers { tls: Some(certificates.client(Some("client"))), ..Layers::default() };
    let mut client = LayeredClient::connect(server.tcp, &layers).unwrap();
    client.send(&Command::Auth("a secret&more".into()));
    assert!(client.response().contains("permission_count"));
    let asked = authority.asked().remove(0);
    assert_eq!(asked.line, "GET /auth");
    let told = |word: &str| asked.arguments[word].as_str();
    assert_eq!(
        (told("secret"), told("tls"), told("remote_ip"), told("common_name")),
        ("a secret&more", "true", "127.0.0.1", "the client")
    );
}

fn a_secret_need_not_be_text(peer: Peer) {
    let authority = Authority::start();
    let server = start(peer, &authority);
    let mut client = server.connect();
    client.send_sized("AUTH", b"a\xff\0b");
    client.ends_with("E_AUTH_FAILED AUTH failed");
    let query = authority.asked().remove(0).query;
    assert!(query.split('&').any(|pair| pair == "secret=a%FF%00b"), "{query}");
}

/// A server that asks an authority over TLS, and believes what `certificates` vouches for.
fn start_with_tls(peer: Peer, authority: &Authority, certificates: &Certificates) -> Server {
    let tls = TlsSettings {
        certificate: certificates.path("server.pem"),
        key: certificates.path("server.key"),
        root_ca: certificates.path("ca.pem"),
        required: TlsRequired::No,
        client_certificates: ClientCertificates::NotAsked,
    };
    let auth_addresses = vec![format!("https://{}/who", authority.address)];
    peer.start_with(&Settings { tls: Some(tls), auth_addresses, ..Settings::default() })
}

fn a_server_is_asked_over_tls(peer: Peer) {
    let certificates = Certificates::new();
    let authority = Authority::start_tls(&certificates);
    authority.allow("both", 60, ".*", ".*", &["publish", "subscribe"]);
    let server = start_with_tls(peer, &authority, &certificates);
    authorized(&server, "both").publish("orders", "one");
    let asked = authority.asked().remove(0);
    assert_eq!((asked.line.as_str(), asked.arguments["tls"].as_str()), ("GET /who", "false"));
}

fn a_server_that_nobody_vouches_for_is_not_believed(peer: Peer) {
    let authority = Authority::start_tls(&Certificates::new());
    authority.allow("both", 60, ".*", ".*", &["publish", "subscribe"]);
    let server = start_with_tls(peer, &authority, &Certificates::new());
    let mut client = server.connect();
    client.send_sized("AUTH", b"both");
    client.ends_with("E_AUTH_FAILED AUTH failed");
    assert!(authority.asked().is_empty());
}

fn statistics_show_who_a_client_is(peer: Peer) {
    let authority = Authority::start();
    authority.allow("both", 60, ".*", ".*", &["publish", "subscribe"]);
    let server = start(peer, &authority);
    let mut client = authorized(&server, "both");
    client.send_raw(b"SUB orders ship\n");
    assert_eq!(client.response(), "OK");
    let shown = server.channel("orders")["clients"][0].clone();
    let told = |field: &str| &shown[field];
    assert_eq!(told("authed"), true);
    assert_eq!(told("auth_identity"), "somebody");
    assert_eq!(told("auth_identity_url"), "http://example.com/somebody");
}

fn the_commands_form_is_checked(peer: Peer) {
    let authority = Authority::start();
    let server = start(peer, &authority);
    let check = |bytes: &[u8], text: &str| {
        let mut client = server.connect();
        client.send_raw(bytes);
        client.ends_with(text);
    };
    check(b"AUTH more\n", "E_INVALID AUTH invalid number of parameters");
    check(b"AUTH\n\0\0\0\0", "E_BAD_BODY AUTH invalid body size 0");
    check(b"AUTH\n\xff\xff\xff\xff", "E_BAD_BODY AUTH invalid body size -1");
    check(b"AUTH\n\x7f\0\0\0", "E_BAD_BODY AUTH body too big 2130706432 > 5242880");
}
