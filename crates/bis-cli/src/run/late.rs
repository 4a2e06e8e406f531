//! Files that change while a build runs: saved by the user, or written by the build itself. The two cannot always be
//! distinguished, so every change leads to a new build, but not at once each time.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::run::build::Origin;
use crate::run::event::BuildId;

/// A file that changes cancels at most this many builds in a row; ..
const CANCELLED: u32 = 5;
/// .. after it has changed in this many, the next build waits for a pause, ..
const AT_ONCE: u32 = 7;
/// .. which starts at this and doubles, ..
const PAUSE: Duration = Duration::from_secs(1);
/// .. and after this many, the build itself is assumed to write it.
const IN_ALL: u32 = 12;

/// The history of files that changed during builds.
#[derive(Debug, Default)]
pub(crate) struct Late {
    /// In how many consecutive builds a file changed, and the last of them.
    seen: BTreeMap<PathBuf, (u32, BuildId)>,
    /// Files that a build script has written before.
    of_scripts: BTreeSet<PathBuf>,
}

/// The consequence of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// Nothing: the running build reads the change.
    Nothing,
    /// Nothing from now on: the build changes the file each time.
    GiveUp,
    /// Another build after the current one and a pause.
    After(Duration),
    /// A new build now.
    Now,
}

impl Late {
    /// Judges a file whose content changed.
    pub(crate) fn changed(&mut self, file: &Path, origin: Origin, build: BuildId) -> Verdict {
        match origin {
            Origin::NoBuild => Verdict::Now,
            Origin::DuringBuild => again(self.count(file, build)),
            // The build is not cancelled: the script would do the same in the next one.
            Origin::OtherScript => again(self.count(file, build) + CANCELLED),
            Origin::Build => {
                let is_read_later = file.extension() == Some(OsStr::new("rs")) && !file.ends_with("build.rs");
                let is_known = !self.of_scripts.insert(file.to_owned());
                match is_read_later || is_known || file.ends_with("Cargo.lock") {
                    true => Verdict::Nothing,
                    // The user may have saved what the script had already read.
                    false => Verdict::After(Duration::ZERO),
                }
            }
        }
    }

    /// Judges a file that was written and has the same content: a build may have read something else in between.
    pub(crate) fn touched(&mut self, file: &Path, origin: Origin, build: BuildId) -> Verdict {
        match origin {
            Origin::DuringBuild | Origin::OtherScript => match self.count(file, build) {
                1 => Verdict::After(Duration::ZERO),
                _ => Verdict::Nothing,
            },
            Origin::NoBuild | Origin::Build => Verdict::Nothing,
        }
    }

    /// In how many consecutive builds the file has changed.
    fn count(&mut self, file: &Path, build: BuildId) -> u32 {
        let seen = self.seen.entry(file.to_owned()).or_insert((0, build));
        *seen = match *seen {
            (0, _) => (1, build),
            (count, last) if last == build => (count, build),
            (count, last) if last + 1 == build => (count + 1, build),
            _ => (1, build),
        };
        seen.0
    }
}

fn again(count: u32) -> Verdict {
    if count <= CANCELLED {
        return Verdict::Now;
    }
    match count.checked_sub(AT_ONCE) {
        None | Some(0) => Verdict::After(Duration::ZERO),
        Some(more) if count < IN_ALL => Verdict::After(PAUSE * 2_u32.pow(more - 1)),
        Some(_) => Verdict::GiveUp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_every_build_changes_is_built_again_ever_more_seldom() {
        let mut late = Late::default();
        let verdicts: Vec<_> =
            (1..=13).map(|build| late.changed(Path::new("/a/x.rs"), Origin::DuringBuild, build)).collect();
        let after = |seconds| Verdict::After(Duration::from_secs(seconds));
        assert_eq!(verdicts[..5], [Verdict::Now; 5]);
        assert_eq!(verdicts[5..11], [0, 0, 1, 2, 4, 8].map(after));
        assert_eq!(verdicts[11..], [Verdict::GiveUp; 2]);
        // A build in which it did not change, and one in which it changed twice.
        assert_eq!(late.changed(Path::new("/a/x.rs"), Origin::DuringBuild, 15), Verdict::Now);
        assert_eq!(late.changed(Path::new("/a/x.rs"), Origin::DuringBuild, 15), Verdict::Now);
        assert_eq!(late.changed(Path::new("/a/x.rs"), Origin::NoBuild, 16), Verdict::Now);
    }

    #[test]
    fn what_a_script_writes_needs_no_other_build() {
        let mut late = Late::default();
        assert_eq!(late.changed(Path::new("/a/src/made.rs"), Origin::Build, 1), Verdict::Nothing);
        assert_eq!(late.changed(Path::new("/a/made.txt"), Origin::Build, 1), Verdict::After(Duration::ZERO));
        assert_eq!(late.changed(Path::new("/a/made.txt"), Origin::Build, 2), Verdict::Nothing);
        assert_eq!(late.changed(Path::new("/a/src/made.rs"), Origin::NoBuild, 2), Verdict::Now);
        // In another package it may have been compiled already, but the build continues.
        let other = Path::new("/b/src/made.rs");
        assert_eq!(late.changed(other, Origin::OtherScript, 1), Verdict::After(Duration::ZERO));
        assert_eq!(late.changed(other, Origin::OtherScript, 7), Verdict::After(Duration::ZERO));
    }
}
