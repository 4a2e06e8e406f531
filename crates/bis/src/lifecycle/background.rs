//! The background functions of a process: they begin when the app is ready, run again when they end, and are cut off when they
//! outlive the time to stop.

use std::{sync::Arc, time::Duration};

use bis_broker::BoxFuture;
use bis_core::format_duration;
use tokio::{
    task::{AbortHandle, JoinSet},
    time::Instant,
};

use super::{
    entry::{self, Role},
    function::{Call, Function},
    restarts::{Restart, Restarts},
};
use crate::{
    error::Result,
    instance::{Host, Instance, Part, Purpose, Services},
};

/// How long a function that is cut off may take to drop what it holds.
const DROPS: Duration = Duration::from_secs(1);

/// The background functions of a process.
pub(crate) struct Background {
    functions: Vec<(Function, Restarts)>,
    /// Dropping it ends all.
    tasks: JoinSet<()>,
    running: Vec<(Function, AbortHandle)>,
}

impl Background {
    /// Those of the services that are `hosted` here.
    pub(crate) fn of(hosted: &Services) -> Self {
        let functions =
            entry::functions(hosted).into_iter().filter_map(|(entry, service)| match entry.role {
                Role::Background(policy) => Some((Function { entry, service }, Restarts::new(policy))),
                Role::OnStart | Role::OnStop => None,
            });
        Self { functions: functions.collect(), tasks: JoinSet::new(), running: Vec::new() }
    }
}

impl Part for Background {
    fn name(&self) -> String {
        "the background functions".into()
    }

    fn start<'a>(&'a mut self, _: &'a Host) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn ready(&mut self, host: &Host) -> Result<()> {
        for (function, restarts) in self.functions.drain(..) {
            let task = keep_running(function, restarts, host.instance.clone());
            self.running.push((function, self.tasks.spawn_on(task, &host.handlers)));
        }
        Ok(())
    }

    fn stop(self: Box<Self>, deadline: Instant) -> BoxFuture<'static, ()> {
        let Self { mut tasks, running, .. } = *self;
        Box::pin(async move {
            if tokio::time::timeout_at(deadline, ended(&mut tasks)).await.is_ok() {
                return;
            }
            for (function, _) in running.iter().filter(|(_, task)| !task.is_finished()) {
                tracing::warn!(
                    "{function} is cut off: it outlived the time to stop; end it when `bis::stopping().await` completes"
                );
            }
            tasks.abort_all();
            // One that blocks its thread is not dropped at all.
            tokio::time::timeout(DROPS, ended(&mut tasks)).await.ok();
        })
    }
}

async fn ended(tasks: &mut JoinSet<()>) {
    while tasks.join_next().await.is_some() {}
}

/// Calls a function, and again whenever it has ended, until the app stops.
async fn keep_running(function: Function, mut restarts: Restarts, instance: Arc<Instance>) {
    let clock = &instance.clock;
    loop {
        let began = clock.elapsed();
        let result = function.call(Call::Background).await;
        if instance.stopping.has_begun() {
            if let Err(error) = result {
                tracing::warn!("{function} failed while the app stops: {error:#}");
            }
            return;
        }
        let now = clock.elapsed();
        let restart = restarts.ended(now, now.saturating_sub(began), fastrand::f64());
        tell(function, &result, &restart);
        tokio::select! {
            biased;
            () = instance.stopping.begun() => return,
            () = clock.sleep(restart.wait, Purpose::Background) => {}
        }
    }
}

/// Says why a function ended, and when it runs again.
fn tell(function: Function, result: &Result<()>, Restart { wait, tell }: &Restart) {
    let Some(ends) = tell else { return };
    let again_in =
        format_duration(Duration::from_millis(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)));
    let ends = (*ends > 1).then_some(ends);
    match result {
        Ok(()) => tracing::info!(ends, again_in, "{function} ended"),
        Err(error) => tracing::error!(ends, again_in, "{function} failed: {error:#}"),
    }
}
