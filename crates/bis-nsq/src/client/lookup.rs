//! Discovery: polls nsqlookupd for the servers that it knows. It connects to none of them.
//!
//! One request, `GET /nodes`, returns every server with its topics, and so replaces a `/lookup` for each topic.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::backoff::{Backoff, jittered};
use super::http::{HttpAddress, HttpError};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long an answer remains valid while its server is silent and another one answers: as long as nsqlookupd
/// itself keeps listing a silent server.
const HOLD: Duration = Duration::from_secs(300);

/// The default time between two requests.
pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(15);

/// A server that at least one nsqlookupd knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    /// The topics that it has.
    pub topics: BTreeSet<String>,
    /// Topics that are being removed from it (tombstoned): clients should neither consume nor publish them there.
    pub tombstoned: BTreeSet<String>,
}

/// The known servers, by TCP address. `None` until the first answer.
pub type Found = Option<BTreeMap<String, Node>>;

/// What the lookup servers know. Polling ends when all clones are dropped.
#[derive(Debug, Clone)]
pub struct Lookup {
    found: watch::Receiver<Found>,
}

impl Lookup {
    /// Starts polling `servers`, each about every `interval`, with jitter so that clients do not poll in step. Must
    /// be called within a tokio runtime.
    #[must_use]
    pub fn start(servers: Vec<HttpAddress>, interval: Duration) -> Self {
        let (announce, found) = watch::channel(None);
        tokio::spawn(ask_forever(servers, interval, announce));
        Self { found }
    }

    /// The current state, and a way to wait for changes.
    #[must_use]
    pub fn found(&self) -> watch::Receiver<Found> {
        self.found.clone()
    }
}

/// The last answer of one lookup server.
#[derive(Debug, Default)]
struct Answer {
    nodes: BTreeMap<String, Node>,
    /// When it answered, if ever.
    at: Option<Instant>,
    /// Whether it has failed to answer since.
    silent: bool,
}

impl Answer {
    fn take(&mut self, server: &HttpAddress, answer: Result<BTreeMap<String, Node>, HttpError>) {
        let was_silent = std::mem::replace(&mut self.silent, answer.is_err());
        match answer {
            Ok(nodes) => {
                (self.nodes, self.at) = (nodes, Some(Instant::now()));
                if was_silent {
                    tracing::info!(%server, "nsqlookupd answers again");
                }
            }
            Err(error) if was_silent => tracing::debug!(%server, %error, "nsqlookupd is still silent"),
            Err(error) => {
                tracing::warn!(%server, %error, "nsqlookupd does not answer; going on with what is known");
            }
        }
    }

    fn holds(&self) -> bool {
        self.at.is_some_and(|at| at.elapsed() < HOLD)
    }
}

async fn ask_forever(servers: Vec<HttpAddress>, interval: Duration, announce: watch::Sender<Found>) {
    let mut answers: Vec<Answer> = servers.iter().map(|_| Answer::default()).collect();
    let mut backoff = Backoff::default();
    loop {
        for (server, answer) in servers.iter().zip(&mut answers) {
            answer.take(server, nodes(server).await);
        }
        if let Some(all) = known(&answers) {
            announce.send_if_modified(|found| {
                let changed = found.as_ref() != Some(&all);
                *found = Some(all);
                changed
            });
        }
        let wait = if answers.iter().any(|answer| answer.silent) {
            backoff.next().min(interval)
        } else {
            backoff.reset();
            jittered(interval)
        };
        tokio::select! {
            () = sleep(wait) => {}
            () = announce.closed() => return,
        }
    }
}

/// The combined knowledge of all lookup servers; `None` when none of them has anything new. A lookup server that does
/// not answer has not forgotten: its last answer remains valid for a while, and at least until another one answers.
fn known(answers: &[Answer]) -> Option<BTreeMap<String, Node>> {
    let fresh = || answers.iter().filter(|answer| answer.holds());
    fresh().next()?;
    Some(union(fresh().map(|answer| &answer.nodes)))
}

fn union<'a>(answers: impl Iterator<Item = &'a BTreeMap<String, Node>>) -> BTreeMap<String, Node> {
    let mut all: BTreeMap<String, Node> = BTreeMap::new();
    for (address, node) in answers.flatten() {
        let known = all.entry(address.clone()).or_default();
        known.topics.extend(node.topics.iter().cloned());
        known.tombstoned.extend(node.tombstoned.iter().cloned());
    }
    all
}

