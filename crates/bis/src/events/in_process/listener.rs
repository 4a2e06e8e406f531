//! A listener to a topic without a subscription: a mailbox that is filled as events are published, and gone with its
//! consumer. It does not hold anything up, and keeps nothing in the topic's log.

use std::{
    collections::{BTreeMap, VecDeque},
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use bis_broker::{
    Answer, BoxFuture, ConsumeError, Consumer, Deliveries, Delivery, Extender, History, Settlement,
    channel::Time,
};
use bis_core::Envelope;
use tokio::sync::Notify;

use super::{MAX_BACKLOG, Shared};
use crate::instance::Purpose;

/// The mailboxes of a topic.
#[derive(Default)]
pub(super) struct Listeners(Vec<Weak<Mailbox>>);

impl Listeners {
    /// One more, for what is published from now on.
    pub(super) fn add(&mut self) -> Arc<Mailbox> {
        let mailbox = Arc::new(Mailbox::default());
        self.0.retain(|other| other.strong_count() > 0);
        self.0.push(Arc::downgrade(&mailbox));
        mailbox
    }

    /// Gives each listener an event that is due at a time, [`Time::ZERO`] when it is due at once.
    pub(super) fn offer(&self, envelope: &Arc<Envelope>, due: Time) {
        for mailbox in self.0.iter().filter_map(Weak::upgrade) {
            mailbox.put(envelope.clone(), due);
        }
    }

    /// Wakes each, as the broker closes.
    pub(super) fn wake_all(&self) {
        self.0.iter().filter_map(Weak::upgrade).for_each(|mailbox| mailbox.arrived.notify_one());
    }
}

/// What one listener has yet to receive.
#[derive(Default)]
pub(super) struct Mailbox {
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Default)]
struct Waiting {
    ready: VecDeque<Arc<Envelope>>,
    /// By the time when they are due.
    later: BTreeMap<Time, Vec<Arc<Envelope>>>,
}

impl Mailbox {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, envelope: Arc<Envelope>, due: Time) {
        let mut waiting = self.waiting();
        if due == Time::ZERO {
            waiting.ready.push_back(envelope);
            if waiting.ready.len() > MAX_BACKLOG {
                waiting.ready.pop_front();
            }
        } else {
            waiting.later.entry(due).or_default().push(envelope);
        }
        drop(waiting);
        self.arrived.notify_one();
    }

    /// What is due now, and else in how long something is.
    fn take(&self, max: NonZeroUsize, now: Time) -> Result<Vec<Arc<Envelope>>, Option<Duration>> {
        let mut waiting = self.waiting();
        while let Some(entry) = waiting.later.first_entry().filter(|entry| *entry.key() <= now) {
            let due = entry.remove();
            waiting.ready.extend(due);
        }
        if waiting.ready.is_empty() {
            return Err(waiting.later.keys().next().map(|due| due.since(now)));
        }
        let count = waiting.ready.len().min(max.get());
        Ok(waiting.ready.drain(..count).collect())
    }
}

/// One that listens.
pub(super) struct Listener {
    shared: Arc<Shared>,
    mailbox: Arc<Mailbox>,
    stopped: bool,
}

impl Listener {
    pub(super) fn new(shared: Arc<Shared>, mailbox: Arc<Mailbox>) -> Self {
        Self { shared, mailbox, stopped: false }
    }
}

impl Consumer for Listener {
    fn receive(&mut self, max: NonZeroUsize) -> Answer<'_, Result<Deliveries, ConsumeError>> {
        Answer::boxed(async move {
            loop {
                if self.stopped || self.shared.is_closed() {
                    return Err(ConsumeError::Closed);
                }
                match self.mailbox.take(max, self.shared.now()) {
                    Ok(envelopes) => return Ok(envelopes.into_iter().map(delivery).collect()),
                    Err(None) => self.mailbox.arrived.notified().await,
                    Err(Some(wait)) => tokio::select! {
                        () = self.mailbox.arrived.notified() => {}
                        () = self.shared.clock.sleep(wait, Purpose::Event) => {}
                    },
                }
            }
        })
    }

    fn extender(&self) -> Option<Arc<dyn Extender>> {
        None
    }

    fn stop(&mut self) -> BoxFuture<'_, ()> {
        self.stopped = true;
        Box::pin(std::future::ready(()))
    }
}

fn delivery(envelope: Arc<Envelope>) -> Delivery {
    let settle = Settlement::of_nothing();
    Delivery { envelope, attempt: 1, history: History::default(), lease: None, settle }
}
