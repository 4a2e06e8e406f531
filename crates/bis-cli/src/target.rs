//! Which router a command talks to: the one that is named, else that of the application's `bis run`.

use anyhow::Result;

use crate::arguments::Where;
use crate::exit;
use crate::failure::Failure;
use crate::print;
use crate::project::Project;
use crate::router_client::RouterClient;
use crate::state::{Running, StateFolder};

/// A router's HTTP API.
pub(crate) fn http(place: &Where) -> Result<RouterClient> {
    match &place.router_http {
        Some(address) => Ok(RouterClient::new(address)),
        None => Ok(RouterClient::new(&running(place)?.router_http)),
    }
}

/// A router's TCP address.
pub(crate) fn tcp(place: &Where) -> Result<String> {
    match &place.router {
        Some(address) => Ok(address.clone()),
        None => Ok(running(place)?.router),
    }
}

fn running(place: &Where) -> Result<Running> {
    let project = Project::find(&place.app)?;
    let state = StateFolder::of(project.folder(), place.namespace.as_deref())?;
    state.running()?.ok_or_else(|| {
        Failure::new(
            exit::SURROUNDINGS,
            format!("the application in `{}` does not run", print::path(project.folder())),
        )
        .help("start it with `bis run`, or name a router with `--router HOST:PORT --router-http HOST:PORT`")
        .into()
    })
}
