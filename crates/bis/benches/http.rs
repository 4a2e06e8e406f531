//! `#[api]` beside bare axum: requests per second over kept connections on the loopback, in turns, so that what else the
//! machine does meets both. Each server is a process of its own, with its logs as in production. Bare axum is served by hyper directly,
//! with the same protocol and the same layers.
//!
//! `cargo bench -p bis --bench http`

use std::{
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    process::{Child, Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use axum::{
    http::{HeaderValue, header},
    routing::get,
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower::ServiceExt;
use tower_http::set_header::SetResponseHeaderLayer;

const ROLE: &str = "BENCH_ROLE";
const CONNECTIONS: usize = 32;
const ROUNDS: usize = 9;
const WARM_UP: Duration = Duration::from_millis(500);
const ROUND: Duration = Duration::from_millis(1_000);
const ANSWER: &str = "hello";

/// What is measured: its name, and the request that is sent again and again. The answer ends with [`ANSWER`].
const CASES: [(&str, &str); 2] = [
    ("plain", "GET /hello HTTP/1.1\r\nhost: localhost\r\n\r\n"),
    ("one layer", "GET /layered HTTP/1.1\r\nhost: localhost\r\n\r\n"),
];

/// The layer of both servers.
fn layer() -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::overriding(header::SERVER, HeaderValue::from_static("bench"))
}

mod hello {
    use bis::prelude::*;

    bis::service!("hello");

    #[api(GET, "/hello", public)]
    async fn hello() -> &'static str {
        super::ANSWER
    }

    #[api(GET, "/layered", public, layers = [super::layer()])]
    async fn layered() -> &'static str {
        super::ANSWER
    }
}

bis::app!(services: [hello]);

fn main() -> ExitCode {
    match std::env::var(ROLE).as_deref() {
        Ok("bis") => app().main(),
        Ok("axum") => bare_axum(),
        _ => compare(),
    }
}

/// What the comparison is with: a router of the same routes, served by hyper.
fn bare_axum() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let hello = || get(async || ANSWER);
        let router = axum::Router::new().route("/hello", hello()).route("/layered", hello().layer(layer()));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        println!("{{\"event\":\"ready\",\"app\":\"http://{address}\"}}");
        std::io::stdout().flush().expect("stdout is open");
        // It serves until it is killed.
        loop {
            let (stream, _) = listener.accept().await.expect("there is room for connections");
            stream.set_nodelay(true).expect("the connection is open");
            let router = router.clone();
            let service = service_fn(move |request: hyper::Request<Incoming>| {
                router.clone().oneshot(request.map(axum::body::Body::new))
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    })
}

/// A server in a process of its own, killed when dropped.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(role: &str, config: &std::path::Path) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this program has a path"))
            .env(ROLE, role)
            .env("BIS_CONFIG", config)
            .env("BIS_READY_FD", "1")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("this program starts");
        let mut line = String::new();
        let output = child.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut line).expect("it says when it is ready");
        let ready: serde_json::Value = serde_json::from_str(&line).expect("it says where it is");
        let address = ready["app"].as_str().and_then(|url| url.strip_prefix("http://"));
        let address = address.and_then(|address| address.trim_end_matches('/').parse().ok());
        Self { child, address: address.expect("it says where it is") }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn compare() -> ExitCode {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("config.json");
    std::fs::write(&config, r#"{"http":{"address":"127.0.0.1:0"}}"#).expect("it is writable");
    let servers = [Server::start("axum", &config), Server::start("bis", &config)];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for (name, request) in CASES {
        let mut rates = [Vec::new(), Vec::new()];
        for server in &servers {
            runtime.block_on(load(server.address, request, WARM_UP));
        }
        for round in 0..ROUNDS {
            // Who goes first changes, so that neither always follows the other.
            for turn in 0..2 {
                let which = (round + turn) % 2;
                rates[which].push(runtime.block_on(load(servers[which].address, request, ROUND)));
            }
        }
        let mut ratios: Vec<f64> = rates[1].iter().zip(&rates[0]).map(|(bis, axum)| bis / axum).collect();
        let [axum, bis] = rates.map(|mut rates| median(&mut rates));
        println!("{name} (median of {ROUNDS} rounds, {CONNECTIONS} connections)");
        println!("  bare axum  {axum:>9.0} requests/s");
        println!("  #[api]     {bis:>9.0} requests/s");
        println!(
            "  ratio      {:>9.3} of the medians, {:.3} the median of ratios",
            bis / axum,
            median(&mut ratios)
        );
    }
    ExitCode::SUCCESS
}

fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// Requests per second that a server answers.
async fn load(address: SocketAddr, request: &'static str, duration: Duration) -> f64 {
    let start = Instant::now();
    let clients: Vec<_> =
        (0..CONNECTIONS).map(|_| tokio::spawn(requests(address, request, start + duration))).collect();
    let mut answered = 0;
    for client in clients {
        answered += client.await.expect("a client does not panic").expect("the server answers");
    }
    f64::from(answered) / start.elapsed().as_secs_f64()
}

/// Sends requests on one connection, one after the other, until `end`.
async fn requests(address: SocketAddr, request: &str, end: Instant) -> std::io::Result<u32> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut buffer = [0; 1024];
    let mut answered = 0;
    while Instant::now() < end {
        stream.write_all(request.as_bytes()).await?;
        let mut filled = 0;
        while !buffer[..filled].ends_with(ANSWER.as_bytes()) {
            match stream.read(&mut buffer[filled..]).await? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                read => filled += read,
            }
        }
        answered += 1;
    }
    Ok(answered)
}
