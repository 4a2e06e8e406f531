//! Registration with nsqlookupd: one session per address, as long as the address is configured and the router runs.
//!
//! What is registered follows the state: a session compares what it has said with what is there. It owns no topic.

mod channels;
mod session;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::Server;

/// The first pause before an nsqlookupd that cannot be reached is tried again; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// The state of the connection to one nsqlookupd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It was not tried yet.
    Connecting,
    /// It cannot be reached.
    Away,
    /// The router is registered; the HTTP address is where it can be asked.
    Registered { http: Option<String> },
}

/// All of them by TCP address.
pub(crate) type Standings = BTreeMap<String, Standing>;

/// Keeps the router registered until it stops.
pub(crate) async fn run(server: Arc<Server>) {
    let mut addresses = server.lookup_addresses.subscribe();
    let mut topology = server.journal.lock().topology();
    let mut sessions: HashMap<String, AbortHandle> = HashMap::new();
    addresses.mark_changed();
    topology.mark_changed();
    let stopped = server.journal.stopped();
    tokio::pin!(stopped);
    loop {
        tokio::select! {
            changed = addresses.changed() => {
                if changed.is_err() {
                    break;
                }
                let wanted = addresses.borrow_and_update().clone().unwrap_or_default();
                follow(&server, &wanted, &mut sessions);
            }
            changed = topology.changed() => {
                if changed.is_err() {
                    break;
                }
                for topic in server.journal.lock().take_held_topics() {
                    tokio::spawn(channels::prepare(Arc::clone(&server), topic));
                }
            }
            () = &mut stopped => break,
        }
    }
    sessions.values().for_each(AbortHandle::abort);
}

/// Ends the sessions that are not wanted any more, and begins those that are.
fn follow(server: &Arc<Server>, wanted: &[String], sessions: &mut HashMap<String, AbortHandle>) {
    server.journal.lock().hold_new_topics(!wanted.is_empty());
    sessions.retain(|address, session| {
        let is_wanted = wanted.contains(address);
        if !is_wanted {
            tracing::info!(address, "nsqlookupd is not used any more");
            session.abort();
            server.lookup_standings.send_modify(|standings| {
                standings.remove(address);
            });
        }
        is_wanted
    });
    for address in wanted {
        if !sessions.contains_key(address) {
            server.lookup_standings.send_modify(|standings| {
                standings.insert(address.clone(), Standing::Connecting);
            });
            let session = tokio::spawn(keep(Arc::clone(server), address.clone()));
            sessions.insert(address.clone(), session.abort_handle());
        }
    }
}

/// One session after the other with one nsqlookupd.
async fn keep(server: Arc<Server>, address: String) {
    let mut pause = FIRST_PAUSE;
    let mut is_told = false;
    loop {
        let error = match session::begin(&server, &address).await {
            Ok(session) => {
                (pause, is_told) = (FIRST_PAUSE, false);
                stand(&server, &address, Standing::Registered { http: session.http() });
                tracing::info!(address, "registered with nsqlookupd");
                session.follow(&server).await
            }
            Err(error) => error,
        };
        stand(&server, &address, Standing::Away);
        let error = error.to_string();
        if is_told {
            tracing::debug!(address, error, "nsqlookupd is still away");
        } else {
            tracing::warn!(address, error, "nsqlookupd cannot be reached; it is tried again and again");
        }
        is_told = true;
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Notes the state of the connection to an nsqlookupd that is still wanted.
fn stand(server: &Server, address: &str, standing: Standing) {
    server.lookup_standings.send_modify(|standings| {
        if let Some(entry) = standings.get_mut(address) {
            *entry = standing;
        }
    });
}
