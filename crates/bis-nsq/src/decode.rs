//! The server's side: bytes to commands, with nsqd's errors word for word.
//!
//! Checks a command by itself. Whether it is allowed in the connection's state
//! (`cannot SUB in current state`) is for the server to check.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};

use crate::bodies::Scan;
use crate::{Command, ErrorCode, Headers, Limits, MessageId, Name, ProtocolError, ReplayFrom};

/// Takes one command off the front of `buffer`, as a new [`Decoder`] does. For a buffer that is decoded only once.
pub fn decode_command(
    buffer: &mut BytesMut,
    limits: &Limits,
    gate: impl FnOnce(&[u8]) -> Result<(), ProtocolError>,
) -> Result<Option<Command>, ProtocolError> {
    Decoder::default().decode(buffer, limits, gate)
}

/// Decodes what arrives on one connection. It remembers how far an incomplete `MPUB` has been scanned.
#[derive(Debug, Default)]
pub struct Decoder {
    scan: Scan,
}

/// A body that follows a line.
enum Body {
    /// The command has no body.
    None,
    /// Its length, or its messages, have not arrived; at least this many bytes are needed, counted from the length.
    Pending(usize),
    /// This many bytes after its length.
    Bytes(usize),
}

impl Decoder {
    /// Takes one command off the front of `buffer`; `None` when more bytes are needed (room for them is reserved). Until it is
    /// taken, `buffer` may only grow.
    ///
    /// `gate` is called with the command's word, known or not, before anything else is checked: there, a server refuses
    /// commands that the connection's state does not allow. It may be called again while the command's body arrives.
    ///
    /// The error is the answer to send; [`ProtocolError::is_fatal`] says whether to close afterwards, and
    /// everything that this function refuses is fatal. Bodies and names are not copied: they keep the buffer
    /// alive.
    ///
    /// A line longer than [`Limits::MAX_LINE_BYTES`] is refused with `E_INVALID`; nsqd closes without an answer.
    pub fn decode(
        &mut self,
        buffer: &mut BytesMut,
        limits: &Limits,
        gate: impl FnOnce(&[u8]) -> Result<(), ProtocolError>,
    ) -> Result<Option<Command>, ProtocolError> {
        let window = &buffer[..buffer.len().min(Limits::MAX_LINE_BYTES)];
        let Some(end) = window.iter().position(|byte| *byte == b'\n') else {
            if window.len() == Limits::MAX_LINE_BYTES {
                return Err(invalid("line over 16384 bytes"));
            }
            return Ok(None);
        };
        let line = window[..end].strip_suffix(b"\r").unwrap_or(&window[..end]);
        gate(word(line))?;
        let (line_len, line_bytes) = (line.len(), end + 1);
        let (needed, has_body) = match body(line, &buffer[line_bytes..], limits, &mut self.scan)? {
            Body::None => (line_bytes, false),
            Body::Bytes(size) => (line_bytes + 4 + size, true),
            Body::Pending(size) => {
                buffer.reserve((line_bytes + size).saturating_sub(buffer.len()));
                return Ok(None);
            }
        };
        if buffer.len() < needed {
            buffer.reserve(needed - buffer.len());
            return Ok(None);
        }
        let mut line = buffer.split_to(needed).freeze();
        let body = if has_body { line.split_off(line_bytes + 4) } else { Bytes::new() };
        line.truncate(line_len);
        command(line, body, limits, std::mem::take(&mut self.scan)).map(Some)
    }
}

/// The answer when no more bytes will come and `buffer` holds the beginning of a command: `None` when its line is
/// incomplete, because the command is not known then. The gate has already let the command pass.
#[must_use]
pub fn cut_off(buffer: &[u8], limits: &Limits) -> Option<ProtocolError> {
    let end = buffer.iter().position(|byte| *byte == b'\n')?;
    let line = buffer[..end].strip_suffix(b"\r").unwrap_or(&buffer[..end]);
    let rest = &buffer[end + 1..];
    let word = word(line);
    let what = match word {
        b"PUB" | b"DPUB" => "message body",
        b"MPUB" if rest.len() >= 4 => {
            let mut scan = Scan::default();
            let lack = scan.advance(&rest[4..], limits).transpose()?;
            return Some(lack.map_or_else(|error| error, |lack| scan.cut_off(&lack)));
        }
        _ => "body",
    };
    let code = if what == "body" { ErrorCode::BadBody } else { ErrorCode::BadMessage };
    let size = if rest.len() < 4 { " size" } else { "" };
    Some(ProtocolError::new(code, format!("{} failed to read {what}{size}", text(word))))
}

