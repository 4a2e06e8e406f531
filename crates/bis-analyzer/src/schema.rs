//! Types to JSON Schema (draft 2020-12), as serde's derives write and read them.
//!
//! Foreign types are known by a table; what is not known stays open and is reported.

mod constraints;
mod definitions;
mod flatten;
mod known;
mod shapes;

use bis_graph::{Diagnostic, Position, codes};
use serde_json::{Map, Value, json};

use self::definitions::{Definitions, Label, Names};
use crate::{
    findings::position,
    resolve::Resolver,
    summary::{Docs, Range, Ty, TypeItem},
    tree::ModuleId,
    typed::{Meaning, Scope, Typed},
};

pub(crate) use self::definitions::Side;

/// How deep a type may be written.
const MAX_DEPTH: usize = 32;

/// How many generic types may be in one another's definitions; a type that grows with each turn ends here.
const MAX_GENERATIONS: usize = 8;

const EVENT_HELP: &str = "say what it looks like with `#[event(schema = r#\"{\"type\":\"string\"}\"#)]` on the field of the event, or write `#[bis::allow(BIS0034)]` on the event";

const ENDPOINT_HELP: &str = "say what it looks like with `#[event(schema = r#\"{\"type\":\"string\"}\"#)]` on a field of a type that derives `Event`, or write `#[bis::allow(BIS0034)]` on the item";

/// Builds the schemas of one document.
pub(crate) struct Builder<'r, 't, 'a> {
    resolver: &'r Resolver<'t, 'a>,
    side: Side,
    /// What to do about what cannot be seen.
    help: &'static str,
    definitions: Definitions,
    /// Types that have their place in the definitions, and no body yet.
    waiting: Vec<Waiting<'a>>,
    gaps: Vec<Diagnostic>,
    depth: usize,
    /// How many generic types are around the definition that is built.
    generation: usize,
    /// The field that is being described, for gaps.
    place: (ModuleId, Range),
}

struct Waiting<'a> {
    key: String,
    item: &'a TypeItem,
    scope: Scope<'a>,
    generation: usize,
    place: (ModuleId, Range),
}

/// The schema of the event type `item` of `module`, with what it cannot show.
pub(crate) fn event<'a>(
    resolver: &Resolver<'_, 'a>,
    module: ModuleId,
    item: &'a TypeItem,
) -> (Value, Vec<Diagnostic>) {
    let mut builder = Builder::new(resolver, Side::Both, EVENT_HELP);
    builder.place = (module, item.range);
    let root = Label { key: type_path(resolver, module, item), short: item.name.to_string() };
    builder.definitions.reserve(&root, Side::Both);
    let body = builder.named(&Scope::new(module, &[], Vec::new()), item);
    builder.build_waiting();
    let (definitions, names) = builder.definitions.finish("#/$defs/", Some(&root.key));
    let mut schema = Map::new();
    schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("title".to_owned(), json!(&*item.name));
    match body {
        Value::Object(body) => schema.extend(body),
        other => {
            schema.insert("allOf".to_owned(), json!([other]));
        }
    }
    let mut schema = Value::Object(schema);
    names.apply(&mut schema);
    if !definitions.is_empty() {
        schema["$defs"] = Value::Object(definitions);
    }
    (schema, builder.gaps)
}

/// The schemas of everything that endpoints take and answer with.
pub(crate) struct Finished {
    pub(crate) schemas: Map<String, Value>,
    names: Names,
    pub(crate) gaps: Vec<Diagnostic>,
}

impl Finished {
    /// Puts the names of types into a schema of an endpoint.
    pub(crate) fn apply(&self, schema: &mut Value) {
        self.names.apply(schema);
    }
}

/// Whether a bare name is a type of the standard library.
pub(crate) fn is_standard(name: &str) -> bool {
    known::kind("std", name).is_some()
}

/// The path of a type as `std::any::type_name` gives it.
pub(crate) fn type_path(resolver: &Resolver<'_, '_>, module: ModuleId, item: &TypeItem) -> String {
    format!("{}::{}", resolver.tree.modules[module].path, item.name)
}

impl<'r, 't, 'a> Builder<'r, 't, 'a> {
    fn new(resolver: &'r Resolver<'t, 'a>, side: Side, help: &'static str) -> Self {
        Self {
            resolver,
            side,
            help,
            definitions: Definitions::default(),
            waiting: Vec::new(),
            gaps: Vec::new(),
            depth: 0,
            generation: 0,
            place: (0, Range::default()),
        }
    }

    /// A builder for the types of endpoints.
    pub(crate) fn of_endpoints(resolver: &'r Resolver<'t, 'a>) -> Self {
        Self::new(resolver, Side::Read, ENDPOINT_HELP)
    }

