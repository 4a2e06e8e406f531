//! What is sensitive in an event's type, at every depth: its own fields and those of each type in it, events or not.

use std::collections::{BTreeSet, HashMap};

use bis_syntax::rename;

use crate::{
    resolve::{Namespace, Resolver, Target},
    schema::type_path,
    summary::{FieldItem, Ty, TypeItem, TypeShape},
    tree::ModuleId,
};

/// How deep types may nest.
const MAX_DEPTH: usize = 64;
/// Stands for what has no name of its own: the whole is hidden.
const WHOLE: &str = "0";

/// The names of the fields that are redacted in events of the type `item` of `module`, sorted.
pub(crate) fn of(resolver: &Resolver<'_, '_>, module: ModuleId, item: &TypeItem) -> Vec<String> {
    let mut reach = Reach { resolver, names: BTreeSet::new(), asked: HashMap::new(), depth: 0 };
    if reach.ask(module, item) {
        reach.names.insert(WHOLE.to_owned());
    }
    reach.names.into_iter().collect()
}

struct Reach<'r, 't, 'a> {
    resolver: &'r Resolver<'t, 'a>,
    names: BTreeSet<String>,
    /// The types that were asked, and whether each is sensitive as a whole.
    asked: HashMap<String, bool>,
    depth: usize,
}

fn is_index(name: &str) -> bool {
    name.parse::<usize>().is_ok()
}

impl Reach<'_, '_, '_> {
    /// Collects what is sensitive in a type; says whether that is the whole.
    fn ask(&mut self, module: ModuleId, item: &TypeItem) -> bool {
        let path = type_path(self.resolver, module, item);
        if let Some(whole) = self.asked.get(&path) {
            return *whole;
        }
        let Some(serde) = &item.serde else { return false };
        let own = serde.event.as_ref().map_or(&[][..], |event| &event.sensitive);
        let mut whole = own.iter().any(|name| is_index(name));
        self.names.extend(own.iter().filter(|name| !is_index(name)).cloned());
        if !item.generics.is_empty() {
            self.add_everywhere();
        }
        // A type that holds itself finds what is known of it so far.
        self.asked.insert(path.clone(), whole);
        if let Some(proxy) = &serde.container.proxy {
            whole |= self.ty(module, proxy);
        }
        let rule = serde.container.rename_all.as_deref();
        match &serde.shape {
            TypeShape::Struct(fields) => whole |= self.fields(module, fields, rule),
            TypeShape::Tuple(fields) => whole |= self.bare(module, fields),
            TypeShape::Unit => {}
            TypeShape::Enum(variants) => {
                for variant in variants {
                    let rule = variant.rename_all.as_deref();
                    let rule = rule.or(serde.container.rename_all_fields.as_deref());
                    whole |= match &variant.shape {
                        TypeShape::Struct(fields) => self.fields(module, fields, rule),
                        TypeShape::Tuple(fields) => self.bare(module, fields),
                        TypeShape::Unit | TypeShape::Enum(_) => false,
                    };
                }
            }
        }
        self.asked.insert(path, whole);
        whole
    }

    /// What a type parameter stands for is not known here: it may hold what is sensitive anywhere.
    fn add_everywhere(&mut self) {
        let types = self.resolver.tree.modules.iter().flat_map(|node| &node.module.types);
        let events = types.filter_map(|item| item.serde.as_ref()?.event.as_ref());
        let names = events.flat_map(|event| &event.sensitive).filter(|name| !is_index(name));
        self.names.extend(names.cloned());
    }

    /// Fields with names: one whose type is sensitive as a whole is hidden by its name, unless it is flattened.
    fn fields(&mut self, module: ModuleId, fields: &[FieldItem], rule: Option<&str>) -> bool {
        let mut whole = false;
        for field in fields.iter().filter(|field| self.ty(module, &field.ty)).collect::<Vec<_>>() {
            let name = field.rename.clone().unwrap_or_else(|| rename::field(&field.name, rule));
            if field.flatten {
                whole = true;
            } else {
                self.names.insert(name);
            }
        }
        whole
    }

    /// Fields without names.
    fn bare(&mut self, module: ModuleId, fields: &[FieldItem]) -> bool {
        self.any(module, fields.iter().map(|field| &field.ty))
    }

    /// As [`Reach::ty`], of several types, each of which is asked.
    fn any<'t>(&mut self, module: ModuleId, types: impl IntoIterator<Item = &'t Ty>) -> bool {
        types.into_iter().filter(|ty| self.ty(module, ty)).count() > 0
    }

    /// Whether a type as written is sensitive as a whole, or one in it.
    fn ty(&mut self, module: ModuleId, ty: &Ty) -> bool {
        if self.depth == MAX_DEPTH {
            return false;
        }
        self.depth += 1;
        let whole = match ty {
            Ty::Opaque(_) => false,
            Ty::List(item) => self.ty(module, item),
            Ty::Tuple(parts) => self.any(module, parts),
            Ty::Path(path, arguments) => {
                let inner = self.any(module, arguments);
                match self.resolver.resolve(module, path, Namespace::Type, &[]) {
                    Some(Target::Type(home, item)) => self.ask(home, item) || inner,
                    Some(Target::Alias(home, alias)) => self.ty(home, &alias.ty) || inner,
                    _ => inner,
                }
            }
        };
        self.depth -= 1;
        whole
    }
}
