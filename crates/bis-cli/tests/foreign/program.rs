//! A program as a separate process: its output is read to the end and can be waited for, and it ends with the test.
#![expect(clippy::unwrap_used, reason = "a failure here is the failure of a test")]

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Whatever a test waits for comes within this time, or the test fails.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// What the program printed so far, by stream, and a signal for more.
#[derive(Default)]
struct Output {
    lines: Mutex<Lines>,
    more: Condvar,
}

#[derive(Default)]
struct Lines {
    stdout: Vec<String>,
    all: Vec<String>,
    /// How many of the two streams have ended.
    ended: usize,
}

/// A running program, killed when it goes out of scope.
pub(crate) struct Program {
    name: String,
    child: Child,
    output: Arc<Output>,
    readers: Vec<JoinHandle<()>>,
}

impl Program {
    /// Starts it with an empty stdin.
    pub(crate) fn start<A: AsRef<OsStr>>(
        path: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        let mut command = Command::new(path);
        command.args(arguments);
        Self::spawn(command, &[])
    }

    /// Starts the command and gives it `stdin` to read.
    pub(crate) fn spawn(mut command: Command, stdin: &[u8]) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("`{name}` does not start: {error}"));
        let output = Arc::new(Output::default());
        let readers = vec![
            read(child.stdout.take().unwrap(), true, &output),
            read(child.stderr.take().unwrap(), false, &output),
        ];
        child.stdin.take().unwrap().write_all(stdin).unwrap();
        Self { name, child, output, readers }
    }

    /// Waits for a line on either stream for which `find` returns a value.
    pub(crate) fn wait_for<T>(&self, what: &str, mut find: impl FnMut(&str) -> Option<T>) -> T {
        let end = Instant::now() + LIMIT;
        let mut lines = self.output.lines.lock().unwrap();
        let mut seen = 0;
        loop {
            if let Some(found) = lines.all[seen..].iter().find_map(|line| find(line)) {
                return found;
            }
            seen = lines.all.len();
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || lines.ended == 2 {
                // The log is printed when this panic drops the program.
                drop(lines);
                panic!("`{}` said nothing of {what}", self.name);
            }
            lines = self.output.more.wait_timeout(lines, left).unwrap().0;
        }
    }

    /// What it wrote to its standard output so far.
    pub(crate) fn stdout(&self) -> Vec<String> {
        self.output.lines.lock().unwrap().stdout.clone()
    }

    /// Waits for its end, and for the end of its output; `None` when it was killed because `limit` had passed.
    pub(crate) fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let end = Instant::now() + limit;
        let mut status = self.child.try_wait().unwrap();
        while status.is_none() && Instant::now() < end {
            thread::sleep(Duration::from_millis(10));
            status = self.child.try_wait().unwrap();
        }
        if status.is_none() {
            self.kill();
        }
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        status
    }

    /// Asks it to end, and waits for it.
    pub(crate) fn stop(&mut self) {
        let id = Pid::from_raw(self.child.id().try_into().unwrap());
        kill(id, Signal::SIGTERM).unwrap();
        let status = self.wait(LIMIT);
        assert!(status.is_some_and(|status| status.success()), "`{}`: {status:?}\n{}", self.name, self.log());
    }

    /// Everything that it printed so far.
    pub(crate) fn log(&self) -> String {
        self.output.lines.lock().unwrap().all.join("\n")
    }

    /// Kills it.
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("--- `{}` printed:\n{}", self.name, self.log());
        }
    }
}

/// Reads a stream to its end, so that the program never blocks on it.
fn read(stream: impl Read + Send + 'static, is_stdout: bool, output: &Arc<Output>) -> JoinHandle<()> {
    let output = Arc::clone(output);
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut lines = output.lines.lock().unwrap();
            if is_stdout {
                lines.stdout.push(line.clone());
            }
            lines.all.push(line);
            output.more.notify_all();
        }
        output.lines.lock().unwrap().ended += 1;
        output.more.notify_all();
    })
}

/// Waits until `condition` holds.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !condition() {
        assert!(Instant::now() < end, "not in time: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