    /// The schema of what an endpoint takes as a body, or answers with, written at `range`.
    pub(crate) fn document(&mut self, ty: &Typed<'a>, side: Side, range: (ModuleId, Range)) -> Value {
        self.side = side;
        self.place = range;
        let schema = self.ty(ty);
        self.build_waiting();
        schema
    }

    /// The schema that a reference leads to, or else the schema itself.
    pub(crate) fn resolved<'v>(&'v self, schema: &'v Value) -> &'v Value {
        self.definitions.target(schema).unwrap_or(schema)
    }

    /// The named schemas that endpoints with these schemas need.
    pub(crate) fn finish<'v>(mut self, roots: impl Iterator<Item = &'v Value>) -> Finished {
        self.definitions.keep(roots);
        let (schemas, names) = self.definitions.finish("#/schemas/", None);
        Finished { schemas, names, gaps: self.gaps }
    }

    fn build_waiting(&mut self) {
        while let Some(waiting) = self.waiting.pop() {
            self.place = waiting.place;
            self.generation = waiting.generation;
            let body = self.named(&waiting.scope, waiting.item);
            self.definitions.set(&waiting.key, self.side, body);
        }
        self.generation = 0;
    }

    fn ty(&mut self, ty: &Typed<'a>) -> Value {
        self.depth += 1;
        let schema = if self.depth > MAX_DEPTH { self.opaque(&ty.text()) } else { self.shallow(ty) };
        self.depth -= 1;
        schema
    }

    fn shallow(&mut self, ty: &Typed<'a>) -> Value {
        match ty.ty {
            Ty::Tuple(parts) if parts.is_empty() => json!({ "type": "null" }),
            Ty::Tuple(parts) => {
                let parts = parts.iter().map(|part| self.ty(&ty.scope.typed(part))).collect();
                tuple(parts)
            }
            Ty::List(item, length) => {
                let mut schema = json!({ "type": "array", "items": self.ty(&ty.scope.typed(item)) });
                if let Some(length) = length {
                    schema["minItems"] = json!(length);
                    schema["maxItems"] = json!(length);
                }
                schema
            }
            Ty::Opaque(text) => self.opaque(text),
            Ty::Path(..) => {
                let (ty, meaning) = ty.clone().follow(self.resolver);
                match meaning {
                    Meaning::Own(home, item) => self.reference(home, item, ty.arguments()),
                    Meaning::Foreign(krate, name) => self.foreign(&krate, &name, &ty),
                    Meaning::Bis(name) if name == "EventId" => json!({ "type": "string", "format": "uuid" }),
                    Meaning::Unknown => json!({}),
                    Meaning::Nameless => self.shallow(&ty),
                    Meaning::Bis(_) | Meaning::Nothing => self.opaque(&ty.text()),
                }
            }
        }
    }

    /// A type of another crate.
    fn foreign(&mut self, krate: &str, name: &str, ty: &Typed<'a>) -> Value {
        let mut argument = |index| ty.argument(index).map_or(json!({}), |inner| self.ty(&inner));
        match known::kind(krate, name) {
            Some(known::Kind::Schema(schema)) => schema,
            Some(known::Kind::Transparent) => match ty.arguments().last() {
                Some(inner) => self.ty(inner),
                None => self.opaque(&ty.text()),
            },
            Some(known::Kind::Optional) => match ty.argument(0) {
                Some(inner) => nullable(self.ty(&inner)),
                None => self.opaque(&ty.text()),
            },
            Some(known::Kind::List { unique }) => {
                let mut schema = json!({ "type": "array", "items": argument(0) });
                // What is read may have an item twice.
                if unique && !self.side.only_reads() {
                    schema["uniqueItems"] = json!(true);
                }
                schema
            }
            Some(known::Kind::Map) => json!({ "type": "object", "additionalProperties": argument(1) }),
            Some(known::Kind::Result) => json!({ "oneOf": [
                shapes::tagged_object("Ok", argument(0), false),
                shapes::tagged_object("Err", argument(1), false),
            ] }),
            None => self.opaque(&ty.text()),
        }
    }

    /// A type of the project: a definition of its own.
    fn reference(&mut self, module: ModuleId, item: &'a TypeItem, arguments: Vec<Typed<'a>>) -> Value {
        let label = self.label(module, item, &arguments);
        if self.definitions.reserve(&label, self.side) {
            let generation = if item.generics.is_empty() { 0 } else { self.generation + 1 };
            if generation > MAX_GENERATIONS {
                let schema = self.opaque(&item.name);
                self.definitions.set(&label.key, self.side, schema);
            } else {
                let scope = Scope::new(module, &item.generics, arguments);
                let (key, place) = (label.key.clone(), self.place);
                self.waiting.push(Waiting { key, item, scope, generation, place });
            }
        }
        definitions::reference(&label.key, self.side)
    }

    fn label(&self, module: ModuleId, item: &TypeItem, arguments: &[Typed<'a>]) -> Label {
        let path = type_path(self.resolver, module, item);
        let short = definitions::component(&item.name);
        if item.generics.is_empty() {
            return Label { key: path, short };
        }
        let arguments: Vec<Label> = arguments.iter().map(|argument| self.label_of(argument)).collect();
        labelled(&path, &short, &arguments)
    }

    /// What a type is called in the names of generic types.
    fn label_of(&self, ty: &Typed<'a>) -> Label {
        let (ty, meaning) = ty.clone().follow(self.resolver);
        let parts =
            |parts: &[Typed<'a>]| -> Vec<Label> { parts.iter().map(|part| self.label_of(part)).collect() };
        match (meaning, ty.ty) {
            (Meaning::Own(home, item), _) => self.label(home, item, &ty.arguments()),
            (Meaning::Foreign(krate, name), _) => {
                labelled(&format!("{krate}::{name}"), &name, &parts(&ty.arguments()))
            }
            (_, Ty::Tuple(inner)) => {
                let inner: Vec<Typed<'a>> = inner.iter().map(|part| ty.scope.typed(part)).collect();
                labelled("Tuple", "Tuple", &parts(&inner))
            }
            (_, Ty::List(inner, _)) => labelled("Array", "Array", &parts(&[ty.scope.typed(inner)])),
            _ => labelled(&ty.text(), &definitions::component(&ty.text()), &parts(&ty.arguments())),
        }
    }

    fn named(&mut self, scope: &Scope<'a>, item: &'a TypeItem) -> Value {
        let Some(serde) = &item.serde else { return self.opaque(&item.name) };
        if let Some((schema, range)) = serde.event.as_ref().and_then(|event| event.schema.as_ref()) {
            return self.given(scope.module, schema, *range);
        }
        let is_seen = match self.side {
            Side::Written => serde.derived.written,
            Side::Read | Side::Text => serde.derived.read,
            Side::Both => serde.derived.written || serde.derived.read,
        };
        if !is_seen && serde.event.is_none() {
            return self.opaque(&item.name);
        }
        let body = self.body(scope, item, serde, false);
        described(body, &serde.docs)
    }

    /// A schema that the source gives as text.
    fn given(&mut self, module: ModuleId, text: &str, range: Range) -> Value {
        let reason = match serde_json::from_str::<Value>(text) {
            Ok(schema) if schema.is_object() || schema.is_boolean() => return schema,
            Ok(_) => "it is neither a JSON object nor a boolean".to_owned(),
            Err(error) => error.to_string(),
        };
        let message = format!("the schema is not JSON Schema: {reason}");
        let mistake = Diagnostic::error(codes::INVALID_SCHEMA, self.position(module, range), message);
        self.note(mistake.help("write a JSON object, as in `r#\"{\"type\":\"string\"}\"#`"));
        json!({})
    }

    fn opaque(&mut self, ty: &str) -> Value {
        if self.side == Side::Text {
            return json!({ "type": "string" });
        }
        let (module, range) = self.place;
        let message = format!("the JSON of `{ty}` cannot be seen from the source");
        let gap = Diagnostic::warning(codes::OPAQUE_TYPE, self.position(module, range), message);
        self.note(gap.help(self.help));
        json!({})
    }

    /// Notes a gap once for each place: a type has a schema for each side.
    fn note(&mut self, gap: Diagnostic) {
        if !self.gaps.contains(&gap) {
            self.gaps.push(gap);
        }
    }

    fn position(&self, module: ModuleId, range: Range) -> Position {
        position(&self.resolver.tree.modules[module].file, range)
    }
}

fn labelled(key: &str, short: &str, arguments: &[Label]) -> Label {
    let mut label = Label { key: key.to_owned(), short: short.to_owned() };
    if arguments.is_empty() {
        return label;
    }
    let keys: Vec<&str> = arguments.iter().map(|argument| &*argument.key).collect();
    label.key.push_str(&format!("<{}>", keys.join(",")));
    for argument in arguments {
        label.short.push('-');
        label.short.push_str(&argument.short);
    }
    label
}

/// A schema with the source's documentation of what it describes.
fn described(mut schema: Value, docs: &Docs) -> Value {
    if let Value::Object(object) = &mut schema {
        if let Some(text) = &docs.text {
            object.insert("description".to_owned(), json!(text));
        }
        if docs.deprecated {
            object.insert("deprecated".to_owned(), json!(true));
        }
    }
    schema
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
