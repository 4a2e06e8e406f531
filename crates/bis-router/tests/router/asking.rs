//! Authorization servers that are asked by POST, which nsqd 1.3.0 cannot do.

use crate::support::authority::Authority;
use crate::support::{Client, options};
use bis_router::{AuthMethod, Router};

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_stays_out_of_the_address() {
    let (folder, authority) = (tempfile::tempdir().expect("a folder"), Authority::start());
    authority.allow("a secret&more", 60, ".*", ".*", &["publish"]);
    let mut options = options(folder.path());
    options.auth.addresses = vec![format!("http://{}/who", authority.address)];
    options.auth.method = AuthMethod::Post;
    let router = Router::start(options).await.expect("the router starts");
    let mut client = Client::connect(router.tcp_address());
    client.send_sized("AUTH", b"a secret&more");
    assert!(client.response().contains(r#""permission_count":1"#));
    client.publish("orders", "one");
    let asked = authority.asked().remove(0);
    assert_eq!(asked.line, "POST /who");
    assert_eq!(asked.query, "", "logs of servers have addresses in them");
    let told = |word: &str| asked.arguments[word].as_str();
    assert_eq!((told("secret"), told("tls"), told("remote_ip")), ("a secret&more", "false", "127.0.0.1"));
    let mut stranger = Client::connect(router.tcp_address());
    stranger.send_sized("AUTH", b"unknown");
    stranger.ends_with("E_AUTH_FAILED AUTH failed");
    router.shutdown().await.expect("a clean stop");
}
