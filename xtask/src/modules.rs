//! The top-level modules of a crate use each other in one direction: there are no cycles, and no arrow between the SDK's
//! rooms points up. Tests may use any module.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::{Context, Result};

use crate::{
    Finding, exceptions,
    sources::Source,
    uses::{self, Reexports},
};

/// The crate whose top-level modules are rooms.
const SDK: &str = "crates/bis";

/// Crates whose top-level modules are services of one app, which may use each other.
const APPS: &str = "examples/";

/// Which top-level module uses which, and where that was found first.
type Arrows = BTreeMap<(String, String), String>;

/// Arrows that lie on cycles, and arrows that point up.
pub fn check(root: &Path, sources: &[Source]) -> Result<Vec<Finding>> {
    let page = fs::read_to_string(root.join("ARCHITECTURE.md")).context("read ARCHITECTURE.md")?;
    let rooms = rooms(&page)?;
    let crates = sources.iter().filter_map(Source::module).map(|(folder, _)| folder);
    let crates: BTreeSet<&str> = crates.filter(|folder| !folder.starts_with(APPS)).collect();
    let mut findings = Vec::new();
    for name in crates {
        let arrows = arrows(name, sources);
        if name == SDK {
            findings.extend(pointing_up(name, &arrows, &rooms));
        }
        findings.extend(cycles(name, &arrows));
    }
    Ok(findings)
}

/// Reads the page's block that is fenced as `rooms`: each line opens with a room, and those below never use those above.
fn rooms(page: &str) -> Result<Vec<String>> {
    let (_, rest) =
        page.split_once("```rooms\n").context("ARCHITECTURE.md has no block fenced as `rooms`")?;
    let (block, _) = rest.split_once("```").context("the block of rooms in ARCHITECTURE.md does not end")?;
    Ok(block.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect())
}

/// The arrows between the top-level modules of the crate in folder `name`.
fn arrows(name: &str, sources: &[Source]) -> Arrows {
    let own: Vec<&Source> =
        sources.iter().filter(|source| source.module().is_some_and(|(folder, _)| folder == name)).collect();
    let tests: BTreeSet<Vec<String>> = own.iter().flat_map(|source| uses::test_modules(source)).collect();
    let reexports = Reexports::of(&own);
    let mut arrows = Arrows::new();
    for source in own {
        let Some((_, module)) = source.module() else { continue };
        let is_test =
            (1..=module.len()).any(|depth| tests.iter().any(|test| test.as_slice() == &module[..depth]));
        let Some(from) = module.first().filter(|_| !is_test) else { continue };
        for to in uses::of(source, &reexports) {
            if to != *from {
                arrows.entry(((*from).to_owned(), to)).or_insert_with(|| source.path.clone());
            }
        }
    }
    arrows
}

fn pointing_up(name: &str, arrows: &Arrows, rooms: &[String]) -> Vec<Finding> {
    let place = |room: &String| rooms.iter().position(|other| other == room);
    let up = arrows
        .iter()
        .filter(|((from, to), _)| place(from).zip(place(to)).is_some_and(|(from, to)| to < from));
    up.map(|((from, to), file)| {
        let at = format!("{name} {from} -> {to}");
        Finding::new(at, format!("points up, against the order of rooms in ARCHITECTURE.md (in {file})"))
    })
    .collect()
}

/// The arrows that lie on a cycle. An exception takes its arrow out first, so that the rest of its cycle is not reported.
fn cycles(name: &str, arrows: &Arrows) -> Vec<Finding> {
    let finding = |(from, to): &(String, String), file: &String| {
        Finding::new(format!("{name} {from} -> {to}"), format!("is part of a cycle (in {file})"))
    };
    let (excepted, kept): (Vec<_>, Vec<_>) =
        arrows.iter().partition(|(arrow, file)| exceptions::covers("modules", &finding(arrow, file).at));
    let kept: BTreeSet<&(String, String)> = kept.into_iter().map(|(arrow, _)| arrow).collect();
    let in_cycle =
        |arrow: &(String, String), among: &BTreeSet<&(String, String)>| reaches(&arrow.1, &arrow.0, among);
    let needed = excepted.into_iter().filter(|(arrow, _)| {
        let all: BTreeSet<_> = arrows.keys().collect();
        in_cycle(arrow, &all)
    });
    let found = arrows.iter().filter(|(arrow, _)| kept.contains(arrow) && in_cycle(arrow, &kept));
    found.chain(needed).map(|(arrow, file)| finding(arrow, file)).collect()
}

/// Whether following arrows leads from one module to the other.
fn reaches(from: &str, to: &str, arrows: &BTreeSet<&(String, String)>) -> bool {
    let mut seen = BTreeSet::from([from]);
    let mut open = vec![from];
    while let Some(module) = open.pop() {
        if module == to {
            return true;
        }
        let next = arrows.iter().filter(|(start, _)| start == module).map(|(_, end)| end.as_str());
        open.extend(next.filter(|end| seen.insert(end)));
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(files: &[(&str, &str)]) -> Vec<Source> {
        files
            .iter()
            .map(|(file, text)| Source::parse(&format!("crates/a/src/{file}"), (*text).into()).unwrap())
            .collect()
    }

    #[track_caller]
    fn check(files: &[(&str, &str)], expected: &[&str]) {
        let arrows = arrows("crates/a", &sources(files));
        let found: Vec<String> = arrows.keys().map(|(from, to)| format!("{from} -> {to}")).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn uses_are_found_in_every_form() {
        check(
            &[
                ("lib.rs", "mod a; mod b; mod c; mod d; pub use d::{Named, deep::Other as Renamed};"),
                ("a.rs", "use crate::{b::B, c::{self, C}}; fn f() { crate::a::g() }"),
                ("b/inner.rs", "fn f() { println!(\"{}\", super::super::c::g()) }"),
                ("c.rs", "use crate::Renamed; mod within { use super::super::a; }"),
                (
                    "d.rs",
                    "macro_rules! m { () => { $crate::b::f() } } #[cfg(test)] mod tests { use crate::a; }",
                ),
            ],
            &["a -> b", "a -> c", "b -> c", "c -> a", "c -> d", "d -> b"],
        );
    }

    #[test]
    fn tests_may_look_anywhere() {
        check(
            &[
                ("lib.rs", "mod a; mod b;"),
                ("a.rs", "#[cfg(test)] mod tests;"),
                ("a/tests.rs", "use crate::b;"),
                ("a/tests/more.rs", "use crate::b;"),
            ],
            &[],
        );
    }

    #[test]
    fn cycles_are_found_and_chains_are_not() {
        let files = [
            ("lib.rs", "mod a; mod b; mod c; mod d;"),
            ("a.rs", "use crate::b;"),
            ("b.rs", "use crate::c;"),
            ("c.rs", "use crate::b; use crate::d;"),
            ("d.rs", ""),
        ];
        let found = cycles("crates/a", &arrows("crates/a", &sources(&files)));
        let at: Vec<String> = found.into_iter().map(|finding| finding.at).collect();
        assert_eq!(at, ["crates/a b -> c", "crates/a c -> b"]);
    }

    #[test]
    fn an_arrow_that_points_up_is_found() {
        let files = [("top.rs", "use crate::low;"), ("low.rs", "use crate::top::T;")];
        let rooms = rooms("```rooms\ntop  what people see\nlow  what it rests on\n```").unwrap();
        let found = pointing_up("crates/a", &arrows("crates/a", &sources(&files)), &rooms);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].at, "crates/a low -> top");
    }
}
