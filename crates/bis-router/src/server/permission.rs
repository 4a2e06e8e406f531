//! `AUTH` and what follows from it on one connection. Whom to ask and what an answer means stands in [`super::auth`].

use bis_broker::BoxFuture;
use bis_nsq::{Command, ErrorCode, Name, ProtocolError};
use bytes::Bytes;
use serde_json::json;

use super::answers::Answer;
use super::auth::{AuthError, Grant, Question};
use super::client::{ClientIdentity, ClientInfo};
use super::connection::Connection;

/// A question to the authorization servers that is under way. No command is carried out meanwhile.
pub(super) type Asking = BoxFuture<'static, Result<Grant, AuthError>>;

impl Connection {
    /// `AUTH`. The answer comes with the grant.
    pub(super) fn authorize(&mut self, secret: &[u8]) -> Result<(), ProtocolError> {
        if self.grant.is_some() {
            return Err(ProtocolError::new(ErrorCode::Invalid, "AUTH already set"));
        }
        if self.server.authorizer.is_none() {
            return Err(ProtocolError::new(ErrorCode::AuthDisabled, "AUTH disabled"));
        }
        self.secret = Bytes::copy_from_slice(secret);
        self.ask();
        Ok(())
    }

    /// Whether the grant must be asked for again before the command can be judged; then it is asked for.
    pub(super) fn must_ask_for(&mut self, command: &Command) -> bool {
        let concerns = matches!(
            command,
            Command::Publish { .. }
                | Command::MultiPublish { .. }
                | Command::DeferredPublish { .. }
                | Command::HeadedPublish { .. }
                | Command::Subscribe { .. }
                | Command::Peek { .. }
                | Command::Replay { .. }
        );
        let is_expired = concerns && self.grant.as_ref().is_some_and(Grant::is_expired);
        if is_expired {
            self.ask();
        }
        is_expired
    }

    /// Whether the client may publish to the topic, or subscribe to the channel.
    pub(super) fn check_permission(
        &self,
        word: &str,
        topic: &Name,
        channel: Option<&Name>,
    ) -> Result<(), ProtocolError> {
        if self.server.authorizer.is_none() {
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

    /// Goes on with what the authorization servers said.
    pub(super) fn take_grant(&mut self, answer: Result<Grant, AuthError>) {
        self.asking = None;
        if let Err(error) = self.judge(answer) {
            self.refuse(&error);
        }
    }

    fn judge(&mut self, answer: Result<Grant, AuthError>) -> Result<(), ProtocolError> {
        let grant = answer.map_err(|error| {
            // What went wrong there is not the client's to know.
            let error = error.to_string();
            tracing::warn!(remote = %self.remote, error, "a client could not be authorized");
            ProtocolError::new(ErrorCode::AuthFailed, "AUTH failed")
        })?;
        if self.grant.is_none() {
            if grant.rules() == 0 {
                return Err(ProtocolError::new(ErrorCode::Unauthorized, "AUTH no authorizations found"));
            }
            let reply = json!({
                "identity": grant.identity,
                "identity_url": grant.identity_url,
                "permission_count": grant.rules(),
            });
            self.answers.push(Answer::Now(Bytes::from(reply.to_string())));
            let identity = ClientIdentity { name: grant.identity.clone(), url: grant.identity_url.clone() };
            self.set_client(ClientInfo { identity: Some(identity), ..(*self.client).clone() });
        }
        self.grant = Some(grant);
        self.note_known();
        Ok(())
    }

    fn ask(&mut self) {
        let Some(authorizer) = self.server.authorizer.clone() else { return };
        let question = Question {
            remote_ip: self.remote.ip().to_string(),
            is_tls: self.client.tls.is_some(),
            common_name: self.common_name.clone(),
            secret: self.secret.clone(),
        };
        self.asking = Some(Box::pin(async move { authorizer.ask(question).await }));
    }
}
