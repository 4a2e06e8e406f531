//! The user behind the running code: a value of the app's user type, without its type, so that it can travel in the scope of a task,
//! and as JSON in a call and an event. It decides nothing: who somebody is, the app's `#[auth]` function says.

use std::{
    any::{Any, TypeId, type_name},
    fmt::{self, Write},
    sync::Arc,
};

use bis_core::codes;
use serde::{Serialize, de::DeserializeOwned};

use crate::json;

/// The largest identity as JSON where it travels, in bytes: headers of a request and of a message have little room.
const MAX_IDENTITY_BYTES: usize = 8 * 1024;

/// What an app's user type must be: `Clone`, `Send`, `Sync`, `'static`, and of both serde traits, since it travels over calls and
/// events. Every such type is one.
///
/// ```
/// # use bis::prelude::*;
/// #[derive(Clone, Serialize, Deserialize)]
/// pub struct User {
///     pub id: u64,
///     pub is_admin: bool,
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the app's user",
    label = "not `Clone`, `Send`, `Sync`, `'static`, `Serialize` and `Deserialize`",
    note = "write `#[derive(Clone, Serialize, Deserialize)]` above it, with owned fields: the user travels over calls and events"
)]
pub trait Identity: Clone + Send + Sync + Serialize + DeserializeOwned + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Clone + Send + Sync + Serialize + DeserializeOwned + 'static> Identity for T {}

/// Why an identity does not travel.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentityError {
    /// It does not serialize to JSON that can be read back.
    #[error("the identity, a `{user}`, cannot travel: {source} [{}]", codes::IDENTITY_NOT_SENT)]
    NotWritten { user: &'static str, source: json::WriteError },
    /// There is no room for it.
    #[error(
        "the identity, a `{user}`, has {bytes} bytes as JSON and cannot travel: at most {MAX_IDENTITY_BYTES} can; keep an id in it, and look up the rest [{}]",
        codes::IDENTITY_NOT_SENT
    )]
    TooLarge { user: &'static str, bytes: usize },
    /// What came is not the user's JSON.
    #[error("the identity that came along is not a valid `{user}`: {source} [{}]", codes::IDENTITY_NOT_READ)]
    NotRead { user: &'static str, source: serde_json::Error },
    /// It came to an app without users.
    #[error("an identity came along, and the app has no `#[auth]` function [{}]", codes::IDENTITY_NOT_READ)]
    NoUsers,
}

/// A value of the app's user type. Shared, so that to carry it along costs little; `{:?}` shows its type alone.
#[derive(Clone)]
pub struct AnyIdentity(Arc<dyn Erased>);

trait Erased: Any + Send + Sync {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), json::WriteError>;
    fn user(&self) -> &'static str;
}

impl<U: Identity> Erased for U {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), json::WriteError> {
        json::write(out, self)
    }

    fn user(&self) -> &'static str {
        type_name::<U>()
    }
}

impl AnyIdentity {
    /// Forgets the type.
    pub(crate) fn new(user: impl Identity) -> Self {
        Self(Arc::new(user))
    }

    /// The value, if it is a `U`.
    pub(crate) fn get<U: Identity>(&self) -> Option<U> {
        let any: &dyn Any = &*self.0;
        any.downcast_ref::<U>().cloned()
    }

    /// The path of its type.
    pub(crate) fn user(&self) -> &'static str {
        (*self.0).user()
    }

    /// Its JSON, in ASCII, so that it can be the value of a header.
    ///
    /// # Errors
    /// When it does not serialize, or is too large.
    pub(crate) fn to_text(&self) -> Result<String, IdentityError> {
        let mut json = Vec::new();
        let user = self.user();
        (*self.0).write(&mut json).map_err(|source| IdentityError::NotWritten { user, source })?;
        let text = ascii(&String::from_utf8_lossy(&json));
        match text.len() {
            bytes if bytes > MAX_IDENTITY_BYTES => Err(IdentityError::TooLarge { user, bytes }),
            _ => Ok(text),
        }
    }
}

/// JSON in ASCII: other characters are only in its texts, where they can be escaped.
fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() && character != '\u{7f}' {
            text.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            write!(text, "\\u{unit:04x}").expect("writing to a string does not fail");
        }
    }
    text
}

impl fmt::Debug for AnyIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AnyIdentity").field(&self.user()).finish()
    }
}

/// A user type, without its type.
#[derive(Debug, Clone, Copy)]
pub struct UserType {
    id: fn() -> TypeId,
    name: fn() -> &'static str,
    read: fn(&str) -> serde_json::Result<AnyIdentity>,
}

impl UserType {
    /// That of `U`.
    pub const fn of<U: Identity>() -> Self {
        Self {
            id: TypeId::of::<U>,
            name: type_name::<U>,
            read: |text| serde_json::from_str::<U>(text).map(AnyIdentity::new),
        }
    }

    /// Its path, as `std::any::type_name` gives it.
    pub(crate) fn path(self) -> &'static str {
        (self.name)()
    }

    /// The last segment of its path, without type parameters.
    pub(crate) fn name(self) -> &'static str {
        let path = self.path();
        let path = path.split_once('<').map_or(path, |(path, _)| path);
        path.rsplit("::").next().unwrap_or(path)
    }

    /// Whether both are of one type.
    pub(crate) fn is(self, other: Self) -> bool {
        (self.id)() == (other.id)()
    }
}

/// The app's user type, if it has one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Users(pub(crate) Option<UserType>);

impl Users {
    /// Reads an identity that came along.
    ///
    /// # Errors
    /// When it is not one of the app's users.
    pub(crate) fn read(self, text: &str) -> Result<AnyIdentity, IdentityError> {
        let user_type = self.0.ok_or(IdentityError::NoUsers)?;
        let user = user_type.path();
        if text.len() > MAX_IDENTITY_BYTES {
            return Err(IdentityError::TooLarge { user, bytes: text.len() });
        }
        (user_type.read)(text).map_err(|source| IdentityError::NotRead { user, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_read_back_from_ascii_text() {
        for name in ["ann", "Zoë \"𝕏\" \u{7f}\n", ""] {
            let text = AnyIdentity::new(name.to_owned()).to_text().unwrap();
            assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text}");
            let read = Users(Some(UserType::of::<String>())).read(&text).unwrap();
            assert_eq!(read.get::<String>().as_deref(), Some(name));
            assert_eq!(read.get::<u8>(), None);
        }
    }

    #[test]
    fn what_has_no_room_or_is_of_another_type_is_refused() {
        let at = |length: usize| AnyIdentity::new("x".repeat(length)).to_text();
        assert!(at(MAX_IDENTITY_BYTES - 2).is_ok());
        assert!(matches!(at(MAX_IDENTITY_BYTES - 1), Err(IdentityError::TooLarge { bytes: 8193, .. })));
        assert!(matches!(AnyIdentity::new(f64::NAN).to_text(), Err(IdentityError::NotWritten { .. })));
        let users = Users(Some(UserType::of::<u8>()));
        assert!(matches!(users.read("\"ann\""), Err(IdentityError::NotRead { .. })));
        assert!(matches!(users.read(&" ".repeat(9000)), Err(IdentityError::TooLarge { .. })));
        assert!(matches!(Users(None).read("1"), Err(IdentityError::NoUsers)));
    }

    #[test]
    fn a_log_shows_the_type_of_an_identity_alone() {
        let shown = format!("{:?}", AnyIdentity::new("ann@b.example".to_owned()));
        assert_eq!(shown, "AnyIdentity(\"alloc::string::String\")");
        assert_eq!(UserType::of::<Option<Vec<u8>>>().name(), "Option");
    }
}
