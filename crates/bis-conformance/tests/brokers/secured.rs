//! The driver over TLS with client certificates and `AUTH`, against nsqd and against the router: valid settings
//! work, and wrong ones are refused with advice on what to do.

use std::{
    fs,
    path::{Path, PathBuf},
};

use bis_broker::{Broker, EnsureError};
use bis_conformance::{
    Inbox, Missing, bounded,
    case_words::{publish, topology},
    skip_missing,
};
use bis_drivers::nsq::{Nsq, NsqOptions};
use bis_nsq::client::{Certificate, Tls};
use bis_router::{Handle, Options, Router};
use libtest_mimic::Trial;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::{nsqd, peer::quick, spawned::Spawned, trial};

const SECRET: &str = "the right one";

pub(crate) fn trials() -> Vec<Trial> {
    let nsqd = trial("secured", "nsqd", || {
        bounded("nsqd", async {
            let folder = certificates();
            let authorization = authorization().await;
            match secured_nsqd(folder.path(), &authorization).await {
                Ok(server) => check(server.address(0), folder.path()).await,
                Err(missing) => skip_missing("secured", "nsqd", &missing),
            }
        });
    });
    let router = trial("secured", "router", || {
        bounded("router", async {
            let folder = certificates();
            let router = secured_router(folder.path(), authorization().await).await;
            check(&router.tcp_address().to_string(), folder.path()).await;
            router.shutdown().await.expect("the router stops cleanly");
        });
    });
    vec![nsqd, router]
}

async fn check(address: &str, folder: &Path) {
    let mut right = quick(NsqOptions::new(address));
    right.client.tls = Some(tls(folder));
    right.client.auth_secret = Some(SECRET.to_owned().into());
    let broker = Nsq::start(right.clone());
    broker.ensure(&topology(&["ship"], false)).await.expect("ensured");
    let id = publish(&broker, "1").await;
    let mut inbox = Inbox::open(&broker, "ship").await;
    let delivery = inbox.one().await;
    assert_eq!(delivery.envelope.id, id);
    delivery.settle.ack().await.expect("acked");
    broker.close().await;

    let refused = |change: fn(&mut NsqOptions, &Path)| {
        let mut options = right.clone();
        change(&mut options, folder);
        async move { Nsq::start(options).ensure(&topology(&["ship"], false)).await.expect_err("refused") }
    };
    let error = refused(|options, _| options.client.auth_secret = None).await;
    assert!(matches!(&error, EnsureError::Misconfigured(text) if text.contains("`auth`")), "{error}");
    assert!(error.to_string().ends_with(" [BIS1020]"), "{error}");
    let error = refused(|options, _| options.client.auth_secret = Some("wrong".to_owned().into())).await;
    assert!(matches!(&error, EnsureError::Refused(text) if text.contains("broker.nsq.auth")), "{error}");
    assert!(error.to_string().ends_with(" [BIS1021]"), "{error}");
    let error = refused(|options, _| options.client.tls = None).await;
    let remedies = ["broker.nsq.tls", "broker.nsq.auth"];
    assert!(remedies.iter().any(|remedy| error.to_string().contains(remedy)), "{error}");
    let error = refused(|options, folder| {
        options.client.tls = Some(Tls::new(folder.join("other-ca.pem")));
    });
    let error = error.await;
    assert!(matches!(&error, EnsureError::Misconfigured(text) if text.contains("ca_file")), "{error}");
    let error = refused(|options, folder| {
        options.client.tls = Some(Tls::new(folder.join("nothing.pem")));
    });
    let error = error.await;
    assert!(matches!(&error, EnsureError::Misconfigured(text) if text.contains("nothing.pem")), "{error}");
}

fn tls(folder: &Path) -> Tls {
    Tls {
        certificate: Some(Certificate {
            certificate_file: folder.join("client.pem"),
            key_file: folder.join("client.key"),
        }),
        ..Tls::new(folder.join("ca.pem"))
    }
}

async fn secured_nsqd(folder: &Path, authorization: &str) -> Result<Spawned, Missing> {
    let path = |name: &str| folder.join(name).display().to_string();
    let program = nsqd::program(vec![
        format!("--tls-cert={}", path("server.pem")),
        format!("--tls-key={}", path("server.key")),
        format!("--tls-root-ca-file={}", path("ca.pem")),
        "--tls-required=tcp-https".to_owned(),
        "--tls-client-auth-policy=require-verify".to_owned(),
        format!("--auth-http-address={authorization}"),
    ])?;
    Ok(Spawned::start(program).await)
}

async fn secured_router(folder: &Path, authorization: String) -> Handle {
    let mut options = Options::new(folder.join("data"));
    options.tcp_address.set_port(0);
    options.http_address.set_port(0);
    options.tls.certificate = Some(folder.join("server.pem"));
    options.tls.key = Some(folder.join("server.key"));
    options.tls.root_ca = Some(folder.join("ca.pem"));
    options.tls.required = "tcp-https".parse().expect("a word of nsqd's");
    options.tls.client_certificates = "require-verify".parse().expect("a word of nsqd's");
    options.auth.addresses = vec![authorization];
    Router::start(options).await.expect("the router starts")
}

/// An authorization server that knows one secret, at the returned address.
async fn authorization() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 4096];
            let read = stream.read(&mut request).await.unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..read]).replace("%20", "+");
            let (status, body) = if request.contains(&format!("secret={}", SECRET.replace(' ', "+"))) {
                let all = r#"{"topic":".*","channels":[".*"],"permissions":["subscribe","publish"]}"#;
                ("200 OK", format!(r#"{{"ttl":60,"identity":"app","authorizations":[{all}]}}"#))
            } else {
                ("403 Forbidden", "{}".to_owned())
            };
            let head =
                format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n");
            let answer = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
            // The client may be gone.
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

/// An authority, certificates that it signed for a server and a client, and an authority that signed none.
fn certificates() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: String| {
        let path: PathBuf = folder.path().join(name);
        fs::write(path, text).expect("the folder can be written");
    };
    let authority = |file: &str| {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        write(file, params.self_signed(&key).expect("signed").pem());
        Issuer::new(params, key)
    };
    let issuer = authority("ca.pem");
    authority("other-ca.pem");
    for name in ["server", "client"] {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("an address");
        write(&format!("{name}.pem"), params.signed_by(&key, &issuer).expect("signed").pem());
        write(&format!("{name}.key"), key.serialize_pem());
    }
    folder
}
