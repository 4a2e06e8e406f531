//! What rustc reports about its target platform: asked once per toolchain, and kept in the user's cache.
//!
//! Without a rustc, or when it does not answer, the analyser assumes this program's own platform, as far as it is known.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use bis_analyzer::Target;

/// How long rustc may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// The platform for which cargo builds in `folder`.
pub(crate) fn target(folder: &Path) -> Option<Target> {
    let rustc = find(std::env::var_os("RUSTC").map(PathBuf::from))?;
    Rustc { program: rustc, folder: folder.canonicalize().ok()?, cache: cache() }.target()
}

/// A rustc and the folder in which to run it, whose `rust-toolchain.toml` may choose another one.
struct Rustc {
    program: PathBuf,
    folder: PathBuf,
    /// Where answers are kept; `None` when the user has no cache folder.
    cache: Option<PathBuf>,
}

impl Rustc {
    fn target(&self) -> Option<Target> {
        let triple = std::env::var("CARGO_BUILD_TARGET").ok().or_else(|| configured_target(&self.folder));
        let file = self
            .cache
            .as_ref()
            .map(|cache| cache.join(format!("rustc-{:016x}", self.key(triple.as_deref()))));
        if let Some(known) =
            file.as_ref().and_then(|file| fs::read_to_string(file).ok()).and_then(|text| parse(&text))
        {
            return Some(known);
        }
        let triple = match triple {
            Some(triple) => triple,
            None => {
                let version = self.ask(&["-vV"])?;
                version.lines().find_map(|line| line.strip_prefix("host: "))?.to_owned()
            }
        };
        let cfg = self.ask(&["--print", "cfg", "--target", &triple])?;
        let text = format!("{triple}\n{cfg}");
        if let Some(file) = file {
            keep(&file, &text);
        }
        parse(&text)
    }

    /// What the answer depends on.
    fn key(&self, triple: Option<&str>) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.program, stamp(&self.program), triple, std::env::var_os("RUSTUP_TOOLCHAIN")).hash(&mut hasher);
        for folder in self.folder.ancestors() {
            for name in ["rust-toolchain.toml", "rust-toolchain"] {
                fs::read(folder.join(name)).ok().hash(&mut hasher);
            }
        }
        let rustup = std::env::var_os("RUSTUP_HOME").map(PathBuf::from);
        let rustup = rustup.or_else(|| std::env::home_dir().map(|home| home.join(".rustup")));
        for name in ["settings.toml", "update-hashes", "toolchains"] {
            rustup.as_ref().map(|rustup| stamp(&rustup.join(name))).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// The output of rustc; `None` when it fails or takes too long.
    fn ask(&self, arguments: &[&str]) -> Option<String> {
        let mut child = Command::new(&self.program)
            .args(arguments)
            .current_dir(&self.folder)
            // A missing toolchain is not downloaded just for this.
            .env("RUSTUP_AUTO_INSTALL", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut stdout = child.stdout.take()?;
        let (sender, answer) = mpsc::channel();
        std::thread::spawn(move || {
            let mut text = String::new();
            let read = stdout.read_to_string(&mut text);
            // Nobody receives it when it took too long.
            let _ = sender.send(read.is_ok().then_some(text));
        });
        let text = answer.recv_timeout(ANSWER_LIMIT);
        if text.is_err() {
            // It may have ended by now.
            let _ = child.kill();
        }
        let status = child.wait().ok()?;
        text.ok().flatten().filter(|_| status.success())
    }
}

/// The program that `RUSTC` names, or the first `rustc` on the path.
fn find(named: Option<PathBuf>) -> Option<PathBuf> {
    let name = named.unwrap_or_else(|| PathBuf::from("rustc"));
    if name.components().count() > 1 {
        return name.is_file().then_some(name);
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(&name)).find(|program| program.is_file())
}

fn cache() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = cache.or_else(|| std::env::home_dir().map(|home| home.join(".cache")));
    cache.map(|cache| cache.join("bis"))
}

