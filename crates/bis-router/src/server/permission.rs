//! What one client may do: its secret, the grant that an authorization server gave for it, and when to ask again. Whom to ask
//! and what an answer means is in [`super::auth`].

use std::net::SocketAddr;
use std::sync::Arc;

use bis_broker::BoxFuture;
use bis_nsq::{Command, ErrorCode, Name, ProtocolError};
use bytes::Bytes;
use serde_json::json;

use super::auth::{AuthError, Authorizer, Grant, Question};
use super::client::ClientIdentity;

/// A request to the authorization servers that is in progress. No command is carried out meanwhile.
pub(super) type Asking = BoxFuture<'static, Result<Grant, AuthError>>;

/// A client's permission. Without an authorizer everybody may do everything.
pub(super) struct Permission {
    authorizer: Option<Arc<Authorizer>>,
    remote: SocketAddr,
    /// The common name of the client's certificate, once it has shown one over TLS.
    common_name: Option<String>,
    /// What `AUTH` said.
    secret: Bytes,
    grant: Option<Grant>,
    pub(super) asking: Option<Asking>,
}

/// The first grant of a client.
pub(super) struct Granted {
    /// The answer to its `AUTH`.
    pub(super) reply: Bytes,
    pub(super) identity: ClientIdentity,
}

impl Permission {
    pub(super) fn new(authorizer: Option<Arc<Authorizer>>, remote: SocketAddr) -> Self {
        Self { authorizer, remote, common_name: None, secret: Bytes::new(), grant: None, asking: None }
    }

    /// Whether the client must be granted something before it may do anything.
    pub(super) fn lacks_grant(&self) -> bool {
        self.authorizer.is_some() && self.grant.is_none()
    }

    /// The client speaks TLS; this is the name in its certificate, empty without one.
    pub(super) fn note_tls(&mut self, common_name: String) {
        self.common_name = Some(common_name);
    }

    /// `AUTH`. The answer comes with the grant.
    pub(super) fn authorize(&mut self, secret: &[u8]) -> Result<(), ProtocolError> {
        if self.grant.is_some() {
            return Err(ProtocolError::new(ErrorCode::Invalid, "AUTH already set"));
        }
        if self.authorizer.is_none() {
            return Err(ProtocolError::new(ErrorCode::AuthDisabled, "AUTH disabled"));
        }
        self.secret = Bytes::copy_from_slice(secret);
        self.ask();
        Ok(())
    }

    /// Whether the grant must be asked for again before the command can be judged; then it is asked for.
    pub(super) fn must_ask_for(&mut self, command: &Command) -> bool {
        let is_expired = self.grant.as_ref().is_some_and(Grant::is_expired) && concerns(command);
        if is_expired {
            self.ask();
        }
        is_expired
    }

    /// Whether the client may publish to the topic, or subscribe to the channel.
    pub(super) fn check(
        &self,
        word: &str,
        topic: &Name,
        channel: Option<&Name>,
    ) -> Result<(), ProtocolError> {
        if self.authorizer.is_none() {
            return Ok(());
        }
        let Some(grant) = &self.grant else {
            return Err(ProtocolError::unknown_client(word));
        };
        if grant.allows(topic.as_str(), channel.map(Name::as_str)) {
            return Ok(());
        }
        let channel = channel.map_or("", Name::as_str);
        let text = format!("AUTH failed for {word} on \"{topic}\" \"{channel}\"");
        Err(ProtocolError::new(ErrorCode::Unauthorized, text))
    }

    /// Goes on with what the authorization servers said. The first grant is told to the client.
    pub(super) fn take(
        &mut self,
        answer: Result<Grant, AuthError>,
    ) -> Result<Option<Granted>, ProtocolError> {
        self.asking = None;
        let grant = answer.map_err(|error| {
            // The client must not learn what went wrong there.
            let error = error.to_string();
            tracing::warn!(remote = %self.remote, error, "a client could not be authorized");
            ProtocolError::new(ErrorCode::AuthFailed, "AUTH failed")
        })?;
        let is_first = self.grant.is_none();
        if is_first && grant.rules() == 0 {
            return Err(ProtocolError::new(ErrorCode::Unauthorized, "AUTH no authorizations found"));
        }
        let granted = is_first.then(|| Granted {
            reply: Bytes::from(
                json!({
                    "identity": grant.identity,
                    "identity_url": grant.identity_url,
                    "permission_count": grant.rules(),
                })
                .to_string(),
            ),
            identity: ClientIdentity { name: grant.identity.clone(), url: grant.identity_url.clone() },
        });
        self.grant = Some(grant);
        Ok(granted)
    }

    fn ask(&mut self) {
        let Some(authorizer) = self.authorizer.clone() else { return };
        let question = Question {
            remote_ip: self.remote.ip().to_string(),
            is_tls: self.common_name.is_some(),
            common_name: self.common_name.clone().unwrap_or_default(),
            secret: self.secret.clone(),
        };
        self.asking = Some(Box::pin(async move { authorizer.ask(question).await }));
    }
}

/// Whether a grant says something about this command.
fn concerns(command: &Command) -> bool {
    matches!(
        command,
        Command::Publish { .. }
            | Command::MultiPublish { .. }
            | Command::DeferredPublish { .. }
            | Command::HeadedPublish { .. }
            | Command::Subscribe { .. }
            | Command::Peek { .. }
            | Command::Replay { .. }
            | Command::Retain { .. }
    )
}
