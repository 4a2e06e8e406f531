//! Runs the commands that the guide shows, in order, and compares their output with it. Ids, times and ports differ each
//! time: any value is accepted, but the same one wherever the page has the same one. A line `...` matches any number of
//! lines.
#![expect(clippy::unwrap_used, reason = "a failure here is the failure of a test")]

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use regex::Regex;

use crate::end_to_end::TARGET;
use crate::support::{self, LIMIT};

const CHECKOUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// How long a first build may take.
const BUILD_LIMIT: Duration = Duration::from_secs(900);

/// What differs from run to run. The value of a group must be the same wherever the page has the same value.
static VARIABLE: LazyLock<Regex> = LazyLock::new(|| {
    let forms = [
        r"(?P<id>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\b[0-9a-f]{16}\b)",
        r"(?:127\.0\.0\.1|localhost):(?P<port>\d+)",
        r"\d{4}-\d\d-\d\dT[0-9:.]+Z",
        r"\d+\.\d+ ?s\b",
        r"process \d+",
    ];
    Regex::new(&forms.join("|")).unwrap()
});

/// A command of a page, and what it prints there.
#[derive(Debug)]
struct Step {
    command: String,
    shown: Vec<String>,
}

/// The commands of a page's blocks that are fenced as `console`.
fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for block in page.split("```console\n").skip(1).filter_map(|rest| rest.split("```").next()) {
        for line in block.lines() {
            match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => steps.push(Step { command: command.to_owned(), shown: Vec::new() }),
                (None, Some(step)) => step.shown.push(line.to_owned()),
                (None, None) => panic!("a block begins without a command: {line}"),
            }
        }
    }
    steps
}

/// The values of the page's ids and ports in this run.
type Known = HashMap<String, String>;

/// Whether a line matches the page; records which ids and ports correspond to those of the page.
fn is_line(shown: &str, line: &str, known: &mut Known) -> bool {
    let (shown, line) = (squeezed(shown), squeezed(line));
    let mut pattern = "^".to_owned();
    let mut end = 0;
    let mut new = Vec::new();
    for variable in VARIABLE.captures_iter(&shown) {
        let whole = variable.get(0).unwrap();
        pattern.push_str(&regex::escape(&shown[end..whole.start()]));
        end = whole.end();
        let named = variable.name("id").or(variable.name("port"));
        match named.map(|named| (named, known.get(named.as_str()))) {
            None => pattern.push_str(&format!("(?:{})", form(whole.as_str()))),
            Some((named, is)) => {
                pattern.push_str(&regex::escape(&shown[whole.start()..named.start()]));
                match is {
                    Some(is) => pattern.push_str(&regex::escape(is)),
                    None => {
                        pattern.push_str(&format!("({})", form(named.as_str())));
                        new.push(named.as_str());
                    }
                }
            }
        }
    }
    pattern.push_str(&regex::escape(&shown[end..]));
    pattern.push('$');
    let Some(found) = Regex::new(&pattern).unwrap().captures(&line) else { return false };
    for (index, name) in new.into_iter().enumerate() {
        known.insert(name.to_owned(), found[index + 1].to_owned());
    }
    true
}

/// A line with single spaces: columns may differ in width.
fn squeezed(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a variable looks like in another run.
fn form(value: &str) -> &'static str {
    match value {
        _ if value.contains('T') => r"\d{4}-\d\d-\d\dT[0-9:.]+Z",
        _ if value.starts_with("process") => r"process \d+",
        _ if value.ends_with('s') => r"\d+\.\d+ ?s",
        _ if value.len() <= 5 => r"\d+",
        _ => r"[0-9a-f-]+",
    }
}

/// Whether an output matches the page.
fn is_output(shown: &[String], output: &str, known: &mut Known) -> bool {
    let mut lines = output.trim_end().lines();
    let mut anything = false;
    for line in shown {
        if line == "..." {
            anything = true;
            continue;
        }
        let found = if anything {
            lines.any(|other| is_line(line, other, known))
        } else {
            lines.next().is_some_and(|other| is_line(line, other, known))
        };
        if !found {
            // Trailing empty lines are cut off above.
            if line.is_empty() && lines.next().is_none() {
                continue;
            }
            return false;
        }
        anything = false;
    }
    anything || lines.next().is_none()
}

/// A session at a terminal.
struct Session {
    folder: PathBuf,
    known: Known,
    run: Option<Running>,
}

/// A `bis run` in the background, stopped with the session.
struct Running {
    child: Child,
    log: PathBuf,
    /// How much of its output has been compared.
    seen: usize,
}

