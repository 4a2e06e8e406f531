//! The loop of `bis run`: handles one [`Event`] at a time and decides what happens next.
//!
//! It alone knows which process serves, which one is starting and which ones are draining. It never blocks on any of them. The
//! steps from a saved file to a program are in `building`.

mod building;

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use bis_analyzer::Options;
use bis_core::BrokerKind;
use tokio::sync::mpsc;

use crate::check::{self, Checked, Checker};
use crate::exit::{self, Code};
use crate::failure::Failure;
use crate::format::Format;
use crate::orphans::Named;
use crate::print;
use crate::project::Project;
use crate::run::build::{Build, BuildOptions, Built, Origin, Outcome, Stamp, Traces};
use crate::run::chaos::Chaos;
use crate::run::compare;
use crate::run::event::{BuildId, Event, InstanceId};
use crate::run::instance::{self, Instance, Launch};
use crate::run::late::{Late, Verdict};
use crate::run::listener::PublicListener;
use crate::run::report::{Addresses, Report, Reporter, how_it_ended};
use crate::run::restart::Backoff;
use crate::run::watch::{Changes, Inputs, Moment, Watch, is_migration};
use crate::state::{Claim, Running};
use crate::target;

/// The most events that wait for the loop. Senders wait when the queue is full.
pub(crate) const PENDING_EVENTS: usize = 256;
/// What the loop is made of.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) project: Project,
    pub(crate) checker: Checker,
    pub(crate) options: BuildOptions,
    pub(crate) format: Format,
    pub(crate) claim: Claim,
    pub(crate) listener: PublicListener,
    pub(crate) running: Running,
    pub(crate) replaced_ports: Vec<(u16, u16)>,
    pub(crate) watch: Watch,
    pub(crate) sender: mpsc::Sender<Event>,
    pub(crate) chaos: Option<Chaos>,
}

/// The loop's state.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    setup: Setup,
    reporter: Reporter,
    work: Work,
    last_build: BuildId,
    /// When the analysis of the last build began.
    work_began: (Instant, SystemTime),
    /// The traces of the last builds, the newest last.
    traces: Vec<Traces>,
    late: Late,
    /// The changes that require another build when the current one is done, and how long after it.
    again: Option<(Duration, BTreeSet<PathBuf>)>,
    /// Files that were reported to change in every build.
    given_up: BTreeSet<PathBuf>,
    /// The latest program.
    program: Option<Built>,
    backoff: Backoff,
    last_instance: InstanceId,
    /// The process that serves, and the program that it runs.
    serving: Option<(Instance, Stamp)>,
    /// The process that is to serve next.
    starting: Option<(Instance, Stamp)>,
    /// Processes that were asked to end.
    draining: Vec<Instance>,
    /// The report to make as soon as this process no longer accepts connections.
    handing_over: Option<(InstanceId, Addresses)>,
    /// Processes that no longer accept connections, or never report it.
    closed: BTreeSet<InstanceId>,
    /// Whether to restart the program even when cargo did not change it.
    restart_anyway: bool,
    /// The analysis that the program being built should match.
    expected: Option<Box<Checked>>,
    stop: Stop,
    /// The result of the command once everything has stopped.
    code: Code,
    served_once: bool,
    router_restarts: u64,
    orphans: Arc<Named>,
    began: Instant,
}

/// The step between a saved file and a program.
#[derive(Debug)]
enum Work {
    Nothing,
    Checking(BuildId),
    /// Dropping the build cancels it.
    Building(BuildId, Build),
}

