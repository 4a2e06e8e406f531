//! A real nsqd 1.3, alone.

use std::{path::Path, time::Duration};

use bis_conformance::Missing;

use crate::{
    peer::Single,
    spawned::{Program, Spawned, find},
};

/// nsqd looks for new channels with something due every 5 s only.
pub(crate) const SLACK: Duration = Duration::from_millis(6500);

pub(crate) async fn start() -> Result<Single, Missing> {
    let server = Spawned::start(program(Vec::new())?).await;
    Ok(Single { server, slack: SLACK })
}

/// nsqd with more arguments.
pub(crate) fn program(extra: Vec<String>) -> Result<Program, Missing> {
    Ok(Program {
        path: find("nsqd")?,
        arguments,
        extra,
        environment: |_, _| Vec::new(),
        // `[nsqd] 2026/01/01 00:00:00.000000 INFO: TCP: listening on 127.0.0.1:4150`
        address_after: &["TCP: listening on ", "HTTP: listening on "],
    })
}

/// nsqd that registers with these nsqlookupds.
pub(crate) fn registered(lookupd: Vec<String>) -> Result<Program, Missing> {
    program(lookupd.iter().map(|address| format!("--lookupd-tcp-address={address}")).collect())
}

fn arguments(addresses: &[String], data: &Path, extra: &[String]) -> Vec<String> {
    let own = [
        format!("--tcp-address={}", addresses[0]),
        format!("--http-address={}", addresses[1]),
        "--broadcast-address=127.0.0.1".to_owned(),
        format!("--data-path={}", data.display()),
    ];
    own.into_iter().chain(extra.iter().cloned()).collect()
}
