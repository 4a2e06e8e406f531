//! Secrets in the configuration: the location of one, or the text itself. The same three forms work under every key.

use std::{fmt, fs::File, io::Read, path::PathBuf};

use bis_core::{Secret, codes};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, MapAccess, Visitor},
    ser::SerializeMap,
};

/// The largest secret, in bytes; a file that is larger is not one of a secret.
pub const MAX_SECRET_BYTES: u64 = 64 * 1024;

/// How a secret is written.
const FORMS: &str = "a string, `{ \"env\": \"NAME\" }` or `{ \"file\": \"PATH\" }`";

/// Where a secret is: `{ "env": "NAME" }`, `{ "file": "PATH" }`, or the text itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// The secret itself.
    Literal(Secret),
    /// The environment variable that holds it.
    Env(String),
    /// The file that holds it and nothing else; a line end after it is not part of it.
    File(PathBuf),
}

/// Why a secret cannot be read. Each says under which key it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// There is no such variable, or it is not UTF-8.
    #[error(
        "`{key}` is in the environment variable `{name}`, which is not set, or not to UTF-8; set it where the app is started [{}]",
        codes::SECRET
    )]
    Unset {
        /// The key in the configuration.
        key: &'static str,
        /// The variable.
        name: String,
    },
    /// The file cannot be read.
    #[error("`{key}` is in the file `{}`, which the app's user must be able to read as text: {source} [{}]", path.display(), codes::SECRET)]
    Unreadable {
        /// The key in the configuration.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The secret is empty.
    #[error("`{key}` is empty; write the secret there, or leave the key out [{}]", codes::SECRET)]
    Empty {
        /// The key in the configuration.
        key: &'static str,
    },
}

impl SecretSource {
    /// The secret, if it was in the configuration itself, or was read into it.
    pub fn known(&self) -> Option<&Secret> {
        match self {
            Self::Literal(secret) => Some(secret),
            Self::Env(_) | Self::File(_) => None,
        }
    }

    /// The secret, from where it is. `key` is where in the configuration this is, for the error.
    ///
    /// # Errors
    /// When it is not there, or is empty.
    pub fn read(&self, key: &'static str) -> Result<Secret, SecretError> {
        let text = match self {
            Self::Literal(secret) => secret.reveal().to_owned(),
            Self::Env(name) => {
                std::env::var(name).map_err(|_| SecretError::Unset { key, name: name.clone() })?
            }
            Self::File(path) => read_file(path).map_err(|source| SecretError::Unreadable {
                key,
                path: path.clone(),
                source,
            })?,
        };
        if text.is_empty() { Err(SecretError::Empty { key }) } else { Ok(text.into()) }
    }
}

fn read_file(path: &std::path::Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_SECRET_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_SECRET_BYTES {
        return Err(std::io::Error::other(format!("it is larger than {MAX_SECRET_BYTES} bytes")));
    }
    let length = text.trim_end_matches(['\n', '\r']).len();
    text.truncate(length);
    Ok(text)
}

impl Serialize for SecretSource {
    /// A literal is written as it is: the file is then as secret as the text.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = match self {
            Self::Literal(secret) => return serializer.serialize_str(secret.reveal()),
            Self::Env(_) | Self::File(_) => serializer.serialize_map(Some(1))?,
        };
        match self {
            Self::Env(name) => map.serialize_entry("env", name)?,
            Self::File(path) => map.serialize_entry("file", path)?,
            Self::Literal(_) => {}
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for SecretSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Forms)
    }
}

struct Forms;

