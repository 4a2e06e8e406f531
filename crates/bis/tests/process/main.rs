//! An app as a real process: ready, stop in order, stop at once, and what it says when it cannot start.
//!
//! The process is this very test program, told to run one of the ignored tests at the end of the file.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::fd::OwnedFd,
    process::{Child, ChildStdout, Command, ExitCode, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use bis::prelude::*;
use tempfile::TempDir;

/// The longest that any step of a test may take.
const LIMIT: Duration = Duration::from_secs(20);

mod work {
    use super::*;

    bis::service!("work");

    #[derive(Event, Serialize, Deserialize)]
    pub(crate) struct Job {
        pub(crate) millis: u64,
    }

    static JOBS: Topic<Job> = Topic::new("jobs");

    #[api(POST, "/jobs/{millis}", public)]
    async fn start(Path(millis): Path<u64>) -> Result<()> {
        JOBS.publish(&Job { millis }).await?;
        Ok(())
    }

    #[api(GET, "/broken", public)]
    async fn broken(_: axum::Extension<u8>) {}

    #[subscription(JOBS)]
    async fn run(job: Job) -> Result<()> {
        println!("started");
        bis::time::sleep(Duration::from_millis(job.millis)).await;
        println!("finished");
        Ok(())
    }
}

mod full {
    use super::work;
    bis::app!(services: [work]);
}

mod lifecycle;
mod monitoring;
mod state;
mod streams;
mod twins;

/// A child process with a configuration of its own.
struct Process {
    child: Child,
    lines: mpsc::Receiver<String>,
    _folder: TempDir,
}

impl Process {
    fn start(app: &str, config: &str, more: &[(&str, &str)]) -> Self {
        let program = Command::new(std::env::current_exe().unwrap());
        Self::spawn(program, app, config, more)
    }

    /// Starts the app on a listener that others have too, as systemd does.
    fn start_on(listener: &TcpListener, app: &str) -> Self {
        let mut program = Command::new("sh");
        let script = "LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" \"$@\" 3<&0";
        program
            .args(["-c", script])
            .arg(std::env::current_exe().unwrap())
            .stdin(OwnedFd::from(listener.try_clone().unwrap()));
        Self::spawn(program, app, "{}", &[])
    }

    /// Starts the app with this many file descriptors.
    fn start_with_few_descriptors(count: u32, app: &str, config: &str) -> Self {
        let mut program = Command::new("sh");
        program.args(["-c", &format!("ulimit -n {count}; exec \"$0\" \"$@\"")]);
        program.arg(std::env::current_exe().unwrap());
        Self::spawn(program, app, config, &[])
    }

    fn spawn(mut program: Command, app: &str, config: &str, more: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("config.json");
        fs::write(&path, config).unwrap();
        let mut child = program
            .args([app, "--exact", "--ignored", "--nocapture"])
            .env("BIS_CONFIG", path)
            .env("BIS_READY_FD", "1")
            .env_remove("BIS_LOG")
            .env_remove("RUST_LOG")
            .envs(more.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = read_lines(child.stdout.take().unwrap());
        Self { child, lines, _folder: folder }
    }

    /// Waits for a line of stdout that holds `part`.
    #[track_caller]
    fn expect(&mut self, part: &str) -> String {
        let deadline = Instant::now() + LIMIT;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(part) => return line,
                Ok(_) => {}
                Err(error) => panic!("`{part}` did not come: {error}; stderr: {}", self.stderr()),
            }
        }
    }

    /// The public address, once the process is ready.
    #[track_caller]
    fn ready(&mut self) -> String {
        let line = self.expect("\"ready\"");
        let ready: serde_json::Value = serde_json::from_str(&line[line.find('{').unwrap()..]).unwrap();
        ready["app"].as_str().unwrap().strip_prefix("http://").unwrap().to_owned()
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// Waits for the end: exit code, and what went to stderr.
    #[track_caller]
    fn end(&mut self) -> (Option<i32>, String) {
        let deadline = Instant::now() + LIMIT;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status.code(), self.stderr());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("the process did not end: {}", self.stderr());
    }

    fn stderr(&mut self) -> String {
        self.child.kill().ok();
        self.child.wait().ok();
        let mut text = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut text).ok();
        }
        text
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn read_lines(stdout: ChildStdout) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