impl Session {
    fn in_folder(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), known: Known::new(), run: None }
    }

    fn play(&mut self, page: &str) {
        let steps = steps(&fs::read_to_string(Path::new(CHECKOUT).join("docs/guide").join(page)).unwrap());
        assert!(!steps.is_empty(), "{page} shows no commands");
        for step in steps {
            self.step(page, &step);
        }
    }

    fn step(&mut self, page: &str, step: &Step) {
        let known = &self.known;
        let command = VARIABLE.replace_all(&step.command, |found: &regex::Captures<'_>| {
            let named = found.name("id").or(found.name("port"));
            match named.and_then(|named| Some((named.as_str(), known.get(named.as_str())?))) {
                Some((named, is)) => found[0].replace(named, is),
                None => found[0].to_owned(),
            }
        });
        let end = Instant::now() + if command.starts_with("bis run") { BUILD_LIMIT } else { LIMIT };
        if let Some(folder) = command.strip_prefix("cd ") {
            self.folder.push(folder);
            return;
        }
        // Commands that only read may be repeated, since events take time.
        let only_looks =
            ["bis topic ls", "bis dead ls", "curl", "#"].iter().any(|start| command.starts_with(start))
                && !command.contains(" -d ");
        if command == "bis run" {
            self.start();
        }
        loop {
            let is_log = command == "bis run" || command.starts_with('#');
            let output = if is_log { self.log() } else { self.output(&command) };
            let mut known = self.known.clone();
            if is_output(&step.shown, &output, &mut known) {
                self.known = known;
                if is_log {
                    let run = self.run.as_mut().unwrap();
                    run.seen += output.len();
                }
                return;
            }
            let shown = step.shown.join("\n");
            let again = (only_looks || is_log) && Instant::now() < end;
            assert!(again, "{page}: `{command}` printed\n{output}\nand the page shows\n{shown}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Starts `bis run` on free ports.
    fn start(&mut self) {
        let log = self.folder.join("../run.log");
        let file = File::create(&log).unwrap();
        let mut command = support::bis();
        command.args(["run", "--port", "0", "--router-port", "0"]).env("CARGO_TARGET_DIR", TARGET);
        command.current_dir(&self.folder).stdout(file.try_clone().unwrap()).stderr(file);
        self.run = Some(Running { child: command.spawn().unwrap(), log, seen: 0 });
    }

    /// What `bis run` has printed since the last check.
    fn log(&self) -> String {
        let run = self.run.as_ref().expect("the page has started `bis run`");
        fs::read_to_string(&run.log).unwrap()[run.seen..].to_owned()
    }

    /// What a command prints.
    fn output(&self, command: &str) -> String {
        if let Some(request) = command.strip_prefix("curl -s localhost:") {
            return curl(request);
        }
        let bin = Path::new(env!("CARGO_BIN_EXE_bis")).parent().unwrap().display();
        let path = format!("{bin}:{}", std::env::var("PATH").unwrap());
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{command} 2>&1")]).current_dir(&self.folder);
        shell
            .env("PATH", path)
            .env("CARGO_TARGET_DIR", TARGET)
            .env("CARGO_TERM_COLOR", "never")
            .stdin(Stdio::null());
        let output = shell.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.success(), !text.contains("error["), "`{command}` printed\n{text}");
        text
    }
}

/// The answer to `PORT/PATH`, or to `PORT/PATH -H .. -d 'BODY'`.
fn curl(request: &str) -> String {
    let (url, rest) = request.split_once(' ').unwrap_or((request, ""));
    let (port, path) = url.split_once('/').unwrap();
    let address = format!("127.0.0.1:{port}").parse().unwrap();
    let path = format!("/{path}");
    let answer = match rest.split_once("-d '") {
        Some((_, body)) => support::post(address, &path, body.trim_end_matches('\'')),
        None => support::get(address, &path),
    };
    answer.unwrap_or_else(|error| error.to_string())
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(run) = &mut self.run {
            let _ = kill(Pid::from_raw(run.child.id().try_into().unwrap()), Signal::SIGINT);
            let _ = run.child.wait();
        }
    }
}

#[test]
fn getting_started_goes_as_the_guide_shows_it() {
    let folder = tempfile::tempdir().unwrap();
    Session::in_folder(folder.path()).play("getting-started.md");
}

#[test]
fn commands_that_read_the_source_print_what_the_guide_shows() {
    for page in ["analyser.md", "configuration.md", "production.md"] {
        Session::in_folder(Path::new(CHECKOUT)).play(page);
    }
}

#[test]
fn a_line_that_differs_in_more_than_ids_and_times_is_another_one() {
    let mut known = Known::new();
    let shown = "replayed 7c14a11644d063f0 for `ship`, 1.5 s at localhost:4000";
    assert!(is_line(shown, "replayed 0123456789abcdef for `ship`, 12.25 s at localhost:81", &mut known));
    assert_eq!((known["7c14a11644d063f0"].as_str(), known["4000"].as_str()), ("0123456789abcdef", "81"));
    assert!(!is_line(shown, "replayed ffff456789abcdef for `ship`, 1.5 s at localhost:81", &mut known));
    assert!(!is_line(shown, "replayed 0123456789abcdef for `pack`, 1.5 s at localhost:81", &mut known));
    let output = |text: &str| is_output(&["a".into(), "...".into(), "d".into()], text, &mut Known::new());
    assert!(output("a\nb\nc\nd\n") && output("a\nd"));
    assert!(!output("b\nd") && !output("a\nd\ne") && !output("a\nb"));
}
