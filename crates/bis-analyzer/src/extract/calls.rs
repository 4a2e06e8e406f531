//! Macro calls among items: the items that they stand for, and what is kept of calls that cannot be read.

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};
use syn::{File, Macro};

use super::{
    body,
    declares::declares,
    extractor::Extractor,
    includes, macros, select,
    syntax::{is_shallow, path_range, path_ref, word},
};
use crate::summary::{
    Condition, How, Include, MacroDefinition, Module, Name, OpaqueCall, PACKAGE, PathRef, Range, Unread,
};

/// How deeply the tokens of an expansion may nest.
const MAX_TOKENS_DEEP: usize = 128;

/// Items that a call stands for, and the condition when it is unknown whether it holds.
pub(super) type Reading = (File, Option<Condition>);

/// Reads a call that is not one of Bis's own. What is not items is kept in the module.
pub(super) fn read(extractor: &Extractor<'_>, call: &Macro, module: &mut Module) -> Vec<Reading> {
    let path = path_ref(&call.path);
    let range = path_range(&call.path);
    if let Some(arms) = select::arms(extractor.cfg(), path.last(), call.tokens.clone()) {
        let mut readings = Vec::new();
        for (tokens, condition) in arms {
            match items(extractor, tokens.clone()) {
                Some(file) => readings.push((file, condition)),
                None => unread(extractor, &path, range, &tokens, module),
            }
        }
        return readings;
    }
    if path.last() == "include" {
        let condition = extractor.condition();
        module.includes.push(Include { path: includes::path(call.tokens.clone()), range, condition });
        return Vec::new();
    }
    extractor.note_macro_call(path.last());
    let definition = definition(extractor, path.last(), range.line);
    let expanded = definition.and_then(|definition| expand(extractor, definition, call));
    if let Some(file) = expanded.and_then(|tokens| items(extractor, tokens)) {
        return vec![(file, None)];
    }
    let is_declaring = match definition {
        Some(definition) => definition.declares,
        // Which of several it is cannot be seen.
        None => {
            let all = extractor.context.hints.macros.get(path.last());
            all.is_some_and(|all| all.iter().any(|definition| definition.declares))
        }
    };
    module.is_open |= is_declaring;
    if is_declaring && !declares(&extractor.vocabulary, call.tokens.clone()) {
        module.unread.push(Unread { name: path.text(), range });
    }
    unread(extractor, &path, range, &call.tokens, module);
    Vec::new()
}

/// Keeps what a call whose tokens are not items mentions, and that it may declare something.
fn unread(
    extractor: &Extractor<'_>,
    path: &PathRef,
    range: Range,
    tokens: &TokenStream,
    module: &mut Module,
) {
    if declares(&extractor.vocabulary, tokens.clone()) {
        module.unread.push(Unread { name: path.text(), range });
    }
    opaque(extractor, path.clone(), tokens, module);
}

/// Keeps the mentions and words of tokens that are not read.
pub(super) fn opaque(extractor: &Extractor<'_>, path: PathRef, tokens: &TokenStream, module: &mut Module) {
    let mut words = BTreeSet::new();
    collect_words(tokens.clone(), &mut words);
    let mut mentions = body::scan(extractor, tokens.clone());
    // Names that the call declares itself are not mentions of anything else.
    mentions.retain(|mention| mention.path.segments.len() > 1 || mention.how != How::Use);
    module.mentions.extend(mentions);
    module.opaque.push(OpaqueCall { path, words });
}

/// Tokens as items; `None` when they are not items, or too many.
fn items(extractor: &Extractor<'_>, tokens: TokenStream) -> Option<File> {
    if !is_shallow(&tokens, MAX_TOKENS_DEEP) || !extractor.may_expand() {
        return None;
    }
    syn::parse2(tokens).ok()
}

/// The `macro_rules!` that a name means at a line: the last one above in the file, else the only one of the package,
/// else the only one of the project.
fn definition<'a>(extractor: &Extractor<'a>, name: &str, line: u32) -> Option<&'a MacroDefinition> {
    let context = &extractor.context;
    let all = context.hints.macros.get(name)?;
    let package = |definition: &MacroDefinition| definition.home.as_ref().map(|(_, package)| *package);
    let here = |definition: &&MacroDefinition| {
        let home = definition.home.as_ref();
        home.is_some_and(|(path, package)| (&**path, *package) == (context.path, context.package))
    };
    let in_file = all.iter().filter(here);
    if let Some(last) = in_file.clone().rfind(|definition| definition.line <= line) {
        return Some(last);
    }
    let only = |definitions: Vec<&'a MacroDefinition>| match &definitions[..] {
        [first, rest @ ..] if rest.iter().all(|other| other.rules == first.rules) => Some(*first),
        _ => None,
    };
    only(in_file.collect())
        .or_else(|| only(all.iter().filter(|one| package(one) == Some(context.package)).collect()))
        .or_else(|| only(all.iter().collect()))
}

fn expand<'a>(
    extractor: &Extractor<'a>,
    definition: &'a MacroDefinition,
    call: &Macro,
) -> Option<TokenStream> {
    let (_, package) = definition.home.as_ref()?;
    let home = match *package == extractor.context.package {
        true => "crate".to_owned(),
        false => format!("{PACKAGE}{package}"),
    };
    let span = call.path.segments.last()?.ident.span();
    let rules = extractor.rules(definition)?;
    macros::expand(&rules, &call.tokens, span, &home)
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