fn post(address: &str, path: &str) -> String {
    send(address, "POST", path)
}

fn get(address: &str, path: &str) -> String {
    send(address, "GET", path)
}

fn send(address: &str, method: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

const ANY_PORT: &str = r#"{"http":{"address":"127.0.0.1:0"}}"#;

#[test]
fn a_stop_lets_handlers_finish() {
    let mut process = Process::start("full_app", ANY_PORT, &[]);
    let address = process.ready();
    assert!(post(&address, "/jobs/700").starts_with("HTTP/1.1 200"));
    process.expect("started");
    process.signal("TERM");
    process.expect("finished");
    assert_eq!(process.end().0, Some(0));
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_handler_that_outlives_the_stop_is_cut_off() {
    let config = r#"{"http":{"address":"127.0.0.1:0"},"app":{"stop_within":"200ms"}}"#;
    let mut process = Process::start("full_app", config, &[]);
    let address = process.ready();
    post(&address, "/jobs/600000");
    process.expect("started");
    let before = Instant::now();
    process.signal("TERM");
    let (code, stderr) = process.end();
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("handlers are cut off"), "{stderr}");
    assert!(before.elapsed() > Duration::from_millis(200));
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    let mut process = Process::start("full_app", ANY_PORT, &[]);
    let address = process.ready();
    post(&address, "/jobs/600000");
    process.expect("started");
    process.signal("TERM");
    // The first signal must have been taken before the second comes; two at once are one.
    std::thread::sleep(Duration::from_millis(300));
    process.signal("INT");
    assert_eq!(process.end().0, Some(130));
}

#[test]
fn from_a_stop_on_new_connections_are_for_who_shares_the_listener() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut old = Process::start_on(&listener, "full_app");
    old.ready();
    // It has work to the end of the test.
    post(&address, "/jobs/600000");
    old.expect("started");
    let mut new = Process::start_on(&listener, "full_app");
    new.ready();
    old.signal("TERM");
    old.expect("\"draining\"");
    for _ in 0..50 {
        assert!(post(&address, "/jobs/0").starts_with("HTTP/1.1 200"));
    }
    for _ in 0..50 {
        new.expect("started");
    }
    assert!(old.lines.try_iter().all(|line| !line.contains("started")));
}

#[test]
fn half_a_request_does_not_hold_a_stop() {
    let config = r#"{"http":{"address":"127.0.0.1:0"},"app":{"stop_within":"600s"}}"#;
    let mut process = Process::start("full_app", config, &[]);
    let address = process.ready();
    let mut half = TcpStream::connect(address).unwrap();
    half.write_all(b"POST /jobs/1 HTTP/1.1\r\nHost:").unwrap();
    process.signal("TERM");
    assert_eq!(process.end().0, Some(0));
}

#[test]
fn half_headers_do_not_lock_others_out() {
    let mut process = Process::start_with_few_descriptors(64, "full_app", ANY_PORT);
    let address = process.ready();
    let halves: Vec<_> = (0..100)
        .map(|_| {
            let mut half = TcpStream::connect(&address).unwrap();
            half.write_all(b"POST /jobs/1 HTTP/1.1\r\nHost:").unwrap();
            half
        })
        .collect();
    assert!(post(&address, "/jobs/0").starts_with("HTTP/1.1 200"));
    drop(halves);
}

#[test]
fn an_extractor_that_cannot_work_is_in_the_log_alone() {
    let mut process = Process::start("full_app", ANY_PORT, &[]);
    let address = process.ready();
    let answer = get(&address, "/broken");
    assert!(answer.starts_with("HTTP/1.1 500") && !answer.contains("xtension"), "{answer}");
    let problem: serde_json::Value = serde_json::from_str(&answer[answer.find('{').unwrap()..]).unwrap();
    let trace = format!("trace_id={}", problem["trace_id"].as_str().unwrap());
    process.signal("TERM");
    let (_, stderr) = process.end();
    for part in ["Missing request extension", "service=work", "endpoint=broken", "route=/broken", &trace] {
        assert!(stderr.contains(part), "`{part}` is not in: {stderr}");
    }
}

