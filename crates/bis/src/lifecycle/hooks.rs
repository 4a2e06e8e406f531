//! The functions of one service that run at the start and at the stop of its app. Each service is a part of its own, so that
//! `on_stop` functions run only where every `on_start` function has.

use std::time::Duration;

use bis_broker::BoxFuture;
use tokio::{task::JoinSet, time::Instant};

use super::{
    entry::{self, Role},
    function::{Call, Function},
};
use crate::{
    error::Result,
    instance::{Host, Part, Services},
};

/// How long a function may run that comes when the time to stop is over: others before it may have used it up.
const LEAST: Duration = Duration::from_secs(1);

/// The functions of a service.
pub(crate) struct Hooks {
    service: &'static str,
    /// In the order of their calls.
    on_start: Vec<Function>,
    /// In the order of their calls.
    on_stop: Vec<Function>,
    /// What runs, or ran last, at the start.
    current: Option<Function>,
    host: Option<Host>,
}

impl Hooks {
    /// Those of each of the services that is `hosted` here and has some, in the order of the app's `services`.
    pub(crate) fn of(services: &Services, hosted: &Services) -> Vec<Self> {
        let functions = entry::functions(hosted);
        let own = |service: &str, role: Role| -> Vec<Function> {
            let all = functions.iter().filter(|(entry, owner)| owner.name == service && entry.role == role);
            all.map(|(entry, service)| Function { entry, service }).collect()
        };
        let hooks = services.iter().map(|service| {
            let (on_start, mut on_stop) = (own(service.name, Role::OnStart), own(service.name, Role::OnStop));
            on_stop.reverse();
            Self { service: service.name, on_start, on_stop, current: None, host: None }
        });
        hooks.filter(|hooks| !hooks.on_start.is_empty() || !hooks.on_stop.is_empty()).collect()
    }
}

impl Part for Hooks {
    fn name(&self) -> String {
        format!("the service `{}`", self.service)
    }

    fn starting(&self) -> String {
        self.current.map_or_else(|| self.name(), |function| function.to_string())
    }

    fn start<'a>(&'a mut self, host: &'a Host) -> BoxFuture<'a, Result<()>> {
        self.host = Some(host.clone());
        Box::pin(async {
            for function in &self.on_start {
                self.current = Some(*function);
                call(*function, host).await?;
            }
            Ok(())
        })
    }

    fn stop(self: Box<Self>, deadline: Instant) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let Some(host) = self.host else { return };
            for function in self.on_stop {
                let latest = deadline.max(Instant::now() + LEAST);
                match tokio::time::timeout_at(latest, call(function, &host)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::error!("{function} failed: {error:#}"),
                    Err(_) => {
                        tracing::error!("{function} did not finish within the time to stop and is cut off");
                    }
                }
            }
        })
    }
}

/// Calls a function on the runtime for code of users, and waits for its end. It ends when the future is dropped.
async fn call(function: Function, host: &Host) -> Result<()> {
    let clock = host.instance.clock.clone();
    let mut task = JoinSet::new();
    task.spawn_on(
        async move {
            let activity = clock.begin(|| function.to_string());
            // Nothing else may want time to move yet, or any more.
            let _driven = clock.drive();
            function.call(Call::Awaited(activity.as_ref())).await
        },
        &host.handlers,
    );
    match task.join_next().await {
        Some(ended) => ended?,
        None => Ok(()),
    }
}
