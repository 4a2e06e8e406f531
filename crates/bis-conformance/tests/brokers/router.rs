//! Bis's router, in a process of its own so that it can be killed. That process is this test program again, running
//! [`process`] alone.

use std::{env, path::Path, time::Duration};

use bis_conformance::{Missing, Peer};
use bis_router::{Options, Router};

use crate::spawned::{Program, Spawned};

/// Holds the address to listen on, and makes [`process`] a router.
const ADDRESS: &str = "BIS_CONFORMANCE_ROUTER_ADDRESS";
/// Holds the data folder.
const DATA: &str = "BIS_CONFORMANCE_ROUTER_DATA";
/// What the process says before its address.
const READY: &str = "router listens on ";

bis_conformance::suite!(super::router::start);

crate::app_suite! { super::router::spawn;
    what_cannot_be_handled_is_kept_as_a_dead_letter
    a_stop_finishes_what_was_started_and_no_more
    other_clients_read_what_we_publish
}

async fn start() -> Result<Box<dyn Peer>, Missing> {
    Ok(Box::new(spawn().await?))
}

async fn spawn() -> Result<Spawned, Missing> {
    let path = env::current_exe().map_err(|error| Missing(format!("this test program ({error})")))?;
    let program = Program { path, arguments, environment, address_in, slack: Duration::from_millis(1500) };
    Ok(Spawned::start(program).await)
}

fn arguments(_: &str, _: &Path) -> Vec<String> {
    ["router::process", "--exact", "--nocapture", "--test-threads=1"].map(str::to_owned).to_vec()
}

fn environment(address: &str, data: &Path) -> Vec<(&'static str, String)> {
    vec![(ADDRESS, address.to_owned()), (DATA, data.display().to_string())]
}

fn address_in(line: &str) -> Option<String> {
    line.split_once(READY).map(|(_, address)| address.trim().to_owned())
}

/// The router's process when started as one; as a test among the others it does nothing.
#[test]
fn process() {
    let (Ok(address), Some(data)) = (env::var(ADDRESS), env::var_os(DATA)) else { return };
    let mut options = Options::new(data);
    options.tcp_address = address.parse().expect("the suite passes an address");
    options.http_address.set_port(0);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let router = Router::start(options).await.expect("the router starts");
        let mut stop = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
            .expect("a process can listen for SIGTERM");
        println!("{READY}{}", router.tcp_address());
        stop.recv().await;
        router.shutdown().await.expect("the router stops cleanly");
    });
}