#[test]
fn describing_prints_what_is_linked_and_starts_nothing() {
    let mut process = Process::start("full_app", "{}", &[("BIS_DESCRIBE", "1")]);
    let mut text = String::new();
    for part in [
        "\"app\": \"bis\"",
        "\"topic\": \"jobs\"",
        "\"handler\": \"process::work::run\"",
        "\"path\": \"/jobs/{millis}\"",
    ] {
        text.push_str(&process.expect(part));
    }
    assert_eq!(process.end().0, Some(0));
}

#[track_caller]
fn check_refused(app: &str, config: &str, parts: &[&str]) {
    let mut process = Process::start(app, config, &[]);
    let (code, stderr) = process.end();
    assert_eq!(code, Some(1), "{stderr}");
    for part in parts {
        assert!(stderr.contains(part), "`{part}` is not in: {stderr}");
    }
}

#[test]
fn an_app_without_services_does_not_start() {
    check_refused("empty_app", ANY_PORT, &["the app has no service", "bis::app!(services: [", "[BIS0010]"]);
}

#[test]
fn an_app_inside_another_runtime_does_not_start() {
    check_refused(
        "nested_app",
        ANY_PORT,
        &["`#[tokio::main]`", "fn main() -> std::process::ExitCode", "[BIS1003]"],
    );
}

#[test]
fn a_configuration_with_an_unknown_key_is_refused() {
    check_refused("full_app", r#"{"htpp":{}}"#, &["config.json", "`htpp`", "`http`", "line 1", "[BIS1011]"]);
}

#[test]
fn a_service_that_does_not_exist_is_refused() {
    check_refused(
        "full_app",
        r#"{"app":{"services":["orders"]}}"#,
        &["`orders`", "it has `work`", "[BIS1013]"],
    );
}

#[test]
fn two_of_one_name_are_refused() {
    check_refused(
        "twin_services",
        ANY_PORT,
        &["the service `work` is declared twice", "process/", "[BIS0021]"],
    );
    let other = "the first carries `process::work::Job`, the second `process::twins::topic::Other`";
    check_refused(
        "twin_topics",
        ANY_PORT,
        &["the topic `jobs` is declared twice", "process/", other, "[BIS0022]"],
    );
    check_refused(
        "twin_subscriptions",
        ANY_PORT,
        &["topic `jobs` has two subscriptions named `run`", "process/", "[BIS0023]"],
    );
}

#[test]
fn a_topic_that_is_only_published_on_is_not_taken_for_another_of_its_name() {
    let mut process = Process::start("twin_publishers", ANY_PORT, &[]);
    let address = process.ready();
    assert!(post(&address, "/other").starts_with("HTTP/1.1 500"));
    assert!(post(&address, "/jobs/0").starts_with("HTTP/1.1 200"));
    process.expect("finished");
    process.signal("TERM");
    let (_, stderr) = process.end();
    let said = "the subscriptions of the topic `jobs` take `process::work::Job`";
    assert!(stderr.contains(said) && stderr.contains("[BIS0022]"), "{stderr}");
}

#[test]
fn a_configuration_that_does_not_fit_the_app_is_refused() {
    let config = r#"{"internal":{"secret":"s","services":{"wrok":"http://127.0.0.1:1"}}}"#;
    check_refused("full_app", config, &["`internal.services` names `wrok`", "it has `work`", "[BIS1013]"]);
    let config = r#"{"internal":{"secret":"s","services":{"work":"127.0.0.1:1"}}}"#;
    check_refused("full_app", config, &["`internal.services.work`", "`http://host:port`", "[BIS1011]"]);
}

#[test]
fn a_port_that_is_taken_is_named_with_the_key_that_sets_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let config = format!(r#"{{"http":{{"address":"{address}"}}}}"#);
    let parts = [&address, "another process has the port", "`http.address`", "[BIS1015]"];
    check_refused("full_app", &config, &parts);
}

#[test]
fn a_configuration_or_a_secret_that_is_not_there_is_named() {
    let mut process = Process::start("full_app", "{}", &[("BIS_CONFIG", "/nowhere/config.json")]);
    let (code, stderr) = process.end();
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("`/nowhere/config.json`") && stderr.contains("[BIS1010]"), "{stderr}");
    assert_eq!(stderr.matches("No such file").count(), 1, "{stderr}");
    let secret = r#"{"env":"BIS_TEST_NO_SUCH_VARIABLE"}"#;
    let config = format!(r#"{{"internal":{{"address":"127.0.0.1:0","secret":{secret}}}}}"#);
    check_refused("full_app", &config, &["`BIS_TEST_NO_SUCH_VARIABLE`", "[BIS1012]"]);
}

#[test]
fn chaos_that_cannot_be_read_is_refused() {
    let mut process = Process::start("full_app", ANY_PORT, &[("BIS_CHAOS", "often")]);
    let (code, stderr) = process.end();
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("`often`") && stderr.contains("[BIS1016]"), "{stderr}");
}

