//! What an authorization server granted, and what follows from it. It asks nobody.

use std::time::Duration;

use regex::Regex;
use serde::Deserialize;
use tokio::time::Instant;

use super::AuthError;

/// What a client may do, until when.
#[derive(Debug)]
pub(in crate::server) struct Grant {
    pub(in crate::server) identity: String,
    pub(in crate::server) identity_url: String,
    expires: Instant,
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    topic: Regex,
    channels: Vec<Regex>,
    may_publish: bool,
    may_subscribe: bool,
}

/// The answer as it is sent. Null means nothing, as in Go.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Answer {
    ttl: i64,
    authorizations: Option<Vec<Authorization>>,
    identity: Option<String>,
    identity_url: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Authorization {
    topic: Option<String>,
    channels: Option<Vec<String>>,
    permissions: Option<Vec<String>>,
}

impl Grant {
    pub(super) fn read(answer: &[u8]) -> Result<Self, AuthError> {
        let answer: Answer =
            serde_json::from_slice(answer).map_err(|error| AuthError::Answer(error.to_string()))?;
        let rules = answer.authorizations.unwrap_or_default().into_iter().map(Rule::read);
        let rules = rules.collect::<Result<_, _>>()?;
        let ttl = u64::try_from(answer.ttl).ok().filter(|ttl| *ttl > 0);
        let ttl =
            ttl.ok_or_else(|| AuthError::Answer(format!("its ttl is `{}`, not above 0", answer.ttl)))?;
        // A century counts as forever; more may overflow the clock.
        let ttl = Duration::from_secs(ttl.min(100 * 365 * 24 * 60 * 60));
        Ok(Self {
            identity: answer.identity.unwrap_or_default(),
            identity_url: answer.identity_url.unwrap_or_default(),
            expires: Instant::now() + ttl,
            rules,
        })
    }

    /// Whether it must be asked for again.
    pub(in crate::server) fn is_expired(&self) -> bool {
        self.expires < Instant::now()
    }

    /// How many rules there are; with none, the client is not authorized at all.
    pub(in crate::server) fn rules(&self) -> usize {
        self.rules.len()
    }

    /// Whether the client may subscribe to the channel, or publish to the topic when no channel is given.
    pub(in crate::server) fn allows(&self, topic: &str, channel: Option<&str>) -> bool {
        self.rules.iter().any(|rule| rule.allows(topic, channel))
    }
}

impl Rule {
    fn read(authorization: Authorization) -> Result<Self, AuthError> {
        let regex = |text: &str| Regex::new(text).map_err(|error| AuthError::Answer(error.to_string()));
        let permissions = authorization.permissions.unwrap_or_default();
        let unknown = permissions.iter().find(|word| !matches!(word.as_str(), "publish" | "subscribe"));
        if let Some(unknown) = unknown {
            return Err(AuthError::Answer(format!("its permission `{unknown}` is unknown")));
        }
        let has = |wanted: &str| permissions.iter().any(|word| word == wanted);
        let channels = authorization.channels.unwrap_or_default();
        Ok(Self {
            topic: regex(&authorization.topic.unwrap_or_default())?,
            channels: channels.iter().map(|channel| regex(channel)).collect::<Result<_, _>>()?,
            may_publish: has("publish"),
            may_subscribe: has("subscribe"),
        })
    }

    /// As on nsqd, a publish needs a channel's expression that matches nothing at all.
    fn allows(&self, topic: &str, channel: Option<&str>) -> bool {
        let is_permitted = if channel.is_some() { self.may_subscribe } else { self.may_publish };
        is_permitted
            && self.topic.is_match(topic)
            && self.channels.iter().any(|expression| expression.is_match(channel.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(authorizations: &str) -> Result<Grant, AuthError> {
        Grant::read(format!(r#"{{"ttl":60,"authorizations":{authorizations}}}"#).as_bytes())
    }

    #[test]
    fn expressions_decide() {
        let rules = r#"[{"topic":"^orders$","channels":[".*"],"permissions":["publish","subscribe"]},
            {"topic":"log","channels":["^ship$"],"permissions":["subscribe","publish"]}]"#;
        let grant = grant(rules).unwrap();
        assert_eq!(grant.rules(), 2);
        assert!(!grant.is_expired());
        assert!(grant.allows("orders", None));
        assert!(grant.allows("orders", Some("any")));
        assert!(!grant.allows("orders.new", None));
        assert!(grant.allows("my-log-1", Some("ship")), "an expression need not match the whole name");
        assert!(!grant.allows("my-log-1", Some("shipping")));
        assert!(!grant.allows("my-log-1", None), "as on nsqd: `^ship$` does not match an empty channel");
    }

    #[test]
    fn what_is_no_answer_grants_nothing() {
        assert_eq!(grant("null").unwrap().rules(), 0);
        assert!(grant(r#"[{"topic":"(","channels":[],"permissions":[]}]"#).is_err());
        assert!(grant(r#"[{"topic":"","channels":["["],"permissions":[]}]"#).is_err());
        assert!(grant(r#"[{"topic":"","channels":[],"permissions":["admin"]}]"#).is_err());
        assert!(Grant::read(br#"{"ttl":0,"authorizations":[]}"#).is_err());
        assert!(Grant::read(b"no").is_err());
        assert!(Grant::read(br#"{"ttl":9223372036854775807}"#).is_ok());
    }
}
