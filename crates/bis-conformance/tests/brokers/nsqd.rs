//! A real nsqd 1.3, found as `$NSQD_BIN`, on the `PATH`, or where `go install` puts it.

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use bis_conformance::{Missing, Peer};

use crate::spawned::{Program, Spawned};

/// nsqd looks for new channels with something due every 5 s only.
const SLACK: Duration = Duration::from_millis(6500);

bis_conformance::suite!(super::nsqd::start);

crate::app_suite! { super::nsqd::spawn;
    what_cannot_be_handled_is_kept_as_a_dead_letter
    a_stop_finishes_what_was_started_and_no_more
    other_clients_read_what_we_publish
}

async fn start() -> Result<Box<dyn Peer>, Missing> {
    Ok(Box::new(spawn().await?))
}

async fn spawn() -> Result<Spawned, Missing> {
    let path = find().ok_or_else(|| Missing("nsqd".to_owned()))?;
    Ok(Spawned::start(Program { path, arguments, environment: |_, _| Vec::new(), address_in, slack: SLACK })
        .await)
}

fn find() -> Option<PathBuf> {
    if let Some(path) = env::var_os("NSQD_BIN") {
        return Some(path.into());
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let home = env::var_os("HOME").map(|home| PathBuf::from(home).join("go/bin"));
    env::split_paths(&path).chain(home).map(|folder| folder.join("nsqd")).find(|file| file.is_file())
}

fn arguments(address: &str, data: &Path) -> Vec<String> {
    let data = data.display();
    vec![
        format!("--tcp-address={address}"),
        "--http-address=127.0.0.1:0".to_owned(),
        "--broadcast-address=127.0.0.1".to_owned(),
        format!("--data-path={data}"),
    ]
}

/// `[nsqd] 2026/01/01 00:00:00.000000 INFO: TCP: listening on 127.0.0.1:4150`
fn address_in(line: &str) -> Option<String> {
    line.split_once("TCP: listening on ").map(|(_, address)| address.trim().to_owned())
}
