//! The loop of `bis run`: takes one [`Event`] at a time and decides what happens next.
//!
//! It alone knows which process serves, which one is starting and which ones drain. It never blocks on any of them.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use bis_analyzer::Options;
use bis_core::BrokerKind;
use tokio::sync::mpsc;

use crate::check::{self, Checked};
use crate::exit::{self, Code};
use crate::failure::Failure;
use crate::format::Format;
use crate::orphans::Named;
use crate::print;
use crate::project::Project;
use crate::router_client::RouterClient;
use crate::run::build::{Build, BuildOptions, Built, Outcome, Stamp};
use crate::run::chaos::Chaos;
use crate::run::compare;
use crate::run::event::{BuildId, Event, InstanceId};
use crate::run::instance::{Instance, Launch};
use crate::run::listener::PublicListener;
use crate::run::report::{Addresses, Report, Reporter, how_it_ended};
use crate::run::watch::{Watch, is_migration};
use crate::state::{Claim, Running};

/// Events that wait for the loop. All senders wait when it is full.
pub(crate) const PENDING_EVENTS: usize = 256;
/// At most this many changed files are named.
const NAMED_CHANGES: usize = 3;

/// What the loop is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) project: Project,
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
    parts: Parts,
    reporter: Reporter,
    work: Work,
    last_build: BuildId,
    last_instance: InstanceId,
    /// The process that serves, and the program that it runs.
    serving: Option<(Instance, Stamp)>,
    /// The process that shall serve next.
    starting: Option<(Instance, Stamp)>,
    /// Processes that were asked to end.
    draining: Vec<Instance>,
    /// Start the program again even when cargo did not change it.
    restart_anyway: bool,
    /// What the program that is being built should be made of.
    expected: Option<Box<Checked>>,
    stop: Stop,
    /// What the command ends with once everything has stopped.
    code: Code,
    served_once: bool,
    router_restarts: u64,
    orphans: Arc<Named>,
    began: Instant,
}