fn word(line: &[u8]) -> &[u8] {
    line.split(|byte| *byte == b' ').next().unwrap_or_default()
}

/// What follows the line. Checks everything that nsqd checks before it reads the body, and the whole body of an `MPUB`.
fn body(line: &[u8], rest: &[u8], limits: &Limits, scan: &mut Scan) -> Result<Body, ProtocolError> {
    let mut words = line.split(|byte| *byte == b' ');
    let word = words.next().unwrap_or_default();
    let parameters = words.clone().count();
    match word {
        b"PUB" | b"MPUB" => {
            let name = std::str::from_utf8(word).unwrap_or_default();
            need(parameters, 1, name, "parameters")?;
            check_topic(name, words.next().unwrap_or_default())?;
        }
        b"DPUB" => {
            need(parameters, 2, "DPUB", "parameters")?;
            check_topic("DPUB", words.next().unwrap_or_default())?;
            deferral(words.next().unwrap_or_default(), limits)?;
        }
        b"HPUB" if limits.extensions => {
            need(parameters, 1, "HPUB", "parameters")?;
            check_topic("HPUB", words.next().unwrap_or_default())?;
        }
        b"AUTH" if parameters > 0 => return Err(invalid("AUTH invalid number of parameters")),
        b"IDENTIFY" | b"AUTH" => {}
        _ => return Ok(Body::None),
    }
    if word == b"MPUB" && limits.max_stranger_bytes.is_some() {
        return Err(ProtocolError::unknown_client("MPUB"));
    }
    let Some((length, rest)) = rest.split_first_chunk::<4>() else { return Ok(Body::Pending(4)) };
    let size = checked_length(word, i32::from_be_bytes(*length), limits)?;
    if word != b"MPUB" {
        return Ok(Body::Bytes(size));
    }
    match scan.advance(rest, limits)? {
        Some(_) => Ok(Body::Pending(4 + size.max(scan.bytes()))),
        None => Ok(Body::Bytes(scan.bytes())),
    }
}

fn checked_length(word: &[u8], length: i32, limits: &Limits) -> Result<usize, ProtocolError> {
    let (code, noun, what, most) = match word {
        b"PUB" => (ErrorCode::BadMessage, "PUB", "message", limits.max_message_bytes),
        b"DPUB" => (ErrorCode::BadMessage, "DPUB", "message", limits.max_message_bytes),
        // Includes the headers, which have no bound of their own.
        b"HPUB" => (ErrorCode::BadBody, "HPUB", "body", limits.max_body_bytes),
        b"MPUB" => (ErrorCode::BadBody, "MPUB", "body", limits.max_body_bytes),
        b"AUTH" => (ErrorCode::BadBody, "AUTH", "body", limits.max_body_bytes),
        _ => (ErrorCode::BadBody, "IDENTIFY", "body", limits.max_body_bytes),
    };
    let between = if what == "message" { "message body" } else { "body" };
    let too_big =
        |most: usize| Err(ProtocolError::new(code, format!("{noun} {what} too big {length} > {most}")));
    match (usize::try_from(length), limits.max_stranger_bytes) {
        (Ok(size), _) if size > most => too_big(most),
        (Ok(size), Some(most)) if size > most => match word {
            b"IDENTIFY" | b"AUTH" => too_big(most),
            // The answer will be the same whatever the body is.
            _ => Err(ProtocolError::unknown_client(noun)),
        },
        (Ok(size), _) if size > 0 => Ok(size),
        _ => Err(ProtocolError::new(code, format!("{noun} invalid {between} size {length}"))),
    }
}

