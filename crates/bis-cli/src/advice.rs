//! Help texts for errors of `bis-admin`, and the exit codes that commands end with on them.

use anyhow::Error;
use bis_admin::{LetterError, RouterError, TopicError};

use crate::exit::{self, Code};

/// The exit code and the help for an error that comes from a router.
pub(crate) fn of(error: &Error) -> Option<(Code, Option<String>)> {
    error.chain().find_map(|cause| {
        if let Some(error) = cause.downcast_ref::<LetterError>() {
            return Some(of_letter(error));
        }
        if let Some(error) = cause.downcast_ref::<TopicError>() {
            return Some(of_topic(error));
        }
        cause.downcast_ref::<RouterError>().map(of_router)
    })
}

fn of_letter(error: &LetterError) -> (Code, Option<String>) {
    let help = match error {
        LetterError::None { .. } => "`bis dead ls` lists all; one that was sent again is gone".to_owned(),
        LetterError::Several { letters: [first, second], .. } => format!(
            "give more of the id: `{first}`, `{second}`, ..; `bis dead ls --format json` lists all ids"
        ),
        LetterError::Topic(error) => return of_topic(error),
        LetterError::Router(error) => return of_router(error),
    };
    (exit::NOT_FOUND, Some(help))
}

fn of_topic(error: &TopicError) -> (Code, Option<String>) {
    match error {
        TopicError::NoTopic { known, .. } if known.is_empty() => {
            let help = "there is no topic at all yet; the app makes its topics when it starts";
            (exit::NOT_FOUND, Some(help.to_owned()))
        }
        TopicError::NoTopic { known, .. } => (exit::NOT_FOUND, Some(listed(known))),
        TopicError::NoSubscription { known, .. } if known.is_empty() => {
            let help = "it has none at all yet; the app makes its subscriptions when it starts";
            (exit::NOT_FOUND, Some(help.to_owned()))
        }
        TopicError::NoSubscription { known, .. } => (exit::NOT_FOUND, Some(listed(known))),
        TopicError::WouldTake { .. } => {
            (exit::SURROUNDINGS, Some("subscribe to it in the app first".to_owned()))
        }
        TopicError::Reserved { .. } => (exit::USAGE, Some("remove letters with `bis dead rm`".to_owned())),
        TopicError::Name(_) => (exit::USAGE, None),
        TopicError::Router(error) => of_router(error),
        TopicError::Publish(_) | TopicError::Inquiry(_) | TopicError::Consume(_) => {
            (exit::SURROUNDINGS, None)
        }
    }
}

fn of_router(error: &RouterError) -> (Code, Option<String>) {
    let help = match error {
        RouterError::Absent { .. } => Some(
            "start the app with `bis run`, or name another router with `--router-http HOST:PORT`".to_owned(),
        ),
        _ => None,
    };
    (exit::SURROUNDINGS, help)
}

fn listed(known: &[String]) -> String {
    format!("there are: `{}`", known.join("`, `"))
}
