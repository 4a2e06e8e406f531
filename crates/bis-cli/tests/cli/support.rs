//! Shared by the tests of supervision: a stand-in app in a folder of its own, and a `bis run` of it that ends
//! with the test.
#![expect(clippy::unwrap_used, reason = "a failure here is the failure of a test")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// Whatever a test waits for ends within this time, or the test fails.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A stand-in app in a temporary folder.
pub(crate) struct StandIn {
    pub(crate) folder: tempfile::TempDir,
}

impl StandIn {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("src")).unwrap();
        fs::write(folder.path().join("Cargo.toml"), include_str!("support/stand_in.toml")).unwrap();
        fs::write(folder.path().join("src/main.rs"), include_str!("support/stand_in.rs")).unwrap();
        // The analyser expects an app; its macros expand to nothing here.
        fs::create_dir_all(folder.path().join("bis/src")).unwrap();
        fs::write(
            folder.path().join("bis/Cargo.toml"),
            "[package]\nname = \"bis\"\nedition = \"2024\"\n[features]\ntesting = []\n",
        )
        .unwrap();
        let macros = "#[macro_export]\nmacro_rules! app { ($($any:tt)*) => {} }\n\
                      #[macro_export]\nmacro_rules! service { ($($any:tt)*) => {} }\n";
        fs::write(folder.path().join("bis/src/lib.rs"), macros).unwrap();
        Self { folder }
    }

    /// Saves the app with another version, as an editor does: a new file moved over the old one.
    pub(crate) fn save_version(&self, version: &str) {
        self.save(&include_str!("support/stand_in.rs").replace("\"one\"", &format!("\"{version}\"")));
    }

    pub(crate) fn save(&self, source: &str) {
        let draft = self.folder.path().join("src/.main.rs.draft");
        fs::write(&draft, source).unwrap();
        fs::rename(&draft, self.folder.path().join("src/main.rs")).unwrap();
    }
}

/// The command, without what a surrounding cargo says about itself.
pub(crate) fn bis() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bis"));
    command
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("NO_COLOR")
        .env_remove("CLICOLOR_FORCE")
        .stdin(Stdio::null());
    command
}

/// A `bis run --format json`, killed when it goes out of scope.
pub(crate) struct Run {
    pub(crate) child: Child,
    events: Receiver<Value>,
    /// Every event so far.
    all: Arc<Mutex<Vec<Value>>>,
    stderr: Arc<Mutex<String>>,
}

impl Run {
    /// Runs a stand-in, which brings its own target folder.
    pub(crate) fn start(app: &StandIn, arguments: &[&str]) -> Self {
        Self::start_in(app.folder.path(), &app.folder.path().join("target"), arguments)
    }

    /// Runs the app in `folder`, built in `target`.
    pub(crate) fn start_in(folder: &Path, target: &Path, arguments: &[&str]) -> Self {
        Self::spawn(bis(), folder, target, arguments)
    }

    /// Runs a stand-in with notifications for three folders only.
    pub(crate) fn start_with_few_watches(app: &StandIn) -> Self {
        let mut command = Command::new("unshare");
        let limit = "echo 3 > /proc/sys/user/max_inotify_watches && exec \"$0\" \"$@\"";
        command
            .args(["--user", "--map-root-user", "sh", "-c", limit, env!("CARGO_BIN_EXE_bis")])
            .stdin(Stdio::null());
        Self::spawn(command, app.folder.path(), &app.folder.path().join("target"), &[])
    }

    fn spawn(mut command: Command, folder: &Path, target: &Path, arguments: &[&str]) -> Self {
        let mut child = command
            .env("CARGO_TARGET_DIR", target)
            .arg("run")
            .arg(folder)
            .args(["--router-port", "0", "--format", "json"])
            .args(if arguments.contains(&"--port") { &[] } else { &["--port", "0"][..] })
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, events) = channel();
        let all = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&all);
        let stdout = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let value: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line}"));
                seen.lock().unwrap().push(value.clone());
                if sender.send(value).is_err() {
                    return;
                }
            }
        });
        let stderr = Arc::new(Mutex::new(String::new()));
        let collected = Arc::clone(&stderr);
        let reader = BufReader::new(child.stderr.take().unwrap());
        thread::spawn(move || {
            for line in reader.lines().map_while(Result::ok) {
                let mut text = collected.lock().unwrap();
                text.push_str(&line);
                text.push('\n');
            }
        });
        Self { child, events, all, stderr }
    }

    /// The next event of this kind; others before it are skipped.
    pub(crate) fn wait_for(&self, kind: &str) -> Value {
        let end = Instant::now() + LIMIT;
        let mut seen = Vec::new();
        while let Ok(event) = self.events.recv_timeout(end.saturating_duration_since(Instant::now())) {
            if event["event"] == kind {
                return event;
            }
            seen.push(event.to_string());
        }
        panic!("no `{kind}`; events: {seen:#?}\nstderr:\n{}", self.stderr());
    }

    /// The number of events of this kind so far.
    pub(crate) fn count(&self, kind: &str) -> usize {
        self.all.lock().unwrap().iter().filter(|event| event["event"] == kind).count()
    }

    pub(crate) fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    pub(crate) fn wait_for_stderr(&self, text: &str) {
        wait_until(&format!("`{text}` on stderr"), || self.stderr().contains(text));
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the end of `bis run`", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < end, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Whether a process exists and is not a zombie.
pub(crate) fn lives(pid: u64) -> bool {
    match fs::read_to_string(PathBuf::from(format!("/proc/{pid}/stat"))) {
        Ok(stat) => !stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')),
        Err(_) => false,
    }
}

/// The address in an event's field, such as `http://127.0.0.1:4000`.
pub(crate) fn address(event: &Value, field: &str) -> SocketAddr {
    event[field].as_str().unwrap().trim_start_matches("http://").parse().unwrap()
}

/// The body of one answer, on a connection of its own.
pub(crate) fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    request(address, &format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"), b"")
}

/// The body of the answer to a JSON body.
pub(crate) fn post(address: SocketAddr, path: &str, body: impl AsRef<[u8]>) -> std::io::Result<String> {
    let body = body.as_ref();
    let length = body.len();
    request(
        address,
        &format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n"
        ),
        body,
    )
}

fn request(address: SocketAddr, head: &str, body: &[u8]) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(&[head.as_bytes(), body].concat())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200") => Ok(body.to_owned()),
        _ => Err(std::io::Error::other(format!("answer: {answer:?}"))),
    }
}
