//! The HTTP API over TLS: where plain HTTP is refused, and to whom it answers.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bis_router::{ClientCertificates, TlsRequired};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConnection, StreamOwned};

use crate::against_both;
use crate::support::layers::Certificates;
use crate::support::peer::{Peer, Server, Settings, TlsSettings};

against_both! {
    where_tls_is_required_plain_http_is_refused,
    a_client_must_show_any_certificate,
    a_client_must_show_a_signed_certificate,
    plain_http_may_be_left_open,
}

fn start(
    peer: Peer,
    certificates: &Certificates,
    required: TlsRequired,
    client_certificates: ClientCertificates,
) -> Server {
    let tls = TlsSettings {
        certificate: certificates.path("server.pem"),
        key: certificates.path("server.key"),
        root_ca: certificates.path("ca.pem"),
        required,
        client_certificates,
    };
    peer.start_with(&Settings { tls: Some(tls), ..Settings::default() })
}

/// A publish over TLS with this client certificate; `None` when no answer comes.
fn publish(server: &Server, certificates: &Certificates, certificate: Option<&str>) -> Option<String> {
    let stream = TcpStream::connect(server.https.unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let client = ClientConnection::new(certificates.client(certificate), name).unwrap();
    let mut stream = StreamOwned::new(client, stream);
    let request = b"POST /pub?topic=orders HTTP/1.0\r\nContent-Length: 4\r\n\r\nsafe";
    let sent = stream.write_all(request);
    let mut answer = String::new();
    // The end may come without TLS's own goodbye.
    let _ = sent.and_then(|()| stream.read_to_string(&mut answer));
    Some(answer).filter(|answer| !answer.is_empty())
}

fn is_taken(answer: Option<String>) -> bool {
    answer.is_some_and(|answer| answer.starts_with("HTTP/1.0 200") && answer.ends_with("\r\n\r\nOK"))
}

fn where_tls_is_required_plain_http_is_refused(peer: Peer) {
    let certificates = Certificates::new();
    let server = start(peer, &certificates, TlsRequired::Yes, ClientCertificates::NotAsked);
    let port = server.https.unwrap().port();
    for path in ["/pub?topic=orders", "/ping", "/nothing"] {
        let refused = server.post(path, "x");
        let body = format!(r#"{{"message": "TLS_REQUIRED", "https_port": {port}}}"#);
        assert_eq!((refused.status, refused.body), (403, body), "{path}");
        assert!(refused.head.contains("x-nsq-content-type: nsq; version=1.0"), "{}", refused.head);
        assert!(refused.head.contains("content-type: application/json; charset=utf-8"), "{}", refused.head);
    }
    assert!(is_taken(publish(&server, &certificates, None)));
}

fn a_client_must_show_any_certificate(peer: Peer) {
    let certificates = Certificates::new();
    let server = start(peer, &certificates, TlsRequired::No, ClientCertificates::Any);
    assert_eq!(server.post("/pub?topic=orders", "x").status, 403);
    assert_eq!(publish(&server, &certificates, None), None);
    for certificate in ["client", "client-own"] {
        assert!(is_taken(publish(&server, &certificates, Some(certificate))), "{certificate}");
    }
}

fn a_client_must_show_a_signed_certificate(peer: Peer) {
    let certificates = Certificates::new();
    // With such a policy TLS is required, though nobody said so.
    let server = start(peer, &certificates, TlsRequired::No, ClientCertificates::Verified);
    assert_eq!(server.post("/pub?topic=orders", "x").status, 403);
    assert_eq!(publish(&server, &certificates, Some("client-own")), None);
    assert_eq!(publish(&server, &certificates, None), None);
    assert!(is_taken(publish(&server, &certificates, Some("client"))));
}

fn plain_http_may_be_left_open(peer: Peer) {
    let certificates = Certificates::new();
    let server = start(peer, &certificates, TlsRequired::ExceptHttp, ClientCertificates::Verified);
    assert_eq!(server.post("/pub?topic=orders", "x").body, "OK");
    let mut client = server.connect();
    client.send_sized("PUB orders", b"x");
    client.ends_with("E_INVALID cannot PUB in current state (TLS required)");
    assert!(is_taken(publish(&server, &certificates, Some("client"))));
    assert_eq!(server.get("/stats?format=json").json()["topics"][0]["message_count"], 2);
}
