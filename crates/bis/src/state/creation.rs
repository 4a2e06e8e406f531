//! How resources are created: each once, what it needs before it. It is known what waits for what, so that a cycle is an error
//! and not an endless wait.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{
    ResourceEntry, Store,
    entry::Made,
    error::{Cycle, NotCreated},
};
use crate::{
    error::{Error, Result},
    instance::Scope,
    panics::Caught,
};

tokio::task_local! {
    /// The resource whose constructor runs.
    static CREATED_HERE: usize;
}

/// What is being created, and what waits for what.
#[derive(Default)]
pub(super) struct Progress(Mutex<Steps>);

#[derive(Default)]
struct Steps {
    /// The resources whose constructors run, by index, in the order in which they began.
    running: Vec<usize>,
    /// Pairs of indexes: the first one's constructor waits for the second one.
    waits: Vec<(usize, usize)>,
}

impl Steps {
    /// The way from one resource to another along what waits for what, with both of them.
    fn way(&self, from: usize, to: usize) -> Option<Vec<usize>> {
        let mut ways = vec![vec![from]];
        let mut seen = vec![from];
        while let Some(way) = ways.pop() {
            let last = *way.last().expect("a way has a beginning");
            if last == to {
                return Some(way);
            }
            for (_, next) in self.waits.iter().filter(|(waiting, _)| *waiting == last) {
                if !seen.contains(next) {
                    seen.push(*next);
                    ways.push(way.iter().copied().chain([*next]).collect());
                }
            }
        }
        None
    }
}

impl Progress {
    fn steps(&self) -> MutexGuard<'_, Steps> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the constructor of `from` waits for `to`, while the guard lives. When `to` waits for `from`, the cycle is
    /// the error.
    fn wait(&self, from: usize, to: usize) -> Result<Waiting<'_>, Vec<usize>> {
        let mut steps = self.steps();
        if let Some(circle) = steps.way(to, from) {
            return Err(circle);
        }
        steps.waits.push((from, to));
        Ok(Waiting { progress: self, pair: (from, to) })
    }

    /// Notes that a constructor runs, while the guard lives.
    fn run(&self, index: usize) -> Runs<'_> {
        self.steps().running.push(index);
        Runs { progress: self, index }
    }

    /// The resource whose constructor the others wait for.
    pub(super) fn latest(&self) -> Option<usize> {
        self.steps().running.last().copied()
    }
}

/// One constructor waits for another.
struct Waiting<'a> {
    progress: &'a Progress,
    pair: (usize, usize),
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let waits = &mut self.progress.steps().waits;
        if let Some(at) = waits.iter().position(|pair| *pair == self.pair) {
            waits.swap_remove(at);
        }
    }
}

/// A constructor runs.
struct Runs<'a> {
    progress: &'a Progress,
    index: usize,
}

impl Drop for Runs<'_> {
    fn drop(&mut self) {
        self.progress.steps().running.retain(|index| *index != self.index);
    }
}

impl Store {
    /// Creates every resource that the app has.
    pub(super) async fn create(self: &Arc<Self>) -> Result<()> {
        for entry in self.here() {
            Self::ready(self, entry).await?;
        }
        Ok(())
    }

    /// Completes when a resource is there. Where nobody creates it, this does.
    ///
    /// # Errors
    /// Whatever kept it from being created, and that it waits for what would wait for it.
    pub(super) async fn ready(self: &Arc<Self>, entry: &'static ResourceEntry) -> Result<()> {
        let (index, cell) = self.cell(entry)?;
        let _waiting = match CREATED_HERE.try_get() {
            Ok(waiting) if cell.outcome.get().is_none() => {
                Some(self.progress.wait(waiting, index).map_err(|circle| self.cycle(&circle))?)
            }
            _ => None,
        };
        let outcome = cell.outcome.get_or_init(|| async {
            let _runs = self.progress.run(index);
            match made(self.replaced(entry), entry, index).await {
                Ok(made) => Ok(self.keep(entry, made)),
                Err(error) => Err(NotCreated::new(entry, error)),
            }
        });
        match outcome.await {
            Ok(_) => Ok(()),
            Err(error) => Err(error.clone().into()),
        }
    }

    fn cycle(&self, circle: &[usize]) -> Cycle {
        Cycle { circle: circle.iter().map(|index| ResourceEntry::all()[*index].shown()).collect() }
    }
}

/// The value of a resource: its replacement, or what its constructor makes.
async fn made(replaced: Option<Made>, entry: &'static ResourceEntry, index: usize) -> Result<Made> {
    if let Some(made) = replaced {
        return Ok(made);
    }
    let activity = Scope::with(|scope| scope.and_then(|scope| scope.activity));
    let scope = Scope { service: entry.service(), activity, ..Scope::continuing(None) };
    let creating = scope.run(CREATED_HERE.scope(index, (entry.create)()));
    match Caught::new(format!("the constructor of {}", entry.path()), Box::pin(creating)).await {
        Ok(made) => made,
        Err(panic) => Err(Error::msg(format!("its constructor panicked: {panic}"))),
    }
}
