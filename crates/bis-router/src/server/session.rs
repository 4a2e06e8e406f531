//! What a client and the router have agreed on, and how far the client has come.

use std::sync::Arc;

use bis_nsq::{Limits, ProtocolError};

use super::client::ClientInfo;
use super::clients::Presence;
use super::gate::{Gate, Stage};
use super::negotiate::{Terms, Upgrade};
use super::stranger::{MAX_BODY_BYTES, Stranger};
use crate::options::{Options, TlsRequired};

/// One client's session.
pub(super) struct Session {
    pub(super) limits: Limits,
    pub(super) stage: Stage,
    pub(super) terms: Terms,
    pub(super) client: Arc<ClientInfo>,
    pub(super) presence: Presence,
    /// Layers to put on once everything before them is sent.
    pub(super) upgrade: Option<Upgrade>,
    /// Until the client is known, where it must be.
    pub(super) stranger: Option<Stranger>,
}

impl Session {
    pub(super) fn new(options: &Options, client: Arc<ClientInfo>, presence: Presence) -> Self {
        let limits = Limits {
            max_message_bytes: options.max_message_bytes,
            max_body_bytes: options.max_body_bytes,
            max_rdy_count: options.max_ready_count,
            max_requeue_delay: options.max_requeue_delay,
            extensions: false,
            max_stranger_bytes: None,
        };
        Self {
            limits,
            stage: Stage::Fresh,
            terms: Terms::new(options),
            client,
            presence,
            upgrade: None,
            stranger: None,
        }
    }

    /// What is in place now.
    pub(super) fn gate(&self, options: &Options) -> Gate {
        Gate {
            stage: self.stage,
            lacks_tls: self.lacks_tls(options),
            has_heartbeats: self.terms.heartbeat.is_some(),
            extensions: self.limits.extensions,
        }
    }

    /// More is known about the client.
    pub(super) fn set_client(&mut self, client: ClientInfo) {
        self.client = Arc::new(client);
        self.presence.identified(Arc::clone(&self.client));
    }

    /// Whether TLS is required and not there.
    pub(super) fn lacks_tls(&self, options: &Options) -> bool {
        self.client.tls.is_none() && options.tls.required() != TlsRequired::No
    }

    /// A client that has just connected, or has just done something to identify itself.
    pub(super) fn note_known(&mut self, options: &Options, lacks_grant: bool) {
        if lacks_grant || self.lacks_tls(options) {
            self.stranger.get_or_insert(Stranger::new(options.stranger_timeout));
            self.limits.max_stranger_bytes = Some(MAX_BODY_BYTES);
        } else {
            self.stranger = None;
            self.limits.max_stranger_bytes = None;
        }
    }

    /// The client took too long to be known. Returns what it is told.
    pub(super) fn turn_away(&mut self, options: &Options) -> ProtocolError {
        self.stranger = None;
        let what = if self.lacks_tls(options) { "TLS" } else { "AUTH" };
        Stranger::late(what, options.stranger_timeout)
    }
}
