//! The servers that a driver works with: those that are named and those that nsqlookupd finds. Owns one publisher for
//! each server that is published to, and makes sure that every topic and channel is made on it first.
//!
//! A server that nsqlookupd no longer lists is dropped when its connection is gone too: a lookup server that restarts has
//! forgotten every server for a while. A topic that is tombstoned on a server is neither made, published nor looked for
//! there as long as nsqlookupd says so; afterwards the server counts as new.

use std::{
    collections::{BTreeSet, HashSet},
    sync::{
        Arc, Mutex, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bis_broker::EnsureError;
use bis_nsq::{
    ErrorCode, IdentifyReply, Name,
    client::{self, ConnectError, Lookup, Node, Publisher, TlsError},
};
use tokio::{
    sync::watch,
    task::AbortHandle,
    time::{sleep, timeout},
};

use super::{NsqOptions, wait};

/// The longest wait between two attempts to reach the servers.
const RETRY_WAIT: Duration = Duration::from_secs(2);

/// A topic, and a channel of it.
pub(super) type TopicChannel = (Name, Name);

/// The servers at one moment.
pub(super) type Servers = Arc<Vec<Arc<Server>>>;

/// One server.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: String,
    /// `None`: it is consumed from, and not published to.
    pub(super) publisher: Option<Publisher>,
    /// Named by the configuration, so that it is never dropped.
    named: bool,
    /// What nsqlookupd says about it.
    node: Node,
}

impl Server {
    /// Whether the topic's events may be here.
    pub(super) fn is_consumed(&self, topic: &str) -> bool {
        // Where this process publishes, it has made the topic, whether nsqlookupd knows that yet or not.
        let has = self.named || self.publisher.is_some() || self.node.topics.contains(topic);
        has && !self.is_tombstoned(topic)
    }

    pub(super) fn is_tombstoned(&self, topic: &str) -> bool {
        self.node.tombstoned.contains(topic)
    }

    /// Those of `channels` that it should have.
    fn wanted(&self, channels: &BTreeSet<TopicChannel>) -> Vec<TopicChannel> {
        channels.iter().filter(|(topic, _)| !self.is_tombstoned(topic.as_str())).cloned().collect()
    }
}

/// The servers of one driver.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) options: NsqOptions,
    servers: watch::Sender<Servers>,
    /// What every server that is published to must have.
    channels: Mutex<BTreeSet<TopicChannel>>,
    /// Which server the next publish begins with.
    pub(super) next: AtomicUsize,
    closed: AtomicBool,
    following: OnceLock<AbortHandle>,
}

impl Cluster {
    /// Starts to connect to what is named and to look for the rest. Must be called within a tokio runtime.
    pub(super) fn start(options: NsqOptions) -> Arc<Self> {
        let named = options.servers.iter().map(|address| {
            let publisher = Some(Publisher::start(options.client_for(address)));
            Arc::new(Server { address: address.clone(), publisher, named: true, node: Node::default() })
        });
        let (servers, _) = watch::channel(Arc::new(named.collect()));
        let this = Arc::new(Self {
            options,
            servers,
            channels: Mutex::default(),
            next: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            following: OnceLock::new(),
        });
        let Self { options, following, .. } = &*this;
        if !options.lookupd.is_empty() {
            let lookup = Lookup::start(options.lookupd.clone(), options.lookupd_interval);
            let task = tokio::spawn(follow(Arc::downgrade(&this), lookup, options.lookupd_interval));
            following.get_or_init(|| task.abort_handle());
        }
        this
    }

