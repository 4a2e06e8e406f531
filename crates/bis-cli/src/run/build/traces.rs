//! Which files a build may have written itself, judged by time: a build script may write into `src`, and cargo writes
//! `Cargo.lock`.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// By how much the clock of the file system may lag.
const TICK: Duration = Duration::from_millis(20);

/// The traces of one build, recorded until it has ended.
#[derive(Debug, Clone)]
pub(crate) struct Traces(Arc<Mutex<Times>>);

#[derive(Debug)]
struct Times {
    began: SystemTime,
    ended: Option<SystemTime>,
    /// The time of cargo's first message: by then it has written its lock file.
    first_message: Option<SystemTime>,
    scripts: Vec<Script>,
}

/// A run of a build script of a local package.
#[derive(Debug)]
struct Script {
    package: String,
    folder: PathBuf,
    from: SystemTime,
    until: Option<SystemTime>,
}

/// Who wrote a file, judged by the time of writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// No build was running.
    NoBuild,
    /// A build was running, but no part of it that is known to write here.
    DuringBuild,
    /// A build script of another package, which may write here, was running.
    OtherScript,
    /// A build script of the package was running, or cargo wrote its lock file; the compiler reads it afterwards.
    Build,
}

impl Traces {
    /// The traces of a build that begins now.
    pub(super) fn begin() -> Self {
        let times = Times { began: SystemTime::now(), ended: None, first_message: None, scripts: Vec::new() };
        Self(Arc::new(Mutex::new(times)))
    }

    /// When the build began.
    pub(crate) fn began(&self) -> SystemTime {
        self.times().began
    }

    pub(super) fn message(&self) {
        self.times().first_message.get_or_insert_with(SystemTime::now);
    }

    pub(super) fn script_starts(&self, package: &str, folder: &Path) {
        let (package, folder) = (package.to_owned(), folder.to_owned());
        self.times().scripts.push(Script { package, folder, from: SystemTime::now(), until: None });
    }

    pub(super) fn script_ended(&self, package: &str) {
        let mut times = self.times();
        let running = times.scripts.iter_mut().filter(|script| script.package == package);
        running.for_each(|script| _ = script.until.get_or_insert_with(SystemTime::now));
    }

    pub(super) fn end(&self) {
        self.times().ended = Some(SystemTime::now());
    }

    /// Who wrote or removed a file at this time.
    pub(crate) fn origin(&self, path: &Path, written: SystemTime) -> Origin {
        let times = self.times();
        let is_within = |from: SystemTime, until: Option<SystemTime>| {
            written + TICK >= from && until.or(times.ended).is_none_or(|until| written <= until)
        };
        if !is_within(times.began, None) {
            return Origin::NoBuild;
        }
        if path.ends_with("Cargo.lock") && is_within(times.began, times.first_message) {
            return Origin::Build;
        }
        let package = path.ancestors().skip(1).find(|folder| folder.join("Cargo.toml").is_file());
        let of_package = times.scripts.iter().filter(|script| package == Some(&script.folder));
        let ran = |script: &Script| is_within(script.from, script.until);
        match () {
            () if of_package.into_iter().any(ran) => Origin::Build,
            () if times.scripts.iter().any(ran) => Origin::OtherScript,
            () => Origin::DuringBuild,
        }
    }

    /// Whether the build may have read files after this time.
    pub(crate) fn ran_after(&self, time: SystemTime) -> bool {
        self.times().ended.is_none_or(|ended| ended >= time)
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_script_writes_in_its_package_is_of_the_build() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("Cargo.toml"), "").unwrap();
        let file = folder.path().join("src/made.rs");
        let before = SystemTime::now() - Duration::from_secs(1);
        let traces = Traces::begin();
        let check = |path: &Path, origin| assert_eq!(traces.origin(path, SystemTime::now()), origin);
        check(&file, Origin::DuringBuild);
        check(&folder.path().join("Cargo.lock"), Origin::Build);
        traces.message();
        traces.script_starts("a", folder.path());
        check(&file, Origin::Build);
        check(Path::new("/elsewhere/src/made.rs"), Origin::OtherScript);
        let during_script = SystemTime::now();
        traces.script_ended("a");
        let ended = SystemTime::now();
        while SystemTime::now() == ended {}
        check(&file, Origin::DuringBuild);
        check(&folder.path().join("Cargo.lock"), Origin::DuringBuild);
        traces.end();
        let last = SystemTime::now();
        while SystemTime::now() == last {}
        check(&file, Origin::NoBuild);
        assert_eq!(traces.origin(&file, before), Origin::NoBuild);
        assert_eq!(traces.origin(&file, during_script), Origin::Build);
    }
}
