//! What an extraction knows besides the syntax tree, and what it gathers along the way. It reads no syntax but attributes.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    path::Path,
    rc::Rc,
    sync::Arc,
};

use bis_graph::{Diagnostic, Position};
use bis_syntax::Errors;
use proc_macro2::TokenTree;
use syn::{Attribute, File, Item, Meta, spanned::Spanned};

use super::{
    declares::declares,
    macros::{self, Rule},
    syntax::{range_of, word},
    vocabulary::Vocabulary,
};
use crate::{
    cfg::{Cfg, Truth},
    findings,
    summary::{Allow, Condition, FileSummary, Hints, MacroDefinition, Module, Range},
};

/// How many macro calls of one file are expanded.
const MAX_EXPANSIONS: usize = 4_096;

/// How deeply expansions may nest.
const MAX_EXPANSIONS_DEEP: usize = 32;

/// What an extraction knows besides the text.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) cfg: &'a Cfg,
    pub(crate) hints: &'a Hints,
    /// The file as diagnostics name it.
    pub(crate) file: &'a Arc<str>,
    pub(crate) path: &'a Path,
    pub(crate) package: usize,
}

/// What the parts of an extraction share.
pub(super) struct Extractor<'a> {
    pub(super) context: Context<'a>,
    pub(super) vocabulary: Vocabulary,
    hints: Hints,
    /// The unknown `cfg` around the item that is read.
    condition: RefCell<Option<Condition>>,
    allows: RefCell<Vec<Allow>>,
    unread: RefCell<Vec<Diagnostic>>,
    macro_calls: RefCell<BTreeSet<String>>,
    /// The rules of the macros that were called, by the address of the definition.
    rules: RefCell<BTreeMap<*const MacroDefinition, Option<Rc<[Rule]>>>>,
    /// How many expansions are around the item that is read.
    expansions: Cell<usize>,
    /// How many more expansions this file may have.
    budget: Cell<usize>,
}

impl<'a> Extractor<'a> {
    pub(super) fn new(context: &Context<'a>, file: &File) -> Self {
        let mut extractor = Self {
            context: *context,
            vocabulary: Vocabulary::new(context.hints),
            hints: Hints::default(),
            condition: RefCell::default(),
            allows: RefCell::default(),
            unread: RefCell::default(),
            macro_calls: RefCell::default(),
            rules: RefCell::default(),
            expansions: Cell::new(0),
            budget: Cell::new(MAX_EXPANSIONS),
        };
        extractor.learn(&file.items);
        extractor
    }

    /// Finds the names that this file gives to statics and words, for itself and for others.
    fn learn(&mut self, items: &[Item]) {
        for item in items {
            match item {
                Item::Use(item) => self.vocabulary.add_aliases(&item.tree, &mut self.hints),
                Item::Static(item) => self.vocabulary.add_static(&word(&item.ident), &mut self.hints),
                Item::Mod(item) => {
                    if let Some((_, items)) = &item.content {
                        self.learn(items);
                    }
                }
                Item::Macro(item) if self.cfg().may_be_on(&item.attrs) => {
                    let Some(name) = &item.ident else { continue };
                    let definition = MacroDefinition {
                        home: None,
                        line: Range::of(name.span()).line,
                        rules: item.mac.tokens.to_string(),
                        declares: declares(&self.vocabulary, item.mac.tokens.clone()),
                    };
                    self.hints.macros.entry(word(name).into()).or_default().push(definition);
                }
                _ => {}
            }
        }
    }

    /// The summary of a file with these items.
    pub(super) fn into_summary(self, module: Module) -> FileSummary {
        FileSummary {
            module,
            is_broken: false,
            unread: self.unread.into_inner(),
            allows: self.allows.into_inner(),
            macro_calls: self.macro_calls.into_inner(),
            hints: self.hints,
        }
    }

    pub(super) fn cfg(&self) -> &'a Cfg {
        self.context.cfg
    }

    /// Reads what is under attributes, when it may be in the build.
    pub(super) fn under(&self, attrs: &[Attribute], read: impl FnOnce()) {
        match self.cfg().truth(attrs) {
            Truth::Off => {}
            Truth::On => read(),
            Truth::Unknown => self.when(self.cfg().condition(attrs), read),
        }
    }

    /// Reads what is under a condition of which it is unknown whether it holds.
    pub(super) fn when(&self, condition: Option<Condition>, read: impl FnOnce()) {
        let outer = self.condition.borrow().clone();
        if let Some(condition) = condition {
            self.condition.borrow_mut().get_or_insert(condition);
        }
        read();
        *self.condition.borrow_mut() = outer;
    }

    pub(super) fn condition(&self) -> Option<Condition> {
        self.condition.borrow().clone()
    }

    /// Notes what an attribute `#[bis::allow(..)]` lets pass in the item under it.
    pub(super) fn note_allows(&self, attrs: &[Attribute], item: &impl Spanned) {
        for attribute in attrs {
            let segments = &attribute.path().segments;
            let is_ours = segments.len() > 1 && segments.last().is_some_and(|last| last.ident == "allow");
            let Meta::List(list) = &attribute.meta else { continue };
            if is_ours {
                let idents = list.tokens.clone().into_iter().filter_map(|token| match token {
                    TokenTree::Ident(ident) => Some((ident.to_string(), Range::of(ident.span()))),
                    _ => None,
                });
                self.allows.borrow_mut().push(Allow { range: range_of(item), codes: idents.collect() });
            }
        }
    }

    pub(super) fn note_unread(&self, reason: Diagnostic) {
        self.unread.borrow_mut().push(reason);
    }

    pub(super) fn position(&self, range: Range) -> Position {
        findings::position(self.context.file, range)
    }

    /// What the grammar finds wrong in this file.
    pub(super) fn mistakes(&self, errors: Errors, fallback: Range) -> Vec<Diagnostic> {
        findings::mistakes(self.context.file, errors, fallback)
    }

    pub(super) fn note_macro_call(&self, name: &str) {
        self.macro_calls.borrow_mut().insert(name.to_owned());
    }

    /// The rules of a macro, parsed once; `None` when they cannot be read.
    pub(super) fn rules(&self, definition: &MacroDefinition) -> Option<Rc<[Rule]>> {
        let parse = || macros::parse(&definition.rules).map(Rc::from);
        self.rules.borrow_mut().entry(std::ptr::from_ref(definition)).or_insert_with(parse).clone()
    }

    /// Whether the item that is read comes from a macro call.
    pub(super) fn is_expanding(&self) -> bool {
        self.expansions.get() > 0
    }

    /// Whether one more macro call may be expanded here, which counts.
    pub(super) fn may_expand(&self) -> bool {
        let may = self.expansions.get() < MAX_EXPANSIONS_DEEP && self.budget.get() > 0;
        self.budget.set(self.budget.get() - usize::from(may));
        may
    }

    /// Reads what a macro call stands for.
    pub(super) fn expanding(&self, read: impl FnOnce()) {
        self.expansions.set(self.expansions.get() + 1);
        read();
        self.expansions.set(self.expansions.get() - 1);
    }
}