/// `build.target` of cargo's configuration.
fn configured_target(folder: &Path) -> Option<String> {
    folder.ancestors().find_map(|folder| {
        let text = fs::read_to_string(folder.join(".cargo/config.toml")).ok()?;
        let table: toml::Table = text.parse().ok()?;
        let target = table.get("build")?.get("target")?.as_str()?;
        // A target that is described by a file has no name to ask for.
        (!target.ends_with(".json")).then(|| target.to_owned())
    })
}

fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// Keeps an answer. A failure does not matter, since rustc can be asked again.
fn keep(file: &Path, text: &str) {
    let Some(folder) = file.parent() else { return };
    let draft = folder.join(format!("rustc-draft-{}", std::process::id()));
    if fs::create_dir_all(folder).is_ok() && fs::write(&draft, text).is_ok() {
        let _ = fs::rename(&draft, file);
    }
}

/// A platform's name and its cfgs, one per line; `None` when the text is incomplete.
fn parse(text: &str) -> Option<Target> {
    let mut lines = text.lines().map(str::to_owned);
    let triple = lines.next()?;
    let cfg: Vec<String> = lines.collect();
    let is_whole = cfg.iter().any(|line| line.starts_with("target_pointer_width="));
    is_whole.then_some(Target { triple: Some(triple), cfg })
}

#[cfg(test)]
mod tests {

    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A rustc that counts how often it is asked.
    fn rustc(folder: &Path, body: &str) -> Rustc {
        let program = folder.join("rustc");
        fs::write(&program, format!("#!/bin/sh\necho asked >> {}/asked\n{body}\n", folder.display()))
            .unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Rustc { program, folder: folder.to_owned(), cache: Some(folder.join("cache")) }
    }

    fn asked(folder: &Path) -> usize {
        fs::read_to_string(folder.join("asked")).unwrap_or_default().lines().count()
    }

    const ANSWERS: &str = r#"case "$1" in
-vV) printf 'rustc 1.95.0\nhost: mips-unknown-none\n' ;;
*) printf 'target_pointer_width="32"\n%s\n' "$4" ;;
esac"#;

    #[test]
    fn rustc_is_asked_once_per_toolchain() {
        let folder = tempfile::tempdir().unwrap();
        let rustc = rustc(folder.path(), ANSWERS);
        let first = rustc.target().unwrap();
        assert_eq!(first.triple.as_deref(), Some("mips-unknown-none"));
        assert_eq!(first.cfg, ["target_pointer_width=\"32\"", "mips-unknown-none"]);
        let questions = asked(folder.path());
        assert_eq!(rustc.target().unwrap(), first);
        assert_eq!(asked(folder.path()), questions);
        fs::write(folder.path().join("rust-toolchain.toml"), "[toolchain]\nchannel = \"beta\"\n").unwrap();
        assert_eq!(rustc.target().unwrap(), first);
        assert_eq!(asked(folder.path()), 2 * questions);
    }

    #[test]
    fn a_target_in_cargos_configuration_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(".cargo")).unwrap();
        let config = "[build]\ntarget = \"riscv64gc-unknown-linux-musl\"\n";
        fs::write(folder.path().join(".cargo/config.toml"), config).unwrap();
        let target = rustc(folder.path(), ANSWERS).target().unwrap();
        assert_eq!(target.triple.as_deref(), Some("riscv64gc-unknown-linux-musl"));
    }

    #[test]
    fn a_rustc_that_fails_or_answers_nonsense_says_nothing_and_is_not_remembered() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(rustc(folder.path(), "exit 1").target(), None);
        assert_eq!(rustc(folder.path(), "echo host: a").target(), None);
        assert!(rustc(folder.path(), ANSWERS).target().is_some());
        let cached = fs::read_dir(folder.path().join("cache")).unwrap().next().unwrap().unwrap().path();
        fs::write(&cached, "").unwrap();
        assert!(rustc(folder.path(), ANSWERS).target().is_some());
    }
}
