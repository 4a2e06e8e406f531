//! What `bis run` keeps running beside the app, in one list: each part is started and ready before the next one, and the app
//! comes last. Once the app is gone, they are stopped in reverse order. Meanwhile a part reports what happens to it to the loop.

use anyhow::{Context, Result};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::run::event::Event;

/// Something that is ready once it exists, and runs until it is told to stop.
pub(crate) trait Part: Send + Sized + 'static {
    /// Its name for people.
    const NAME: &'static str;

    /// Runs until `stop` resolves, and returns once it has stopped completely. A part that fails reports it
    /// with [`Event::PartFailed`], and still waits for `stop`.
    fn live(
        self,
        events: mpsc::Sender<Event>,
        stop: oneshot::Receiver<()>,
    ) -> impl Future<Output = Result<()>> + Send;
}

/// The running parts, in the order of their start.
#[derive(Debug)]
pub(crate) struct Parts {
    events: mpsc::Sender<Event>,
    running: Vec<Running>,
}

/// A running part.
#[derive(Debug)]
struct Running {
    name: &'static str,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<()>>,
}

impl Parts {
    /// An empty list; parts report to `events`.
    pub(crate) fn new(events: mpsc::Sender<Event>) -> Self {
        Self { events, running: Vec::new() }
    }

    /// Adds a part, which is already ready.
    pub(crate) fn add<P: Part>(&mut self, part: P) {
        let (stop, stops) = oneshot::channel();
        let task = tokio::spawn(part.live(self.events.clone(), stops));
        self.running.push(Running { name: P::NAME, stop, task });
    }

    /// Stops every part, the last one first, even if some fail. Returns the first failure.
    pub(crate) async fn stop(self) -> Result<()> {
        let mut stopped = Ok(());
        for Running { name, stop, task } in self.running.into_iter().rev() {
            // A part that has ended by itself does not need to be told.
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

    /// A part that records that it was stopped, and fails if it should.
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
