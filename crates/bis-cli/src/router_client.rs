//! The router's HTTP API, as the commands use it: statistics, publishing, looking at waiting messages, finishing and
//! replaying them.
//!
//! It knows nothing of events: bodies are bytes. A real nsqd answers statistics and publishes alone.

use std::io::ErrorKind;
use std::time::Duration;

use anyhow::{Context, Result};
use bis_nsq::{MessageId, PeekPage, ReplayFrom, Replayed, WaitingMessage};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use ureq::http::Response;
use ureq::typestate::WithBody;
use ureq::{Agent, RequestBuilder};

use crate::exit;
use crate::failure::Failure;

/// A router on this machine answers within this time or not at all.
const LIMIT: Duration = Duration::from_secs(10);
/// The largest answer that is read: a page of messages may hold [`PAGE`] bodies.
const MAX_ANSWER_BYTES: u64 = 1 << 30;
/// How many messages a peek asks for at once.
const PAGE: usize = 100;

/// Talks to one router.
#[derive(Debug)]
pub(crate) struct RouterClient {
    agent: Agent,
    address: String,
}

/// What `/stats` says.
#[derive(Debug, Deserialize)]
pub(crate) struct Stats {
    /// All topics.
    pub(crate) topics: Vec<TopicStats>,
}

/// A topic in `/stats`.
#[derive(Debug, Deserialize)]
pub(crate) struct TopicStats {
    pub(crate) topic_name: String,
    #[serde(default)]
    pub(crate) depth: i64,
    #[serde(default)]
    pub(crate) message_count: u64,
    /// Its channels are shown nothing; what is published is counted in its own depth.
    #[serde(default)]
    pub(crate) paused: bool,
    #[serde(default)]
    pub(crate) channels: Vec<ChannelStats>,
}

/// A channel in `/stats`.
#[derive(Debug, Deserialize)]
pub(crate) struct ChannelStats {
    pub(crate) channel_name: String,
    #[serde(default)]
    pub(crate) depth: i64,
    #[serde(default)]
    pub(crate) in_flight_count: i64,
    #[serde(default)]
    pub(crate) deferred_count: i64,
    #[serde(default)]
    pub(crate) requeue_count: u64,
    #[serde(default)]
    pub(crate) client_count: u64,
    #[serde(default)]
    pub(crate) paused: bool,
}

impl ChannelStats {
    /// What nobody has finished yet.
    pub(crate) fn unfinished(&self) -> i64 {
        self.depth + self.in_flight_count + self.deferred_count
    }

    /// Whether it ends with its consumers.
    pub(crate) fn is_ephemeral(&self) -> bool {
        self.channel_name.ends_with("#ephemeral")
    }
}

/// The outcome of a publish.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Published {
    Stored,
    /// The router takes none of this size.
    TooLarge,
}

/// The outcome of a replay.
#[derive(Debug)]
pub(crate) enum Replay {
    Done(Replayed),
    /// There is no such topic, or no such channel of it.
    NotFound,
}

#[derive(Deserialize)]
struct Refusal {
    message: String,
}

