//! Bis's router, in a process of its own so that it can be killed. That process is this test program again.

use std::{env, path::Path, process::ExitCode, time::Duration};

use bis_conformance::Missing;
use bis_router::{Options, Router};

use crate::{
    peer::Single,
    spawned::{Program, Spawned},
};

/// Holds the addresses to listen on, and makes this program a router.
const ADDRESSES: &str = "BIS_CONFORMANCE_ROUTER_ADDRESSES";
/// Holds the data folder.
const DATA: &str = "BIS_CONFORMANCE_ROUTER_DATA";

pub(crate) async fn start() -> Result<Single, Missing> {
    let server = Spawned::start(program(Vec::new())?).await;
    Ok(Single { server, slack: Duration::from_millis(1500) })
}

/// A router that registers with these nsqlookupds.
pub(crate) fn program(lookupd: Vec<String>) -> Result<Program, Missing> {
    let path = env::current_exe().map_err(|error| Missing(format!("this test program ({error})")))?;
    Ok(Program {
        path,
        arguments: |_, _, lookupd| lookupd.to_vec(),
        extra: lookupd,
        environment: |addresses, data| {
            vec![(ADDRESSES, addresses.join(" ")), (DATA, data.display().to_string())]
        },
        address_after: &["router listens on ", "with HTTP on "],
    })
}

/// Runs a router until SIGTERM, if this process was started as one.
pub(crate) fn process() -> Option<ExitCode> {
    let (addresses, data) = (env::var(ADDRESSES).ok()?, env::var_os(DATA)?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(serve(&addresses, Path::new(&data)));
    Some(ExitCode::SUCCESS)
}

async fn serve(addresses: &str, data: &Path) {
    let (tcp, http) = addresses.split_once(' ').expect("the suite passes two addresses");
    let mut options = Options::new(data);
    options.tcp_address = tcp.parse().expect("the suite passes an address");
    options.http_address = http.parse().expect("the suite passes an address");
    options.lookup.tcp_addresses = env::args().skip(1).collect();
    options.lookup.broadcast_address = Some("127.0.0.1".to_owned());
    let router = Router::start(options).await.expect("the router starts");
    let mut stop = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .expect("a process can listen for SIGTERM");
    println!("router listens on {} with HTTP on {}", router.tcp_address(), router.http_address());
    stop.recv().await;
    router.shutdown().await.expect("the router stops cleanly");
}
