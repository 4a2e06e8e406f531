//! A real nsqlookupd on free ports, which ends with the test.

use std::io::{BufRead, BufReader, ErrorKind};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use super::http;

/// A running nsqlookupd.
pub struct Lookupd {
    child: Child,
    pub tcp: SocketAddr,
    pub http: SocketAddr,
}

impl Lookupd {
    /// Starts one on any free ports; `None`, with a line that says so, when there is no nsqlookupd on this machine.
    pub fn start() -> Option<Self> {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        Self::start_on(any, any)
    }

    pub fn start_on(tcp: SocketAddr, http: SocketAddr) -> Option<Self> {
        let spawned = Command::new("nsqlookupd")
            .args(["--broadcast-address", "127.0.0.1", "--tcp-address", &tcp.to_string()])
            .args(["--http-address", &http.to_string()])
            .stderr(Stdio::piped())
            .spawn();
        let mut child = match spawned {
            Ok(child) => child,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let required = std::env::var_os("BIS_REQUIRE_PEERS").is_some_and(|value| value == "1");
                assert!(!required, "nsqlookupd not found, and `BIS_REQUIRE_PEERS=1` asks for it");
                println!("skipped: nsqlookupd not found");
                return None;
            }
            Err(error) => panic!("nsqlookupd does not start: {error}"),
        };
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        // It opens both in any order.
        let (mut tcp, mut http) = (None, None);
        while tcp.is_none() || http.is_none() {
            let line = lines.next().unwrap().unwrap();
            if let Some((before, address)) = line.split_once(": listening on ") {
                let port = if before.ends_with("HTTP") { &mut http } else { &mut tcp };
                *port = Some(address.parse().unwrap());
            }
        }
        let (tcp, http) = (tcp.unwrap(), http.unwrap());
        // Its log must be read to the end, or it stops at a full pipe.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Some(Self { child, tcp, http })
    }

    /// The channels that it knows of a topic, and the ports of who has the topic.
    pub fn lookup(&self, topic: &str) -> (Vec<String>, Vec<u64>) {
        let answer = http::get(self.http, &format!("/lookup?topic={topic}"));
        if answer.status == 404 {
            return (Vec::new(), Vec::new());
        }
        let answer = answer.json();
        let channels = answer["channels"].as_array().unwrap();
        let mut channels: Vec<_> = channels.iter().map(|name| name.as_str().unwrap().to_owned()).collect();
        channels.sort();
        let producers = answer["producers"].as_array().unwrap().iter();
        (channels, producers.map(|producer| producer["tcp_port"].as_u64().unwrap()).collect())
    }

    pub fn stop(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Lookupd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