impl Work {
    /// Takes the build with this number if it is the current one.
    fn take_build(&mut self, id: BuildId) -> Option<Build> {
        match std::mem::replace(self, Self::Nothing) {
            Self::Building(current, build) if current == id => Some(build),
            other => {
                *self = other;
                None
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    No,
    Draining,
    AtOnce,
}

/// Whether the loop continues.
enum Next {
    Wait,
    End(Code),
}

impl Dispatcher {
    /// A loop that has not started anything yet.
    pub(crate) fn new(setup: Setup) -> Self {
        let reporter = Reporter::new(setup.format);
        Self {
            setup,
            reporter,
            work: Work::Nothing,
            last_build: 0,
            work_began: (Instant::now(), SystemTime::now()),
            traces: Vec::new(),
            late: Late::default(),
            again: None,
            given_up: BTreeSet::new(),
            program: None,
            backoff: Backoff::default(),
            last_instance: 0,
            serving: None,
            starting: None,
            draining: Vec::new(),
            handing_over: None,
            closed: BTreeSet::new(),
            restart_anyway: false,
            expected: None,
            stop: Stop::No,
            code: exit::DONE,
            served_once: false,
            router_restarts: 0,
            orphans: Arc::default(),
            began: Instant::now(),
        }
    }

    /// Builds, starts, and runs until everything has stopped. Must run on the main thread, as [`crate::start`] explains.
    pub(crate) async fn run(mut self, mut events: mpsc::Receiver<Event>) -> Result<Code> {
        self.check();
        while let Some(event) = events.recv().await {
            match self.handle(event)? {
                Next::Wait => {}
                Next::End(code) => return Ok(code),
            }
        }
        Ok(exit::DONE)
    }

    fn handle(&mut self, event: Event) -> Result<Next> {
        match event {
            Event::Changed(changes) => self.changed(&changes)?,
            Event::WatchLimited => self.tell(Report::WatchLimited)?,
            Event::WatchOverflowed => self.tell(Report::WatchOverflowed)?,
            Event::BuildDue(id) => self.build_due(id),
            Event::Checked(id, checked) => self.checked(id, checked)?,
            Event::Built(id, outcome) => self.built(id, outcome)?,
            Event::Ready(id) => self.ready(id)?,
            Event::Draining(id) | Event::DrainingInTime(id) => self.closed(id)?,
            Event::RestartDue(id) => self.restart_due(id)?,
            Event::NotReadyInTime(id) => self.not_ready_in_time(id)?,
            Event::NotDrainedInTime(id) => self.not_drained_in_time(id)?,
            Event::Exited(id, status) => self.exited(id, status)?,
            Event::PartFailed { part, reason } => self.part_failed(part, reason)?,
            Event::RouterRestarts { milliseconds, told } => {
                self.tell(Report::RouterRestarts { milliseconds })?;
                // Nothing waits once the router is stopping.
                let _ = told.send(());
            }
            Event::RouterRestarted { milliseconds } => {
                self.router_restarts += 1;
                self.tell(Report::RouterRestarted { milliseconds })?;
            }
            Event::StopRequested => self.stop_requested()?,
        }
        let nothing_lives = self.serving.is_none() && self.starting.is_none() && self.draining.is_empty();
        if self.stop != Stop::No && nothing_lives {
            if let Some(chaos) = &self.setup.chaos {
                let router_restarts = self.router_restarts;
                self.tell(Report::ChaosEnded { chaos: chaos.text.clone(), router_restarts })?;
            }
            return Ok(Next::End(self.code));
        }
        Ok(Next::Wait)
    }

    fn start(&mut self, built: Built) -> Result<()> {
        let same = |running: &Option<(Instance, Stamp)>| {
            running.as_ref().is_some_and(|(_, stamp)| *stamp == built.stamp)
        };
        if same(&self.starting) || (same(&self.serving) && !self.restart_anyway) {
            return self.tell(Report::Unchanged);
        }
        self.restart_anyway = false;
        self.backoff.reset();
        if let Some((older, _)) = self.starting.take() {
            self.drain(older);
        }
        self.program = Some(built.clone());
        self.launch(&built)
    }

    fn launch(&mut self, program: &Built) -> Result<()> {
        self.last_instance += 1;
        let launch = Launch {
            executable: &program.executable,
            folder: self.setup.project.folder(),
            config: self.setup.claim.folder().config(),
            listener: &self.setup.listener,
            format: self.setup.format,
            chaos: self.setup.chaos.as_ref(),
        };
        let instance = Instance::start(&launch, self.last_instance, self.setup.sender.clone())
            .with_context(|| format!("cannot start `{}`", program.executable.display()))?;
        self.starting = Some((instance, program.stamp.clone()));
        Ok(())
    }

    /// Restarts the program, unless a process serves by now.
    fn restart_due(&mut self, id: InstanceId) -> Result<()> {
        let is_due = id == self.last_instance && self.serving.is_none() && self.starting.is_none();
        match self.program.clone() {
            Some(program) if is_due && self.stop == Stop::No => self.launch(&program),
            _ => Ok(()),
        }
    }

    /// Schedules a restart after the last process died; returns the wait until then.
    fn restart_later(&mut self, died: &Instance) -> Duration {
        let wait = self.backoff.after_death(died.age());
        instance::after(wait, Event::RestartDue(self.last_instance), &self.setup.sender);
        wait
    }

    /// The handover: from now on the new process serves, and the old one drains.
    fn ready(&mut self, id: InstanceId) -> Result<()> {
        let Some((instance, stamp)) = self.starting.take_if(|(instance, _)| instance.id() == id) else {
            return Ok(());
        };
        let addresses = Addresses {
            app: self.setup.running.app.clone(),
            router: self.setup.running.router.clone(),
            router_http: self.setup.running.router_http.clone(),
            process: instance.pid(),
            chaos: self.setup.chaos.as_ref().map(|chaos| chaos.text.clone()),
            faults: self.setup.chaos.as_ref().map(Chaos::summary),
            replaced_ports: self.setup.replaced_ports.clone(),
            state: print::path(self.setup.claim.folder().path()),
            after: if self.last_build > 1 { self.work_began.0.elapsed() } else { self.began.elapsed() },
        };
        let old = self.serving.replace((instance, stamp));
        if !std::mem::replace(&mut self.served_once, true) {
            return self.tell(Report::Ready(addresses));
        }
        self.handed_over()?;
        match old {
            Some((old, _)) => {
                let id = old.id();
                self.drain(old);
                self.handing_over = Some((id, addresses));
                if self.closed.contains(&id) { self.handed_over() } else { Ok(()) }
            }
            None => self.tell(Report::Restarted(addresses)),
        }
    }

    /// A process no longer accepts connections; one that closes its pipe early never reports it.
    fn closed(&mut self, id: InstanceId) -> Result<()> {
        self.closed.insert(id);
        match &self.handing_over {
            Some((old, _)) if *old == id => self.handed_over(),
            _ => Ok(()),
        }
    }

    /// From now on, every new connection goes to the serving process.
    fn handed_over(&mut self) -> Result<()> {
        match self.handing_over.take() {
            Some((_, addresses)) => self.tell(Report::Restarted(addresses)),
            None => Ok(()),
        }
    }

    fn not_ready_in_time(&mut self, id: InstanceId) -> Result<()> {
        let Some((instance, _)) = self.starting.take_if(|(instance, _)| instance.id() == id) else {
            return Ok(());
        };
        instance.kill();
        let failed = self.start_failed("was not ready in time and was killed".to_owned(), &instance);
        self.draining.push(instance);
        failed
    }

    fn start_failed(&mut self, reason: String, instance: &Instance) -> Result<()> {
        let still_running = self.serving.is_some();
        let again =
            (!still_running && self.stop == Stop::No).then(|| self.restart_later(instance).as_millis());
        self.tell(Report::StartFailed { reason, still_running, again_in_milliseconds: again })
    }

    fn not_drained_in_time(&mut self, id: InstanceId) -> Result<()> {
        match self.draining.iter().find(|instance| instance.id() == id) {
            Some(instance) => {
                instance.kill();
                self.tell(Report::Killed { pid: instance.pid() })
            }
            None => Ok(()),
        }
    }

    fn exited(&mut self, id: InstanceId, status: ExitStatus) -> Result<()> {
        if let Some((instance, _)) = self.starting.take_if(|(instance, _)| instance.id() == id) {
            return self.start_failed(format!("{} before it was ready", how_it_ended(status)), &instance);
        }
        if let Some((instance, _)) = self.serving.take_if(|(instance, _)| instance.id() == id) {
            let wait = self.restart_later(&instance);
            return self.tell(Report::exited(instance.pid(), status, wait));
        }
        self.closed(id)?;
        self.closed.remove(&id);
        match self.draining.iter().position(|instance| instance.id() == id) {
            Some(index) => {
                let pid = self.draining.swap_remove(index).pid();
                if self.stop == Stop::No { self.tell(Report::Drained { pid }) } else { Ok(()) }
            }
            None => Ok(()),
        }
    }

    /// Without its parts the app can do nothing; the next start recovers from the disk.
    fn part_failed(&mut self, part: &'static str, reason: String) -> Result<()> {
        self.code = exit::SURROUNDINGS;
        self.tell(Report::PartFailed { part, reason })?;
        if self.stop == Stop::No { self.stop_requested() } else { Ok(()) }
    }

    fn stop_requested(&mut self) -> Result<()> {
        self.work = Work::Nothing;
        match self.stop {
            Stop::No => {
                self.stop = Stop::Draining;
                self.tell(Report::Stopping)?;
                let living = self.serving.take().into_iter().chain(self.starting.take());
                for (instance, _) in living.collect::<Vec<_>>() {
                    self.drain(instance);
                }
            }
            Stop::Draining | Stop::AtOnce => {
                self.stop = Stop::AtOnce;
                self.draining.iter().for_each(Instance::kill);
            }
        }
        Ok(())
    }

    fn drain(&mut self, instance: Instance) {
        instance.stop(&self.setup.sender);
        self.draining.push(instance);
    }

    fn tell(&self, report: Report) -> Result<()> {
        self.reporter.report(&report).context("cannot write to stdout")?;
        // A draining process consumes what its successor may no longer declare.
        if matches!(report, Report::Ready(_) | Report::Drained { .. }) {
            self.name_orphans();
        }
        Ok(())
    }

    /// Looks in the background for undeclared topics and subscriptions that collect events on the router.
    fn name_orphans(&self) {
        let (reporter, orphans) = (self.reporter, self.orphans.clone());
        let folder = self.setup.project.folder().to_path_buf();
        let options = check::options(&self.setup.options.features, None);
        let Ok(router) = target::of_run(&self.setup.running) else { return };
        tokio::spawn(async move {
            // A router that has stopped meanwhile does not answer.
            let Ok(topics) = router.topics().await else { return };
            let found =
                tokio::task::spawn_blocking(move || orphans.find_more(&folder, &options, &topics)).await;
            if let Ok(Ok(orphans)) = found
                && !orphans.is_empty()
            {
                let _ = reporter.report(&Report::Orphaned { orphans });
            }
        });
    }
}
