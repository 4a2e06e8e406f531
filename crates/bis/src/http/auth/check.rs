//! Whether an app's endpoints and its `#[auth]` function fit together. `bis check` finds the same in the source, but for what an
//! alias of a type hides.

use bis_core::codes;

use super::entry::{self, AskedUser, AuthEntry};
use crate::{
    http::entry::{Access, EndpointEntry, endpoints},
    instance::{Position, Services, function_path},
};

/// Why an app cannot authenticate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthError {
    /// Two functions identify the caller.
    #[error(
        "the app has two `#[auth]` functions, `{first}` at {first_position} and `{second}` at {second_position}; keep one of them [{}]",
        codes::TWO_AUTHS
    )]
    Two { first: String, first_position: Position, second: String, second_position: Position },
    /// None does.
    #[error(
        "the endpoint `{endpoint}` at {position} asks who calls, and the app has no `#[auth]` function: write one in one of its services, or in its crate outside every service [{}]",
        codes::NO_AUTH
    )]
    None { endpoint: String, position: Position },
    /// The function returns another type.
    #[error(
        "the endpoint `{endpoint}` at {position} takes `Auth<{asked}>`, and `{function}` at {function_position} returns `{user}`: take `Auth<{user}>` [{}]",
        codes::OTHER_USER
    )]
    OtherUser {
        endpoint: String,
        position: Position,
        asked: &'static str,
        function: Box<str>,
        function_position: Position,
        user: &'static str,
    },
    /// Anyone may call, also nobody.
    #[error(
        "the public endpoint `{endpoint}` at {position} takes `Auth<{asked}>`, which callers without credentials do not have: make it `auth`, or take `Option<Auth<..>>` [{}]",
        codes::PUBLIC_USER
    )]
    Public { endpoint: String, position: Position, asked: &'static str },
}

/// Checks what an app declares.
pub(crate) fn check(services: &Services) -> Result<(), AuthError> {
    let functions = entry::entries(services);
    if let [first, second, ..] = functions[..] {
        return Err(AuthError::Two {
            first: path(first),
            first_position: first.position,
            second: path(second),
            second_position: second.position,
        });
    }
    let function = functions.first().copied();
    endpoints(services).into_iter().try_for_each(|(endpoint, _)| check_endpoint(endpoint, function))
}

fn path(entry: &AuthEntry) -> String {
    function_path(entry.module, entry.function)
}

fn check_endpoint(entry: &EndpointEntry, function: Option<&AuthEntry>) -> Result<(), AuthError> {
    let endpoint = || function_path(entry.module, entry.function);
    let asked = entry.asked_users();
    let position = entry.position;
    let Some(function) = function else {
        // The caller of a private endpoint passes a user as it likes.
        let asks = entry.access == Access::Auth || (entry.access == Access::Public && !asked.is_empty());
        return if asks { Err(AuthError::None { endpoint: endpoint(), position }) } else { Ok(()) };
    };
    for AskedUser { user, is_optional } in asked {
        if !user.is(function.user) {
            return Err(AuthError::OtherUser {
                endpoint: endpoint(),
                position,
                asked: user.path(),
                function: path(function).into(),
                function_position: function.position,
                user: function.user.path(),
            });
        }
        if entry.access == Access::Public && !is_optional {
            return Err(AuthError::Public { endpoint: endpoint(), position, asked: user.path() });
        }
    }
    Ok(())
}
