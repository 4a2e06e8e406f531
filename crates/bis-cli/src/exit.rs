//! The exit codes of the command. They are defined and documented only here.

use std::process::ExitCode;

/// What `bis --help` prints about exit codes; the constants below are the same list.
pub(crate) const HELP: &str = "\
Exit codes:
  0  done; for `bis run` and `bis router`, stopped by Ctrl-C or SIGTERM
  1  the app is at fault: diagnostics with errors, no program to run, a machine that `doctor` finds wanting
  2  the command line is wrong
  3  the surroundings are at fault: no router, no cargo, a file that cannot be written, a journal that failed,
     another `bis run`; or a second signal ended `bis router` before it had stopped
  4  what was asked for does not exist: a topic, a dead letter, a code, a folder";

/// The command succeeded.
pub(crate) const DONE: Code = Code(0);
/// The app is at fault: diagnostics with errors, or no program to run.
pub(crate) const APP: Code = Code(1);
/// The command line is wrong. clap uses the same number.
pub(crate) const USAGE: Code = Code(2);
/// The environment is at fault: no router, no cargo, a file that cannot be written.
pub(crate) const SURROUNDINGS: Code = Code(3);
/// The requested thing does not exist.
pub(crate) const NOT_FOUND: Code = Code(4);

/// One of the exit codes above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Code(u8);

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        ExitCode::from(code.0)
    }
}
