//! The const builder chain of a resource: `Topic::new("order-placed").ordered()`.

use syn::{Expr, Ident};

use crate::{ErrorKind, Errors, closest, options};

/// The builder methods of a topic.
pub const TOPIC_METHODS: [&str; 2] = ["ordered", "retention"];

/// The chain that makes a topic. Arguments stay expressions: the analyser knows the consts that they may name.
#[derive(Debug, Clone)]
pub struct TopicChain {
    /// The argument of `new`.
    pub name: Expr,
    /// The builder methods after it, in the order of the source.
    pub calls: Vec<ChainCall>,
}

/// One builder method.
#[derive(Debug, Clone)]
pub struct ChainCall {
    /// The method.
    pub method: Ident,
    /// Its arguments.
    pub arguments: Vec<Expr>,
}

impl TopicChain {
    /// Reads the value of a topic's static. `None`, with the reason reported, when it is not such a chain.
    pub fn parse(value: &Expr, errors: &mut Errors) -> Option<Self> {
        let mut calls = Vec::new();
        let mut rest = value;
        loop {
            match rest {
                Expr::MethodCall(call) => {
                    check_method(&call.method, errors);
                    calls.push(ChainCall {
                        method: call.method.clone(),
                        arguments: call.args.iter().cloned().collect(),
                    });
                    rest = &call.receiver;
                }
                Expr::Paren(paren) => rest = &paren.expr,
                Expr::Group(group) => rest = &group.expr,
                Expr::Call(call) if is_topic_new(&call.func) && call.args.len() == 1 => {
                    calls.reverse();
                    return Some(Self { name: call.args[0].clone(), calls });
                }
                _ => break,
            }
        }
        errors.push_help(
            ErrorKind::Value,
            value,
            "a topic's static must be built in place, so that the graph can be read from the source",
            "write `Topic::new(\"order-placed\")`, then its options such as `.ordered()`",
        );
        None
    }

    /// The call of a builder method, when there is one.
    pub fn call(&self, method: &str) -> Option<&ChainCall> {
        self.calls.iter().rev().find(|call| call.method == method)
    }
}

fn is_topic_new(function: &Expr) -> bool {
    let Expr::Path(path) = function else { return false };
    path.path.segments.len() >= 2 && path.path.segments.last().is_some_and(|last| last.ident == "new")
}

fn check_method(method: &Ident, errors: &mut Errors) {
    let text = method.to_string();
    if !TOPIC_METHODS.contains(&text.as_str()) {
        let help = match closest(&text, TOPIC_METHODS) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("it has {}", options::list(&TOPIC_METHODS)),
        };
        errors.push_help(ErrorKind::Option, method, format!("a topic has no option `{text}`"), help);
    }
}
