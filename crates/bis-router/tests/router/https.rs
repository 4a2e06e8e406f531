//! The HTTP API over TLS, and plain HTTP where TLS is required.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::http::get;
use crate::support::layers::Certificates;
use crate::support::options;
use bis_router::{CertificateFault, ClientCertificates, Router, StartError, TlsRequired};
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

/// Made by `openssl x509 -req` without extensions.
const OF_VERSION_1: &str = "\
-----BEGIN CERTIFICATE-----
MIIBGDCBvwIUZBK+3iAH1/9/OQcQjJJVvoZ3pFEwCgYIKoZIzj0EAwIwDjEMMAoG
A1UEAwwDb2xkMCAXDTI2MTEzMDE5MTczNloYDzIxMjYxMTA2MTkxNzM2WjAOMQww
CgYDVQQDDANvbGQwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARWikAINhjBfOLH
DntzYhZOPU145LCzDF5BjKf3mLpyfIv/t+7vlhcHo8WYmuI8Bn5MiTP+/Ob9qcK9
AlWK/nEuMAoGCCqGSM49BAMCA0gAMEUCIQCKuzNSOKwBMG/t5f4b7khTSpAvFakl
8lYLv5jUWBzwTgIgeZiS2J6PT5BggrRizAt2IE1dZw9XJvxAkOy7AGQYxEo=
-----END CERTIFICATE-----
";

/// Made with a key of 1,024 bits.
const OF_A_SHORT_KEY: &str = "\
-----BEGIN CERTIFICATE-----
MIIB/jCCAWegAwIBAgIUZz8HU3wSMEUcTImWSBL/C464lT4wDQYJKoZIhvcNAQEL
BQAwEDEOMAwGA1UEAwwFc2hvcnQwIBcNMjYxMTMwMTkxNzM2WhgPMjEyNjExMDYx
OTE3MzZaMBAxDjAMBgNVBAMMBXNob3J0MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCB
iQKBgQDFMK9dhld25M7uYEdRG6jcpk1W58r+vGK0Uj+YlclR0/Ku8k+TQJKWVYLz
XQ5ZAb+Znpc/wgMMb4u4T/diGwMG0nLWRpPJxDsTwFBr4p2A5ordk/zgiC8Be9/m
1r0tRZXeDndiPSQIvQDw1JVlcVPFs7z0QhTQvgKJwa98zYtlxwIDAQABo1MwUTAd
BgNVHQ4EFgQUF83FPHx9k3IEhyqU5UERE8j7qYowHwYDVR0jBBgwFoAUF83FPHx9
k3IEhyqU5UERE8j7qYowDwYDVR0TAQH/BAUwAwEB/zANBgkqhkiG9w0BAQsFAAOB
gQCCnm9fjvaVCrgSy+Y6D1uxEGKOjNicR7TqUDhEYz7OXxCUql+o9OcHUOUKXh62
c+KP02nouhhI14NtP7JlfZ6fd0jvILY2Gdv0Mx7GXWYLIF55rTlaRrsoJF+/4fyZ
qrvvffAb4mmIcYTjIHxmJrQ7Vsjr97VCZYjHa3xXSsCgGQ==
-----END CERTIFICATE-----
";

#[tokio::test]
async fn certificates_that_cannot_be_used_are_named_at_the_start() {
    let (folder, certificates) = (tempfile::tempdir().expect("a folder"), Certificates::new());
    let pem = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("a file");
        path
    };
    let (old, short) = (pem("old.pem", OF_VERSION_1), pem("short.pem", OF_A_SHORT_KEY));
    let own = std::fs::read_to_string(certificates.path("ca.pem")).expect("a file");
    let both = pem("both.pem", &format!("{OF_A_SHORT_KEY}{own}"));
    let start = |certificate: &std::path::Path, authorities: &std::path::Path| {
        let mut options = options(&folder.path().join("data"));
        options.tls.certificate = Some(certificate.to_owned());
        options.tls.key = Some(certificates.path("server.key"));
        options.tls.client_certificates = ClientCertificates::Verified;
        options.tls.root_ca = Some(authorities.to_owned());
        Router::start(options)
    };
    let (good, authority) = (certificates.path("server.pem"), certificates.path("ca.pem"));
    for (certificate, authorities, file, fault) in [
        (&old, &authority, &old, CertificateFault::Version1),
        (&short, &authority, &short, CertificateFault::ShortKey(1024)),
        (&good, &short, &short, CertificateFault::ShortKey(1024)),
    ] {
        match start(certificate, authorities).await {
            Err(StartError::Tls(error)) => {
                let expected = format!("the certificate in `{}` cannot be used: {fault}", file.display());
                assert_eq!(error.to_string(), expected);
            }
            other => panic!("{other:?}"),
        }
    }
    let router = start(&good, &both).await.expect("one authority is enough");
    router.shutdown().await.expect("it stops");
}
