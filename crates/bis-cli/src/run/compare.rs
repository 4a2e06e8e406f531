//! Compares the graph with the program that was built from it: the program is asked what it is made of. Nothing waits
//! for the answer, and a program that does not answer is left alone.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use bis_core::handover;
use serde_json::Value;
use tokio::process::Command;

use crate::check::Checked;

/// How long the program may take to say what it is made of.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// Later warns on stderr about what only the graph or only the program has.
pub(crate) fn start(executable: &Path, folder: &Path, checked: Box<Checked>) {
    let mut command = Command::new(executable);
    command
        .current_dir(folder)
        .env(handover::DESCRIBE, "1")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    tokio::spawn(async move {
        let output = tokio::time::timeout(ANSWER_LIMIT, command.output()).await;
        let Ok(Ok(output)) = output else { return };
        // A `main` that does not begin with the app prints something else, or nothing.
        let Ok(description) = serde_json::from_slice::<Value>(&output.stdout) else { return };
        if description["services"].is_array() {
            anstream::eprint!("{}", checked.differences(&description));
        }
    });
}
