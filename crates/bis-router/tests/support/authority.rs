//! An authorization server for tests: it answers each secret as it was told to, and notes what it was asked.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use tokio_rustls::rustls::{ServerConnection, StreamOwned};

use super::layers::Certificates;

/// A running server. Its thread ends with the process: it holds nothing but a socket.
pub struct Authority {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    answers: HashMap<String, String>,
    asked: Vec<Asked>,
}

/// What was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Such as `GET /auth`.
    pub line: String,
    /// What follows the path's `?`.
    pub query: String,
    pub arguments: HashMap<String, String>,
}

impl Authority {
    pub fn start() -> Self {
        Self::serve(answer)
    }

    /// One that is asked over TLS, with the certificate for a server.
    pub fn start_tls(certificates: &Certificates) -> Self {
        let config = certificates.server();
        Self::serve(move |stream, state| {
            let connection = ServerConnection::new(Arc::clone(&config)).map_err(std::io::Error::other)?;
            answer(StreamOwned::new(connection, stream), state)
        })
    }

    fn serve(answer: impl Fn(TcpStream, &Mutex<State>) -> std::io::Result<()> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // A client that disconnects early is not this server's concern.
                let _ = answer(stream, &shared);
            }
        });
        Self { address, state }
    }

    /// From now on the secret is answered with this body.
    pub fn answer(&self, secret: &str, body: &str) {
        self.state.lock().unwrap().answers.insert(secret.to_owned(), body.to_owned());
    }

    /// The secret allows this for this many seconds.
    pub fn allow(&self, secret: &str, ttl: u32, topic: &str, channel: &str, permissions: &[&str]) {
        let rule = serde_json::json!({"topic": topic, "channels": [channel], "permissions": permissions});
        let answer = serde_json::json!({
            "ttl": ttl,
            "identity": "somebody",
            "identity_url": "http://example.com/somebody",
            "authorizations": [rule],
        });
        self.answer(secret, &answer.to_string());
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.state.lock().unwrap().asked.clone()
    }
}

fn answer(stream: impl Read + Write, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if head.is_empty() {
            head.clone_from(&line);
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let form = if query.is_empty() { body } else { query.as_bytes().to_vec() };
    let arguments: HashMap<String, String> = form_urlencoded::parse(&form).into_owned().collect();
    let secret = arguments.get("secret").cloned().unwrap_or_default();
    let mut state = state.lock().unwrap();
    state.asked.push(Asked { line: format!("{method} {path}"), query: query.to_owned(), arguments });
    let (status, body) = match state.answers.get(&secret) {
        Some(body) => ("200 OK", body.clone()),
        None => ("403 Forbidden", r#"{"message":"no"}"#.to_owned()),
    };
    drop(state);
    let length = body.len();
    let stream = reader.get_mut();
    write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")?;
    stream.flush()
}
