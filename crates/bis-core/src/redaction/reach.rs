//! What is sensitive in a type and in the types that its fields hold, at every depth, whatever represents a type.

use std::{collections::HashMap, hash::Hash};

use super::{Sensitive, is_index};

/// What was found so far; `K` stands for a type.
#[derive(Debug)]
pub struct Reach<K> {
    found: Sensitive,
    /// The types that were asked, and whether each is sensitive as a whole: it has no name for what is sensitive in it.
    asked: HashMap<K, bool>,
    /// Whether the type that is asked now is sensitive as a whole.
    is_whole: bool,
}

impl<K> Default for Reach<K> {
    fn default() -> Self {
        Self { found: Sensitive::default(), asked: HashMap::new(), is_whole: false }
    }
}

impl<K: Eq + Hash + Clone> Reach<K> {
    /// Collects what is sensitive in a type; says whether that is the whole. `own` are the names that the type itself declares, and
    /// `ask_parts` asks the types of its fields with [`Reach::add_part`].
    pub fn ask<'n>(
        &mut self,
        ty: K,
        own: impl IntoIterator<Item = &'n str>,
        ask_parts: impl FnOnce(&mut Self),
    ) -> bool {
        if let Some(is_whole) = self.asked.get(&ty) {
            return *is_whole;
        }
        let (indexes, names): (Vec<&str>, Vec<&str>) = own.into_iter().partition(|name| is_index(name));
        self.add_names(names);
        let own = !indexes.is_empty();
        // A type that contains itself gets what is known about it so far.
        self.asked.insert(ty.clone(), own);
        let outer = std::mem::replace(&mut self.is_whole, own);
        ask_parts(self);
        let is_whole = std::mem::replace(&mut self.is_whole, outer);
        self.asked.insert(ty, is_whole);
        is_whole
    }

    /// Notes a part of the type that is asked: one that is sensitive as a whole is hidden by the name of its field, and without a
    /// name hides the whole.
    pub fn add_part(&mut self, name: Option<&str>, is_sensitive: bool) {
        match name {
            _ if !is_sensitive => {}
            Some(name) => self.found.add(name),
            None => self.is_whole = true,
        }
    }

    /// Notes fields of any type by their names. In an unknown type, every name that is sensitive anywhere may be sensitive;
    /// indexes mean nothing there.
    pub fn add_names<'n>(&mut self, names: impl IntoIterator<Item = &'n str>) {
        names.into_iter().filter(|name| !is_index(name)).for_each(|name| self.found.add(name));
    }

    /// What was found.
    pub fn into_sensitive(self) -> Sensitive {
        self.found
    }
}
