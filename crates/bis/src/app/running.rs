//! The parts of a running app: started in order, told that the app is ready, watched, and stopped in the reverse order. It
//! knows the parts by their trait alone.

use std::{future::poll_fn, net::SocketAddr, sync::Arc, task::Poll, time::Duration};

use bis_core::{codes, format_duration};
use tokio::time::Instant;

use super::progress::{Progress, Stage};
use crate::{
    error::{Error, Result},
    instance::{Host, Instance, Part, Purpose, Stop},
};

/// How much longer than the deadline of a stop a part may take until the next one is stopped all the same: time for what it
/// flushes and closes at the end.
const GRACE: Duration = Duration::from_secs(10);

/// Practically never, for a stop that may take longer than a clock can represent: 30 years.
const FAR: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 30);

/// The app did not become ready in time.
#[derive(Debug, thiserror::Error)]
#[error("it did not finish within the {} that the app has to start; raise `app.start_within` if it needs longer [{}]", format_duration(*limit), codes::NOT_READY)]
struct TooSlow {
    limit: Duration,
}

/// The parts of an app. Dropping it drops them without a stop in order.
pub(super) struct Running {
    /// In the order of their start.
    started: Vec<Box<dyn Part>>,
    progress: Arc<Progress>,
    /// How much longer than the deadline of a stop a part may take.
    grace: Duration,
}

impl Default for Running {
    fn default() -> Self {
        Self { started: Vec::new(), progress: Arc::default(), grace: GRACE }
    }
}

impl Running {
    /// How far each part is, now and later.
    pub(super) fn progress(&self) -> Arc<Progress> {
        self.progress.clone()
    }

    /// Starts one part after the other, and once all have started tells them that the app is ready. When one fails, or the
    /// future is dropped, those before it wait to be [stopped](Self::stop).
    ///
    /// # Errors
    /// The part's own, or that the time to start is over, with what was to start.
    pub(super) async fn start(&mut self, parts: Vec<Box<dyn Part>>, host: &Host) -> Result<()> {
        let Instance { config, clock, .. } = &*host.instance;
        let limit = config.app.start_within;
        let mut left = limit;
        self.progress.begin(parts.iter().map(|part| part.name()));
        for (index, mut part) in parts.into_iter().enumerate() {
            self.progress.reached(index, Stage::Starting);
            let (is_limited, began) = (part.is_limited(), clock.elapsed());
            let started = tokio::select! {
                biased;
                started = part.start(host) => started,
                () = clock.sleep(left, Purpose::Guard), if is_limited => Err(TooSlow { limit }.into()),
            };
            if is_limited {
                left = left.saturating_sub(clock.elapsed().saturating_sub(began));
            }
            started.map_err(|error| error.context(format_args!("cannot start {}", part.starting())))?;
            self.progress.reached(index, Stage::Started);
            self.started.push(part);
        }
        for part in &mut self.started {
            let ready = part.ready(host);
            ready.map_err(|error| error.context(format_args!("cannot start {}", part.name())))?;
        }
        Ok(())
    }

    /// Where the app can be reached.
    pub(super) fn addresses(&self) -> Vec<(&'static str, SocketAddr)> {
        self.started.iter().flat_map(|part| part.addresses()).collect()
    }

