//! Reading and summarising files in parallel, following `mod` declarations; what has not changed is not read again.
//!
//! It decides which files a crate has. `extract` reads what is in them.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use crate::{
    extract,
    project::{Project, ProjectPackage},
    source,
    summary::{Allow, FileSummary, Hints, Include, IncludePath, MacroDefinition, Module},
};

/// Deep expressions need a deep stack; the parser recurses. `nesting` bounds how deep, and its test keeps the two in step.
pub(crate) const STACK_BYTES: usize = 256 << 20;

/// How deep modules may nest; a cycle of `#[path]`s or of `include!`s ends here.
pub(crate) const MAX_DEPTH: usize = 64;

/// A file that changed this shortly before it was read may change again within its clock's tick.
const RACY: Duration = Duration::from_millis(30);

/// A file as one package sees it: its features decide what is in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct FileKey {
    pub(crate) path: PathBuf,
    pub(crate) package: usize,
}

/// A file that was read.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    Summary(Arc<FileSummary>),
    Unreadable(String),
}

/// What is known about files.
#[derive(Debug, Default)]
pub(crate) struct Files {
    cached: HashMap<FileKey, Cached>,
    hints: Hints,
    /// How often files were loaded.
    loads: u64,
}

#[derive(Debug, Clone)]
struct Cached {
    stamp: Option<Stamp>,
    /// The file as diagnostics name it.
    file: Arc<str>,
    text: Arc<str>,
    outcome: Outcome,
    /// The load in which the file was last looked at.
    load: u64,
    /// Whether other files have since said something that changes its summary.
    is_stale: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: SystemTime,
    /// When the file's own record last changed, in seconds and nanoseconds: a file that takes another's place keeps its time.
    changed: (i64, i64),
    length: u64,
}

impl Stamp {
    fn of(metadata: &fs::Metadata) -> Option<Self> {
        #[cfg(unix)]
        let changed = {
            use std::os::unix::fs::MetadataExt;
            (metadata.ctime(), metadata.ctime_nsec())
        };
        #[cfg(not(unix))]
        let changed = (0, 0);
        Some(Self { modified: metadata.modified().ok()?, changed, length: metadata.len() })
    }
}

/// A module's file, and where the files of its own modules lie.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ModuleFile {
    pub(crate) path: PathBuf,
    pub(crate) place: Place,
}

/// Where `mod name;` looks for its file, as rustc has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    /// The folder that a `#[path]` begins in.
    dir: PathBuf,
    /// The folder below it for modules without a `#[path]`: the name of a file that is not a `mod.rs`.
    below: Option<String>,
}

impl Place {
    fn base(&self) -> PathBuf {
        self.below.as_ref().map_or_else(|| self.dir.clone(), |below| self.dir.join(below))
    }

    /// Within `mod name { .. }`, whose `#[path]` is a folder.
    pub(crate) fn inline(&self, name: &str, path: Option<&str>) -> Self {
        let dir = path.map_or_else(|| self.base().join(name), |path| self.dir.join(path));
        Self { dir, below: None }
    }

    /// Where the file of `mod name;` may be, first the likelier.
    pub(crate) fn candidates(&self, name: &str, path: Option<&str>) -> Vec<ModuleFile> {
        if let Some(path) = path {
            return vec![ModuleFile::root(&self.dir.join(path))];
        }
        let base = self.base();
        let beside = Self { dir: base.clone(), below: Some(name.to_owned()) };
        vec![
            ModuleFile { path: base.join(format!("{name}.rs")), place: beside },
            ModuleFile::root(&base.join(name).join("mod.rs")),
        ]
    }
}

impl ModuleFile {
    /// The root of a crate, a `mod.rs`, or what `#[path]` or `include!` names: its modules lie beside it.
    pub(crate) fn root(path: &Path) -> Self {
        let dir = path.parent().unwrap_or(path).to_owned();
        Self { path: path.to_owned(), place: Place { dir, below: None } }
    }

    /// What `include!` names in this file; `None` when that cannot be seen.
    pub(crate) fn included(&self, include: &Include, package: &ProjectPackage) -> Option<Self> {
        let path = match &include.path {
            IncludePath::Beside(path) => self.path.parent()?.join(path),
            IncludePath::InPackage(path) => package.package.dir.join(path.trim_start_matches('/')),
            IncludePath::Hidden => return None,
        };
        Some(Self::root(&path))
    }
}

