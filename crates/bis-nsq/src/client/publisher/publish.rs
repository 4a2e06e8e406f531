//! One publish in flight: its command, and the publishers that wait for the answer.

use std::borrow::Cow;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::error::PublishError;
use crate::{Command, FEATURE_HEADERS, FEATURE_RECEIPT, FEATURE_RESERVE, Headers, IdentifyReply, Published};

/// A publish.
#[derive(Debug)]
pub(super) struct Publish {
    pub(super) command: Command,
    pub(super) answer: oneshot::Sender<Result<Published, PublishError>>,
    /// The deadline of its wait for a connection.
    pub(super) deadline: Instant,
}

impl Publish {
    /// Notifies the waiting publishers.
    pub(super) fn end(self, outcome: Result<Published, PublishError>) {
        // A publisher that no longer waits does not need the answer.
        let _ = self.answer.send(outcome);
    }

    /// Whether nobody waits for it any more.
    pub(super) fn is_given_up(&self) -> bool {
        self.answer.is_closed()
    }
}

/// The command as this server understands it. Publishers do not need to know which server it reaches: the next one may be of
/// another kind.
pub(super) fn understood<'a>(command: &'a Command, server: &IdentifyReply) -> Cow<'a, Command> {
    match command {
        Command::HeadedPublish { .. } if !server.offers(FEATURE_HEADERS) => {
            Cow::Owned(command.clone().without_headers())
        }
        Command::HeadedPublish { topic, headers, body }
            if (headers.is_from_handler && !server.offers(FEATURE_RESERVE))
                || (headers.wants_receipt && !server.offers(FEATURE_RECEIPT)) =>
        {
            let headers = Headers {
                is_from_handler: headers.is_from_handler && server.offers(FEATURE_RESERVE),
                wants_receipt: headers.wants_receipt && server.offers(FEATURE_RECEIPT),
                ..headers.clone()
            };
            Cow::Owned(Command::HeadedPublish { topic: topic.clone(), headers, body: body.clone() })
        }
        command => Cow::Borrowed(command),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Extension, Name};

    fn server(features: Option<&[&str]>) -> IdentifyReply {
        IdentifyReply { bis: features.map(Extension::offer), ..IdentifyReply::default() }
    }

    #[test]
    fn a_server_is_sent_no_more_than_it_understands() {
        let key = Some("a".into());
        let headers = Headers { key, is_from_handler: true, wants_receipt: true, ..Headers::default() };
        let topic = Name::new("orders").unwrap();
        let command = Command::HeadedPublish { topic, headers, body: "hi".into() };
        let sent = |features| understood(&command, &server(features)).into_owned();
        assert!(matches!(sent(None), Command::Publish { body, .. } if body == "hi"));
        assert!(matches!(sent(Some(&[])), Command::Publish { .. }));
        let without_reserve = sent(Some(&[FEATURE_HEADERS]));
        assert!(matches!(without_reserve, Command::HeadedPublish { headers, .. }
                if !headers.is_from_handler && !headers.wants_receipt && headers.key.is_some()));
        let without_receipt = sent(Some(&[FEATURE_HEADERS, FEATURE_RESERVE]));
        assert!(matches!(without_receipt, Command::HeadedPublish { headers, .. }
                if headers.is_from_handler && !headers.wants_receipt));
        assert_eq!(sent(Some(&[FEATURE_HEADERS, FEATURE_RESERVE, FEATURE_RECEIPT])), command);
    }
}