/// What is between a saved file and a program.
#[derive(Debug)]
enum Work {
    Nothing,
    Checking(BuildId),
    /// Dropping the build cancels it.
    Building(BuildId, #[expect(dead_code, reason = "held for its drop")] Build),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    No,
    Draining,
    AtOnce,
}

/// Whether the loop goes on.
enum Next {
    Wait,
    End(Code),
}

impl Dispatcher {
    /// A loop that has not started anything yet.
    pub(crate) fn new(parts: Parts) -> Self {
        let reporter = Reporter::new(parts.format);
        Self {
            parts,
            reporter,
            work: Work::Nothing,
            last_build: 0,
            last_instance: 0,
            serving: None,
            starting: None,
            draining: Vec::new(),
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

    /// Builds, starts, and goes on until everything has stopped. Must run on the main thread, as [`crate::start`] explains.
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
            Event::Changed(files) => self.changed(&files)?,
            Event::Checked(id, checked) => return self.checked(id, checked),
            Event::Built(id, outcome) => return self.built(id, outcome),
            Event::Ready(id) => self.ready(id)?,
            Event::NotReadyInTime(id) => self.not_ready_in_time(id)?,
            Event::NotDrainedInTime(id) => self.not_drained_in_time(id)?,
            Event::Exited(id, status) => self.exited(id, status)?,
            Event::RouterFailed(reason) => self.router_failed(reason)?,
            Event::RouterRestarts { milliseconds, told } => {
                self.tell(Report::RouterRestarts { milliseconds })?;
                // Nobody waits once the router is to stop.
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
            if let Some(chaos) = &self.parts.chaos {
                let router_restarts = self.router_restarts;
                self.tell(Report::ChaosEnded { chaos: chaos.text.clone(), router_restarts })?;
            }
            return Ok(Next::End(self.code));
        }
        Ok(Next::Wait)
    }

    fn changed(&mut self, files: &BTreeSet<PathBuf>) -> Result<()> {
        if self.stop != Stop::No {
            return Ok(());
        }
        self.restart_anyway |= files.iter().any(|file| is_migration(file));
        self.tell(Report::Building { changed: self.name(files) })?;
        self.check();
        Ok(())
    }

    /// Reads the sources, and gives up what was being built from older ones.
    fn check(&mut self) {
        self.last_build += 1;
        let id = self.last_build;
        self.work = Work::Checking(id);
        let folder = self.parts.project.folder().to_path_buf();
        let options = check::options(&self.parts.options.features, Some(BrokerKind::Router));
        let options = Options { bin: self.parts.options.binary.clone(), ..options };
        let sender = self.parts.sender.clone();
        tokio::spawn(async move {
            let checked = match tokio::task::spawn_blocking(move || check::check(&folder, &options)).await {
                Ok(checked) => checked.map(Box::new),
                Err(error) => Err(error.into()),
            };
            let _ = sender.send(Event::Checked(id, checked)).await;
        });
    }

    fn checked(&mut self, id: BuildId, checked: Result<Box<Checked>>) -> Result<Next> {
        if !matches!(self.work, Work::Checking(current) if current == id) || self.stop != Stop::No {
            return Ok(Next::Wait);
        }
        self.work = Work::Nothing;
        let checked = checked.context("cannot analyse the application")?;
        anstream::eprint!("{}", checked.text());
        if checked.errors() > 0 {
            self.tell(Report::CheckFailed { errors: checked.errors(), warnings: checked.warnings() })?;
            return Ok(self.nothing_to_start());
        }
        if id == 1 {
            self.tell(Report::Building { changed: Vec::new() })?;
        }
        let build = Build::start(&self.parts.project, &self.parts.options, id, self.parts.sender.clone())
            .context("cannot start cargo")?;
        self.work = Work::Building(id, build);
        self.expected = Some(checked);
        Ok(Next::Wait)
    }

    fn built(&mut self, id: BuildId, outcome: Outcome) -> Result<Next> {
        if !matches!(self.work, Work::Building(current, _) if current == id) || self.stop != Stop::No {
            return Ok(Next::Wait);
        }
        self.work = Work::Nothing;
        match outcome {
            Outcome::Built(built) => {
                self.tell(Report::Built { milliseconds: built.took.as_millis() })?;
                self.parts.watch.add(&built.folders);
                if let Some(expected) = self.expected.take() {
                    compare::start(&built.executable, self.parts.project.folder(), expected);
                }
                self.start(built)?;
                Ok(Next::Wait)
            }
            Outcome::Failed(code) => {
                self.tell(Report::BuildFailed { code, still_running: self.serving.is_some() })?;
                Ok(self.nothing_to_start())
            }
            Outcome::Programs(names) => Err(no_single_program(&self.parts.project, &names).into()),
            Outcome::Broken(error) => Err(error).context("cannot follow cargo"),
        }
    }

    /// At first there is nothing to keep alive, so a failure ends the command; later the old process or the router stays.
    fn nothing_to_start(&self) -> Next {
        let nothing_lives = self.serving.is_none() && self.starting.is_none();
        if nothing_lives && !self.served_once { Next::End(exit::APPLICATION) } else { Next::Wait }
    }

    fn start(&mut self, built: Built) -> Result<()> {
        let same = |running: &Option<(Instance, Stamp)>| {
            running.as_ref().is_some_and(|(_, stamp)| *stamp == built.stamp)
        };
        if same(&self.starting) || (same(&self.serving) && !self.restart_anyway) {
            return self.tell(Report::Unchanged);
        }
        self.restart_anyway = false;
        if let Some((older, _)) = self.starting.take() {
            self.drain(older);
        }
        self.last_instance += 1;
        let launch = Launch {
            executable: &built.executable,
            folder: self.parts.project.folder(),
            config: self.parts.claim.folder().config(),
            listener: &self.parts.listener,
            format: self.parts.format,
            chaos: self.parts.chaos.as_ref(),
        };
        let instance = Instance::start(&launch, self.last_instance, self.parts.sender.clone())
            .with_context(|| format!("cannot start `{}`", built.executable.display()))?;
        self.starting = Some((instance, built.stamp));
        Ok(())
    }

    /// The handover: from here on the new process serves, and the old one drains.
    fn ready(&mut self, id: InstanceId) -> Result<()> {
        let Some((instance, stamp)) = self.starting.take_if(|(instance, _)| instance.id() == id) else {
            return Ok(());
        };
        let addresses = Addresses {
            app: self.parts.running.app.clone(),
            router: self.parts.running.router.clone(),
            router_http: self.parts.running.router_http.clone(),
            process: instance.pid(),
            chaos: self.parts.chaos.as_ref().map(|chaos| chaos.text.clone()),
            faults: self.parts.chaos.as_ref().map(Chaos::summary),
            replaced_ports: self.parts.replaced_ports.clone(),
            state: print::path(self.parts.claim.folder().path()),
            after: self.began.elapsed(),
        };
        let old = self.serving.replace((instance, stamp));
        let first = !std::mem::replace(&mut self.served_once, true);
        self.tell(if first { Report::Ready(addresses) } else { Report::Restarted(addresses) })?;
        if let Some((old, _)) = old {
            self.drain(old);
        }
        Ok(())
    }

    fn not_ready_in_time(&mut self, id: InstanceId) -> Result<()> {
        let Some((instance, _)) = self.starting.take_if(|(instance, _)| instance.id() == id) else {
            return Ok(());
        };
        instance.kill();
        self.draining.push(instance);
        let reason = "was not ready in time and was killed".to_owned();
        self.tell(Report::StartFailed { reason, still_running: self.serving.is_some() })
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
        if self.starting.take_if(|(instance, _)| instance.id() == id).is_some() {
            let reason = format!("{} before it was ready", how_it_ended(status));
            return self.tell(Report::StartFailed { reason, still_running: self.serving.is_some() });
        }
        if let Some((instance, _)) = self.serving.take_if(|(instance, _)| instance.id() == id) {
            return self.tell(Report::exited(instance.pid(), status));
        }
        match self.draining.iter().position(|instance| instance.id() == id) {
            Some(index) => {
                let pid = self.draining.swap_remove(index).pid();
                if self.stop == Stop::No { self.tell(Report::Drained { pid }) } else { Ok(()) }
            }
            None => Ok(()),
        }
    }

    /// Without its router the application can do nothing; a new start recovers from the disk.
    fn router_failed(&mut self, reason: String) -> Result<()> {
        self.code = exit::SURROUNDINGS;
        self.tell(Report::RouterFailed { reason })?;
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
        instance.stop(&self.parts.sender);
        self.draining.push(instance);
    }

    fn tell(&self, report: Report) -> Result<()> {
        self.reporter.report(&report).context("cannot write to stdout")?;
        // A process that drains consumes what its successor may not declare any more.
        if matches!(report, Report::Ready(_) | Report::Drained { .. }) {
            self.name_orphans();
        }
        Ok(())
    }

    /// Looks, in the background, for what collects events on the router and is not declared.
    fn name_orphans(&self) {
        let (reporter, orphans) = (self.reporter, self.orphans.clone());
        let folder = self.parts.project.folder().to_path_buf();
        let options = check::options(&self.parts.options.features, None);
        let router = RouterClient::new(&self.parts.running.router_http);
        tokio::task::spawn_blocking(move || {
            // A router that has stopped meanwhile has nothing to say.
            if let Ok(orphans) = orphans.find_more(&folder, &options, &router)
                && !orphans.is_empty()
            {
                let _ = reporter.report(&Report::Orphaned { orphans });
            }
        });
    }

    /// The changed files as the user knows them, the first few.
    fn name(&self, files: &BTreeSet<PathBuf>) -> Vec<String> {
        let folder = self.parts.project.folder();
        let short = |file: &PathBuf| file.strip_prefix(folder).unwrap_or(file).display().to_string();
        let mut names: Vec<String> = files.iter().take(NAMED_CHANGES).map(short).collect();
        if files.len() > NAMED_CHANGES {
            names.push(format!("and {} more", files.len() - NAMED_CHANGES));
        }
        names
    }
}

fn no_single_program(project: &Project, names: &[String]) -> Failure {
    let folder = print::path(project.folder());
    if names.is_empty() {
        return Failure::new(exit::APPLICATION, format!("the package in `{folder}` has no program to run"))
            .help("give the folder of an application, or add a `src/main.rs`: `fn main() -> std::process::ExitCode { my_app::app().main() }`");
    }
    Failure::new(
        exit::USAGE,
        format!("the package in `{folder}` has {} programs: {}", names.len(), names.join(", ")),
    )
    .help("choose one with `--bin NAME`")
}
