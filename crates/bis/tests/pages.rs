//! The right program of every page of `bis explain` compiles. All of them are one package, each a module of it, which cargo
//! checks in a folder of its own.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const PAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../bis-graph/src/codes");

/// Kept between runs, so that dependencies are checked once.
const PACKAGE: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/pages");

/// The source files of a page's right program, by their path under `src`.
fn right_program(page: &str) -> BTreeMap<PathBuf, String> {
    let (_, right) = page.split_once("\nRight:").expect("a page shows the right program");
    let program = right.split("```").nth(1).expect("the program is a code block");
    let mut files: BTreeMap<PathBuf, String> = BTreeMap::new();
    let mut current = None;
    for line in program.lines().skip(1) {
        match line.strip_prefix("//- ") {
            Some(path) => current = path.strip_prefix("src/").map(PathBuf::from),
            None => {
                if let Some(path) = &current {
                    writeln!(files.entry(path.clone()).or_default(), "{line}").unwrap();
                }
            }
        }
    }
    if !files.is_empty() && !files.contains_key(Path::new("lib.rs")) {
        let is_top = |path: &&PathBuf| path.components().count() == 1;
        let names = files.keys().filter(is_top).map(|path| path.file_stem().unwrap().to_str().unwrap());
        let names: Vec<&str> = names.collect();
        let mut root: String = names.iter().map(|name| format!("pub mod {name};\n")).collect();
        writeln!(root, "bis::app!(services: [{}]);", names.join(", ")).unwrap();
        files.insert("lib.rs".into(), root);
    }
    files
}

/// Writes a program as the module `name`.
fn write_module(name: &str, program: BTreeMap<PathBuf, String>) {
    let folder = Path::new(PACKAGE).join("src").join(name);
    for (path, text) in program {
        let file = if path == Path::new("lib.rs") { folder.join("mod.rs") } else { folder.join(path) };
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text.replace("crate::", &format!("crate::{name}::"))).unwrap();
    }
}

#[test]
fn the_right_program_of_every_page_compiles() {
    let source = Path::new(PACKAGE).join("src");
    fs::remove_dir_all(&source).ok();
    fs::create_dir_all(&source).unwrap();
    let mut root = "//! Made by a test.\n".to_owned();
    let mut pages: Vec<PathBuf> = fs::read_dir(PAGES).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.sort();
    for page in pages {
        let name = page.file_stem().unwrap().to_str().unwrap().to_lowercase();
        let program = right_program(&fs::read_to_string(&page).unwrap());
        if !program.is_empty() {
            writeln!(root, "pub mod {name};").unwrap();
            write_module(&name, program);
        }
    }
    fs::write(source.join("lib.rs"), root).unwrap();
    let manifest = format!(
        "[package]\nname = \"pages\"\nedition = \"2024\"\n\n[workspace]\n\n[lints.rust]\nwarnings = \"allow\"\n\n\
         [dependencies]\nbis = {{ path = {:?}, features = [\"garde\"] }}\ngarde = {{ version = \"0.23\", features = [\"derive\"] }}\nserde = {{ version = \"1\", features = [\"derive\"] }}\ntokio = \"1\"\n",
        env!("CARGO_MANIFEST_DIR")
    );
    fs::write(Path::new(PACKAGE).join("Cargo.toml"), manifest).unwrap();
    fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock"), Path::new(PACKAGE).join("Cargo.lock"))
        .unwrap();
    let checked = Command::new(env!("CARGO"))
        .args(["check", "--quiet", "--offline", "--target-dir", "target"])
        .current_dir(PACKAGE)
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}
