//! Servers that come and go behind nsqlookupd: what an app publishes continues to be taken, all that was taken is delivered to
//! every subscription, and servers that are gone for good are no longer looked for.
//!
//! Each test runs with nsqds and with routers that register.

use std::{collections::BTreeSet, future::Future, pin::Pin, sync::Arc, time::Duration};

use bis_broker::{Broker, PublishError};
use bis_conformance::{
    Inbox, Missing, bounded,
    case_words::{TOPIC, at_once, event, publish, topology, try_publish},
    skip_missing,
};
use bis_core::EventId;
use bis_drivers::nsq::{Nsq, NsqOptions};
use libtest_mimic::Trial;
use tokio::{
    net::TcpListener,
    sync::watch,
    time::{sleep, timeout},
};

use crate::{
    cluster::{Cluster, http},
    nsqd,
    peer::quick,
    router,
    spawned::{Program, Spawned},
    trial,
};

/// How long what must come may take.
const PATIENCE: Duration = Duration::from_secs(30);
const SUBSCRIPTIONS: [&str; 2] = ["mail", "ship"];

/// What kind of server registers.
type Registered = fn(Vec<String>) -> Result<Program, Missing>;

type Test = fn(Registered) -> Pin<Box<dyn Future<Output = Result<(), Missing>>>>;

macro_rules! tests {
    ($($test:ident),* $(,)?) => { &[$((stringify!($test), |server| Box::pin($test(server)))),*] };
}

const TESTS: &[(&str, Test)] = tests![
    a_server_that_joins_has_every_channel_before_it_gets_an_event,
    a_server_that_stops_for_good_is_let_go,
    a_killed_server_comes_back_where_it_was,
    a_killed_server_comes_back_elsewhere,
    an_nsqlookupd_that_has_forgotten_everybody_stops_nothing,
    one_nsqlookupd_of_two_is_enough,
    a_topic_of_foreign_servers_is_consumed,
    a_tombstoned_topic_is_left_alone_there,
    a_foreign_topic_that_is_tombstoned_and_deleted_stays_deleted,
];

