//! The page about the router names exactly the flags that exist.

use std::collections::BTreeSet;

use clap::CommandFactory;

use super::Arguments;

/// What the page does not have to name.
const COMMON: [&str; 2] = ["help", "version"];

#[test]
fn the_page_names_every_flag_and_no_other() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/router.md");
    let page = std::fs::read_to_string(path).unwrap();
    let is_of_flag = |one: char| one.is_ascii_lowercase() || one.is_ascii_digit() || one == '-';
    // Cargo's flags are cargo's.
    let lines = page.lines().filter(|line| !line.contains("cargo "));
    let named: BTreeSet<&str> = lines
        .flat_map(|line| line.split("--").skip(1))
        .map(|rest| rest.split(|one| !is_of_flag(one)).next().unwrap())
        .filter(|name| name.starts_with(|one: char| one.is_ascii_lowercase()))
        .collect();
    let command = Arguments::command();
    let router = command.find_subcommand("router").unwrap();
    let flags: BTreeSet<&str> = router
        .get_arguments()
        .filter_map(clap::Arg::get_long)
        .filter(|flag| !COMMON.contains(flag))
        .collect();
    let unknown: Vec<_> = named.difference(&flags).filter(|name| !COMMON.contains(name)).collect();
    assert!(unknown.is_empty(), "docs/router.md names flags that are not there: {unknown:?}");
    let missing: Vec<_> = flags.difference(&named).collect();
    assert!(missing.is_empty(), "docs/router.md does not name {missing:?}");
}

#[test]
fn the_pages_config_file_is_one() {
    let page = include_str!("../../../../docs/router.md");
    let file = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    crate::commands::check_config(file).unwrap();
}
