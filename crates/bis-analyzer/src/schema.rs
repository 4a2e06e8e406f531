//! Types to JSON Schema (draft 2020-12), as serde's derives write them.
//!
//! Foreign types are known by a table; what is not known stays open and is reported.

mod known;
mod shapes;

use std::collections::BTreeMap;

use bis_graph::{Diagnostic, Position, codes};
use serde_json::{Map, Value, json};

use crate::{
    findings::position,
    resolve::{Namespace, Resolver, Target},
    summary::{Name, PathRef, Range, Ty, TypeItem},
    tree::ModuleId,
};

/// How deep generic types may nest; a type that grows with each turn ends here.
const MAX_DEPTH: usize = 32;

/// The types that parameters stand for, as schemas.
type Env = BTreeMap<Name, Value>;

/// Builds the schema of one event type.
pub(crate) struct Builder<'r, 't, 'a> {
    resolver: &'r Resolver<'t, 'a>,
    root: String,
    definitions: Map<String, Value>,
    gaps: Vec<Diagnostic>,
    depth: usize,
    /// The field that is being described, for gaps.
    place: (ModuleId, Range),
}

/// The schema of the event type `item` of `module`, with what it cannot show.
pub(crate) fn event(
    resolver: &Resolver<'_, '_>,
    module: ModuleId,
    item: &TypeItem,
) -> (Value, Vec<Diagnostic>) {
    let root = type_path(resolver, module, item);
    let mut builder = Builder {
        resolver,
        root,
        definitions: Map::new(),
        gaps: Vec::new(),
        depth: 0,
        place: (module, item.range),
    };
    let body = builder.named(module, item, &Env::new());
    let mut schema = Map::new();
    schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("title".to_owned(), json!(&*item.name));
    match body {
        Value::Object(body) => schema.extend(body),
        other => {
            schema.insert("allOf".to_owned(), json!([other]));
        }
    }
    if !builder.definitions.is_empty() {
        schema.insert("$defs".to_owned(), Value::Object(builder.definitions));
    }
    builder.gaps.dedup();
    (Value::Object(schema), builder.gaps)
}

/// Whether a bare name is a type of the standard library.
pub(crate) fn is_standard(name: &str) -> bool {
    known::kind("std", name).is_some()
}

/// The path of a type as `std::any::type_name` gives it.
pub(crate) fn type_path(resolver: &Resolver<'_, '_>, module: ModuleId, item: &TypeItem) -> String {
    format!("{}::{}", resolver.tree.modules[module].path, item.name)
}