/// The servers that one nsqlookupd knows, by TCP address.
///
/// # Errors
/// When it does not answer.
pub async fn nodes(server: &HttpAddress) -> Result<BTreeMap<String, Node>, HttpError> {
    let body = server.request("GET", "/nodes", b"", PATIENCE).await?;
    read(&body).ok_or(HttpError::Malformed)
}

fn read(body: &[u8]) -> Option<BTreeMap<String, Node>> {
    /// nsqlookupd before 1.0 put the answer into `data`.
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Answer {
        Bare(Producers),
        Wrapped { data: Producers },
    }
    #[derive(Deserialize)]
    struct Producers {
        producers: Vec<Producer>,
    }
    #[derive(Deserialize)]
    struct Producer {
        broadcast_address: String,
        tcp_port: u16,
        #[serde(default)]
        topics: Option<Vec<String>>,
        #[serde(default)]
        tombstones: Option<Vec<bool>>,
    }
    let (Answer::Bare(answer) | Answer::Wrapped { data: answer }) = serde_json::from_slice(body).ok()?;
    let nodes = answer.producers.into_iter().map(|producer| {
        let host = &producer.broadcast_address;
        let bare_v6 = host.contains(':') && !host.starts_with('[');
        let address = if bare_v6 {
            format!("[{host}]:{}", producer.tcp_port)
        } else {
            format!("{host}:{}", producer.tcp_port)
        };
        let topics = producer.topics.unwrap_or_default();
        let tombstones = producer.tombstones.unwrap_or_default();
        let tombstoned = topics.iter().zip(tombstones).filter(|(_, tombstoned)| *tombstoned);
        let tombstoned = tombstoned.map(|(topic, _)| topic.clone()).collect();
        (address, Node { topics: topics.into_iter().collect(), tombstoned })
    });
    Some(nodes.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nsqlookupd_answers_is_read() {
        let body = br#"{"producers":[
            {"remote_address":"10.0.0.1:1","hostname":"a","broadcast_address":"a","tcp_port":4150,"http_port":4151,
             "version":"1.3.0","tombstones":[false,true],"topics":["orders","old"]},
            {"broadcast_address":"::1","tcp_port":5150,"http_port":5151,"tombstones":[],"topics":[]}]}"#;
        let nodes = read(body).unwrap();
        assert_eq!(nodes.keys().collect::<Vec<_>>(), ["[::1]:5150", "a:4150"]);
        assert_eq!(nodes["a:4150"].topics, ["old", "orders"].map(str::to_owned).into());
        assert_eq!(nodes["a:4150"].tombstoned, ["old"].map(str::to_owned).into());
        let wrapped = br#"{"status_code":200,"data":{"producers":[]}}"#;
        assert!(read(wrapped).unwrap().is_empty());
        assert_eq!(read(b"{}"), None);
    }

    #[test]
    fn what_any_server_knows_is_known() {
        let node = |topic: &str| Node { topics: [topic.to_owned()].into(), ..Node::default() };
        let first = BTreeMap::from([("a:1".to_owned(), node("x"))]);
        let second = BTreeMap::from([("a:1".to_owned(), node("y")), ("b:1".to_owned(), node("x"))]);
        let all = union([&first, &second].into_iter());
        assert_eq!(all["a:1"].topics.len(), 2);
        assert_eq!(all.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_silent_server_said_holds_for_a_while_and_until_another_answers() {
        let address = HttpAddress::parse("a:1").unwrap();
        let said = |name: &str| Ok(BTreeMap::from([(name.to_owned(), Node::default())]));
        let names = |answers: &[Answer]| known(answers).map(|all| all.into_keys().collect::<Vec<_>>());
        let mut answers = [Answer::default(), Answer::default()];
        assert_eq!(names(&answers), None);
        answers[0].take(&address, said("x"));
        answers[1].take(&address, Err(HttpError::Malformed));
        assert_eq!(names(&answers).unwrap(), ["x"]);
        answers[0].take(&address, Err(HttpError::Malformed));
        answers[1].take(&address, said("y"));
        assert_eq!(names(&answers).unwrap(), ["x", "y"], "it has not forgotten");
        tokio::time::advance(HOLD).await;
        assert_eq!(names(&answers), None, "nobody knows better");
        answers[1].take(&address, said("y"));
        assert_eq!(names(&answers).unwrap(), ["y"]);
    }
}
