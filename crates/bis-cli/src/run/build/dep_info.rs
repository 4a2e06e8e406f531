//! The files that a program was made of according to cargo: its dep-info, in the format of a make rule.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};

/// The files that the program was made of: sources, included files, and those that build scripts name. Cargo's own output is
/// left out, since the build writes it.
pub(crate) fn read(program: &Path, folder: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let text = std::fs::read_to_string(program.with_extension("d"))?;
    let mut outputs = HashMap::new();
    let paths = parse(&text).into_iter().map(|path| folder.join(path));
    Ok(paths.filter(|path| !is_output(path, &mut outputs)).collect())
}

/// The paths after the first colon; a space in a path has a backslash before it.
fn parse(text: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((_, inputs)) = line.split_once(": ") else { continue };
        let mut path = String::new();
        let mut letters = inputs.chars().peekable();
        while let Some(letter) = letters.next() {
            match letter {
                '\\' if letters.peek() == Some(&' ') => path.extend(letters.next()),
                ' ' => paths.push(std::mem::take(&mut path)),
                other => path.push(other),
            }
        }
        paths.push(path);
    }
    paths.retain(|path| !path.is_empty());
    paths
}

fn is_output(path: &Path, outputs: &mut HashMap<PathBuf, bool>) -> bool {
    path.ancestors().skip(1).any(|folder| {
        *outputs.entry(folder.to_owned()).or_insert_with(|| folder.join("CACHEDIR.TAG").is_file())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_may_have_spaces() {
        let text = "/a/target/debug/a: /a/shared/x\\ x.txt /a/src/main.rs\n\n# env-dep:X=1: y\n";
        assert_eq!(parse(text), ["/a/shared/x x.txt", "/a/src/main.rs"]);
        assert_eq!(parse("/a/target/debug/a:\n"), [""; 0]);
    }

    #[test]
    fn what_the_build_writes_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        std::fs::create_dir_all(at("target/debug")).unwrap();
        std::fs::write(at("target/CACHEDIR.TAG"), "").unwrap();
        let rule = "a: src/main.rs target/debug/build/a-1/out/made.rs";
        std::fs::write(at("target/debug/a.d"), rule).unwrap();
        let read = read(&at("target/debug/a"), folder.path()).unwrap();
        assert_eq!(read.into_iter().collect::<Vec<_>>(), [at("src/main.rs")]);
    }
}