#[test]
fn routes_and_keys_that_cannot_be_are_refused() {
    check_refused("same_endpoints", ANY_PORT, &["`GET /broken` is declared twice", "[BIS0024]"]);
    check_refused("routes_in_conflict", ANY_PORT, &["`/jobs/{other}`", "`/jobs/{millis}`", "[BIS0081]"]);
    check_refused("list_as_key", ANY_PORT, &["`parts` is a key", "[BIS0056]"]);
}

#[test]
fn a_router_that_is_not_there_is_waited_for_and_does_not_hold_up_a_stop() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let config =
        format!(r#"{{"http":{{"address":"127.0.0.1:0"}},"broker":{{"nsq":{{"address":"{address}"}}}}}}"#);
    let mut process = Process::start("full_app", &config, &[]);
    std::thread::sleep(Duration::from_millis(700));
    assert!(process.child.try_wait().unwrap().is_none(), "the app must wait for the router");
    process.signal("TERM");
    let (code, stderr) = process.end();
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains(&address), "the log must name what is waited for: {stderr}");
}

fn end_with(code: ExitCode) -> ! {
    std::process::exit(if format!("{code:?}") == format!("{:?}", ExitCode::SUCCESS) { 0 } else { 1 })
}

#[test]
#[ignore = "the process that the other tests start"]
fn full_app() {
    end_with(full::app().main());
}

#[test]
#[ignore = "the process that the other tests start"]
fn twin_publishers() {
    end_with(twins::publishers::app().main());
}

#[test]
#[ignore = "the process that the other tests start"]
fn twin_services() {
    end_with(twins::services::app().main());
}

#[test]
#[ignore = "the process that the other tests start"]
fn twin_topics() {
    end_with(twins::topics::app().main());
}

#[test]
#[ignore = "the process that the other tests start"]
fn twin_subscriptions() {
    end_with(twins::subscriptions::app().main());
}

#[test]
#[ignore = "the process that the other tests start"]
fn same_endpoints() {
    end_with(twins::endpoints::app().main());
}

#[test]
#[ignore = "the process that the other tests start"]
fn routes_in_conflict() {
    end_with(twins::paths::app().main());
}

#[test]
#[ignore = "the process that the other tests start"]
fn list_as_key() {
    end_with(twins::keys::app().main());
}

#[test]
#[ignore = "the process that the other tests start"]
fn empty_app() {
    // `app!` refuses an empty list at compile time; a list that `cfg` emptied would come here.
    end_with(bis::__private::app("empty", module_path!(), &[], bis::__private::no_layers).main());
}

#[test]
#[ignore = "the process that the other tests start"]
fn nested_app() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let code = runtime.block_on(async { full::app().main() });
    end_with(code);
}
