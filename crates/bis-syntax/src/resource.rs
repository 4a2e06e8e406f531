//! Declarations of resources: statics whose value is a const builder chain, such as `Topic::new("order-placed").ordered()`, or a
//! call of a macro, as in `bis::resource!(Carrier::connect)`.
//! What each kind's chain looks like is data; nothing here evaluates an argument.

use bis_core::ResourceKind;
use syn::{Expr, Ident, punctuated::Punctuated};

use crate::{closest, options};

/// How a kind of resource is declared and used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Declaration {
    /// The kind.
    pub kind: ResourceKind,
    /// The name of the static's type.
    pub type_name: &'static str,
    /// The static's type as messages show it.
    pub type_text: &'static str,
    /// The macro of Bis that makes the static's value; `None` for a builder chain.
    pub made_by: Option<&'static str>,
    /// The builder methods after `new`.
    pub options: &'static [&'static str],
    /// The methods that only this kind has, which services call to use it. A path on which one is called and that
    /// leads nowhere is a resource that is missing.
    pub actions: &'static [&'static str],
    /// What to write for a static.
    pub example: &'static str,
}

/// The one action of a topic that publishes nothing.
pub const LISTEN: &str = "listen";

/// How a kind is declared.
pub const fn declaration(kind: ResourceKind) -> &'static Declaration {
    match kind {
        ResourceKind::Topic => &Declaration {
            kind: ResourceKind::Topic,
            type_name: "Topic",
            type_text: "Topic<..>",
            made_by: None,
            options: &["ordered", "retention"],
            actions: &["publish", "publish_in", "publish_all", LISTEN],
            example: "`Topic::new(\"order-placed\")`, then its options such as `.ordered()`",
        },
        ResourceKind::State => &Declaration {
            kind: ResourceKind::State,
            type_name: "Resource",
            type_text: "Resource<..>",
            made_by: Some("resource"),
            options: &[],
            actions: &["try_get", "ready"],
            example: "`bis::resource!(Carrier::connect)` with an `async fn connect() -> Result<Carrier>`",
        },
    }
}

impl Declaration {
    /// The declaration whose statics have a type of this name.
    pub fn of_type(name: &str) -> Option<&'static Self> {
        Self::all().find(|declaration| declaration.type_name == name)
    }

    /// The declaration that has this action.
    pub fn of_action(method: &str) -> Option<&'static Self> {
        Self::all().find(|declaration| declaration.actions.contains(&method))
    }

    fn all() -> impl Iterator<Item = &'static Self> {
        ResourceKind::ALL.iter().map(|kind| declaration(*kind))
    }

    /// What is wrong with a builder method, with what to write instead; `None` when the kind has it.
    pub fn option_mistake(&self, method: &str) -> Option<(String, String)> {
        if self.options.contains(&method) {
            return None;
        }
        let help = match closest(method, self.options.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if self.options.is_empty() => "remove it".to_owned(),
            None => format!("it has {}", options::list(self.options)),
        };
        Some((format!("a {} has no option `{method}`", self.kind), help))
    }
}

/// A builder chain. Arguments stay expressions: the analyser knows the consts that they may name.
#[derive(Debug, Clone)]
pub struct ResourceChain<'a> {
    /// The arguments of `new`.
    pub arguments: &'a Punctuated<Expr, syn::Token![,]>,
    /// The builder methods after it, in the order of the source.
    pub calls: Vec<ChainCall<'a>>,
}

/// One builder method.
#[derive(Debug, Clone)]
pub struct ChainCall<'a> {
    /// The method.
    pub method: &'a Ident,
    /// Its arguments.
    pub arguments: &'a Punctuated<Expr, syn::Token![,]>,
}

impl<'a> ResourceChain<'a> {
    /// Reads the value of a static; `None` when it is not built in place.
    pub fn parse(value: &'a Expr) -> Option<Self> {
        let mut calls = Vec::new();
        let mut rest = value;
        loop {
            match rest {
                Expr::MethodCall(call) => {
                    calls.push(ChainCall { method: &call.method, arguments: &call.args });
                    rest = &call.receiver;
                }
                Expr::Paren(paren) => rest = &paren.expr,
                Expr::Group(group) => rest = &group.expr,
                Expr::Call(call) if is_new(&call.func) => {
                    calls.reverse();
                    return Some(Self { arguments: &call.args, calls });
                }
                _ => return None,
            }
        }
    }
}

/// Whether an expression is a type's `new`.
fn is_new(function: &Expr) -> bool {
    let Expr::Path(path) = function else { return false };
    path.path.segments.len() >= 2 && path.path.segments.last().is_some_and(|last| last.ident == "new")
}
