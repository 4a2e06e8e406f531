//! A client in statistics: what is known about it, what it consumes and what it has published.

use std::collections::BTreeMap;
use std::sync::Arc;

use bis_broker::channel::ConsumerId;
use bis_journal::{ChannelState, Consumer, State, Topic};
use serde::Serialize;

use crate::server::Server;
use crate::server::client::ClientInfo;

/// nsqd's number for a client that has subscribed.
const SUBSCRIBED: u8 = 3;
/// And for one that sent `CLS`.
const CLOSING: u8 = 4;

/// Clients that have published, by their addresses.
type Producers = BTreeMap<String, ClientStats>;
/// Clients that have subscribed, by their consumers.
type Consumers = BTreeMap<ConsumerId, Arc<ClientInfo>>;

/// A client, as nsqd shows one.
#[derive(Debug, Clone, Default, Serialize)]
pub(in crate::server) struct ClientStats {
    pub(super) client_id: String,
    pub(super) hostname: String,
    pub(super) version: &'static str,
    pub(super) remote_address: String,
    pub(super) state: u8,
    pub(super) ready_count: u32,
    pub(super) in_flight_count: usize,
    pub(super) message_count: u64,
    pub(super) finish_count: u64,
    pub(super) requeue_count: u64,
    pub(super) connect_ts: u64,
    pub(super) sample_rate: u32,
    pub(super) deflate: bool,
    pub(super) snappy: bool,
    pub(super) user_agent: String,
    #[serde(skip_serializing_if = "is_false")]
    pub(super) authed: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) auth_identity: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) auth_identity_url: String,
    /// What it has published, by topic.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::server) pub_counts: Vec<PubCount>,
    pub(super) tls: bool,
    pub(super) tls_cipher_suite: String,
    pub(super) tls_version: String,
    pub(super) tls_negotiated_protocol: String,
    pub(super) tls_negotiated_protocol_is_mutual: bool,
}

/// How many messages a client has published to a topic.
#[derive(Debug, Clone, Serialize)]
pub(in crate::server) struct PubCount {
    pub(in crate::server) topic: String,
    pub(in crate::server) count: u64,
}

fn is_false(flag: &bool) -> bool {
    !*flag
}

impl ClientStats {
    /// A client, before what it does is known.
    pub(in crate::server) fn new(client: &ClientInfo) -> Self {
        let identity = client.identity.clone();
        let (auth_identity, auth_identity_url) =
            identity.map_or_else(Default::default, |identity| (identity.name, identity.url));
        let tls = client.tls.clone();
        let (tls_version, tls_cipher_suite) =
            tls.map_or_else(Default::default, |tls| (tls.version, tls.cipher_suite));
        Self {
            client_id: client.client_id.clone(),
            hostname: client.hostname.clone(),
            version: "V2",
            remote_address: client.remote_address.clone(),
            connect_ts: client.connected,
            user_agent: client.user_agent.clone(),
            sample_rate: client.sample_rate,
            deflate: client.deflate,
            snappy: client.snappy,
            authed: client.identity.is_some(),
            auth_identity,
            auth_identity_url,
            tls: client.tls.is_some(),
            tls_version,
            tls_cipher_suite,
            // As Go has reported to nsqd for years, whatever was negotiated.
            tls_negotiated_protocol_is_mutual: client.tls.is_some(),
            ..Self::default()
        }
    }

    fn consumer(channel: &ChannelState, id: ConsumerId, consumer: &Consumer, client: &ClientInfo) -> Self {
        Self {
            in_flight_count: channel.machine().in_flight_with(id),
            state: if consumer.is_closing { CLOSING } else { SUBSCRIBED },
            ready_count: consumer.ready,
            message_count: consumer.delivered,
            finish_count: consumer.finished,
            requeue_count: consumer.requeued,
            ..Self::new(client)
        }
    }
}

/// What is known about clients.
#[derive(Default)]
pub(super) struct Known {
    pub(super) producers: Producers,
    consumers: Consumers,
}

impl Known {
    /// The clients that are connected; those that have published with what they are as consumers too.
    pub(super) fn now(server: &Server, state: &State, topic: Option<&str>) -> Self {
        let consumers = server.clients.consumers();
        let all = server.clients.producers(state, topic).into_iter();
        let mut producers: Producers = all.map(|client| (client.remote_address.clone(), client)).collect();
        for (_, channel) in state.topics_by_name().into_iter().flat_map(Topic::channels) {
            for (id, consumer) in channel.consumers() {
                let Some(info) = consumers.get(&id) else { continue };
                if let Some(client) = producers.get_mut(&info.remote_address) {
                    let pub_counts = std::mem::take(&mut client.pub_counts);
                    *client =
                        ClientStats { pub_counts, ..ClientStats::consumer(channel, id, consumer, info) };
                }
            }
        }
        Self { producers, consumers }
    }

    /// One consumer of a channel.
    pub(super) fn consumer(
        &self,
        channel: &ChannelState,
        id: ConsumerId,
        consumer: &Consumer,
    ) -> Option<ClientStats> {
        let info = self.consumers.get(&id)?;
        let producer = self.producers.get(&info.remote_address).cloned();
        Some(producer.unwrap_or_else(|| ClientStats::consumer(channel, id, consumer, info)))
    }
}
