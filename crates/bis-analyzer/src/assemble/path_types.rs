//! What an endpoint reads the parameters of its path into, where that requires the type's own source.

use bis_graph::{Diagnostic, codes};

use super::Assembly;
use crate::{
    findings::position,
    resolve::{Namespace, Target},
    summary::{FieldItem, Range, SerdeType, Ty, TypeShape},
    tree::ModuleId,
};

/// How many types that lead to one another are followed.
const MAX_STEPS: usize = 8;

/// What a type takes of a path.
enum Taken<'a> {
    /// This many parameters, in their order.
    Count(usize),
    /// Parameters of these names.
    Names(Vec<&'a str>),
}

impl Assembly<'_, '_, '_> {
    pub(super) fn check_path_type(&mut self, module: ModuleId, path: &str, ty: &Ty, range: Range) {
        let mistake = match self.taken(module, ty) {
            Some(Taken::Count(count)) => bis_syntax::path_parameter_mistake(path, count),
            Some(Taken::Names(names)) => {
                let missing = names
                    .into_iter()
                    .find(|name| bis_core::route::parameters(path).all(|there| there != *name));
                missing.map(|name| {
                    let message =
                        format!("the path `{path}` has no parameter `{name}`, which the endpoint takes");
                    (message, format!("write `{{{name}}}` into the path, or make the field optional"))
                })
            }
            None => None,
        };
        if let Some((message, help)) = mistake {
            let here = position(&self.resolver.tree.modules[module].file, range);
            self.found.push(Diagnostic::error(codes::PATH_PARAMETERS, here, message).help(help));
        }
    }

    /// `None` when it cannot be seen, which leaves it to the running app.
    fn taken(&self, module: ModuleId, ty: &Ty) -> Option<Taken<'_>> {
        let (mut module, mut ty) = (module, ty);
        for _ in 0..MAX_STEPS {
            let path = match ty {
                Ty::Tuple(elements) => return (!elements.is_empty()).then_some(Taken::Count(elements.len())),
                Ty::Path(path, _) => path,
                _ => return None,
            };
            let item = match self.resolver.resolve(module, path, Namespace::Type, &[]) {
                Some(Target::Alias(home, alias)) => {
                    (module, ty) = (home, &alias.ty);
                    continue;
                }
                Some(Target::Type(home, item)) => {
                    module = home;
                    item
                }
                None if path.segments.len() == 1 && bis_syntax::is_path_scalar(path.last()) => {
                    return Some(Taken::Count(1));
                }
                _ => return None,
            };
            let reads = |serde: &&SerdeType| serde.derived.read && serde.container.proxy.read.is_none();
            let serde = item.serde.as_deref().filter(reads)?;
            match &serde.shape {
                TypeShape::Tuple(fields) => match &fields[..] {
                    [field] if field.custom.read.is_none() => ty = &field.ty,
                    [_] => return None,
                    fields => return Some(Taken::Count(fields.len())),
                },
                TypeShape::Struct(fields) => {
                    let container = &serde.container;
                    let is_plain =
                        container.rename_all.read.is_none() && !container.transparent && !container.default;
                    return is_plain.then(|| Taken::Names(required(fields)));
                }
                TypeShape::Unit | TypeShape::Enum(_) => return None,
            }
        }
        None
    }
}

fn required(fields: &[FieldItem]) -> Vec<&str> {
    let is_option = |ty: &Ty| matches!(ty, Ty::Path(path, _) if path.last() == "Option");
    let may_lack = |field: &FieldItem| {
        field.skip.read
            || field.optional.read
            || field.flatten
            || field.custom.read.is_some()
            || is_option(&field.ty)
    };
    let needed = fields.iter().filter(|field| !may_lack(field));
    needed.map(|field| field.rename.read.as_deref().unwrap_or(&field.name)).collect()
}
