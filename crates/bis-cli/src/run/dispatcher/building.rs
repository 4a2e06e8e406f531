//! From a saved file to a program: what a change requires, the analysis, the build.

use super::*;

/// The most changed files to name.
const NAMED_CHANGES: usize = 3;
/// How many builds may still have written a file that is looked at now: the last, and the one that it replaced.
const TRACES: usize = 2;
/// A file that was written this long before its path led to it was not saved there, and cargo cannot tell from its time that
/// it is new.
const MOVED: Duration = Duration::from_millis(100);

impl Dispatcher {
    pub(super) fn changed(&mut self, changes: &Changes) -> Result<()> {
        if self.stop != Stop::No {
            return Ok(());
        }
        let mut now = BTreeSet::new();
        let mut again: Option<(Duration, BTreeSet<PathBuf>)> = None;
        let mut later = |pause: Duration, file: Option<&Path>| {
            let (least, files) = again.get_or_insert((pause, BTreeSet::new()));
            *least = pause.min(*least);
            files.extend(file.map(Path::to_path_buf));
        };
        for (file, moment) in &changes.files {
            self.restart_anyway |= is_migration(file);
            let origin = self.origin(file, *moment);
            match self.late.changed(file, origin, self.last_build) {
                Verdict::Now => _ = now.insert(file.clone()),
                Verdict::After(pause) => later(pause, Some(file)),
                Verdict::GiveUp if self.given_up.insert(file.clone()) => {
                    let file = self.name(file);
                    self.tell(Report::ChangedByBuild { file })?;
                }
                Verdict::GiveUp | Verdict::Nothing => {}
            }
            self.renew(file, *moment);
        }
        changes.left.iter().for_each(|file| set_time(file));
        for (file, moment) in &changes.touched {
            let origin = self.origin(file, *moment);
            if let Verdict::After(pause) = self.late.touched(file, origin, self.last_build) {
                later(pause, None);
            }
        }
        match again {
            _ if !now.is_empty() => {
                self.again = None;
                self.tell(Report::Building { changed: self.names(&now) })?;
                self.check();
            }
            Some((pause, files)) => match &mut self.again {
                Some((least, more)) => {
                    *least = pause.min(*least);
                    more.extend(files);
                }
                None => self.again = Some((pause, files)),
            },
            None => {}
        }
        if matches!(self.work, Work::Nothing) { self.build_again() } else { Ok(()) }
    }

    /// Who wrote or removed a file.
    fn origin(&self, file: &Path, moment: Option<Moment>) -> Origin {
        let written = moment.map_or_else(SystemTime::now, |moment| moment.written);
        let origins: Vec<_> = self.traces.iter().map(|traces| traces.origin(file, written)).collect();
        let is_any = |origin| origins.contains(&origin);
        match () {
            () if is_any(Origin::Build) => Origin::Build,
            () if is_any(Origin::OtherScript) => Origin::OtherScript,
            () if is_any(Origin::DuringBuild) => Origin::DuringBuild,
            () => Origin::NoBuild,
        }
    }

    /// Gives a file the current time when its own comes from another place and is older than a build's check: cargo
    /// compares only times, and would assume the old content.
    fn renew(&self, file: &Path, moment: Option<Moment>) {
        let Some(Moment { modified, arrived, .. }) = moment else { return };
        let is_moved = modified + MOVED < arrived;
        if is_moved && self.traces.iter().any(|traces| traces.ran_after(modified)) {
            set_time(file);
        }
    }

    /// Builds again when the build that ended missed a change; puts back the changes that have to wait.
    fn build_again(&mut self) -> Result<()> {
        match self.again.take() {
            Some((pause, files)) if pause.is_zero() => {
                if !files.is_empty() {
                    self.tell(Report::Building { changed: self.names(&files) })?;
                }
                self.check();
            }
            Some((pause, _)) => instance::after(pause, Event::BuildDue(self.last_build), &self.setup.sender),
            None => {}
        }
        Ok(())
    }

    pub(super) fn build_due(&mut self, id: BuildId) {
        if id == self.last_build && matches!(self.work, Work::Nothing) && self.stop == Stop::No {
            self.check();
        }
    }

    /// Reads the sources, and cancels a build of older ones.
    pub(super) fn check(&mut self) {
        self.last_build += 1;
        let id = self.last_build;
        self.work = Work::Checking(id);
        self.work_began = (Instant::now(), SystemTime::now());
        let checker = self.setup.checker.clone();
        let options = check::options(&self.setup.options.features, Some(BrokerKind::Router));
        let options = Options { bin: self.setup.options.binary.clone(), ..options };
        let sender = self.setup.sender.clone();
        tokio::spawn(async move {
            let checked = match tokio::task::spawn_blocking(move || checker.check(&options)).await {
                Ok(checked) => checked.map(Box::new),
                Err(error) => Err(error.into()),
            };
            let _ = sender.send(Event::Checked(id, checked)).await;
        });
    }