    /// Whether there may be more than one server.
    pub(super) fn is_many(&self) -> bool {
        self.options.servers.len() != 1 || !self.options.lookupd.is_empty()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// The current servers, and a way to wait for changes.
    pub(super) fn servers(&self) -> watch::Receiver<Servers> {
        self.servers.subscribe()
    }

    /// Where servers are looked for, for people.
    pub(super) fn place(&self) -> String {
        let lookupd = self.options.lookupd.iter().map(ToString::to_string);
        self.options.servers.iter().cloned().chain(lookupd).collect::<Vec<_>>().join(", ")
    }

    /// What any server that was connected to said about itself.
    pub(super) fn server(&self) -> Option<IdentifyReply> {
        self.servers.borrow().iter().find_map(|server| server.publisher.as_ref()?.server())
    }

    /// Takes over what nsqlookupd knows.
    fn update(&self, found: &client::Found) {
        let Some(found) = found else { return };
        let now = self.servers.borrow().clone();
        let mut next = Vec::new();
        for server in now.iter() {
            let listed = found.get(&server.address);
            let connected = server.publisher.as_ref().is_some_and(Publisher::is_connected);
            if server.named || listed.is_some() || connected {
                next.push(match listed {
                    Some(node) if *node != server.node => self.listed(server, node.clone()),
                    _ => server.clone(),
                });
            } else {
                tracing::info!(address = %server.address, "nsqlookupd knows the server no more");
            }
        }
        for (address, node) in found {
            if next.iter().all(|server| server.address != *address) {
                tracing::info!(%address, "found a server through nsqlookupd");
                let (address, node) = (address.clone(), node.clone());
                let mut server = Server { address, publisher: None, named: false, node };
                server.publisher = self.options.servers.is_empty().then(|| self.publisher(&server));
                next.push(Arc::new(server));
            }
        }
        let same = now.iter().zip(&next).all(|(now, next)| Arc::ptr_eq(now, next));
        if now.len() != next.len() || !same {
            let next = Arc::new(next);
            self.servers.send_replace(next.clone());
            // What is ensured meanwhile finds these servers, or was found here.
            let channels = self.channels();
            for server in next.iter() {
                if let Some(publisher) = &server.publisher {
                    publisher.keep(server.wanted(&channels));
                }
            }
        }
    }

    /// The same server, about which nsqlookupd says something else now.
    fn listed(&self, server: &Server, node: Node) -> Arc<Server> {
        let Server { address, publisher, named, node: before } = server;
        let mut next = Server { address: address.clone(), publisher: publisher.clone(), named: *named, node };
        if publisher.is_some() && before.tombstoned.iter().any(|topic| !next.is_tombstoned(topic)) {
            // The topic was deleted there perhaps: a connection that is new makes its channels first.
            next.publisher = Some(self.publisher(&next));
        }
        Arc::new(next)
    }

    /// Publishes to `server`, which gets its channels first.
    fn publisher(&self, server: &Server) -> Publisher {
        let channels = server.wanted(&self.channels());
        Publisher::start_keeping(self.options.client_for(&server.address), channels)
    }

    fn channels(&self) -> BTreeSet<TopicChannel> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes sure that every server that is published to has these, now or before the first publish to it. Waits for
    /// the first server, and for each one that can be reached.
    pub(super) async fn ensure(&self, channels: Vec<TopicChannel>) -> Result<IdentifyReply, EnsureError> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner).extend(channels);
        let channels = self.channels();
        let mut servers = self.servers();
        let (mut done, mut failures, mut reply) = (HashSet::new(), 0_u32, None);
        loop {
            if self.is_closed() {
                return Err(EnsureError::Closed);
            }
            let now = servers.borrow_and_update().clone();
            let mut waiting = false;
            for server in now.iter() {
                let Some(publisher) = server.publisher.as_ref().filter(|_| !done.contains(&server.address))
                else {
                    continue;
                };
                let channels = server.wanted(&channels);
                publisher.keep(channels.clone());
                match self.create(&server.address, &channels).await {
                    Ok(said) => {
                        self.options.client.outages.connected(&server.address);
                        reply = Some(said);
                        done.insert(server.address.clone());
                    }
                    Err(error) => {
                        // Where nothing is connected, the publisher makes them when it connects.
                        waiting |= publisher.is_connected();
                        failures += 1;
                        self.judge(&server.address, error, failures)?;
                    }
                }
            }
            if let Some(reply) = reply.clone().filter(|_| !waiting) {
                return Ok(reply);
            }
            if now.is_empty() {
                failures += 1;
                if failures.is_power_of_two() {
                    tracing::warn!(lookupd = %self.place(), "waiting for nsqlookupd to know of a server");
                }
            }
            let wait = Duration::from_millis(50).saturating_mul(failures).min(RETRY_WAIT);
            let _ = timeout(wait, servers.changed()).await;
        }
    }

    async fn create(&self, address: &str, channels: &[TopicChannel]) -> Result<IdentifyReply, ConnectError> {
        let options = self.options.client_for(address);
        let mut reply = None;
        for (topic, channel) in channels {
            reply = Some(client::create_channel(&options, topic, channel).await?);
        }
        match reply {
            Some(reply) => Ok(reply),
            None => client::identify(&options).await,
        }
    }

    /// Whether to keep trying after this error.
    fn judge(&self, address: &str, error: ConnectError, failures: u32) -> Result<(), EnsureError> {
        match &error {
            ConnectError::Refused(refusal) if refusal.code == ErrorCode::SubscribeFailed => {}
            ConnectError::Refused(refusal) if refusal.is_fatal() => {
                return Err(EnsureError::Refused(with_remedy(&refusal.to_string())));
            }
            ConnectError::AuthRequired | ConnectError::Lacks(_) => {
                return Err(EnsureError::Misconfigured(error.to_string()));
            }
            ConnectError::Tls(TlsError::Handshake(reason))
                if reason.kind() != std::io::ErrorKind::InvalidData => {}
            ConnectError::Tls(_) => return Err(EnsureError::Misconfigured(error.to_string())),
            _ => {}
        }
        self.options.client.outages.unreachable(address, &error, failures.is_power_of_two());
        Ok(())
    }

    /// Waits for the answers to what is in progress on every server.
    pub(super) async fn close(&self) {
        if let Some(following) = self.following.get() {
            following.abort();
        }
        self.closed.store(true, Ordering::Release);
        let servers = self.servers.send_replace(Arc::default());
        let publishers = servers.iter().filter_map(|server| server.publisher.as_ref());
        wait::all(publishers.map(|publisher| Box::pin(publisher.close()) as wait::Wait<'_, _>).collect())
            .await;
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(following) = self.following.get() {
            following.abort();
        }
    }
}

/// Keeps a cluster up to date until it is gone.
async fn follow(cluster: Weak<Cluster>, lookup: Lookup, interval: Duration) {
    let mut found = lookup.found();
    loop {
        // Also without news: a server that is no longer listed may have lost its connection.
        tokio::select! {
            changed = found.changed() => if changed.is_err() { return },
            () = sleep(interval) => {}
        }
        let Some(cluster) = cluster.upgrade() else { return };
        cluster.update(&found.borrow_and_update());
    }
}

/// What nsqd refuses with, and what to do about it.
pub(super) fn with_remedy(refusal: &str) -> String {
    let remedy = if refusal.contains("TLS required") {
        "; set `broker.nsq.tls` in the configuration"
    } else if refusal.contains("IDENTIFY heartbeat interval") {
        "; raise the server's `--max-heartbeat-interval` to 1s at least"
    } else if refusal.starts_with("E_AUTH") || refusal.starts_with("E_UNAUTHORIZED") {
        "; is the secret of `broker.nsq.auth` right, and may it use this topic and channel?"
    } else {
        ""
    };
    format!("`{refusal}`{remedy}")
}