impl<'de> Visitor<'de> for Forms {
    type Value = SecretSource;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a secret: {FORMS}")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<SecretSource, E> {
        Ok(SecretSource::Literal(text.to_owned().into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SecretSource, A::Error> {
        let key: String = map.next_key()?.ok_or_else(|| A::Error::custom(format!("a secret is {FORMS}")))?;
        let source = match key.as_str() {
            "env" => SecretSource::Env(map.next_value()?),
            "file" => SecretSource::File(map.next_value()?),
            "secret_env" => {
                let name: String = map.next_value()?;
                return Err(A::Error::custom(format!(
                    "`secret_env` is no longer a key; write `{{ \"env\": \"{name}\" }}`"
                )));
            }
            "secret" => {
                return Err(A::Error::custom(
                    "`secret` is no longer a key; write its text without the braces around it",
                ));
            }
            other => {
                return Err(A::Error::custom(format!("`{other}` is not a form of a secret: write {FORMS}")));
            }
        };
        match map.next_key::<String>()? {
            None => Ok(source),
            Some(other) => Err(A::Error::custom(format!(
                "a secret is in one place, and `{other}` beside `{key}` names a second one; write {FORMS}"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<SecretSource, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_secret_has_three_forms_and_is_written_as_it_was_read() {
        for text in [r#""s3cret""#, r#"{"env":"NAME"}"#, r#"{"file":"/run/secrets/nsq"}"#] {
            let source = parse(text).unwrap();
            assert_eq!(serde_json::to_string(&source).unwrap(), text);
            assert!(!format!("{source:?}").contains("s3cret"), "no log shows it");
        }
    }

    #[track_caller]
    fn check_refused(text: &str, parts: &[&str]) {
        let error = parse(text).unwrap_err();
        for part in parts {
            assert!(error.contains(part), "`{error}` lacks `{part}`");
        }
    }

    #[test]
    fn what_is_none_is_refused_with_what_to_write() {
        check_refused(r#"{"secret_env": "NSQ_SECRET"}"#, &["`secret_env`", r#"`{ "env": "NSQ_SECRET" }`"#]);
        check_refused(r#"{"secret": "s3cret"}"#, &["`secret` is no longer a key", "without the braces"]);
        assert!(!parse(r#"{"secret": "s3cret"}"#).unwrap_err().contains("s3cret"));
        check_refused(r#"{"vault": "x"}"#, &["`vault`", r#"`{ "env": "NAME" }`"#]);
        check_refused(r#"{"env": "A", "file": "b"}"#, &["`file` beside `env`"]);
        check_refused("{}", &["a secret is a string"]);
        check_refused("7", &["a secret: a string", r#"`{ "file": "PATH" }`"#]);
    }

    #[test]
    fn a_secret_is_read_from_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, "s3 cret\r\n\n").unwrap();
        let file = SecretSource::File(path.clone());
        assert_eq!(file.read("a.b").unwrap().reveal(), "s3 cret");
        // Cargo sets this one for every test.
        let env = SecretSource::Env("CARGO_PKG_NAME".into());
        assert_eq!(env.read("a.b").unwrap().reveal(), "bis-config");
        assert_eq!(SecretSource::Literal("x".to_owned().into()).read("a.b").unwrap().reveal(), "x");
    }

    #[test]
    fn a_secret_that_is_not_there_is_an_error_with_its_key_and_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let said = |source: SecretSource| source.read("internal.secret").unwrap_err().to_string();
        let unset = said(SecretSource::Env("BIS_TEST_NO_SUCH_VARIABLE".into()));
        assert!(
            unset.contains("`internal.secret`") && unset.contains("`BIS_TEST_NO_SUCH_VARIABLE`"),
            "{unset}"
        );
        assert!(unset.contains("set it where the app is started"), "{unset}");
        let missing = said(SecretSource::File(path.clone()));
        assert!(
            missing.contains("`internal.secret`") && missing.contains("must be able to read"),
            "{missing}"
        );
        // Its source is at its end, so that a chain of errors does not show it twice.
        assert!(missing.ends_with("(os error 2) [BIS1012]"), "{missing}");
        std::fs::write(&path, "\n").unwrap();
        let empty = said(SecretSource::File(path.clone()));
        assert!(empty.contains("`internal.secret` is empty"), "{empty}");
        std::fs::write(&path, vec![b'x'; 70_000]).unwrap();
        let large = said(SecretSource::File(path));
        assert!(large.contains("larger than 65536 bytes"), "{large}");
    }
}
