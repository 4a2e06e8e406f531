//! The names that matter: Bis's words with what the project calls them, and statics that are not in capitals.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::Ident;
use syn::{Attribute, UseTree};

use super::syntax::{is_capital, is_capital_ident, path_ref, word};
use crate::summary::{Hints, PathRef};

/// The words of Bis that name an attribute, macro or derive.
const WORDS: [&str; 10] =
    ["subscription", "api", "mount", "auth", "on_start", "on_stop", "background", "service", "app", "Event"];

/// Those that are attributes of functions.
pub(super) const ATTRIBUTES: [&str; 7] =
    ["subscription", "api", "mount", "auth", "on_start", "on_stop", "background"];

/// Attributes that are surely not ours.
const FOREIGN: [&str; 14] = [
    "doc",
    "cfg",
    "derive",
    "allow",
    "expect",
    "warn",
    "deny",
    "inline",
    "must_use",
    "test",
    "path",
    "serde",
    "cold",
    "track_caller",
];

/// What the names in a file may mean.
pub(super) struct Vocabulary {
    /// Names that mean a static though they are not in capitals.
    statics: BTreeSet<String>,
    /// Other names of Bis's words.
    words: BTreeMap<String, String>,
}

impl Vocabulary {
    /// What other files say.
    pub(super) fn new(hints: &Hints) -> Self {
        Self { statics: hints.statics.clone(), words: hints.words.clone() }
    }

    /// Notes a static, for this file and for others.
    pub(super) fn add_static(&mut self, name: &str, hints: &mut Hints) {
        if !is_capital(name) {
            self.statics.insert(name.to_owned());
            hints.statics.insert(name.to_owned());
        }
    }

    /// Notes the other names that imports give to statics and words.
    pub(super) fn add_aliases(&mut self, tree: &UseTree, hints: &mut Hints) {
        match tree {
            UseTree::Path(path) => self.add_aliases(&path.tree, hints),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.add_aliases(tree, hints)),
            UseTree::Rename(rename) => {
                let (name, alias) = (rename.ident.to_string(), rename.rename.to_string());
                if (is_capital(&name) || self.statics.contains(&name)) && alias != "_" {
                    self.add_static(&alias, hints);
                }
                let word = self.word(&name).map(str::to_owned);
                if let Some(word) = word
                    && !WORDS.contains(&alias.as_str())
                {
                    self.words.insert(alias.clone(), word.clone());
                    hints.words.insert(alias, word);
                }
            }
            UseTree::Name(_) | UseTree::Glob(_) => {}
        }
    }

    /// The word that a name means.
    pub(super) fn word<'b>(&'b self, name: &'b str) -> Option<&'b str> {
        match self.words.get(name) {
            Some(word) => Some(word),
            None => WORDS.contains(&name).then_some(name),
        }
    }

    /// The word of Bis that an attribute's last segment is.
    pub(super) fn attribute(&self, attribute: &Attribute) -> Option<(String, PathRef)> {
        let path = attribute.path();
        if FOREIGN.iter().any(|foreign| path.is_ident(foreign)) {
            return None;
        }
        let path = path_ref(path);
        let word = self.word(path.last())?.to_owned();
        Some((word, path))
    }

    /// Whether a name may be that of a resource's static.
    pub(super) fn may_be_resource(&self, name: &str) -> bool {
        is_capital(name) || self.statics.contains(name)
    }

    /// [`Self::may_be_resource`] of an identifier, without making a text of it where that can be helped.
    pub(super) fn ident_may_be_resource(&self, ident: &Ident) -> bool {
        is_capital_ident(ident) || (!self.statics.is_empty() && self.statics.contains(&*word(ident)))
    }
}
