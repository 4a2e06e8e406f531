//! What a process reports to monitoring: live, ready, and its metrics.

use std::{
    io::Write,
    net::TcpListener,
    time::{Duration, Instant},
};

use bis::prelude::*;

use super::{LIMIT, Process, end_with, get, post};

mod busy {
    use super::*;

    bis::service!("busy");

    #[derive(Event, Serialize, Deserialize)]
    struct Asked {
        fails: bool,
    }

    static ASKED: Topic<Asked> = Topic::new("asked");

    #[api(POST, "/ask/{fails}", public)]
    async fn ask(Path(fails): Path<bool>) -> Result<()> {
        ASKED.publish(&Asked { fails }).await?;
        Ok(())
    }

    #[api(GET, "/missing", public)]
    async fn missing() -> Result<()> {
        Err(Error::not_found("nothing here"))
    }

    #[api(GET, "/hang", public)]
    async fn hang() {
        std::future::pending::<()>().await;
    }

    #[api(POST, "/block", public)]
    async fn block() {
        println!("blocked");
        std::thread::sleep(Duration::from_secs(600));
    }

    #[subscription(ASKED, name = "answer", retry(max = 2, min_backoff = "1ms", max_backoff = "1ms"))]
    async fn answer(asked: Asked) -> Result<()> {
        if asked.fails { Err(Error::msg("no")) } else { Ok(()) }
    }
}

mod full {
    use super::busy;
    bis::app!(services: [busy]);
}

#[test]
#[ignore = "the process that the other tests start"]
fn busy_app() {
    end_with(full::app().main());
}

/// An address that is free now, for a process that has to be asked before it can tell where it listens.
fn free() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Asks until the answer has `part`.
#[track_caller]
fn ask_until(address: &str, path: &str, part: &str) -> String {
    let deadline = Instant::now() + LIMIT;
    loop {
        let answer = std::net::TcpStream::connect(address).map(|_| get(address, path)).unwrap_or_default();
        if answer.contains(part) {
            return answer;
        }
        assert!(Instant::now() < deadline, "`{path}` never had `{part}`: {answer}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn config(monitoring: &str) -> String {
    format!(r#"{{"http":{{"address":"127.0.0.1:0"}},"monitoring":{{"address":"{monitoring}"}}}}"#)
}

#[test]
fn an_app_without_its_broker_is_live_and_says_what_is_not_ready() {
    let monitoring = free();
    let nobody = free();
    let config = format!(
        r#"{{"broker":{{"nsq":{{"address":"{nobody}"}}}},"monitoring":{{"address":"{monitoring}"}}}}"#
    );
    let _process = Process::start("monitoring::busy_app", &config, &[]);
    let answer =
        ask_until(&monitoring, "/readyz", r#"{"name":"the connection to the broker","stage":"starting"}"#);
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains(r#""status":"starting""#), "{answer}");
    assert!(answer.contains(r#"{"name":"monitoring","stage":"started"}"#), "{answer}");
    assert!(answer.contains(r#"{"name":"the HTTP listeners","stage":"waiting"}"#), "{answer}");
    assert!(get(&monitoring, "/livez").starts_with("HTTP/1.1 200"));
    assert!(get(&monitoring, "/metrics").contains("\nbis_ready 0\n"));
}

#[test]
fn a_process_that_is_busy_or_stops_still_answers() {
    let monitoring = free();
    let mut process = Process::start("monitoring::busy_app", &config(&monitoring), &[]);
    let address = process.ready();
    let answer = get(&monitoring, "/readyz");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(r#""status":"ready""#), "{answer}");
    // A thread that runs the code of users is blocked, and with it whatever waits for that thread.
    let mut blocking = std::net::TcpStream::connect(&address).unwrap();
    blocking.write_all(b"POST /block HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").unwrap();
    process.expect("blocked");
    assert!(get(&monitoring, "/livez").starts_with("HTTP/1.1 200"));
    process.signal("TERM");
    let answer = ask_until(&monitoring, "/readyz", r#""status":"stopping""#);
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
}

#[test]
fn what_happens_is_counted() {
    let monitoring = free();
    let mut process = Process::start("monitoring::busy_app", &config(&monitoring), &[]);
    let address = process.ready();
    for fails in ["false", "true", "false"] {
        assert!(post(&address, &format!("/ask/{fails}")).starts_with("HTTP/1.1 200"));
    }
    get(&address, "/missing");
    get(&address, "/nowhere");
    let of = r#"{topic="asked",subscription="answer""#;
    let dead = format!("bis_dead_letters_total{of},reason=\"exhausted\"}} 1\n");
    let metrics = ask_until(&monitoring, "/metrics", &dead);
    for line in [
        "bis_ready 1\n".to_owned(),
        "bis_publish_duration_seconds_count{topic=\"asked\",outcome=\"published\"} 3\n".into(),
        format!("bis_delivery_lag_seconds_count{of}}} 3\n"),
        format!("bis_attempt_duration_seconds_count{of},outcome=\"handled\"}} 2\n"),
        format!("bis_attempt_duration_seconds_count{of},outcome=\"failed\"}} 2\n"),
        format!("bis_attempts_running{of}}} 0\n"),
        format!("bis_deliveries_total{of},outcome=\"acked\"}} 2\n"),
        format!("bis_deliveries_total{of},outcome=\"retried\"}} 1\n"),
        format!("bis_deliveries_total{of},outcome=\"dead\"}} 1\n"),
        "bis_http_request_duration_seconds_count{service=\"busy\",method=\"POST\",route=\"/ask/{fails}\",status=\"200\"} 3\n".into(),
        "bis_http_request_duration_seconds_count{service=\"busy\",method=\"GET\",route=\"/missing\",status=\"404\"} 1\n".into(),
        "bis_http_request_duration_seconds_count{service=\"\",method=\"GET\",route=\"\",status=\"404\"} 1\n".into(),
    ] {
        assert!(metrics.contains(&line), "{line} is not in: {metrics}");
    }
    assert!(
        !metrics.contains("route=\"\",status=\"200\""),
        "questions about the process are not requests: {metrics}"
    );
}

#[test]
fn a_request_that_is_cut_off_is_counted() {
    let monitoring = free();
    let config = format!(
        r#"{{"http":{{"address":"127.0.0.1:0","request_timeout":"100ms"}},"monitoring":{{"address":"{monitoring}"}}}}"#
    );
    let mut process = Process::start("monitoring::busy_app", &config, &[]);
    let address = process.ready();
    assert!(get(&address, "/hang").starts_with("HTTP/1.1 503"));
    let line = "bis_http_request_duration_seconds_count{service=\"busy\",method=\"GET\",route=\"/hang\",status=\"503\"} 1\n";
    let metrics = get(&monitoring, "/metrics");
    assert!(metrics.contains(line), "{metrics}");
}

#[test]
fn a_taken_address_is_an_error_with_its_key() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    super::check_refused(
        "monitoring::busy_app",
        &config(&address),
        &["cannot start monitoring", "another process has the port", "`monitoring.address`"],
    );
}
