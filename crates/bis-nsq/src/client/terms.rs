//! What a connection asks for in `IDENTIFY`, and less of it from a server that allows less: the server's limits are not
//! known beforehand, and a refusal names the exceeded limit but not its value.

use std::time::Duration;

use super::Options;
use crate::{Command, ErrorCode, Extension, Identify, Limits, ProtocolError};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Terms {
    heartbeat: Duration,
    /// How long a delivery may take; `None` leaves it to the server.
    lease: Option<Duration>,
    /// Whether messages wait in the server's buffer for the shortest time that it allows by default, or not at all.
    buffered: bool,
}

impl Terms {
    pub(super) fn new(options: &Options) -> Self {
        Self { heartbeat: options.heartbeat, lease: Some(options.lease), buffered: true }
    }

    /// How long the connection may be silent.
    pub(super) fn patience(&self) -> Duration {
        self.heartbeat * 2
    }

    /// The next best terms after a refusal, if there are any.
    pub(super) fn after(self, refusal: &ProtocolError) -> Option<Self> {
        if refusal.code != ErrorCode::BadBody {
            return None;
        }
        let half = |time: Duration, least: Duration| (time > least).then(|| (time / 2).max(least));
        match refusal.description.split_once(" (")?.0 {
            "IDENTIFY heartbeat interval" => {
                half(self.heartbeat, Limits::MIN_HEARTBEAT).map(|heartbeat| Self { heartbeat, ..self })
            }
            "IDENTIFY msg timeout" => {
                let lease = half(self.lease?, Limits::MIN_MESSAGE_TIMEOUT);
                Some(Self { lease, ..self })
            }
            "IDENTIFY output buffer timeout" | "IDENTIFY output buffer size" => {
                self.buffered.then_some(Self { buffered: false, ..self })
            }
            _ => None,
        }
    }

    /// The `IDENTIFY` of an open connection.
    pub(super) fn hello(&self, options: &Options) -> Command {
        let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        // nsqd holds messages back until its buffer is full or a time has passed; 250 ms unless asked otherwise.
        let (output_buffer_size, output_buffer_timeout) =
            if self.buffered { (0, millis(Limits::MIN_OUTPUT_BUFFER_TIMEOUT)) } else { (-1, 0) };
        let identify = Identify {
            client_id: options.client_id.clone(),
            hostname: std::env::var("HOSTNAME").unwrap_or_default(),
            user_agent: concat!("bis-nsq/", env!("CARGO_PKG_VERSION")).to_owned(),
            feature_negotiation: true,
            heartbeat_interval: millis(self.heartbeat),
            output_buffer_size,
            output_buffer_timeout,
            msg_timeout: self.lease.map_or(0, millis),
            tls_v1: options.tls.is_some(),
            bis: Some(Extension::ask_of(options.process.as_str())),
            ..Identify::default()
        };
        Command::Identify(identify.to_json().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_does_not_allow_is_asked_for_in_smaller_pieces() {
        let mut terms = Terms::new(&Options::new("a:1"));
        let mut refuse = |what: &str| {
            let refusal = ProtocolError::new(ErrorCode::BadBody, format!("IDENTIFY {what} (1) is invalid"));
            let next = terms.after(&refusal);
            terms = next.unwrap_or(terms);
            next.is_some()
        };
        let count =
            |what: &str, refuse: &mut dyn FnMut(&str) -> bool| (0..99).take_while(|_| refuse(what)).count();
        assert_eq!(count("heartbeat interval", &mut refuse), 4, "10 s, 5, 2.5, 1.25, 1, and no less");
        assert_eq!(count("msg timeout", &mut refuse), 6, "30 s, 15, 7.5, 3.75, 1.875, 1, the server's");
        assert_eq!(count("output buffer timeout", &mut refuse), 1);
        assert_eq!(count("sample rate", &mut refuse), 0);
        assert_eq!(terms, Terms { heartbeat: Duration::from_secs(1), lease: None, buffered: false });
    }
}
