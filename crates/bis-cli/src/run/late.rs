//! Files that change while a build runs: saved by the user, or written by the build itself. It cannot always be told, so
//! whatever changes is built again, but not forever at once.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::run::build::Origin;
use crate::run::event::BuildId;

/// So many builds in a row are given up for a file that changes, ..
const CANCELLED: u32 = 5;
/// .. in so many it may change until it is built again only after a pause, ..
const AT_ONCE: u32 = 7;
/// .. which is this at first and then doubles, ..
const PAUSE: Duration = Duration::from_secs(1);
/// .. and after so many the build itself writes it.
const IN_ALL: u32 = 12;

/// What is known of files that changed during builds.
#[derive(Debug, Default)]
pub(crate) struct Late {
    /// In how many builds in a row a file changed, and the last of them.
    seen: BTreeMap<PathBuf, (u32, BuildId)>,
    /// Files that a build script wrote before.
    of_scripts: BTreeSet<PathBuf>,
}

/// What is to follow from a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// Nothing: the build that runs reads it.
    Nothing,
    /// Nothing any more: the build changes it each time.
    GiveUp,
    /// Another build when this one is done, after a pause.
    After(Duration),
    /// A build now.
    Now,
}

impl Late {
    /// Judges a file that has other content.
    pub(crate) fn changed(&mut self, file: &Path, origin: Origin, build: BuildId) -> Verdict {
        match origin {
            Origin::NoBuild => Verdict::Now,
            Origin::DuringBuild => again(self.count(file, build)),
            // Not given up: the script would do the same in the next build.
            Origin::OtherScript => again(self.count(file, build) + CANCELLED),
            Origin::Build => {
                let is_read_later = file.extension() == Some(OsStr::new("rs")) && !file.ends_with("build.rs");
                let is_known = !self.of_scripts.insert(file.to_owned());
                match is_read_later || is_known || file.ends_with("Cargo.lock") {
                    true => Verdict::Nothing,
                    // The user may have saved what the script had read by then.
                    false => Verdict::After(Duration::ZERO),
                }
            }
        }
    }

    /// Judges a file that was written and has the same content: a build may have read what was in between.
    pub(crate) fn touched(&mut self, file: &Path, origin: Origin, build: BuildId) -> Verdict {
        match origin {
            Origin::DuringBuild | Origin::OtherScript => match self.count(file, build) {
                1 => Verdict::After(Duration::ZERO),
                _ => Verdict::Nothing,
            },
            Origin::NoBuild | Origin::Build => Verdict::Nothing,
        }
    }

    /// In how many builds in a row the file has changed.
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
        // A build in which it did not change, and one that it changed twice in.
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
        // In another package it may have been compiled already, but the build goes on.
        let other = Path::new("/b/src/made.rs");
        assert_eq!(late.changed(other, Origin::OtherScript, 1), Verdict::After(Duration::ZERO));
        assert_eq!(late.changed(other, Origin::OtherScript, 7), Verdict::After(Duration::ZERO));
    }
}