impl Files {
    /// Reads the crates that begin at `roots`, each with its package, and everything below them. What files say about each other
    /// may require a second pass, which reads nothing from the disk again.
    pub(crate) fn load(&mut self, roots: &[(PathBuf, usize)], project: &Project) {
        self.loads += 1;
        loop {
            self.cached = self.pass(roots, project);
            let hints = self.gathered();
            let before = std::mem::replace(&mut self.hints, hints);
            if !self.mark_stale(&before) {
                return;
            }
        }
    }

    /// What the files say that others must know.
    fn gathered(&self) -> Hints {
        let mut hints = Hints { macros: BTreeMap::new(), ..self.hints.clone() };
        for (key, cached) in &self.cached {
            if let Outcome::Summary(summary) = &cached.outcome {
                hints.statics.extend(summary.hints.statics.iter().cloned());
                hints.words.extend(summary.hints.words.iter().map(|(k, v)| (k.clone(), v.clone())));
                for (name, definitions) in &summary.hints.macros {
                    let here = definitions.iter().map(|definition| MacroDefinition {
                        home: Some((key.path.clone(), key.package)),
                        ..definition.clone()
                    });
                    hints.macros.entry(name.clone()).or_default().extend(here);
                }
            }
        }
        hints.macros.values_mut().for_each(|definitions| definitions.sort());
        hints
    }

    /// Marks the files whose summaries are changed by what has become known; returns whether there are any.
    fn mark_stale(&mut self, before: &Hints) -> bool {
        if *before == self.hints {
            return false;
        }
        let hints = &self.hints;
        let statics = hints.statics.difference(&before.statics);
        let words = hints.words.iter().filter(|(alias, word)| before.words.get(*alias) != Some(*word));
        let names: Vec<&String> = statics.chain(words.map(|(alias, _)| alias)).collect();
        let has_name = |text: &str| names.iter().any(|name| text.contains(name.as_str()));
        let of_macro = |name: &String| hints.macros.get(name);
        let mut any = false;
        for cached in self.cached.values_mut() {
            let Outcome::Summary(summary) = &cached.outcome else { continue };
            let calls_changed = |name: &String| {
                before.macros.get(name) != of_macro(name)
                    || of_macro(name).into_iter().flatten().any(|definition| has_name(&definition.rules))
            };
            cached.is_stale = has_name(&cached.text) || summary.macro_calls.iter().any(calls_changed);
            any |= cached.is_stale;
        }
        any
    }

    /// A file that was read.
    pub(crate) fn get(&self, path: &Path, package: usize) -> Option<&Outcome> {
        let key = FileKey { path: path.to_owned(), package };
        self.cached.get(&key).map(|cached| &cached.outcome)
    }

    /// What the files' attributes let pass.
    pub(crate) fn allows(&self) -> impl Iterator<Item = (&Path, &[Allow])> {
        self.cached.iter().filter_map(|(key, cached)| match &cached.outcome {
            Outcome::Summary(summary) if !summary.allows.is_empty() => {
                Some((&*key.path, &summary.allows[..]))
            }
            _ => None,
        })
    }

