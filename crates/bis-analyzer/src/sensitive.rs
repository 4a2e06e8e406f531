//! What is sensitive in an event's type as it is in the source: its own fields and those of each type in it, events or not. What
//! follows from them is decided in `bis_core::redaction`.

use bis_core::redaction::Reach;
use bis_syntax::rename;

use crate::{
    resolve::{Namespace, Resolver, Target},
    schema::type_path,
    summary::{FieldItem, SerdeType, Ty, TypeItem, TypeShape},
    tree::ModuleId,
};

/// How deep types may nest.
const MAX_DEPTH: usize = 64;
/// Represents what has no name of its own: the whole is hidden.
const WHOLE: &str = "0";

/// The names of the fields that are redacted in events of the type `item` of `module`, sorted.
pub(crate) fn of(resolver: &Resolver<'_, '_>, module: ModuleId, item: &TypeItem) -> Vec<String> {
    let mut reach = Reach::default();
    let is_whole = Search { resolver }.ask(&mut reach, module, item, 0);
    let sensitive = reach.into_sensitive();
    is_whole.then_some(WHOLE).into_iter().chain(sensitive.names()).map(str::to_owned).collect()
}

struct Search<'r, 't, 'a> {
    resolver: &'r Resolver<'t, 'a>,
}

impl Search<'_, '_, '_> {
    /// Collects what is sensitive in a type; returns whether that is the whole.
    fn ask(&self, reach: &mut Reach<String>, module: ModuleId, item: &TypeItem, depth: usize) -> bool {
        let Some(serde) = &item.serde else { return false };
        let own = serde.event.iter().flat_map(|event| &event.sensitive).map(String::as_str);
        reach.ask(type_path(self.resolver, module, item), own, |reach| {
            if !item.generics.is_empty() {
                self.add_everywhere(reach);
            }
            self.parts(reach, module, serde, depth);
        })
    }

    fn parts(&self, reach: &mut Reach<String>, module: ModuleId, serde: &SerdeType, depth: usize) {
        let container = &serde.container;
        for proxy in [&container.proxy.written, &container.proxy.read].into_iter().flatten() {
            let is_sensitive = self.ty(reach, module, proxy, depth);
            reach.add_part(None, is_sensitive);
        }
        let mut fields = |shape: &TypeShape, rule: Option<&str>| match shape {
            TypeShape::Struct(fields) => self.fields(reach, module, fields, Some(rule), depth),
            TypeShape::Tuple(fields) => self.fields(reach, module, fields, None, depth),
            TypeShape::Unit | TypeShape::Enum(_) => {}
        };
        match &serde.shape {
            TypeShape::Enum(variants) => {
                for variant in variants {
                    let rule = variant.rename_all.written().or(container.rename_all_fields.written());
                    fields(&variant.shape, rule);
                }
            }
            shape => fields(shape, container.rename_all.written()),
        }
    }

    /// What a type parameter stands for is not known here: it may hold what is sensitive anywhere.
    fn add_everywhere(&self, reach: &mut Reach<String>) {
        let types = self.resolver.tree.modules.iter().flat_map(|node| &node.module.types);
        let events = types.filter_map(|item| item.serde.as_ref()?.event.as_ref());
        reach.add_names(events.flat_map(|event| &event.sensitive).map(String::as_str));
    }

    /// Fields, whose names follow `rule`; those of a tuple have none.
    fn fields(
        &self,
        reach: &mut Reach<String>,
        module: ModuleId,
        fields: &[FieldItem],
        rule: Option<Option<&str>>,
        depth: usize,
    ) {
        for field in fields {
            let is_sensitive = self.ty(reach, module, &field.ty, depth);
            let rule = rule.filter(|_| !field.flatten);
            let name = rule
                .map(|rule| field.rename.written.clone().unwrap_or_else(|| rename::field(&field.name, rule)));
            reach.add_part(name.as_deref(), is_sensitive);
        }
    }

    /// As [`Self::ty`], for several types, each of which is asked.
    fn any(&self, reach: &mut Reach<String>, module: ModuleId, types: &[Ty], depth: usize) -> bool {
        types.iter().filter(|ty| self.ty(reach, module, ty, depth)).count() > 0
    }

    /// Whether a type as written is sensitive as a whole, or one in it.
    fn ty(&self, reach: &mut Reach<String>, module: ModuleId, ty: &Ty, depth: usize) -> bool {
        if depth == MAX_DEPTH {
            return false;
        }
        let depth = depth + 1;
        match ty {
            Ty::Opaque(_) => false,
            Ty::List(item, _) => self.ty(reach, module, item, depth),
            Ty::Tuple(parts) => self.any(reach, module, parts, depth),
            Ty::Path(path, arguments) => {
                let inner = self.any(reach, module, arguments, depth);
                match self.resolver.resolve(module, path, Namespace::Type, &[]) {
                    Some(Target::Type(home, item)) => self.ask(reach, home, item, depth) || inner,
                    Some(Target::Alias(home, alias)) => self.ty(reach, home, &alias.ty, depth) || inner,
                    _ => inner,
                }
            }
        }
    }
}