    pub(super) fn checked(&mut self, id: BuildId, checked: Result<Box<Checked>>) -> Result<()> {
        if !matches!(self.work, Work::Checking(current) if current == id) || self.stop != Stop::No {
            return Ok(());
        }
        self.work = Work::Nothing;
        let still_running = self.serving.is_some();
        let checked = match checked {
            Ok(checked) => checked,
            // The folder is gone; it may come back.
            Err(error) => {
                return self.tell(Report::CheckImpossible { reason: format!("{error:#}"), still_running });
            }
        };
        self.setup.watch.add(inputs(&checked, &self.setup.project), self.work_began.1);
        anstream::eprint!("{}", checked.text());
        let (errors, warnings) = (checked.errors(), checked.warnings());
        if errors > 0 {
            self.setup.watch.expect_any_file(true);
            let still_running = Some(still_running);
            return self.tell(Report::CheckFailed { errors, warnings, still_running });
        }
        if id == 1 {
            self.tell(Report::Building { changed: Vec::new() })?;
        }
        let build = Build::start(&self.setup.project, &self.setup.options, id, self.setup.sender.clone())
            .context("cannot start cargo")?;
        self.traces.push(build.traces().clone());
        self.traces.drain(..self.traces.len().saturating_sub(TRACES));
        self.work = Work::Building(id, build);
        self.expected = Some(checked);
        Ok(())
    }

    pub(super) fn built(&mut self, id: BuildId, outcome: Outcome) -> Result<()> {
        let Some(build) = self.work.take_build(id) else { return Ok(()) };
        if self.stop != Stop::No {
            return Ok(());
        }
        let began = build.traces().began();
        self.setup.watch.expect_any_file(!matches!(outcome, Outcome::Built(_)));
        if let Outcome::Built(built) = &outcome {
            self.setup.watch.add(built.inputs.clone(), began);
        }
        if matches!(self.again, Some((pause, _)) if pause.is_zero()) {
            return self.build_again();
        }
        let still_running = self.serving.is_some();
        match outcome {
            Outcome::Built(built) => {
                self.tell(Report::Built { milliseconds: built.took.as_millis() })?;
                if let Some(expected) = self.expected.take() {
                    compare::start(&built.executable, self.setup.project.folder(), expected);
                }
                self.start(built)?;
            }
            Outcome::Failed(code) => self.tell(Report::BuildFailed { code, still_running })?,
            Outcome::Programs(names) => {
                let failure = no_single_program(&self.setup.project, &names);
                if !self.served_once {
                    return Err(failure.into());
                }
                self.tell(Report::NoSingleProgram { reason: failure.to_string(), still_running })?;
            }
            Outcome::Broken(error) => return Err(error).context("cannot follow cargo"),
        }
        self.build_again()
    }

    /// The first few changed files, with their paths for display.
    fn names(&self, files: &BTreeSet<PathBuf>) -> Vec<String> {
        let mut names: Vec<String> = files.iter().take(NAMED_CHANGES).map(|file| self.name(file)).collect();
        if files.len() > NAMED_CHANGES {
            names.push(format!("and {} more", files.len() - NAMED_CHANGES));
        }
        names
    }

    fn name(&self, file: &Path) -> String {
        file.strip_prefix(self.setup.project.folder())
            .map_or_else(|_| print::path(file), |short| short.display().to_string())
    }
}

/// Gives a file the current time. A file of another owner keeps its time, and cargo does not rebuild.
fn set_time(file: &Path) {
    let _ = File::open(file).and_then(|file| file.set_modified(SystemTime::now()));
}

/// What the analysis has read: its files, and the folders of their packages. A workspace manifest has no sources of its own.
fn inputs(checked: &Checked, project: &Project) -> Inputs {
    let files: BTreeSet<PathBuf> = checked.analysis().files.iter().cloned().collect();
    let is_above = |folder: &Path| folder != project.folder() && project.folder().starts_with(folder);
    let manifests = files.iter().filter(|file| file.ends_with("Cargo.toml"));
    let folders = manifests.filter_map(|manifest| manifest.parent()).filter(|folder| !is_above(folder));
    Inputs::new(folders.map(Path::to_path_buf).collect(), files.clone())
}

fn no_single_program(project: &Project, names: &[String]) -> Failure {
    let folder = print::path(project.folder());
    if names.is_empty() {
        return Failure::new(exit::APP, format!("the package in `{folder}` has no program to run"))
            .help("give the folder of an app, or add a `src/main.rs`: `fn main() -> std::process::ExitCode { my_app::app().main() }`");
    }
    Failure::new(
        exit::USAGE,
        format!("the package in `{folder}` has {} programs: {}", names.len(), names.join(", ")),
    )
    .help("choose one with `--bin NAME`")
}
