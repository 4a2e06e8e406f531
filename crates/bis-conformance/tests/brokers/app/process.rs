//! The app of the cases, and how it is started, talked to and stopped. It says on its standard output what it does.

use std::{
    env,
    fs::File,
    process::{ExitCode, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use bis::prelude::*;
use bis_nsq::client::HttpAddress;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use crate::{peer::Site, spawned::terminate};

/// Makes this program an app.
const APP: &str = "BIS_CONFORMANCE_APP";
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// How often to check whether a silent app has done enough.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// The file with what it logs.
const LOG: &str = "log";
/// For how long a blocking handler blocks its thread: longer than any wait here.
const BLOCKED: Duration = Duration::from_secs(600);
/// How many handlers run at once.
pub(super) const CONCURRENCY: usize = 4;

mod work {
    use super::*;

    bis::service!("work");

    #[derive(Event, Serialize, Deserialize)]
    pub(crate) struct Job {
        pub(crate) kind: String,
    }

    static JOBS: Topic<Job> = Topic::new("jobs");
    static NOTES: Topic<Job> = Topic::new("notes");
    static RUNNING: AtomicUsize = AtomicUsize::new(0);

    /// Says so while a handler runs, also when it panics or is cancelled.
    struct Running;

    impl Drop for Running {
        fn drop(&mut self) {
            RUNNING.fetch_sub(1, Ordering::SeqCst);
        }
    }

    #[api(POST, "/jobs/{kind}/{count}", public)]
    async fn publish(Path((kind, count)): Path<(String, usize)>) -> Result<()> {
        for number in 0..count {
            let kind = if count == 1 { kind.clone() } else { format!("{kind}-{number}") };
            JOBS.publish(&Job { kind }).await?;
        }
        Ok(())
    }

    #[subscription(
        JOBS,
        name = "work",
        concurrency = 4,
        retry(max = 3, min_backoff = "100ms", max_backoff = "200ms")
    )]
    async fn work(job: Delivery<Job>) -> Result<()> {
        let running = RUNNING.fetch_add(1, Ordering::SeqCst) + 1;
        let _running = Running;
        println!("started {} attempt {} running {running}", job.kind, job.attempt());
        let (kind, _) = job.kind.split_once('-').unwrap_or((&job.kind, ""));
        match kind {
            "panic" => panic!("as asked"),
            "abort" => std::process::abort(),
            "block" => std::thread::sleep(BLOCKED),
            "permanent" => return Err(Error::permanent("never")),
            "slow" => bis::time::sleep(Duration::from_secs(1)).await,
            "long" => bis::time::sleep(Duration::from_millis(3500)).await,
            "short" => bis::time::sleep(Duration::from_millis(20)).await,
            _ => {}
        }
        println!("finished {}", job.kind);
        Ok(())
    }

    /// Another subscription of the same process, which is slow.
    #[subscription(NOTES, name = "note", concurrency = 4, retry(max = 3, min_backoff = "100ms"))]
    async fn note(job: Delivery<Job>) -> Result<()> {
        bis::time::sleep(Duration::from_millis(300)).await;
        println!("noted {} attempt {}", job.kind, job.attempt());
        Ok(())
    }
}

mod whole {
    use super::work;
    bis::app!(services: [work]);
}

/// Runs the app, if this process was started as one.
pub(crate) fn process() -> Option<ExitCode> {
    env::var_os(APP).map(|_| whole::app().main())
}

type Lines = tokio::io::Lines<BufReader<ChildStdout>>;

/// How an app is to run.
pub(super) struct Settings {
    /// `stop_within` in its configuration.
    pub(super) stop_within: &'static str,
    /// How many threads run its handlers.
    pub(super) threads: &'static str,
}

impl Default for Settings {
    fn default() -> Self {
        Self { stop_within: "30s", threads: "4" }
    }
}

