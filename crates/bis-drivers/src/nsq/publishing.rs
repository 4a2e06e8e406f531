//! Publishing to one of several servers: each call goes to the next one in turn, and what a server surely has not taken
//! goes to another. What may have been taken is never sent twice.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use bis_broker::{PublishError, Receipt};
use bis_nsq::{
    Command, ErrorCode, Name, ProtocolError, Published,
    client::{self, Publisher},
};
use tokio::time::sleep;

use super::cluster::{Cluster, Server, with_remedy};

/// How long to wait before all servers are tried again.
const PAUSE: Duration = Duration::from_millis(50);

/// One event's way: still to be taken, or decided.
enum Way {
    /// With the address of the server that did not take it last, and why.
    Open(Command, Option<(String, client::PublishError)>),
    Decided(Result<Receipt, PublishError>),
}

impl Way {
    /// Whether it met a server that is stopping.
    fn met_a_stop(&self) -> bool {
        matches!(self, Self::Open(_, Some((_, error))) if error.is_stop())
    }
}

impl Cluster {
    /// One result per command, in their order; those of one call enter one server in that order unless it fails on the
    /// way.
    pub(super) async fn publish(
        &self,
        topic: &Name,
        commands: Vec<Result<Command, PublishError>>,
    ) -> Vec<Result<Receipt, PublishError>> {
        let mut ways: Vec<Way> = commands
            .into_iter()
            .map(|command| match command {
                Ok(command) => Way::Open(command, None),
                Err(error) => Way::Decided(Err(error)),
            })
            .collect();
        let deadline = Instant::now() + self.options.client.publish_wait;
        loop {
            if self.is_closed() {
                return self.results(ways);
            }
            let servers = self.candidates(topic);
            let only = servers.len() == 1 && !self.is_many();
            let left = deadline.saturating_duration_since(Instant::now());
            for server in &servers {
                let Some(publisher) = &server.publisher else { continue };
                let wait = if only { left } else { Duration::ZERO };
                send(publisher, &server.address, &mut ways, wait).await;
                if !ways.iter().any(|way| matches!(way, Way::Open(..))) {
                    return self.results(ways);
                }
            }
            let again = !only || ways.iter().any(Way::met_a_stop);
            if !again || Instant::now() >= deadline {
                return self.results(ways);
            }
            sleep(PAUSE).await;
        }
    }

    /// The servers to try, the one whose turn it is first, and those without a connection last.
    fn candidates(&self, topic: &Name) -> Vec<Arc<Server>> {
        let servers = self.servers().borrow().clone();
        let mut able: Vec<Arc<Server>> = servers
            .iter()
            .filter(|server| server.publisher.is_some() && !server.is_tombstoned(topic.as_str()))
            .cloned()
            .collect();
        if able.len() > 1 {
            let turn = self.next.fetch_add(1, Ordering::Relaxed) % able.len();
            able.rotate_left(turn);
            able.sort_by_key(|server| !server.publisher.as_ref().is_some_and(Publisher::is_connected));
        }
        able
    }

    fn results(&self, ways: Vec<Way>) -> Vec<Result<Receipt, PublishError>> {
        let result = |way| match way {
            Way::Decided(result) => result,
            Way::Open(..) if self.is_closed() => Err(PublishError::Closed),
            Way::Open(_, Some((address, error))) => Err(publish_error(&address, error)),
            Way::Open(_, None) => {
                let reason = "no server is known that takes events of this topic".to_owned();
                Err(PublishError::Unreachable { address: self.place(), reason })
            }
        };
        ways.into_iter().map(result).collect()
    }
}

/// Sends what is open to one server, all of it before the first answer.
async fn send(publisher: &Publisher, address: &str, ways: &mut [Way], wait: Duration) {
    let mut receipts = Vec::with_capacity(ways.len());
    for way in ways.iter() {
        receipts.push(match way {
            Way::Open(command, _) => Some(publisher.send_within(command.clone(), wait).await),
            Way::Decided(_) => None,
        });
    }
    for (way, receipt) in ways.iter_mut().zip(receipts) {
        let answer = match receipt {
            None => continue,
            Some(Ok(receipt)) => receipt.answer().await,
            Some(Err(error)) => Err(error),
        };
        match (answer, &mut *way) {
            (Err(error), Way::Open(_, last)) if is_untaken(&error) => {
                *last = Some((address.to_owned(), error))
            }
            (answer, way) => {
                let answer = answer.map(|Published { sequence, is_duplicate }| Receipt {
                    position: sequence,
                    duplicate: is_duplicate,
                });
                *way = Way::Decided(answer.map_err(|error| publish_error(address, error)));
            }
        }
    }
}

/// Whether a server says that it could not store something, and not that something is wrong with it.
pub(super) fn is_want_of_room(refusal: &ProtocolError) -> bool {
    use ErrorCode::{DeferredPublishFailed, MultiPublishFailed, PublishFailed};
    matches!(refusal.code, PublishFailed | MultiPublishFailed | DeferredPublishFailed)
}

/// Whether the server surely does not have it, and another may take it.
fn is_untaken(error: &client::PublishError) -> bool {
    match error {
        client::PublishError::Unreachable { .. } => true,
        client::PublishError::Refused(refusal) => is_want_of_room(refusal),
        // Closed: the server was dropped, or this process is closing, which the next round shows.
        client::PublishError::Closed => true,
        client::PublishError::Unanswered => false,
    }
}

fn publish_error(address: &str, error: client::PublishError) -> PublishError {
    let address = address.to_owned();
    match error {
        client::PublishError::Unreachable { reason } => PublishError::Unreachable { address, reason },
        client::PublishError::Unanswered => PublishError::Unanswered { address },
        client::PublishError::Refused(refusal) if is_want_of_room(&refusal) => {
            PublishError::Unavailable(with_remedy(&refusal.to_string()))
        }
        client::PublishError::Refused(refusal) => PublishError::Refused(with_remedy(&refusal.to_string())),
        client::PublishError::Closed => PublishError::Closed,
    }
}
