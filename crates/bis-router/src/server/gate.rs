//! What is out of place on a connection now, decided by a command's word alone and before the rest of it is looked at,
//! as on nsqd.

use bis_nsq::{ErrorCode, ProtocolError};

/// How far a client has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Fresh,
    Subscribed,
    /// After `CLS`: settles what it has, gets no more.
    Closing,
}

/// The facts that decide, copied from the connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gate {
    pub(super) stage: Stage,
    /// TLS is required and not there.
    pub(super) lacks_tls: bool,
    pub(super) has_heartbeats: bool,
    /// Bis's own commands are known words.
    pub(super) extensions: bool,
}

impl Gate {
    /// Refuses the command of this word, or lets it pass.
    pub(super) fn check(self, word: &[u8]) -> Result<(), ProtocolError> {
        if self.lacks_tls && word != b"IDENTIFY" {
            let word = String::from_utf8_lossy(word);
            let text = format!("cannot {word} in current state (TLS required)");
            return Err(ProtocolError::new(ErrorCode::Invalid, text));
        }
        match word {
            b"IDENTIFY" => self.only_if("IDENTIFY", self.stage == Stage::Fresh),
            b"AUTH" => self.only_if("AUTH", self.stage == Stage::Fresh),
            b"SUB" => {
                self.only_if("SUB", self.stage == Stage::Fresh)?;
                match self.has_heartbeats {
                    true => Ok(()),
                    false => Err(ProtocolError::subscribe_without_heartbeats()),
                }
            }
            b"RDY" => self.only_if("RDY", self.stage != Stage::Fresh),
            b"FIN" => self.only_if("FIN", self.stage != Stage::Fresh),
            b"REQ" => self.only_if("REQ", self.stage != Stage::Fresh),
            b"TOUCH" => self.only_if("TOUCH", self.stage != Stage::Fresh),
            b"RELEASE" if self.extensions => self.only_if("RELEASE", self.stage != Stage::Fresh),
            b"CLS" => self.only_if("CLS", self.stage == Stage::Subscribed),
            _ => Ok(()),
        }
    }

    fn only_if(self, word: &str, is_in_place: bool) -> Result<(), ProtocolError> {
        if is_in_place { Ok(()) } else { Err(ProtocolError::out_of_place(word)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Gate =
        Gate { stage: Stage::Fresh, lacks_tls: false, has_heartbeats: true, extensions: false };

    #[test]
    fn nsqds_words_and_stages() {
        let check = |gate: Gate, word: &[u8], text: &str| {
            assert_eq!(gate.check(word).unwrap_err().to_string(), text);
        };
        for word in ["FIN", "REQ", "TOUCH", "RDY", "CLS"] {
            check(OPEN, word.as_bytes(), &format!("E_INVALID cannot {word} in current state"));
        }
        for stage in [Stage::Subscribed, Stage::Closing] {
            let gate = Gate { stage, ..OPEN };
            for word in ["SUB", "IDENTIFY", "AUTH"] {
                check(gate, word.as_bytes(), &format!("E_INVALID cannot {word} in current state"));
            }
            assert_eq!(gate.check(b"FIN"), Ok(()));
        }
        check(Gate { stage: Stage::Closing, ..OPEN }, b"CLS", "E_INVALID cannot CLS in current state");
        let silent = Gate { has_heartbeats: false, ..OPEN };
        check(silent, b"SUB", "E_INVALID cannot SUB with heartbeats disabled");
        let bare = Gate { lacks_tls: true, ..OPEN };
        check(bare, b"PUB", "E_INVALID cannot PUB in current state (TLS required)");
        check(bare, b"HELLO", "E_INVALID cannot HELLO in current state (TLS required)");
        assert_eq!(bare.check(b"IDENTIFY"), Ok(()));
        assert_eq!(OPEN.check(b"RELEASE"), Ok(()), "an unknown word is the decoder's to refuse");
        let extended = Gate { extensions: true, ..OPEN };
        check(extended, b"RELEASE", "E_INVALID cannot RELEASE in current state");
    }
}
