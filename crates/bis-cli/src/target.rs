//! Which router a command talks to: the one that is named, otherwise that of the app's `bis run`.

use anyhow::{Context, Result};
use bis_admin::{Admin, HttpAddress, Place};
use bis_config::NsqConfig;
use bis_core::Namespace;

use crate::arguments::Where;
use crate::exit;
use crate::failure::Failure;
use crate::print;
use crate::project::Project;
use crate::state::{Running, StateFolder};

/// Does `work` with the router, then disconnects.
pub(crate) fn with<T>(place: &Where, work: impl AsyncFnOnce(&Admin) -> Result<T>) -> Result<T> {
    let admin = Admin::new(place_of(place)?);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    runtime.block_on(async {
        let done = work(&admin).await;
        admin.close().await;
        done
    })
}

/// The router of a `bis run`.
pub(crate) fn of_run(running: &Running) -> Result<Admin> {
    Ok(Admin::new(place_of_run(running)?))
}

fn place_of(place: &Where) -> Result<Place> {
    let Some(api) = &place.router_http else { return place_of_run(&running(place)?) };
    let wrong = |error| Failure::new(exit::USAGE, format!("`--router-http`: {error}"));
    let api = HttpAddress::parse(api).map_err(wrong)?;
    Ok(Place { api, broker: place.router.as_deref().map(tcp), namespace: namespace(place)? })
}

/// The namespace of an app on a router that is named. Each `bis run` has its own router, which does not need one.
fn namespace(place: &Where) -> Result<Option<Namespace>> {
    let wrong = |error| Failure::new(exit::USAGE, format!("`--namespace`: {error}"));
    Ok(place.namespace.as_deref().map(Namespace::parse).transpose().map_err(wrong)?)
}

fn place_of_run(running: &Running) -> Result<Place> {
    let api = HttpAddress::parse(&running.router_http)?;
    Ok(Place { api, broker: Some(tcp(&running.router)), namespace: None })
}

fn tcp(address: &str) -> NsqConfig {
    NsqConfig { address: Some(address.to_owned()), ..NsqConfig::default() }
}

fn running(place: &Where) -> Result<Running> {
    let project = Project::find(&place.app)?;
    let state = StateFolder::of(project.folder(), place.namespace.as_deref())?;
    state.running()?.ok_or_else(|| {
        Failure::new(
            exit::SURROUNDINGS,
            format!("the app in `{}` does not run", print::path(project.folder())),
        )
        .help("start it with `bis run`, or name a router with `--router-http HOST:PORT`")
        .into()
    })
}