    /// Completes when a part broke.
    pub(super) async fn failed(&mut self) -> Error {
        let mut failing: Vec<_> = self.started.iter_mut().map(|part| (part.name(), part.failed())).collect();
        poll_fn(|context| {
            for (name, failed) in &mut failing {
                if let Poll::Ready(error) = failed.as_mut().poll(context) {
                    return Poll::Ready(error.context(format_args!("{name} cannot go on")));
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Tells every part to drain within `limit`, and stops each, the last one first.
    pub(super) async fn stop(self, stop: Stop, limit: Duration) {
        let now = Instant::now();
        let deadline = now.checked_add(limit).unwrap_or(now + FAR);
        let mut parts = self.started;
        for (index, part) in parts.iter_mut().enumerate().rev() {
            self.progress.reached(index, Stage::Draining);
            part.drain(stop, deadline);
        }
        for (index, part) in parts.into_iter().enumerate().rev() {
            let name = part.name();
            let latest = deadline.max(Instant::now()) + self.grace;
            if tokio::time::timeout_at(latest, part.stop(deadline)).await.is_err() {
                tracing::warn!("{name} did not stop in time");
            }
            self.progress.reached(index, Stage::Stopped);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use bis_broker::BoxFuture;
    use bis_config::Config;
    use tokio::sync::Notify;

    use super::*;
    use crate::instance::{Clock, Extensions, Instance};

    /// What was done to parts, in order.
    type Log = Arc<Mutex<Vec<String>>>;

    /// A part that does what the test needs.
    struct Scripted {
        name: &'static str,
        log: Log,
        starts: Start,
        breaks: Arc<Notify>,
        hangs: bool,
    }

    enum Start {
        Works,
        Fails,
        Hangs,
    }

    impl Scripted {
        fn log(&self, what: &str) {
            self.log.lock().unwrap().push(format!("{what} {}", self.name));
        }
    }

    impl Part for Scripted {
        fn name(&self) -> String {
            self.name.into()
        }

        fn start<'a>(&'a mut self, _: &'a Host) -> BoxFuture<'a, Result<()>> {
            self.log("start");
            Box::pin(async {
                match self.starts {
                    Start::Works => Ok(()),
                    Start::Fails => Err(Error::msg("no room")),
                    Start::Hangs => std::future::pending().await,
                }
            })
        }

        fn ready(&mut self, _: &Host) -> Result<()> {
            self.log("ready");
            Ok(())
        }

        fn failed(&mut self) -> BoxFuture<'_, Error> {
            Box::pin(async {
                self.breaks.notified().await;
                Error::msg("it broke")
            })
        }

        fn drain(&mut self, _: Stop, _: Instant) {
            self.log("drain");
        }

        fn stop(self: Box<Self>, _: Instant) -> BoxFuture<'static, ()> {
            self.log("stop");
            Box::pin(async move {
                if self.hangs {
                    std::future::pending().await
                }
            })
        }
    }

    fn part(name: &'static str, log: &Log) -> Scripted {
        Scripted { name, log: log.clone(), starts: Start::Works, breaks: Arc::default(), hangs: false }
    }

    fn host() -> Host {
        host_with(Config::default())
    }

    fn host_with(config: Config) -> Host {
        let instance = Instance::new("shop", config, Clock::System, Extensions::default());
        Host { instance: Arc::new(instance), handlers: tokio::runtime::Handle::current() }
    }

    fn parts(parts: impl IntoIterator<Item = Scripted>) -> Vec<Box<dyn Part>> {
        parts.into_iter().map(|part| Box::new(part) as Box<dyn Part>).collect()
    }

    #[track_caller]
    fn check(log: &Log, expected: &[&str]) {
        assert_eq!(log.lock().unwrap().drain(..).collect::<Vec<_>>(), expected);
    }

    #[tokio::test]
    async fn parts_start_in_order_drain_at_once_and_stop_in_the_reverse_order() {
        let log = Log::default();
        let mut running = Running::default();
        running.start(parts([part("pool", &log), part("web", &log)]), &host()).await.unwrap();
        check(&log, &["start pool", "start web", "ready pool", "ready web"]);
        running.stop(Stop::Prompt, Duration::MAX).await;
        check(&log, &["drain web", "drain pool", "stop web", "stop pool"]);
    }

    #[tokio::test]
    async fn a_part_that_does_not_start_is_named_and_those_before_it_stop() {
        let log = Log::default();
        let mut running = Running::default();
        let web = Scripted { starts: Start::Fails, ..part("the web", &log) };
        let all = parts([part("pool", &log), web, part("cron", &log)]);
        let error = running.start(all, &host()).await.unwrap_err();
        assert_eq!(format!("{error:#}"), "cannot start the web: no room");
        running.stop(Stop::Prompt, Duration::ZERO).await;
        check(&log, &["start pool", "start the web", "drain pool", "stop pool"]);
    }

    #[tokio::test]
    async fn a_part_that_hangs_at_the_start_is_named_and_those_before_it_stop() {
        let log = Log::default();
        let mut running = Running::default();
        let web = Scripted { starts: Start::Hangs, ..part("the web", &log) };
        let mut config = Config::default();
        config.app.start_within = Duration::from_millis(10);
        let all = parts([part("pool", &log), web, part("cron", &log)]);
        let error = running.start(all, &host_with(config)).await.unwrap_err();
        assert_eq!(
            format!("{error:#}"),
            "cannot start the web: it did not finish within the 10ms that the app has to start; raise `app.start_within` if it needs longer [BIS1065]"
        );
        running.stop(Stop::Prompt, Duration::ZERO).await;
        check(&log, &["start pool", "start the web", "drain pool", "stop pool"]);
    }

    #[tokio::test]
    async fn a_part_that_breaks_is_named() {
        let log = Log::default();
        let mut running = Running::default();
        let web = part("the web", &log);
        let breaks = web.breaks.clone();
        running.start(parts([part("pool", &log), web]), &host()).await.unwrap();
        breaks.notify_one();
        assert_eq!(format!("{:#}", running.failed().await), "the web cannot go on: it broke");
    }

    #[tokio::test]
    async fn a_part_that_hangs_does_not_keep_the_others_from_stopping() {
        let log = Log::default();
        let mut running = Running { grace: Duration::from_millis(10), ..Running::default() };
        let web = Scripted { hangs: true, ..part("web", &log) };
        running.start(parts([part("pool", &log), web]), &host()).await.unwrap();
        running.stop(Stop::Prompt, Duration::ZERO).await;
        assert_eq!(log.lock().unwrap().last().unwrap(), "stop pool");
    }
}