impl RouterClient {
    /// A client of the router whose HTTP API is at `address`, `host:port`.
    pub(crate) fn new(address: &str) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(LIMIT))
            .http_status_as_error(false)
            .proxy(None)
            .build();
        let address = address.trim_start_matches("http://").trim_end_matches('/').to_owned();
        Self { agent: config.into(), address }
    }

    /// All topics and channels with their counts.
    pub(crate) fn stats(&self) -> Result<Stats> {
        let body =
            self.answered(self.agent.get(self.url("stats?format=json&include_clients=false")).call())?;
        self.read(&body)
    }

    /// Publishes one message, with the ordering key that its envelope has; returns when the router has it.
    pub(crate) fn publish(&self, topic: &str, key: Option<&str>, body: &[u8]) -> Result<()> {
        self.answered(self.publish_request(topic, key).send(body)).map(drop)
    }

    /// As [`RouterClient::publish`]; that the message is too large is not an error.
    pub(crate) fn try_publish(&self, topic: &str, key: Option<&str>, body: &[u8]) -> Result<Published> {
        let result = self.publish_request(topic, key).send(body);
        // A router that has seen that a message is too large may close before all of it was sent.
        if let Err(ureq::Error::Io(error)) = &result
            && matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)
        {
            return Ok(Published::TooLarge);
        }
        let response = self.sent(result)?;
        if response.status() == 413 {
            return Ok(Published::TooLarge);
        }
        self.good(response).map(|_| Published::Stored)
    }

    fn publish_request(&self, topic: &str, key: Option<&str>) -> RequestBuilder<WithBody> {
        let request = self.agent.post(self.url(&format!("pub?topic={topic}")));
        match key {
            Some(key) => request.query("key", key),
            None => request,
        }
    }

    /// Removes a topic, or one channel of it, with what waits there. `false` when it is not there.
    pub(crate) fn delete(&self, topic: &str, channel: Option<&str>) -> Result<bool> {
        let request = match channel {
            Some(channel) => self.agent.post(self.url("channel/delete")).query("channel", channel),
            None => self.agent.post(self.url("topic/delete")),
        };
        let response = self.sent(request.query("topic", topic).send_empty())?;
        Ok(self.found(response, "remove topics")?.is_some())
    }

    /// Everything that waits in a channel, oldest first. Consumes nothing. Empty when there is no such channel.
    pub(crate) fn peek(&self, topic: &str, channel: &str) -> Result<Vec<WaitingMessage>> {
        let mut messages = Vec::new();
        self.pages(topic, channel, |page| {
            messages.extend(page);
            None::<()>
        })?;
        Ok(messages)
    }

    /// The place of the first message in a channel that `is_it`.
    pub(crate) fn find(
        &self,
        topic: &str,
        channel: &str,
        is_it: impl Fn(&WaitingMessage) -> bool,
    ) -> Result<Option<u64>> {
        self.pages(topic, channel, |page| page.iter().find(|one| is_it(one)).map(|one| one.sequence))
    }

    /// Whether the message of this place is in the channel.
    pub(crate) fn is_waiting(&self, topic: &str, channel: &str, sequence: u64) -> Result<bool> {
        let page = self.page(topic, channel, sequence.checked_sub(1), 1)?;
        Ok(page.is_some_and(|page| page.messages.iter().any(|one| one.sequence == sequence)))
    }

    /// Whether somebody consumes a channel.
    pub(crate) fn is_consumed(&self, topic: &str, channel: &str) -> Result<bool> {
        let topics = self.stats()?.topics;
        let channels = topics.iter().filter(|one| one.topic_name == topic).flat_map(|one| &one.channels);
        Ok(channels.into_iter().any(|one| one.channel_name == channel && one.client_count > 0))
    }

    /// Whether a topic is paused: its channels are not shown what is published.
    pub(crate) fn is_paused(&self, topic: &str) -> Result<bool> {
        Ok(self.stats()?.topics.iter().any(|one| one.topic_name == topic && one.paused))
    }

    /// Looks at a channel page by page, until `look` has found what it wants.
    fn pages<T>(
        &self,
        topic: &str,
        channel: &str,
        mut look: impl FnMut(Vec<WaitingMessage>) -> Option<T>,
    ) -> Result<Option<T>> {
        let mut after = None;
        while let Some(page) = self.page(topic, channel, after, PAGE)? {
            after = page.messages.last().map(|last| last.sequence);
            let found = look(page.messages);
            if found.is_some() || !page.more || after.is_none() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Some of what waits in a channel, from the message after this place on. `None` when there is no such channel.
    fn page(&self, topic: &str, channel: &str, after: Option<u64>, limit: usize) -> Result<Option<PeekPage>> {
        let after = after.map(|sequence| format!("&after={sequence}")).unwrap_or_default();
        let path = format!("channel/peek?topic={topic}&channel={channel}&limit={limit}{after}");
        let response = self.sent(self.agent.get(self.url(&path)).call())?;
        let answer = self.found(response, "show messages that wait")?;
        answer.map(|answer| self.read(&answer)).transpose()
    }

    /// Takes one message out of a channel for good. `false` when it is not there any more, or someone is handling it.
    pub(crate) fn finish(&self, topic: &str, channel: &str, id: MessageId) -> Result<bool> {
        let path = format!("channel/finish?topic={topic}&channel={channel}&id={id}");
        let response = self.sent(self.agent.post(self.url(&path)).send_empty())?;
        if response.status() == 404 {
            return Ok(false);
        }
        self.good(response).map(|_| true)
    }

    /// Everything from a place on comes (again) to a channel.
    pub(crate) fn replay(&self, topic: &str, channel: &str, from: ReplayFrom) -> Result<Replay> {
        let place = match from {
            ReplayFrom::Sequence(sequence) => format!("from={sequence}"),
            ReplayFrom::Time(time) => format!("time={time}"),
        };
        let path = format!("channel/replay?topic={topic}&channel={channel}&{place}");
        let response = self.sent(self.agent.post(self.url(&path)).send_empty())?;
        match self.found(response, "replay what was handled")? {
            Some(answer) => Ok(Replay::Done(self.read(&answer)?)),
            None => Ok(Replay::NotFound),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    fn answered(&self, result: Result<Response<ureq::Body>, ureq::Error>) -> Result<String> {
        let response = self.sent(result)?;
        self.good(response)
    }

    fn sent(&self, result: Result<Response<ureq::Body>, ureq::Error>) -> Result<Response<ureq::Body>> {
        match result {
            Ok(response) => Ok(response),
            Err(ureq::Error::ConnectionFailed) => Err(self.not_there().into()),
            Err(ureq::Error::Io(error)) if error.kind() == ErrorKind::ConnectionRefused => {
                Err(self.not_there().into())
            }
            Err(error) => {
                Err(error).with_context(|| format!("cannot talk to the router at `{}`", self.address))
            }
        }
    }

    fn good(&self, mut response: Response<ureq::Body>) -> Result<String> {
        if response.status() == 200 {
            return Ok(response.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_to_string()?);
        }
        let message = refusal(response)?;
        Err(Failure::new(
            exit::SURROUNDINGS,
            format!("the router at `{}` refused: `{message}`", self.address),
        )
        .into())
    }

    /// A good answer; `None` when there is no such topic or channel. A broker that knows no such request cannot do `what`.
    fn found(&self, response: Response<ureq::Body>, what: &str) -> Result<Option<String>> {
        if response.status() != 404 {
            return self.good(response).map(Some);
        }
        match refusal(response)?.as_str() {
            "TOPIC_NOT_FOUND" | "CHANNEL_NOT_FOUND" => Ok(None),
            _ => {
                let text = format!("the broker at `{}` cannot {what}", self.address);
                let help =
                    "Bis's router can (`bis run` starts one, `bis router` is one alone); nsqd has no way to";
                Err(Failure::new(exit::SURROUNDINGS, text).help(help).into())
            }
        }
    }

    fn read<T: DeserializeOwned>(&self, answer: &str) -> Result<T> {
        serde_json::from_str(answer)
            .with_context(|| format!("`{}` does not answer as a router does", self.address))
    }

    fn not_there(&self) -> Failure {
        Failure::new(exit::SURROUNDINGS, format!("there is no router at `{}`", self.address)).help(
            "start the application with `bis run`, or name another router with `--router-http HOST:PORT`",
        )
    }
}

/// What a router says when it refuses.
fn refusal(mut response: Response<ureq::Body>) -> Result<String> {
    let text = response.body_mut().read_to_string()?;
    Ok(serde_json::from_str::<Refusal>(&text).map_or(text, |refusal| refusal.message))
}