impl Builder<'_, '_, '_> {
    /// The schema of a type written in `module`.
    fn ty(&mut self, module: ModuleId, ty: &Ty, env: &Env) -> Value {
        self.depth += 1;
        let schema = if self.depth > MAX_DEPTH {
            self.opaque(&text(ty))
        } else {
            match ty {
                Ty::Tuple(parts) if parts.is_empty() => json!({ "type": "null" }),
                Ty::Tuple(parts) => {
                    let parts: Vec<Value> = parts.iter().map(|part| self.ty(module, part, env)).collect();
                    tuple(parts)
                }
                Ty::List(item) => json!({ "type": "array", "items": self.ty(module, item, env) }),
                Ty::Path(path, arguments) => self.path(module, path, arguments, env),
                Ty::Opaque(text) => self.opaque(text),
            }
        };
        self.depth -= 1;
        schema
    }

    fn path(&mut self, module: ModuleId, path: &PathRef, arguments: &[Ty], env: &Env) -> Value {
        if let [name] = &path.segments[..]
            && let Some(schema) = env.get(name)
        {
            return schema.clone();
        }
        match self.resolver.resolve(module, path, Namespace::Type, &[]) {
            Some(Target::Type(home, item)) => {
                let arguments: Vec<Value> = arguments.iter().map(|ty| self.ty(module, ty, env)).collect();
                self.reference(home, item, arguments)
            }
            Some(Target::Alias(home, alias)) => {
                let arguments = arguments.iter().map(|ty| self.ty(module, ty, env));
                let inner: Env = alias.generics.iter().cloned().zip(arguments).collect();
                self.ty(home, &alias.ty, &inner)
            }
            Some(Target::Unknown) => json!({}),
            Some(Target::Foreign(segments)) => {
                let names: Vec<&str> = segments.iter().map(String::as_str).collect();
                self.foreign(names[0], path, arguments, module, env)
            }
            Some(Target::Bis(name)) if name == "EventId" => json!({ "type": "string", "format": "uuid" }),
            None if path.segments.len() == 1 => self.foreign("std", path, arguments, module, env),
            _ => self.opaque(&path.text()),
        }
    }

    /// A foreign type: `krate` is its package, the last segment of the path its name unless it was renamed.
    fn foreign(
        &mut self,
        krate: &str,
        path: &PathRef,
        arguments: &[Ty],
        module: ModuleId,
        env: &Env,
    ) -> Value {
        let mut name = path.last().to_owned();
        if let Some(Target::Foreign(segments)) = self.resolver.resolve(module, path, Namespace::Type, &[])
            && let Some(last) = segments.last().filter(|_| segments.len() > 1)
        {
            name.clone_from(last);
        }
        match known::kind(krate, &name) {
            Some(known::Kind::Schema(schema)) => schema,
            Some(known::Kind::Transparent) => match arguments.last() {
                Some(inner) => self.ty(module, inner, env),
                None => self.opaque(&path.text()),
            },
            Some(known::Kind::Optional) => match arguments.first() {
                Some(inner) => nullable(self.ty(module, inner, env)),
                None => self.opaque(&path.text()),
            },
            Some(known::Kind::List { unique }) => {
                let items = arguments.first().map_or(json!({}), |inner| self.ty(module, inner, env));
                let mut schema = json!({ "type": "array", "items": items });
                if unique {
                    schema["uniqueItems"] = json!(true);
                }
                schema
            }
            Some(known::Kind::Map) => {
                let values = arguments.get(1).map_or(json!({}), |inner| self.ty(module, inner, env));
                json!({ "type": "object", "additionalProperties": values })
            }
            Some(known::Kind::Result) => {
                let mut side = |index: usize, name: &str| {
                    let inner = arguments.get(index).map_or(json!({}), |inner| self.ty(module, inner, env));
                    shapes::tagged_object(name, inner)
                };
                json!({ "oneOf": [side(0, "Ok"), side(1, "Err")] })
            }
            None => self.opaque(&path.text()),
        }
    }

    /// A type of the project: a definition of its own, or in place when it is generic.
    fn reference(&mut self, module: ModuleId, item: &TypeItem, arguments: Vec<Value>) -> Value {
        let path = type_path(self.resolver, module, item);
        if !item.generics.is_empty() {
            let env: Env = item.generics.iter().cloned().zip(arguments).collect();
            return self.at(module, |builder| builder.named(module, item, &env));
        }
        if path == self.root {
            return json!({ "$ref": "#" });
        }
        let name = self.definition_name(&item.name, &path);
        if !self.definitions.contains_key(&name) {
            // The place is taken before the body is built, so that a type may hold itself.
            self.definitions.insert(name.clone(), Value::Null);
            let body = self.at(module, |builder| builder.named(module, item, &Env::new()));
            self.definitions.insert(name.clone(), body);
        }
        json!({ "$ref": format!("#/$defs/{name}") })
    }

    fn at(&mut self, module: ModuleId, build: impl FnOnce(&mut Self) -> Value) -> Value {
        let place = self.place;
        self.place = (module, place.1);
        let value = build(self);
        self.place = place;
        value
    }

    /// The last segment, or the whole path when another type of the app has the same last segment.
    fn definition_name(&self, name: &str, path: &str) -> String {
        let mut others = self.resolver.tree.modules.iter().enumerate().flat_map(|(id, node)| {
            node.module.types.iter().filter(move |item| &*item.name == name).map(move |item| (id, item))
        });
        let unique = others.all(|(id, item)| type_path(self.resolver, id, item) == path);
        if unique { name.to_owned() } else { path.replace("::", ".") }
    }

    fn named(&mut self, module: ModuleId, item: &TypeItem, env: &Env) -> Value {
        let Some(serde) = &item.serde else { return self.opaque(&item.name) };
        if let Some((schema, range)) = serde.event.as_ref().and_then(|event| event.schema.as_ref()) {
            return self.given(module, schema, *range);
        }
        if !serde.derived && serde.event.is_none() {
            return self.opaque(&item.name);
        }
        self.body(module, serde, env)
    }

    /// A schema that the source gives as text.
    fn given(&mut self, module: ModuleId, text: &str, range: Range) -> Value {
        let reason = match serde_json::from_str::<Value>(text) {
            Ok(schema) if schema.is_object() || schema.is_boolean() => return schema,
            Ok(_) => "it is neither a JSON object nor a boolean".to_owned(),
            Err(error) => error.to_string(),
        };
        self.gaps.push(
            Diagnostic::error(
                codes::INVALID_SCHEMA,
                self.position(module, range),
                format!("the schema is not JSON Schema: {reason}"),
            )
            .help("write a JSON object, as in `r#\"{\"type\":\"string\"}\"#`"),
        );
        json!({})
    }

    fn opaque(&mut self, ty: &str) -> Value {
        let (module, range) = self.place;
        self.gaps.push(
            Diagnostic::warning(
                codes::OPAQUE_TYPE,
                self.position(module, range),
                format!("the JSON of `{ty}` cannot be seen from the source"),
            )
            .help("say what it looks like with `#[event(schema = r#\"{\"type\":\"string\"}\"#)]` on the field of the event, or write `#[bis::allow(BIS0034)]` on the event"),
        );
        json!({})
    }

    fn position(&self, module: ModuleId, range: Range) -> Position {
        position(&self.resolver.tree.modules[module].file, range)
    }
}

/// A schema that also takes null.
fn nullable(schema: Value) -> Value {
    match &schema {
        Value::Object(object) if object.is_empty() => schema,
        Value::Object(object)
            if object.get("type").is_some_and(Value::is_string) && !object.contains_key("enum") =>
        {
            let mut schema = schema.clone();
            schema["type"] = json!([schema["type"], "null"]);
            schema
        }
        _ => json!({ "anyOf": [schema, { "type": "null" }] }),
    }
}

fn tuple(parts: Vec<Value>) -> Value {
    let count = parts.len();
    json!({ "type": "array", "prefixItems": parts, "items": false, "minItems": count, "maxItems": count })
}

/// A type as text, for messages.
fn text(ty: &Ty) -> String {
    match ty {
        Ty::Path(path, _) => path.text(),
        Ty::Tuple(_) => "a tuple".to_owned(),
        Ty::List(_) => "a list".to_owned(),
        Ty::Opaque(text) => text.clone(),
    }
}
