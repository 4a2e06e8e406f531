//! The HTTP API over TLS, and plain HTTP where TLS is required.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bis_router::{Router, TlsRequired};
use support::http::get;
use support::layers::Certificates;
use support::options;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConnection, StreamOwned};

#[tokio::test(flavor = "multi_thread")]
async fn the_api_is_served_over_tls_alone() {
    let (folder, certificates) = (tempfile::tempdir().expect("a folder"), Certificates::new());
    let mut options = options(folder.path());
    options.https_address = Some("127.0.0.1:0".parse().expect("an address"));
    options.tls.certificate = Some(certificates.path("server.pem"));
    options.tls.key = Some(certificates.path("server.key"));
    options.tls.required = TlsRequired::Yes;
    let router = Router::start(options).await.expect("the router starts");
    let https = router.https_address().expect("an HTTPS address");
    let refused = get(router.http_address(), "/ping");
    let body = format!(r#"{{"message": "TLS_REQUIRED", "https_port": {}}}"#, https.port());
    assert_eq!((refused.status, refused.body), (403, body));

    // A client that never says anything holds up nobody.
    let _silent = TcpStream::connect(https).expect("a connection");
    let stream = TcpStream::connect(https).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    let name = ServerName::try_from("localhost").expect("a name");
    let client = ClientConnection::new(certificates.client(None), name).expect("a client");
    let mut stream = StreamOwned::new(client, stream);
    stream.write_all(b"GET /ping HTTP/1.0\r\n\r\n").expect("a request");
    let mut answer = String::new();
    // The end may come without TLS's own goodbye.
    let _ = stream.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.0 200") && answer.ends_with("\r\n\r\nOK"), "{answer:?}");
    router.shutdown().await.expect("a clean stop");
}