pub(crate) fn trials() -> Vec<Trial> {
    let kinds: [(&'static str, Registered); 2] = [("nsqd", nsqd::registered), ("router", router::program)];
    let each = kinds.into_iter().flat_map(|kind| TESTS.iter().map(move |test| (kind, test)));
    each.map(|((kind, server), (name, test))| {
        trial("discovery", &format!("{kind}::{name}"), move || {
            bounded(name, async {
                if let Err(missing) = test(server).await {
                    skip_missing(&format!("discovery::{kind}"), name, &missing);
                }
            });
        })
    })
    .collect()
}

async fn a_server_that_joins_has_every_channel_before_it_gets_an_event(
    server: Registered,
) -> Result<(), Missing> {
    // The second server's own nsqlookupd knows no channel that it could make by itself.
    let mut cluster = Cluster::lookups(2).await?;
    cluster.add(server(cluster.lookup_tcp(..1))?).await;
    let app = App::start(cluster.options()).await;
    let mut taken = app.publish(10).await;
    cluster.add(server(cluster.lookup_tcp(1..))?).await;
    taken.extend(app.publish_until_all_take_some(&cluster.servers[1..]).await);
    app.expect_everywhere(&taken).await;
    Ok(())
}

async fn a_server_that_stops_for_good_is_let_go(server: Registered) -> Result<(), Missing> {
    let cluster = of_two(server).await?;
    let app = App::start(cluster.options()).await;
    let before = app.publish(20).await;
    app.expect_everywhere(&before).await;
    let (leaving, staying) = (&cluster.servers[0], &cluster.servers[1]);
    let (address, so_far) = (leaving.address(0).to_owned(), count(staying).await);
    leaving.stop().await;
    // Nobody publishes while it stops, so nothing may fail, nor go to where it cannot be read.
    let after = app.publish(50).await;
    assert_eq!(count(staying).await, so_far + 50);
    app.expect_everywhere(&after).await;
    nobody_knocks(&address).await;
    Ok(())
}

async fn a_killed_server_comes_back_where_it_was(server: Registered) -> Result<(), Missing> {
    let cluster = of_two(server).await?;
    let app = App::start(cluster.options()).await;
    let before = app.publish(20).await;
    app.expect_everywhere(&before).await;
    cluster.servers[0].kill().await;
    let mut taken = app.publish(20).await;
    cluster.servers[0].restart().await;
    taken.extend(app.publish_until_all_take_some(&cluster.servers).await);
    app.expect_everywhere(&taken).await;
    Ok(())
}

async fn a_killed_server_comes_back_elsewhere(server: Registered) -> Result<(), Missing> {
    let mut cluster = of_two(server).await?;
    let app = App::start(cluster.options()).await;
    let before = app.publish(20).await;
    app.expect_everywhere(&before).await;
    let old = cluster.servers[0].address(0).to_owned();
    cluster.servers[0].kill().await;
    let mut taken = app.publish(20).await;
    cluster.servers[0].restart_elsewhere().await;
    taken.extend(app.publish_until_all_take_some(&cluster.servers).await);
    app.expect_everywhere(&taken).await;
    nobody_knocks(&old).await;
    Ok(())
}

async fn an_nsqlookupd_that_has_forgotten_everybody_stops_nothing(server: Registered) -> Result<(), Missing> {
    let cluster = of_two(server).await?;
    let app = App::start(cluster.options()).await;
    cluster.lookups[0].kill().await;
    let mut taken = app.publish(20).await;
    app.expect_everywhere(&taken).await;
    cluster.lookups[0].restart().await;
    taken = BTreeSet::new();
    let back = cluster.known();
    tokio::pin!(back);
    loop {
        tokio::select! {
            () = &mut back => break,
            more = app.publish(2) => taken.extend(more),
        }
        sleep(Duration::from_millis(50)).await;
    }
    taken.extend(app.publish_until_all_take_some(&cluster.servers).await);
    app.expect_everywhere(&taken).await;
    Ok(())
}

async fn one_nsqlookupd_of_two_is_enough(server: Registered) -> Result<(), Missing> {
    let mut cluster = Cluster::lookups(2).await?;
    cluster.lookups[0].kill().await;
    cluster.add(server(cluster.lookup_tcp(..))?).await;
    let app = App::start(cluster.options()).await;
    let mut taken = app.publish(10).await;
    cluster.add(server(cluster.lookup_tcp(..))?).await;
    taken.extend(app.publish_until_all_take_some(&cluster.servers).await);
    app.expect_everywhere(&taken).await;
    Ok(())
}

async fn a_topic_of_foreign_servers_is_consumed(server: Registered) -> Result<(), Missing> {
    let mut cluster = Cluster::lookups(1).await?;
    cluster.add(server(cluster.lookup_tcp(..))?).await;
    // The app publishes to a server of its own, which nobody else knows.
    let own = Spawned::start(server(Vec::new())?).await;
    let options = NsqOptions { servers: vec![own.address(0).to_owned()], ..cluster.options() };
    let app = App::start(options).await;
    let ours = app.publish(10).await;
    app.expect_everywhere(&ours).await;
    let foreign = &cluster.servers[0];
    assert_eq!(published(foreign).await, None, "nothing is published or made there");

    let other = Nsq::start(quick(NsqOptions::new(foreign.address(0))));
    other.ensure(&topology(&SUBSCRIPTIONS, false)).await.expect("ensured");
    let theirs = BTreeSet::from([publish(&other, "theirs").await]);
    app.expect_everywhere(&theirs).await;

    cluster.lookups[0].kill().await;
    cluster.lookups[0].restart().await;
    let mut during = BTreeSet::from([publish(&other, "forgotten").await]);
    app.expect_shipped(&during).await;
    cluster.known().await;
    during.insert(publish(&other, "known again").await);
    app.expect_everywhere(&during).await;
    other.close().await;
    Ok(())
}

async fn a_tombstoned_topic_is_left_alone_there(server: Registered) -> Result<(), Missing> {
    // Each server has an nsqlookupd of its own, which knows no channel that it could make by itself.
    let mut cluster = Cluster::lookups(2).await?;
    cluster.add(server(cluster.lookup_tcp(..1))?).await;
    cluster.add(server(cluster.lookup_tcp(1..))?).await;
    let app = App::start(cluster.options()).await;
    let before = app.publish_until_all_take_some(&cluster.servers).await;
    app.expect_everywhere(&before).await;
    let left = &cluster.servers[1];
    tombstone(&cluster.lookups[1], left).await;
    let mut taken = BTreeSet::new();
    let leaving = async {
        loop {
            let before = count(left).await;
            taken.extend(app.publish(4).await);
            if count(left).await == before {
                return;
            }
        }
    };
    timeout(PATIENCE, leaving).await.expect("in the end nothing is published there");
    // Existing consumers take what is left there.
    app.expect_shipped(&taken).await;

    // A topic that is deleted is no longer tombstoned. It must have all its channels before it has an event again, though
    // nsqlookupd remembers none.
    delete_topic(left).await;
    delete_topic(&cluster.lookups[1]).await;
    let after = app.publish_until_all_take_some(&cluster.servers[1..]).await;
    app.expect_everywhere(&after).await;
    Ok(())
}

async fn a_foreign_topic_that_is_tombstoned_and_deleted_stays_deleted(
    server: Registered,
) -> Result<(), Missing> {
    let mut cluster = Cluster::lookups(1).await?;
    cluster.add(server(cluster.lookup_tcp(..))?).await;
    let foreign = &cluster.servers[0];
    let other = Nsq::start(quick(NsqOptions::new(foreign.address(0))));
    other.ensure(&topology(&SUBSCRIPTIONS, false)).await.expect("ensured");
    let own = Spawned::start(server(Vec::new())?).await;
    let options = NsqOptions { servers: vec![own.address(0).to_owned()], ..cluster.options() };
    let app = App::start(options).await;
    let theirs = BTreeSet::from([publish(&other, "theirs").await]);
    app.expect_everywhere(&theirs).await;
    other.close().await;
    let mut mail = Inbox::open(&*app.broker, "mail").await;
    tombstone(&cluster.lookups[0], foreign).await;
    // After five requests to nsqlookupd, the app knows of it.
    mail.expect_nothing(Duration::from_secs(1)).await;
    // A busy client does not notice when the connection ends.
    delete_topic(foreign).await;
    sleep(Duration::from_secs(2)).await;
    assert_eq!(published(foreign).await, None, "nobody has made it again");
    Ok(())
}

async fn of_two(server: Registered) -> Result<Cluster, Missing> {
    let mut cluster = Cluster::lookups(1).await?;
    for _ in 0..2 {
        cluster.add(server(cluster.lookup_tcp(..))?).await;
    }
    Ok(cluster)
}

/// Makes nsqlookupd hide the topic at `server` (a tombstone).
async fn tombstone(lookup: &Spawned, server: &Spawned) {
    let path = format!("/topic/tombstone?topic={TOPIC}&node={}", server.address(1));
    http(lookup).request("POST", &path, b"", PATIENCE).await.expect("tombstoned");
}

async fn delete_topic(server: &Spawned) {
    let path = format!("/topic/delete?topic={TOPIC}");
    http(server).request("POST", &path, b"", PATIENCE).await.expect("deleted");
}

/// Listens where a server was, and expects that its clients stop connecting. They wait up to 5 s between two attempts.
async fn nobody_knocks(address: &str) {
    let listener = TcpListener::bind(address).await.expect("the address is free");
    let quiet = async {
        while let Ok(knock) = timeout(Duration::from_secs(6), listener.accept()).await {
            drop(knock);
        }
    };
    timeout(PATIENCE, quiet).await.expect("the server is looked for no more");
}

/// How many events of the topic a server has got, ever; `None` without the topic.
async fn published(server: &Spawned) -> Option<u64> {
    let stats = http(server).request("GET", "/stats?format=json", b"", PATIENCE).await.expect("stats");
    let stats: serde_json::Value = serde_json::from_slice(&stats).expect("JSON");
    let topics = stats["topics"].as_array().expect("a list");
    let topic = topics.iter().find(|topic| topic["topic_name"] == TOPIC.as_str())?;
    topic["message_count"].as_u64()
}

async fn count(server: &Spawned) -> u64 {
    published(server).await.unwrap_or(0)
}

/// An app: a client of the cluster with two subscriptions, one of which is consumed all the time.
struct App {
    broker: Arc<Nsq>,
    handled: watch::Receiver<BTreeSet<EventId>>,
}

impl App {
    async fn start(options: NsqOptions) -> Self {
        let broker = Arc::new(Nsq::start(options));
        let ensured = timeout(PATIENCE, broker.ensure(&topology(&SUBSCRIPTIONS, false))).await;
        ensured.expect("ensured in time").expect("ensured");
        let (handles, handled) = watch::channel(BTreeSet::new());
        let mut ship = Inbox::open(&*broker, "ship").await;
        let kept = broker.clone();
        tokio::spawn(async move {
            let _kept = kept;
            while !handles.is_closed() {
                for delivery in
                    ship.receive_within(10, Duration::from_millis(500)).await.into_iter().flatten()
                {
                    handles.send_modify(|handled| _ = handled.insert(delivery.envelope.id.clone()));
                    // Lost with a connection that broke meanwhile, it comes once more.
                    let _ = delivery.settle.ack().await;
                }
            }
        });
        Self { broker, handled }
    }

    /// Publishes one by one until `count` were taken. With a server that has just died, the fate of one may be unknown.
    async fn publish(&self, count: usize) -> BTreeSet<EventId> {
        let (mut taken, mut dark) = (BTreeSet::new(), 0);
        while taken.len() < count {
            let event = event(taken.len().to_string());
            let id = event.id.clone();
            match try_publish(&*self.broker, at_once(event)).await {
                Ok(_) => _ = taken.insert(id),
                Err(PublishError::Unanswered { .. }) if dark == 0 => dark += 1,
                Err(error) => panic!("not taken: {error}"),
            }
        }
        taken
    }

    /// Publishes until each of the servers has taken five more.
    async fn publish_until_all_take_some(&self, servers: &[Spawned]) -> BTreeSet<EventId> {
        let mut taken = BTreeSet::new();
        for server in servers {
            let enough = count(server).await + 5;
            let publishing = async {
                while count(server).await < enough {
                    taken.extend(self.publish(2).await);
                }
            };
            timeout(PATIENCE, publishing).await.expect("the server is published to in time");
        }
        taken
    }

    /// Each subscription gets them all.
    async fn expect_everywhere(&self, taken: &BTreeSet<EventId>) {
        self.expect_shipped(taken).await;
        Inbox::open(&*self.broker, "mail").await.ack_until_all(taken.clone()).await;
    }

    /// The subscription that is consumed all the time gets them all.
    async fn expect_shipped(&self, taken: &BTreeSet<EventId>) {
        let mut handled = self.handled.clone();
        let all = timeout(PATIENCE, handled.wait_for(|handled| handled.is_superset(taken))).await;
        assert!(all.is_ok(), "`ship` never got {:?}", taken - &*self.handled.borrow());
    }
}
