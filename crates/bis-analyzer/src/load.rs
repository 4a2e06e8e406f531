//! Reading and summarising files in parallel, following `mod` declarations; what has not changed is not read again.
//!
//! It decides which files a crate has. What stands in them is `extract`'s matter.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use crate::{
    extract,
    summary::{FileSummary, Hints, Module},
};

/// Deep expressions need a deep stack; the parser recurses.
const STACK_BYTES: usize = 64 << 20;

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

/// What is known of files.
#[derive(Debug, Default)]
pub(crate) struct Files {
    cached: HashMap<FileKey, Cached>,
    hints: Hints,
}

#[derive(Debug, Clone)]
struct Cached {
    stamp: Option<Stamp>,
    outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: SystemTime,
    length: u64,
}

/// A module's file, and where the files of its own modules lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ModuleFile {
    pub(crate) path: PathBuf,
    pub(crate) children: PathBuf,
}

impl ModuleFile {
    /// The root of a crate.
    pub(crate) fn root(path: &Path) -> Self {
        Self { path: path.to_owned(), children: path.parent().unwrap_or(path).to_owned() }
    }

    /// Where the file of `mod name;` may be, first the likelier; `inline` are the inline modules around it.
    pub(crate) fn candidates(&self, inline: &[&str], name: &str, path: Option<&str>) -> Vec<ModuleFile> {
        let mut base = self.children.clone();
        base.extend(inline);
        if let Some(path) = path {
            let from = if inline.is_empty() { self.path.parent().unwrap_or(&base) } else { &base };
            return vec![Self::root(&from.join(path))];
        }
        let children = base.join(name);
        vec![
            Self { path: base.join(format!("{name}.rs")), children: children.clone() },
            Self { path: children.join("mod.rs"), children },
        ]
    }
}

impl Files {
    /// Reads the crates that begin at `roots`, each with its package, and everything below them. `features` are the
    /// packages'.
    pub(crate) fn load(&mut self, roots: &[(PathBuf, usize)], features: &[&BTreeSet<String>]) {
        loop {
            let found = self.pass(roots, features);
            let mut hints = self.hints.clone();
            for cached in found.values() {
                if let Outcome::Summary(summary) = &cached.outcome {
                    hints.statics.extend(summary.hints.statics.iter().cloned());
                    hints.words.extend(summary.hints.words.iter().map(|(k, v)| (k.clone(), v.clone())));
                }
            }
            self.cached = found;
            if hints == self.hints {
                return;
            }
            self.hints = hints;
            self.cached.clear();
        }
    }

    /// A file that was read.
    pub(crate) fn get(&self, path: &Path, package: usize) -> Option<&Outcome> {
        let key = FileKey { path: path.to_owned(), package };
        self.cached.get(&key).map(|cached| &cached.outcome)
    }

    /// Every file that was read.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.cached.keys().map(|key| &*key.path)
    }

    fn pass(&self, roots: &[(PathBuf, usize)], features: &[&BTreeSet<String>]) -> HashMap<FileKey, Cached> {
        let jobs = roots
            .iter()
            .map(|(root, package)| Job { candidates: vec![ModuleFile::root(root)], package: *package });
        let queue = Queue::new(jobs.collect());
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                let worker = || self.work(&queue, features);
                std::thread::Builder::new()
                    .stack_size(STACK_BYTES)
                    .spawn_scoped(scope, worker)
                    .expect("the system has room for a thread for each core");
            }
        });
        queue.into_found()
    }

    fn work(&self, queue: &Queue, features: &[&BTreeSet<String>]) {
        while let Some(job) = queue.next() {
            let mut more = Vec::new();
            let mut found = Vec::new();
            for file in job.candidates {
                let key = FileKey { path: file.path.clone(), package: job.package };
                let Some(cached) = self.read(&key, features[job.package]) else { continue };
                if let Outcome::Summary(summary) = &cached.outcome {
                    children(&file, &mut Vec::new(), &summary.module, job.package, &mut more);
                }
                found.push((key, cached));
                break;
            }
            queue.done(found, more);
        }
    }

    fn read(&self, key: &FileKey, features: &BTreeSet<String>) -> Option<Cached> {
        let metadata = match fs::metadata(&key.path) {
            Ok(metadata) if metadata.is_file() => metadata,
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Some(Cached { stamp: None, outcome: Outcome::Unreadable(error.to_string()) });
            }
            _ => return None,
        };
        let stamp = metadata.modified().ok().map(|modified| Stamp { modified, length: metadata.len() });
        if let Some(cached) = self.cached.get(key)
            && cached.stamp.is_some()
            && cached.stamp == stamp
        {
            return Some(cached.clone());
        }
        let fresh =
            |stamp: &Stamp| SystemTime::now().duration_since(stamp.modified).is_ok_and(|age| age > RACY);
        let stamp = stamp.filter(fresh);
        let outcome = match fs::read(&key.path).map(String::from_utf8) {
            Ok(Ok(text)) => Outcome::Summary(Arc::new(extract::file(&text, features, &self.hints))),
            Ok(Err(_)) => Outcome::Unreadable("it is not UTF-8".to_owned()),
            Err(error) => Outcome::Unreadable(error.to_string()),
        };
        Some(Cached { stamp, outcome })
    }
}

/// The files that a module's declarations lead to.
fn children<'a>(
    file: &ModuleFile,
    inline: &mut Vec<&'a str>,
    module: &'a Module,
    package: usize,
    jobs: &mut Vec<Job>,
) {
    for item in &module.modules {
        match &item.inline {
            Some(body) => {
                inline.push(&item.name);
                children(file, inline, body, package, jobs);
                inline.pop();
            }
            None => {
                let candidates = file.candidates(inline, &item.name, item.path.as_deref());
                jobs.push(Job { candidates, package });
            }
        }
    }
}

/// The first of some files that exists is to be read.
struct Job {
    candidates: Vec<ModuleFile>,
    package: usize,
}

/// Jobs that make more jobs, for threads that stop when none is left and none is being done.
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    jobs: VecDeque<Job>,
    seen: HashSet<(PathBuf, usize)>,
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
            // A file that includes itself by `#[path]` would go on for ever.
            if self.seen.insert((job.candidates[0].path.clone(), job.package)) {
                self.jobs.push_back(job);
            }
        }
    }
}
