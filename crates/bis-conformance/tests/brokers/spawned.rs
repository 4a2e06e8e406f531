//! A broker as a process of its own: started on free ports with a folder of its own, found by what it logs, killed,
//! stopped, started again at the same address.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use bis::drivers::nsq::{Nsq, NsqOptions};
use bis_broker::{BoxFuture, Broker};
use bis_conformance::{Peer, Process};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    time::{sleep, timeout},
};

/// How long a broker may take to start or stop.
const PATIENCE: Duration = Duration::from_secs(20);

/// How to run a broker's program.
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    /// The arguments for this TCP address and data folder.
    pub(crate) arguments: fn(&str, &Path) -> Vec<String>,
    /// The environment for this TCP address and data folder.
    pub(crate) environment: fn(&str, &Path) -> Vec<(&'static str, String)>,
    /// Finds the TCP address in a line of its log.
    pub(crate) address_in: fn(&str) -> Option<String>,
    /// How much later than its time it may deliver an event.
    pub(crate) slack: Duration,
}

/// A running program.
pub(crate) struct Spawned {
    program: Program,
    data: tempfile::TempDir,
    address: String,
    child: Mutex<Option<Child>>,
}

impl Spawned {
    /// Starts it on a free port.
    pub(crate) async fn start(program: Program) -> Self {
        let data = tempfile::tempdir().expect("a folder for the broker's data");
        let (child, address) = launch(&program, "127.0.0.1:0", data.path()).await;
        Self { program, data, address, child: Mutex::new(Some(child)) }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    fn take_child(&self) -> Option<Child> {
        self.child.lock().expect("no test panics while it holds the lock").take()
    }
}

/// Starts the program and waits for its address.
async fn launch(program: &Program, address: &str, data: &Path) -> (Child, String) {
    let mut child = Command::new(&program.path)
        .args((program.arguments)(address, data))
        .envs((program.environment)(address, data))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("`{}` does not start: {error}", program.path.display()));
    let (said, mut heard) = tokio::sync::mpsc::channel(1);
    let output = child.stdout.take().expect("stdout is piped");
    let errors = child.stderr.take().expect("stderr is piped");
    tokio::spawn(listen(output, program.address_in, said.clone()));
    tokio::spawn(listen(errors, program.address_in, said));
    let address = timeout(PATIENCE, heard.recv()).await.expect("the broker says where it listens in time");
    (child, address.expect("the broker says where it listens before it ends"))
}

/// Reads a log to its end, so that the program never blocks on it, and passes on the address.
async fn listen(
    log: impl AsyncRead + Unpin,
    address_in: fn(&str) -> Option<String>,
    said: tokio::sync::mpsc::Sender<String>,
) {
    let mut said = Some(said);
    let mut lines = BufReader::new(log).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if std::env::var_os("BIS_SHOW_PEERS").is_some() {
            println!("{line}");
        }
        if let Some(address) = address_in(&line)
            && let Some(said) = said.take()
        {
            let _ = said.try_send(address);
        }
    }
}

impl Peer for Spawned {
    fn client(&self) -> BoxFuture<'_, Arc<dyn Broker>> {
        let mut options = NsqOptions::new(&self.address);
        options.client.lease = <dyn Peer>::LEASE;
        options.client.publish_wait = Duration::from_secs(2);
        Box::pin(async { Arc::new(Nsq::start(options)) as Arc<dyn Broker> })
    }

    fn process(&self) -> Option<&dyn Process> {
        Some(self)
    }

    fn slack(&self) -> Duration {
        self.program.slack
    }
}

impl Process for Spawned {
    fn kill(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let mut child = self.take_child().expect("it runs");
            child.kill().await.expect("killed");
        })
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let mut child = self.take_child().expect("it runs");
            let id = child.id().expect("it was not waited for yet").to_string();
            let sent = Command::new("kill").args(["-TERM", &id]).status().await.expect("`kill` runs");
            assert!(sent.success());
            let ended = timeout(PATIENCE, child.wait()).await;
            ended.expect("the broker stops in time").expect("waited for");
        })
    }

    fn start(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            // The port may be held for a moment by the connections of the one before.
            sleep(Duration::from_millis(20)).await;
            let (child, address) = launch(&self.program, &self.address, self.data.path()).await;
            assert_eq!(address, self.address);
            *self.child.lock().expect("no test panics while it holds the lock") = Some(child);
        })
    }
}
