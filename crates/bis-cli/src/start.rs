//! The step between `bis run` and the app: asks the kernel to kill this process when the command dies, then
//! becomes the app.
//!
//! `bis run` starts itself as `bis __start PARENT PROGRAM [ARGUMENT]..`. That needs no `unsafe` in a forked child, and it
//! works for any program, even one that hangs. Systems other than Linux do not offer this; there the app outlives a
//! command that was killed with SIGKILL.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use bis_core::handover;

/// The first argument that makes this process a starter.
pub(crate) const ARGUMENT: &str = "__start";

/// Becomes the program on the command line, if the command line asks for it. Otherwise, and on failure, it returns.
pub(crate) fn main() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != ARGUMENT {
        return None;
    }
    let parent = arguments.next();
    let Some(program) = arguments.next() else {
        anstream::eprintln!("error: `{ARGUMENT}` is for `bis run` only");
        return Some(crate::exit::USAGE.into());
    };
    if let Err(error) = die_with(parent) {
        anstream::eprintln!("error: {error}");
        return Some(crate::exit::SURROUNDINGS.into());
    }
    let mut command = Command::new(&program);
    if std::env::var_os(handover::LISTEN_FDS).is_some() {
        // The process id stays the same when this process becomes the program.
        command.env(handover::LISTEN_PID, std::process::id().to_string());
    }
    let error = command.args(arguments).exec();
    anstream::eprintln!("error: cannot start `{}`: {error}", program.to_string_lossy());
    Some(crate::exit::SURROUNDINGS.into())
}

/// Asks the kernel to kill this process when the thread that started it ends. The command may have died before the
/// request, so the parent is compared afterwards.
#[cfg(target_os = "linux")]
fn die_with(parent: Option<OsString>) -> std::io::Result<()> {
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
    let expected = parent.and_then(|text| text.to_str()?.parse::<i32>().ok());
    match expected {
        Some(expected) if expected == nix::unistd::getppid().as_raw() => Ok(()),
        _ => Err(std::io::Error::other("the `bis run` that started this is gone")),
    }
}

#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "the Linux version can fail")]
fn die_with(_parent: Option<OsString>) -> std::io::Result<()> {
    Ok(())
}