/// A running app.
pub(super) struct App {
    child: Child,
    lines: Lines,
    address: HttpAddress,
    folder: tempfile::TempDir,
}

impl App {
    pub(super) async fn start(site: &dyn Site) -> Self {
        Self::start_with(site, Settings::default()).await
    }

    pub(super) async fn start_with(site: &dyn Site, settings: Settings) -> Self {
        let (child, mut lines, folder) = spawn(site, settings);
        let address = loop {
            let line = timeout(PATIENCE, lines.next_line()).await.expect("the app is ready in time");
            let line = line.expect("text").expect("the app runs on");
            if let Some((_, rest)) = line.split_once("\"app\":\"") {
                let address = rest.split('"').next().unwrap_or_default();
                break HttpAddress::parse(address).expect("an address");
            }
        };
        Self { child, lines, address, folder }
    }

    /// Starts an app that may end before it is ready, and returns what it says until `is_enough`, or until it ends; then it
    /// is killed.
    pub(super) async fn run_until(
        site: &dyn Site,
        is_enough: impl AsyncFn(&[String]) -> bool,
    ) -> Vec<String> {
        let (mut child, mut lines, _folder) = spawn(site, Settings::default());
        let mut said = Vec::new();
        while !is_enough(&said).await {
            // Cancel safe; the condition may be met without a line.
            let Ok(line) = timeout(LOOK_AGAIN, lines.next_line()).await else { continue };
            let Some(line) = line.expect("text") else { break };
            said.push(line);
        }
        child.kill().await.expect("killed");
        said
    }

    /// What it has logged so far.
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join(LOG)).expect("a log")
    }

    /// Lets the app publish `count` jobs.
    pub(super) async fn publish(&self, kind: &str, count: usize) {
        let path = format!("/jobs/{kind}/{count}");
        self.address.request("POST", &path, b"", PATIENCE).await.expect("the app publishes");
    }

    /// Reads on until a line has `part`, and returns all lines read.
    pub(super) async fn until(&mut self, part: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.line().await.unwrap_or_else(|| panic!("the app ended before it said `{part}`"));
            let found = line.contains(part);
            lines.push(line);
            if found {
                return lines;
            }
        }
    }

    /// The next line; `None` when the app has ended.
    pub(super) async fn line(&mut self) -> Option<String> {
        timeout(PATIENCE, self.lines.next_line()).await.expect("a line comes in time").expect("text")
    }

    /// SIGTERM; returns what it said until it ended successfully.
    pub(super) async fn stop(mut self) -> Vec<String> {
        terminate(&self.child).await;
        let lines = self.rest().await;
        let status =
            timeout(PATIENCE, self.child.wait()).await.expect("it stops in time").expect("waited for");
        assert!(status.success(), "{status}");
        lines
    }

    /// SIGKILL; returns what it had said.
    pub(super) async fn kill(mut self) -> Vec<String> {
        self.child.kill().await.expect("killed");
        self.rest().await
    }

    async fn rest(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(line) = self.line().await {
            lines.push(line);
        }
        lines
    }
}

/// Starts the app as a process; what it says, and the folder with its log.
fn spawn(site: &dyn Site, settings: Settings) -> (Child, Lines, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("config.json");
    let text = serde_json::json!({
        "app": { "stop_within": settings.stop_within },
        "http": { "address": "127.0.0.1:0" },
        "broker": site.config(),
    });
    std::fs::write(&config, text.to_string()).expect("the folder can be written");
    let mut child = Command::new(env::current_exe().expect("a running program has a path"))
        .env(APP, "1")
        .env("TOKIO_WORKER_THREADS", settings.threads)
        .env("BIS_CONFIG", config)
        .env("BIS_READY_FD", "1")
        .stdout(Stdio::piped())
        .stderr(File::create(folder.path().join(LOG)).expect("the folder can be written"))
        .kill_on_drop(true)
        .spawn()
        .expect("the app starts");
    let lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
    (child, lines, folder)
}
