//! Macro calls among items: those that can be read, and what is kept of the others.

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};
use syn::{Expr, Macro};

use super::{body, declares::declares, items::Extractor, macros, path_range, path_ref, select, word};
use crate::summary::{
    How, Include, IncludePath, MacroDefinition, Module, Name, OpaqueCall, PathRef, Range, Unread,
};

/// How many expansions may be in each other.
const MAX_EXPANSIONS_DEEP: usize = 32;

/// How deeply the tokens of an expansion may nest.
const MAX_TOKENS_DEEP: usize = 128;

impl Extractor<'_> {
    /// A call that is not one of Bis's own.
    pub(super) fn call(&self, call: &Macro, module: &mut Module) {
        let path = path_ref(&call.path);
        let range = path_range(&call.path);
        if let Some(arms) = select::arms(self.cfg(), path.last(), call.tokens.clone()) {
            for (tokens, condition) in arms {
                self.when(condition, || {
                    if !self.items_of(tokens.clone(), module) {
                        self.unread(&path, range, &tokens, module);
                    }
                });
            }
            return;
        }
        if path.last() == "include" {
            module.includes.push(self.include(call.tokens.clone(), range));
            return;
        }
        self.macro_calls.borrow_mut().insert(path.last().to_owned());
        let definition = self.definition(path.last(), range.line);
        let expanded = definition.and_then(|definition| self.expand(definition, call));
        if expanded.is_some_and(|tokens| self.items_of(tokens, module)) {
            return;
        }
        let is_declaring = match definition {
            Some(definition) => definition.declares,
            // Which of several it is cannot be seen.
            None => {
                let all = self.context.hints.macros.get(path.last());
                all.is_some_and(|all| all.iter().any(|definition| definition.declares))
            }
        };
        module.is_open |= is_declaring;
        if is_declaring && !declares(self, call.tokens.clone()) {
            module.unread.push(Unread { name: path.text(), range });
        }
        self.unread(&path, range, &call.tokens, module);
    }

    /// A call whose tokens are not items, as far as can be seen.
    fn unread(&self, path: &PathRef, range: Range, tokens: &TokenStream, module: &mut Module) {
        if declares(self, tokens.clone()) {
            module.unread.push(Unread { name: path.text(), range });
        }
        self.opaque(path.clone(), tokens, module);
    }

    /// Keeps the mentions and words of tokens that are not read.
    pub(super) fn opaque(&self, path: PathRef, tokens: &TokenStream, module: &mut Module) {
        let mut words = BTreeSet::new();
        collect_words(tokens.clone(), &mut words);
        let mut mentions = body::scan(self, tokens.clone());
        // Names that the call declares itself are not mentions of anything else.
        mentions.retain(|mention| mention.path.segments.len() > 1 || mention.how != How::Use);
        module.mentions.extend(mentions);
        module.opaque.push(OpaqueCall { path, words });
    }

    /// Reads tokens as items of the module; not when they are none.
    fn items_of(&self, tokens: TokenStream, module: &mut Module) -> bool {
        let deep = self.expansions.get();
        if deep >= MAX_EXPANSIONS_DEEP || self.budget.get() == 0 || !is_shallow(&tokens, MAX_TOKENS_DEEP) {
            return false;
        }
        let Ok(file) = syn::parse2::<syn::File>(tokens) else { return false };
        self.expansions.set(deep + 1);
        self.budget.set(self.budget.get() - 1);
        file.items.iter().for_each(|item| self.item(item, module));
        self.expansions.set(deep);
        true
    }

    /// The `macro_rules!` that a name means at a line: the last one above in the file, else the only one of the package,
    /// else the only one of the project.
    fn definition(&self, name: &str, line: u32) -> Option<&MacroDefinition> {
        let all = self.context.hints.macros.get(name)?;
        let package = |definition: &MacroDefinition| definition.home.as_ref().map(|(_, package)| *package);
        let here = |definition: &&MacroDefinition| {
            let home = definition.home.as_ref();
            home.is_some_and(|(path, package)| {
                (&**path, *package) == (self.context.path, self.context.package)
            })
        };
        let in_file = all.iter().filter(here);
        if let Some(last) = in_file.clone().filter(|definition| definition.line <= line).last() {
            return Some(last);
        }
        let only = |definitions: Vec<&'_ MacroDefinition>| match &definitions[..] {
            [first, rest @ ..] if rest.iter().all(|other| other.rules == first.rules) => {
                all.iter().find(|definition| *definition == *first)
            }
            _ => None,
        };
        only(in_file.collect())
            .or_else(|| only(all.iter().filter(|one| package(one) == Some(self.context.package)).collect()))
            .or_else(|| only(all.iter().collect()))
    }

    fn expand(&self, definition: &MacroDefinition, call: &Macro) -> Option<TokenStream> {
        let (_, package) = definition.home.as_ref()?;
        let home = match *package == self.context.package {
            true => "crate".to_owned(),
            false => format!("{PACKAGE}{package}"),
        };
        let span = call.path.segments.last()?.ident.span();
        macros::expand(&definition.rules, &call.tokens, span, &home)
    }

    /// An `include!`, whose path may be a literal or made of the package's folder.
    pub(super) fn include(&self, tokens: TokenStream, range: Range) -> Include {
        let path = match syn::parse2::<Expr>(tokens) {
            Ok(Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(path), .. })) => IncludePath::Beside(path.value()),
            Ok(Expr::Macro(call)) if call.mac.path.is_ident("concat") => {
                let text = call.mac.tokens.to_string();
                let rest = text.strip_prefix("env ! (\"CARGO_MANIFEST_DIR\") ,");
                let rest = rest.or_else(|| text.strip_prefix("env!(\"CARGO_MANIFEST_DIR\"),"));
                match rest.map(|rest| syn::parse_str::<syn::LitStr>(rest.trim().trim_end_matches(','))) {
                    Some(Ok(path)) => IncludePath::InPackage(path.value()),
                    _ => IncludePath::Hidden,
                }
            }
            _ => IncludePath::Hidden,
        };
        Include { path, range, condition: self.condition() }
    }
}

/// How `$crate` of another package's macro is written, with the package's index: it leads to that package's library.
pub(crate) const PACKAGE: &str = "__bis_package_";

fn is_shallow(tokens: &TokenStream, deep: usize) -> bool {
    deep > 0
        && tokens.clone().into_iter().all(|token| match token {
            TokenTree::Group(group) => is_shallow(&group.stream(), deep - 1),
            _ => true,
        })
}

fn collect_words(tokens: TokenStream, words: &mut BTreeSet<Name>) {
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => {
                words.insert(word(&ident));
            }
            TokenTree::Group(group) => collect_words(group.stream(), words),
            _ => {}
        }
    }
}
