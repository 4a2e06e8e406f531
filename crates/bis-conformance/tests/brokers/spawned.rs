//! A server as a process of its own: started on free ports with a folder of its own, found by what it logs, killed,
//! stopped, started again at the same addresses.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::Mutex,
    time::Duration,
};

use bis_conformance::Missing;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::mpsc,
    time::{sleep, timeout},
};

/// How long a server may take to start or stop.
const PATIENCE: Duration = Duration::from_secs(20);

/// Variables of a process's environment.
type Variables = Vec<(&'static str, String)>;

/// How to run a server's program.
#[derive(Clone)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    /// The arguments for these addresses and this data folder.
    pub(crate) arguments: fn(&[String], &Path, &[String]) -> Vec<String>,
    /// What goes to `arguments` last.
    pub(crate) extra: Vec<String>,
    pub(crate) environment: fn(&[String], &Path) -> Variables,
    /// What is before each address in a line of its log.
    pub(crate) address_after: &'static [&'static str],
}

/// A running program.
pub(crate) struct Spawned {
    program: Program,
    data: tempfile::TempDir,
    addresses: Vec<String>,
    child: Mutex<Option<Child>>,
}

impl Spawned {
    /// Starts it on free ports.
    pub(crate) async fn start(program: Program) -> Self {
        let data = tempfile::tempdir().expect("a folder for the server's data");
        let any = vec!["127.0.0.1:0".to_owned(); program.address_after.len()];
        let (child, addresses) = launch(&program, &any, data.path()).await;
        Self { program, data, addresses, child: Mutex::new(Some(child)) }
    }

    /// Where it listens, as its program names its addresses.
    pub(crate) fn address(&self, index: usize) -> &str {
        &self.addresses[index]
    }

    /// Ends it at once.
    pub(crate) async fn kill(&self) {
        let mut child = self.take_child().expect("it runs");
        child.kill().await.expect("killed");
    }

    /// Asks it to end, and waits until it has.
    pub(crate) async fn stop(&self) {
        let mut child = self.take_child().expect("it runs");
        terminate(&child).await;
        let ended = timeout(PATIENCE, child.wait()).await;
        ended.expect("the server stops in time").expect("waited for");
    }

    /// Starts it again at the same addresses, with the same data.
    pub(crate) async fn restart(&self) {
        // The port may be held for a moment by the connections of the one before.
        sleep(Duration::from_millis(20)).await;
        let (child, addresses) = launch(&self.program, &self.addresses, self.data.path()).await;
        assert_eq!(addresses, self.addresses);
        *self.child.lock().expect("no test panics while it holds the lock") = Some(child);
    }

    /// Starts it again at other addresses, with the same data.
    pub(crate) async fn restart_elsewhere(&mut self) {
        let any = vec!["127.0.0.1:0".to_owned(); self.addresses.len()];
        let (child, addresses) = launch(&self.program, &any, self.data.path()).await;
        self.addresses = addresses;
        *self.child.lock().expect("no test panics while it holds the lock") = Some(child);
    }

    fn take_child(&self) -> Option<Child> {
        self.child.lock().expect("no test panics while it holds the lock").take()
    }
}

/// Sends SIGTERM.
pub(crate) async fn terminate(child: &Child) {
    let id = child.id().expect("it was not waited for yet").to_string();
    let sent = Command::new("kill").args(["-TERM", &id]).status().await.expect("`kill` runs");
    assert!(sent.success());
}

/// A program of NSQ: `$NSQD_BIN` and the like, on the `PATH`, or where `go install` puts it.
pub(crate) fn find(name: &str) -> Result<PathBuf, Missing> {
    if let Some(path) = std::env::var_os(format!("{}_BIN", name.to_uppercase())) {
        return Ok(path.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join("go/bin"));
    let mut files = std::env::split_paths(&path).chain(home).map(|folder| folder.join(name));
    files.find(|file| file.is_file()).ok_or_else(|| Missing(name.to_owned()))
}

/// Starts the program and waits for its addresses.
async fn launch(program: &Program, addresses: &[String], data: &Path) -> (Child, Vec<String>) {
    let mut child = Command::new(&program.path)
        .args((program.arguments)(addresses, data, &program.extra))
        .envs((program.environment)(addresses, data))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("`{}` does not start: {error}", program.path.display()));
    let (said, mut heard) = mpsc::unbounded_channel();
    let output = child.stdout.take().expect("stdout is piped");
    let errors = child.stderr.take().expect("stderr is piped");
    tokio::spawn(listen(output, program.address_after, said.clone()));
    tokio::spawn(listen(errors, program.address_after, said));
    let mut found = vec![None; program.address_after.len()];
    while found.iter().any(Option::is_none) {
        let heard = timeout(PATIENCE, heard.recv()).await.expect("the server says where it listens in time");
        let (index, address): (usize, String) =
            heard.expect("the server says where it listens before it ends");
        found[index] = Some(address);
    }
    (child, found.into_iter().flatten().collect())
}

/// Reads a log to its end, so that the program never blocks on it, and passes on the addresses.
async fn listen(
    log: impl AsyncRead + Unpin,
    address_after: &'static [&'static str],
    said: mpsc::UnboundedSender<(usize, String)>,
) {
    let mut lines = BufReader::new(log).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if std::env::var_os("BIS_SHOW_PEERS").is_some() {
            println!("{line}");
        }
        for (index, before) in address_after.iter().enumerate() {
            if let Some((_, after)) = line.split_once(before) {
                let address = after.split_whitespace().next().unwrap_or_default().to_owned();
                // Nobody listens once all addresses are known.
                let _ = said.send((index, address));
            }
        }
    }
}
