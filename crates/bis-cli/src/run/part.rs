//! What `bis run` keeps running beside the app, in one list: each part is started and ready before the next one, and the app comes
//! last. Once the app has gone, they are stopped the other way round. What happens to a part meanwhile, it tells the loop.

use anyhow::{Context, Result};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::run::event::Event;

/// Something that is ready once it exists, and lives until it is told to stop.
pub(crate) trait Part: Send + Sized + 'static {
    /// What people call it.
    const NAME: &'static str;

    /// Lives until `stop` resolves, and returns once nothing of it is left. One that fails tells so with
    /// [`Event::PartFailed`], and still waits for `stop`.
    fn live(
        self,
        events: mpsc::Sender<Event>,
        stop: oneshot::Receiver<()>,
    ) -> impl Future<Output = Result<()>> + Send;
}

/// The parts that run, in the order of their start.
#[derive(Debug)]
pub(crate) struct Parts {
    events: mpsc::Sender<Event>,
    running: Vec<Running>,
}

/// A part that runs.
#[derive(Debug)]
struct Running {
    name: &'static str,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<()>>,
}

impl Parts {
    /// No parts yet; those that come tell `events` what happens to them.
    pub(crate) fn new(events: mpsc::Sender<Event>) -> Self {
        Self { events, running: Vec::new() }
    }

    /// Adds a part, which is ready.
    pub(crate) fn add<P: Part>(&mut self, part: P) {
        let (stop, stops) = oneshot::channel();
        let task = tokio::spawn(part.live(self.events.clone(), stops));
        self.running.push(Running { name: P::NAME, stop, task });
    }

    /// Stops every part, the last one first; all of them, whatever one says. The first failure is returned.
    pub(crate) async fn stop(self) -> Result<()> {
        let mut stopped = Ok(());
        for Running { name, stop, task } in self.running.into_iter().rev() {
            // One that has ended by itself needs no word.
            let _ = stop.send(());
            let ended = task.await.with_context(|| format!("the task of the {name} failed")).flatten();
            stopped = stopped.and(ended);
        }
        stopped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tells a list that it was stopped, and fails if it is to.
    struct Noted(&'static str, mpsc::Sender<&'static str>, bool);

    impl Part for Noted {
        const NAME: &'static str = "noted part";

        async fn live(self, _: mpsc::Sender<Event>, stop: oneshot::Receiver<()>) -> Result<()> {
            let Self(name, stopped, fails) = self;
            let _ = stop.await;
            stopped.send(name).await?;
            if fails { Err(anyhow::anyhow!("{name} failed")) } else { Ok(()) }
        }
    }

    #[tokio::test]
    async fn parts_stop_the_other_way_round_whatever_one_says() {
        let (events, _) = mpsc::channel(1);
        let (note, mut stopped) = mpsc::channel(3);
        let mut parts = Parts::new(events);
        for (name, fails) in [("router", false), ("postgres", true), ("console", false)] {
            parts.add(Noted(name, note.clone(), fails));
        }
        drop(note);
        assert_eq!(parts.stop().await.unwrap_err().to_string(), "postgres failed");
        let mut order = Vec::new();
        while let Some(name) = stopped.recv().await {
            order.push(name);
        }
        assert_eq!(order, ["console", "postgres", "router"]);
    }
}
