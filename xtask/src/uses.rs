//! Which top-level modules of its own crate a file names: in `use`, in paths, and inside macros.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens;

use crate::sources::Source;

/// Re-exports of a crate's root, with the module that they come from: `crate::Topic` belongs to `topic`.
#[derive(Default)]
pub struct Reexports {
    modules: BTreeSet<String>,
    owners: BTreeMap<String, String>,
}

impl Reexports {
    /// Reads the crate's root.
    pub fn of(sources: &[&Source]) -> Self {
        let mut found = Self::default();
        for source in sources {
            let Some((_, module)) = source.module() else { continue };
            found.modules.extend(module.first().map(|name| (*name).to_owned()));
            if module.is_empty() {
                for item in &source.syntax.items {
                    match item {
                        syn::Item::Mod(module) => drop(found.modules.insert(module.ident.to_string())),
                        syn::Item::Use(item) => found.note(&item.tree, None),
                        _ => {}
                    }
                }
            }
        }
        found
    }

    fn note(&mut self, tree: &syn::UseTree, owner: Option<&str>) {
        let mut own = |name: String| {
            if let Some(owner) = owner {
                self.owners.insert(name, owner.to_owned());
            }
        };
        match tree {
            syn::UseTree::Path(path) => {
                let name = path.ident.to_string();
                let first = if matches!(name.as_str(), "crate" | "self") { None } else { Some(name) };
                self.note(&path.tree, owner.or(first.as_deref()));
            }
            syn::UseTree::Name(name) => own(name.ident.to_string()),
            syn::UseTree::Rename(rename) => own(rename.rename.to_string()),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.note(tree, owner)),
            syn::UseTree::Glob(_) => {}
        }
    }

    /// The top-level module that `crate::name` belongs to.
    fn owner(&self, name: &str) -> Option<String> {
        if self.modules.contains(name) {
            return Some(name.to_owned());
        }
        self.owners.get(name).filter(|owner| self.modules.contains(*owner)).cloned()
    }
}

/// The modules, by their path in the crate, that a file declares for tests and that other files hold.
pub fn test_modules(source: &Source) -> Vec<Vec<String>> {
    let Some((_, module)) = source.module() else { return Vec::new() };
    let tests = source.syntax.items.iter().filter_map(|item| match item {
        syn::Item::Mod(item) if is_for_tests(&item.attrs) => Some(item.ident.to_string()),
        _ => None,
    });
    tests.map(|name| module.iter().map(|part| (*part).to_owned()).chain([name]).collect()).collect()
}

/// The top-level modules that a file's code outside tests names.
pub fn of(source: &Source, reexports: &Reexports) -> BTreeSet<String> {
    let Some((_, module)) = source.module() else { return BTreeSet::new() };
    let mut found = BTreeSet::new();
    in_items(&source.syntax.items, module.len(), reexports, &mut found);
    found
}

fn in_items(items: &[syn::Item], depth: usize, reexports: &Reexports, found: &mut BTreeSet<String>) {
    for item in items {
        match item {
            syn::Item::Mod(item) if is_for_tests(&item.attrs) => {}
            syn::Item::Mod(syn::ItemMod { content: Some((_, items)), .. }) => {
                in_items(items, depth + 1, reexports, found);
            }
            syn::Item::Fn(item) if is_for_tests(&item.attrs) => {}
            syn::Item::Use(item) if is_for_tests(&item.attrs) => {}
            syn::Item::Impl(item) if is_for_tests(&item.attrs) => {}
            item => in_tokens(item.to_token_stream(), depth, reexports, found),
        }
    }
}

/// Whether an item exists only in tests.
fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Ident>().is_ok_and(|word| word == "test")
    })
}

fn in_tokens(tokens: TokenStream, depth: usize, reexports: &Reexports, found: &mut BTreeSet<String>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        if let TokenTree::Group(group) = &tokens[at] {
            in_tokens(group.stream(), depth, reexports, found);
        }
        let Some(mut next) = root_path(&tokens[at..], depth).map(|length| at + length) else {
            at += 1;
            continue;
        };
        match tokens.get(next) {
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                found.extend(heads(group.stream()).iter().filter_map(|name| reexports.owner(name)));
            }
            Some(TokenTree::Ident(name)) => {
                found.extend(reexports.owner(&name.to_string()));
                next += 1;
            }
            _ => {}
        }
        at = next;
    }
}

/// How many tokens `crate::`, or the `super::` segments up to the crate's root, take here.
fn root_path(tokens: &[TokenTree], depth: usize) -> Option<usize> {
    let word = |at: usize| match tokens.get(at)? {
        TokenTree::Ident(ident) => Some(ident.to_string()),
        _ => None,
    };
    let colons = |at: usize| {
        [at, at + 1]
            .iter()
            .all(|at| matches!(tokens.get(*at), Some(TokenTree::Punct(punct)) if punct.as_char() == ':'))
    };
    let first = word(0)?;
    if first == "crate" && colons(1) {
        return Some(3);
    }
    let supers =
        (0..).take_while(|nth| word(nth * 3).is_some_and(|word| word == "super") && colons(nth * 3 + 1));
    let supers = supers.count();
    (supers > 0 && supers == depth).then_some(supers * 3)
}

/// The first words of a `use` group's branches.
fn heads(group: TokenStream) -> Vec<String> {
    let mut heads = Vec::new();
    let mut is_head = true;
    for token in group {
        match token {
            TokenTree::Ident(ident) if is_head => {
                heads.push(ident.to_string());
                is_head = false;
            }
            TokenTree::Punct(punct) if punct.as_char() == ',' => is_head = true,
            _ => {}
        }
    }
    heads
}
