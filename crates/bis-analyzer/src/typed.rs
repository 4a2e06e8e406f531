//! A type where it is written: what its names mean there, through aliases and what type parameters stand for.

use std::rc::Rc;

use crate::{
    resolve::{Namespace, Resolver, Target},
    summary::{Name, Ty, TypeItem},
    tree::ModuleId,
};

/// How many aliases and parameters that lead to one another are followed.
const MAX_STEPS: usize = 32;

/// Where types are written: a module, and what type parameters stand for there.
#[derive(Clone)]
pub(crate) struct Scope<'a> {
    pub(crate) module: ModuleId,
    bindings: Option<Rc<Bindings<'a>>>,
}

struct Bindings<'a> {
    names: &'a [Name],
    types: Vec<Typed<'a>>,
}

/// A type as written, with the place that it is written in.
#[derive(Clone)]
pub(crate) struct Typed<'a> {
    pub(crate) scope: Scope<'a>,
    pub(crate) ty: &'a Ty,
}

/// What the name of a type means.
pub(crate) enum Meaning<'a> {
    /// A type of the project.
    Own(ModuleId, &'a TypeItem),
    /// A type of another crate: its package and its last name. Names that are not in scope are the standard library's.
    Foreign(String, String),
    /// A type of Bis.
    Bis(String),
    /// A tuple, a list, or what is not named by a path.
    Nameless,
    /// It is in a file that cannot be read.
    Unknown,
    /// It leads nowhere.
    Nothing,
}

impl<'a> Scope<'a> {
    /// A scope of `module` in which the parameters `names` stand for these types.
    pub(crate) fn new(module: ModuleId, names: &'a [Name], types: Vec<Typed<'a>>) -> Self {
        let bindings = (!names.is_empty()).then(|| Rc::new(Bindings { names, types }));
        Self { module, bindings }
    }

    /// A type that is written here.
    pub(crate) fn typed(&self, ty: &'a Ty) -> Typed<'a> {
        Typed { scope: self.clone(), ty }
    }

    fn parameter(&self, name: &str) -> Option<Typed<'a>> {
        let bindings = self.bindings.as_ref()?;
        let index = bindings.names.iter().position(|parameter| &**parameter == name)?;
        bindings.types.get(index).cloned()
    }
}

impl<'a> Typed<'a> {
    /// A type of a module, outside of what has type parameters.
    pub(crate) fn new(module: ModuleId, ty: &'a Ty) -> Self {
        Scope::new(module, &[], Vec::new()).typed(ty)
    }

    /// The type arguments.
    pub(crate) fn arguments(&self) -> Vec<Typed<'a>> {
        match self.ty {
            Ty::Path(_, arguments) => arguments.iter().map(|ty| self.scope.typed(ty)).collect(),
            _ => Vec::new(),
        }
    }

    /// The type argument at an index.
    pub(crate) fn argument(&self, index: usize) -> Option<Typed<'a>> {
        match self.ty {
            Ty::Path(_, arguments) => arguments.get(index).map(|ty| self.scope.typed(ty)),
            _ => None,
        }
    }

    /// The type that aliases and parameters lead to, and what its name means.
    pub(crate) fn follow(self, resolver: &Resolver<'_, 'a>) -> (Self, Meaning<'a>) {
        let mut at = self;
        for _ in 0..MAX_STEPS {
            let Ty::Path(path, _) = at.ty else { return (at, Meaning::Nameless) };
            if let [name] = &path.segments[..]
                && let Some(bound) = at.scope.parameter(name)
            {
                at = bound;
                continue;
            }
            let meaning = match resolver.remembered(at.scope.module, path, Namespace::Type) {
                Some(Target::Alias(home, alias)) => {
                    at = Scope::new(home, &alias.generics, at.arguments()).typed(&alias.ty);
                    continue;
                }
                Some(Target::Type(home, item)) => Meaning::Own(home, item),
                Some(Target::Foreign(segments)) => {
                    let name = match segments.last() {
                        Some(last) if segments.len() > 1 => last.clone(),
                        _ => path.last().to_owned(),
                    };
                    Meaning::Foreign(segments.into_iter().next().unwrap_or_default(), name)
                }
                Some(Target::Bis(name)) => Meaning::Bis(name),
                Some(Target::Unknown) => Meaning::Unknown,
                None if path.segments.len() == 1 => {
                    Meaning::Foreign("std".to_owned(), path.last().to_owned())
                }
                _ => Meaning::Nothing,
            };
            return (at, meaning);
        }
        (at, Meaning::Nothing)
    }

    /// The type as text, for messages.
    pub(crate) fn text(&self) -> String {
        match self.ty {
            Ty::Path(path, _) => path.text(),
            Ty::Tuple(_) => "a tuple".to_owned(),
            Ty::List(..) => "a list".to_owned(),
            Ty::Opaque(text) => text.clone(),
        }
    }
}
