//! What a paused topic holds survives a restart, and is still for the channels that are there when it goes on.

use std::time::Duration;

use crate::support::http::post;
use crate::support::{Client, start};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_paused_topic_holds_survives_restarts() {
    let folder = tempfile::tempdir().unwrap();
    for has_checkpoint in [false, true] {
        let topic = if has_checkpoint { "stopped" } else { "killed" };
        let order = |router: &bis_router::Handle, what: &str| {
            let answer = post(router.http_address(), &format!("{what}topic={topic}"), b"");
            assert_eq!(answer.status, 200, "{what}: {}", answer.body);
        };
        let router = start(folder.path()).await;
        order(&router, "/topic/create?");
        order(&router, "/channel/create?channel=ship&");
        let mut producer = Client::connect(router.tcp_address());
        producer.publish(topic, "before");
        order(&router, "/topic/pause?");
        producer.publish(topic, "dropped");
        order(&router, "/topic/empty?");
        producer.publish(topic, "held");
        order(&router, "/channel/create?channel=mail&");
        order(&router, "/channel/delete?channel=mail&");
        drop(producer);
        router.shutdown().await.unwrap();
        if !has_checkpoint {
            for name in ["checkpoint", "checkpoint.previous"] {
                std::fs::remove_file(folder.path().join(name)).unwrap();
            }
        }

        let router = start(folder.path()).await;
        let mut late = Client::subscribe(router.tcp_address(), topic, "late", 10);
        let mut ship = Client::subscribe(router.tcp_address(), topic, "ship", 10);
        assert_eq!(&ship.message().body[..], b"before");
        assert!(late.is_quiet_so_far(Duration::from_millis(100)));
        order(&router, "/topic/unpause?");
        assert_eq!(&ship.message().body[..], b"held");
        assert_eq!(&late.message().body[..], b"held");
        assert!(
            late.is_quiet_so_far(Duration::from_millis(100)),
            "what was before is not for a late channel"
        );
        drop((late, ship));
        router.shutdown().await.unwrap();
    }
}
