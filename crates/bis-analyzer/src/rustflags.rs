//! Whether rustflags change what is compiled: those in the environment, and those in cargo's configuration files. It does
//! not know what they set, only what they may set.

use std::path::{Path, PathBuf};

use toml::Value;

/// What rustflags may change.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rustflags {
    /// Whether they set cfgs.
    pub(crate) sets_cfgs: bool,
    /// Whether they set the target's features.
    pub(crate) sets_target: bool,
    /// The configuration files that were read.
    pub(crate) files: Vec<PathBuf>,
}

/// Looks for rustflags as cargo does when it works in `dir`.
pub(crate) fn read(dir: &Path) -> Rustflags {
    let mut flags = Rustflags::default();
    for (name, value) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.ends_with("RUSTFLAGS") {
            flags.add(&value.to_string_lossy());
        }
    }
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")));
    let folders = dir.ancestors().map(|folder| folder.join(".cargo")).chain(home);
    for folder in folders {
        for name in ["config.toml", "config"] {
            let path = folder.join(name);
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            if !flags.files.contains(&path) {
                flags.files.push(path);
            }
            // Cargo reports a file that does not parse.
            if let Ok(table) = text.parse::<toml::Table>() {
                flags.search(&Value::Table(table));
            }
        }
    }
    flags
}

impl Rustflags {
    fn search(&mut self, value: &Value) {
        let Some(table) = value.as_table() else { return };
        for (key, value) in table {
            match (key.as_str(), value) {
                ("rustflags", Value::Array(flags)) => {
                    let flags: Vec<&str> = flags.iter().filter_map(Value::as_str).collect();
                    self.add(&flags.join(" "));
                }
                ("rustflags", Value::String(flags)) => self.add(flags),
                // An included file may hold anything.
                ("include", _) => self.add("--cfg target-feature"),
                _ => self.search(value),
            }
        }
    }

    fn add(&mut self, flags: &str) {
        self.sets_cfgs |= flags.contains("--cfg") || flags.contains('@');
        self.sets_target |= flags.contains("target-") || flags.contains('@');
    }
}