fn command(line: Bytes, mut body: Bytes, limits: &Limits, scan: Scan) -> Result<Command, ProtocolError> {
    let mut words = line.split(|byte| *byte == b' ');
    let word = words.next().unwrap_or_default();
    let parameters = words.clone().count();
    let mut next = || words.next().unwrap_or_default();
    match word {
        b"PUB" => {
            let length = next().len();
            Ok(Command::Publish { topic: only_topic("PUB", line, length)?, body })
        }
        b"MPUB" => {
            let length = next().len();
            let topic = only_topic("MPUB", line, length)?;
            body.advance(4);
            Ok(Command::MultiPublish { topic, bodies: scan.bodies(body) })
        }
        b"DPUB" => {
            let topic = topic("DPUB", &line, next())?;
            Ok(Command::DeferredPublish { topic, delay: deferral(next(), limits)?, body })
        }
        b"FIN" => message_id("FIN", parameters, 1, next()).map(Command::Finish),
        b"TOUCH" => message_id("TOUCH", parameters, 1, next()).map(Command::Touch),
        b"REQ" => {
            let id = message_id("REQ", parameters, 2, next())?;
            Ok(Command::Requeue { id, delay: wait("REQ", next(), limits)? })
        }
        b"RDY" => ready(parameters, next(), limits),
        b"SUB" => {
            need(parameters, 2, "SUB", "parameters")?;
            let (topic, channel) = (topic("SUB", &line, next())?, channel("SUB", &line, next())?);
            let ordered = limits.extensions && next() == b"ordered";
            Ok(Command::Subscribe { topic, channel, ordered })
        }
        b"CLS" => Ok(Command::Close),
        b"NOP" => Ok(Command::Nop),
        b"IDENTIFY" => Ok(Command::Identify(body)),
        b"AUTH" => Ok(Command::Auth(body)),
        word if limits.extensions => extended(word, line.clone(), body, limits),
        unknown => Err(unknown_command(unknown)),
    }
}

/// Commands of Bis's extensions.
fn extended(word: &[u8], line: Bytes, mut body: Bytes, limits: &Limits) -> Result<Command, ProtocolError> {
    let mut words = line.split(|byte| *byte == b' ').skip(1);
    let parameters = words.clone().count();
    let mut next = || words.next().unwrap_or_default();
    match word {
        b"HPUB" => {
            let length = next().len();
            let topic = only_topic("HPUB", line, length)?;
            let headers = Headers::decode(&mut body, limits)?;
            Ok(Command::HeadedPublish { topic, headers, body })
        }
        b"RELEASE" => {
            let id = message_id("RELEASE", parameters, 1, next())?;
            let delay = if parameters > 1 { Some(wait("RELEASE", next(), limits)?) } else { None };
            Ok(Command::Release { id, delay })
        }
        b"PEEK" => {
            need(parameters, 3, "PEEK", "parameters")?;
            let (topic, channel) = (topic("PEEK", &line, next())?, channel("PEEK", &line, next())?);
            let limit = u32::try_from(number("PEEK", "limit", next())?).unwrap_or(u32::MAX);
            let after = if parameters > 3 { Some(number("PEEK", "sequence", next())?) } else { None };
            Ok(Command::Peek { topic, channel, limit, after })
        }
        b"REPLAY" => {
            need(parameters, 4, "REPLAY", "parameters")?;
            let (topic, channel) = (topic("REPLAY", &line, next())?, channel("REPLAY", &line, next())?);
            let from = match next() {
                b"sequence" => ReplayFrom::Sequence(number("REPLAY", "sequence", next())?),
                b"time" => ReplayFrom::Time(number("REPLAY", "time", next())?),
                other => return Err(invalid(format!("REPLAY unknown place {}", text(other)))),
            };
            Ok(Command::Replay { topic, channel, from })
        }
        b"RETAIN" => {
            need(parameters, 3, "RETAIN", "parameters")?;
            let topic = topic("RETAIN", &line, next())?;
            let max_age = Duration::from_secs(number("RETAIN", "age", next())?);
            Ok(Command::Retain { topic, max_age, max_bytes: number("RETAIN", "size", next())? })
        }
        unknown => Err(unknown_command(unknown)),
    }
}

fn unknown_command(word: &[u8]) -> ProtocolError {
    invalid(format!("invalid command {}", text(word)))
}

fn ready(parameters: usize, count: &[u8], limits: &Limits) -> Result<Command, ProtocolError> {
    if parameters == 0 {
        return Ok(Command::Ready(1));
    }
    let number =
        decimal(count).ok_or_else(|| invalid(format!("RDY could not parse count {}", text(count))))?;
    match u32::try_from(number) {
        Ok(count) if count <= limits.max_rdy_count => Ok(Command::Ready(count)),
        _ => Err(invalid(format!("RDY count {number} out of range 0-{}", limits.max_rdy_count))),
    }
}

/// How long a message that is given back waits.
fn wait(command: &str, delay: &[u8], limits: &Limits) -> Result<Duration, ProtocolError> {
    let millis = decimal(delay)
        .ok_or_else(|| invalid(format!("{command} could not parse timeout {}", text(delay))))?;
    Ok(Duration::from_millis(millis).min(limits.max_requeue_delay))
}