    /// The texts of the files that were read, as diagnostics name them.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<str>)> {
        self.cached.values().map(|cached| (&cached.file, &cached.text))
    }

    /// Every file that was read.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.cached.keys().map(|key| &*key.path)
    }

    fn pass(&self, roots: &[(PathBuf, usize)], project: &Project) -> HashMap<FileKey, Cached> {
        let jobs = roots.iter().map(|(root, package)| Job {
            candidates: vec![ModuleFile::root(root)],
            package: *package,
            depth: 0,
        });
        let queue = Queue::new(jobs.collect());
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                let worker = || self.work(&queue, project);
                std::thread::Builder::new()
                    .stack_size(STACK_BYTES)
                    .spawn_scoped(scope, worker)
                    .expect("the system has room for a thread for each core");
            }
        });
        queue.into_found()
    }

    fn work(&self, queue: &Queue, project: &Project) {
        while let Some(job) = queue.next() {
            let mut more = Vec::new();
            let mut found = Vec::new();
            for file in job.candidates {
                let key = FileKey { path: file.path.clone(), package: job.package };
                let Some(cached) = self.read(&key, project) else { continue };
                if let Outcome::Summary(summary) = &cached.outcome {
                    let mut children =
                        Children { file: &file, package: &project.packages[job.package], found: Vec::new() };
                    children.of(&file.place, &summary.module);
                    more.extend(
                        children.found.into_iter().filter(|_| job.depth < MAX_DEPTH).map(|candidates| Job {
                            candidates,
                            package: job.package,
                            depth: job.depth + 1,
                        }),
                    );
                }
                found.push((key, cached));
                break;
            }
            queue.done(found, more);
        }
    }

    /// A file, read again only when it may have changed since the last load, and summarised again only when its text or what
    /// is known about others has.
    fn read(&self, key: &FileKey, project: &Project) -> Option<Cached> {
        let known = self.cached.get(key);
        if let Some(known) = known.filter(|known| known.load == self.loads) {
            return Some(match known.is_stale {
                true => self.summarised(key, project, known.stamp, Arc::clone(&known.text)),
                false => known.clone(),
            });
        }
        let unreadable = |reason: String| Cached {
            stamp: None,
            file: source::relative(&project.dir, &key.path),
            text: Arc::from(""),
            outcome: Outcome::Unreadable(reason),
            load: self.loads,
            is_stale: false,
        };
        let metadata = match fs::metadata(&key.path) {
            Ok(metadata) if metadata.is_file() => metadata,
            Err(error) if error.kind() != ErrorKind::NotFound => return Some(unreadable(error.to_string())),
            _ => return None,
        };
        let stamp = Stamp::of(&metadata);
        if let Some(known) = known.filter(|known| known.stamp.is_some() && known.stamp == stamp) {
            return Some(Cached { load: self.loads, ..known.clone() });
        }
        let is_settled =
            |stamp: &Stamp| SystemTime::now().duration_since(stamp.modified).is_ok_and(|age| age > RACY);
        let stamp = stamp.filter(is_settled);
        Some(match fs::read(&key.path).map(String::from_utf8) {
            Ok(Ok(text)) => self.summarised(key, project, stamp, text.into()),
            Ok(Err(_)) => unreadable("it is not UTF-8".to_owned()),
            Err(error) => unreadable(error.to_string()),
        })
    }

    fn summarised(&self, key: &FileKey, project: &Project, stamp: Option<Stamp>, text: Arc<str>) -> Cached {
        let file = source::relative(&project.dir, &key.path);
        let context = extract::Context {
            cfg: &project.packages[key.package].cfg,
            hints: &self.hints,
            file: &file,
            path: &key.path,
            package: key.package,
        };
        let outcome = Outcome::Summary(Arc::new(extract::file(&text, &context)));
        Cached { stamp, file, text, outcome, load: self.loads, is_stale: false }
    }
}

/// The files that a file's declarations lead to.
struct Children<'a> {
    file: &'a ModuleFile,
    package: &'a ProjectPackage,
    found: Vec<Vec<ModuleFile>>,
}

impl Children<'_> {
    fn of(&mut self, place: &Place, module: &Module) {
        for item in &module.modules {
            match &item.inline {
                Some(body) => self.of(&place.inline(&item.name, item.path.as_deref()), body),
                None => self.found.push(place.candidates(&item.name, item.path.as_deref())),
            }
        }
        for include in &module.includes {
            self.found.extend(self.file.included(include, self.package).map(|file| vec![file]));
        }
    }
}

/// The first of some files that exists is to be read.
struct Job {
    candidates: Vec<ModuleFile>,
    package: usize,
    depth: usize,
}

/// Jobs that make more jobs, for threads that stop when none is left and none is being done.
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    jobs: VecDeque<Job>,
    seen: HashSet<(ModuleFile, usize)>,
    running: usize,
    found: HashMap<FileKey, Cached>,
}

impl Queue {
    fn new(jobs: Vec<Job>) -> Self {
        let state = State { jobs: VecDeque::new(), seen: HashSet::new(), running: 0, found: HashMap::new() };
        let queue = Self { state: Mutex::new(state), changed: Condvar::new() };
        queue.lock().add(jobs);
        queue
    }

    /// A panic in another worker is propagated by the scope; here the state is still whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                state.running += 1;
                return Some(job);
            }
            if state.running == 0 {
                self.changed.notify_all();
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn done(&self, found: Vec<(FileKey, Cached)>, more: Vec<Job>) {
        let mut state = self.lock();
        state.running -= 1;
        state.found.extend(found);
        state.add(more);
        self.changed.notify_all();
    }

    fn into_found(self) -> HashMap<FileKey, Cached> {
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner).found
    }
}

impl State {
    fn add(&mut self, jobs: Vec<Job>) {
        for job in jobs {
            // A file that includes itself by `#[path]` would go on forever. As two modules, a file has modules of its own
            // in two places.
            if self.seen.insert((job.candidates[0].clone(), job.package)) {
                self.jobs.push_back(job);
            }
        }
    }
}
