//! The leaves of `use` declarations.

use syn::UseTree;

use super::syntax::word;
use crate::summary::{Name, PathRef, Use, UseKind};

/// The leaves of a `use` tree.
pub(super) fn uses(tree: &UseTree, global: bool, prefix: &mut Vec<Name>, found: &mut Vec<Use>) {
    let mut leaf =
        |segments: Vec<Name>, kind: UseKind| found.push(Use { path: PathRef { global, segments }, kind });
    let with = |prefix: &[Name], name: Name| -> Vec<Name> {
        // `use a::{self}` names `a` itself.
        if &*name == "self" && !prefix.is_empty() { prefix.to_vec() } else { [prefix, &[name]].concat() }
    };
    match tree {
        UseTree::Path(path) => {
            prefix.push(word(&path.ident));
            uses(&path.tree, global, prefix, found);
            prefix.pop();
        }
        UseTree::Name(name) => {
            let segments = with(prefix, word(&name.ident));
            if let Some(last) = segments.last().cloned() {
                leaf(segments, UseKind::Name(last));
            }
        }
        UseTree::Rename(rename) => {
            leaf(with(prefix, word(&rename.ident)), UseKind::Name(word(&rename.rename)))
        }
        UseTree::Glob(_) => leaf(prefix.clone(), UseKind::Glob),
        UseTree::Group(group) => group.items.iter().for_each(|tree| uses(tree, global, prefix, found)),
    }
}

/// `use a::b` of the edition 2015 begins at the crate's root, as `::a::b` does there.
pub(super) fn from_root(import: &mut Use) {
    let first = import.path.segments.first().map(|first| &**first);
    import.path.global |= !matches!(first, Some("self" | "super" | "crate"));
}