fn deferral(delay: &[u8], limits: &Limits) -> Result<Duration, ProtocolError> {
    let millis =
        decimal(delay).ok_or_else(|| invalid(format!("DPUB could not parse timeout {}", text(delay))))?;
    let delay = Duration::from_millis(millis);
    if delay > limits.max_requeue_delay {
        let most = limits.max_requeue_delay.as_millis();
        return Err(invalid(format!("DPUB timeout {millis} out of range 0-{most}")));
    }
    Ok(delay)
}

/// The topic, which takes this many bytes after the word. The line becomes the name: sharing its buffer once more would
/// cost a publish more than reading it.
fn only_topic(word: &str, mut line: Bytes, length: usize) -> Result<Name, ProtocolError> {
    line.truncate(word.len() + 1 + length);
    line.advance(word.len() + 1);
    Name::from_bytes(line).map_err(|error| bad_topic(word, error.name.as_bytes()))
}

fn topic(word: &str, line: &Bytes, name: &[u8]) -> Result<Name, ProtocolError> {
    Name::from_bytes(line.slice_ref(name)).map_err(|_| bad_topic(word, name))
}

fn channel(word: &str, line: &Bytes, name: &[u8]) -> Result<Name, ProtocolError> {
    Name::from_bytes(line.slice_ref(name)).map_err(|_| {
        let text = format!("{word} channel name {} is not valid", quoted(name));
        ProtocolError::new(ErrorCode::BadChannel, text)
    })
}

fn check_topic(word: &str, name: &[u8]) -> Result<(), ProtocolError> {
    if Name::is_valid(name) { Ok(()) } else { Err(bad_topic(word, name)) }
}

fn bad_topic(word: &str, name: &[u8]) -> ProtocolError {
    // nsqd 1.3 writes the code twice for `MPUB`; clients that compare whole strings expect that.
    let again = if word == "MPUB" { "E_BAD_TOPIC " } else { "" };
    let text = format!("{again}{word} topic name {} is not valid", quoted(name));
    ProtocolError::new(ErrorCode::BadTopic, text)
}

/// A number in one of Bis's own commands.
fn number(word: &str, what: &str, digits: &[u8]) -> Result<u64, ProtocolError> {
    let number = decimal(digits).filter(|_| !digits.is_empty());
    number.ok_or_else(|| invalid(format!("{word} could not parse {what} {}", text(digits))))
}

fn message_id(word: &str, parameters: usize, needed: usize, id: &[u8]) -> Result<MessageId, ProtocolError> {
    need(parameters, needed, word, "params")?;
    MessageId::from_slice(id).ok_or_else(|| invalid("invalid message ID"))
}

fn need(parameters: usize, needed: usize, word: &str, noun: &str) -> Result<(), ProtocolError> {
    if parameters < needed {
        return Err(invalid(format!("{word} insufficient number of {noun}")));
    }
    Ok(())
}

fn invalid(text: impl Into<std::borrow::Cow<'static, str>>) -> ProtocolError {
    ProtocolError::new(ErrorCode::Invalid, text)
}

/// A number of decimal digits only; an empty text is zero, as in nsqd. Numbers that are too large are capped.
fn decimal(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |number, byte| {
        byte.is_ascii_digit().then(|| number.saturating_mul(10).saturating_add(u64::from(byte - b'0')))
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The bytes in quotes, as Go's `%q` writes them.
fn quoted(bytes: &[u8]) -> String {
    let mut quoted = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' => quoted.push_str("\\\""),
                '\\' => quoted.push_str("\\\\"),
                '\x07' => quoted.push_str("\\a"),
                '\x08' => quoted.push_str("\\b"),
                '\t' => quoted.push_str("\\t"),
                '\x0b' => quoted.push_str("\\v"),
                '\x0c' => quoted.push_str("\\f"),
                '\r' => quoted.push_str("\\r"),
                control @ '\u{80}'..='\u{9f}' => quoted.push_str(&format!("\\u{:04x}", control as u32)),
                control if control.is_control() => quoted.push_str(&format!("\\x{:02x}", control as u32)),
                plain => quoted.push(plain),
            }
        }
        for byte in chunk.invalid() {
            quoted.push_str(&format!("\\x{byte:02x}"));
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
