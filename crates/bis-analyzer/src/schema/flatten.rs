//! What is put into an object among its own fields: serde's `flatten`, and the content of internally tagged variants.

use serde_json::{Map, Value, json};

use super::{Builder, Side, known};
use crate::{
    summary::{FieldItem, TypeShape},
    typed::{Meaning, Scope, Typed},
};

/// How many types are put in place of their references, one in another.
const MAX_INLINE: usize = 4;

/// What goes into an object.
pub(super) enum Part {
    /// Whatever fits a schema of its own.
    Schema(Value),
    /// Any other fields, whose values fit this schema.
    Others(Value),
    /// Nothing.
    Nothing,
}

impl<'a> Builder<'_, '_, 'a> {
    /// What a field's type brings into the object around it.
    pub(super) fn part(&mut self, scope: &Scope<'a>, field: &'a FieldItem) -> Part {
        if field.schema.is_some() || self.custom(field).is_some() {
            return Part::Schema(self.field(scope, field));
        }
        let place = std::mem::replace(&mut self.place, (scope.module, field.range));
        let part = self.part_of(scope.typed(&field.ty));
        self.place = place;
        part
    }

    fn part_of(&mut self, ty: Typed<'a>) -> Part {
        let (ty, meaning) = ty.follow(self.resolver);
        match meaning {
            Meaning::Own(home, item) => {
                let Some(serde) = item.serde.as_ref().filter(|_| self.depth < MAX_INLINE) else {
                    return Part::Schema(self.ty(&ty));
                };
                let is_closed =
                    matches!(serde.shape, TypeShape::Enum(_)) || serde.container.deny_unknown_fields;
                if !is_closed || serde.event.as_ref().is_some_and(|event| event.schema.is_some()) {
                    return Part::Schema(self.reference(home, item, ty.arguments()));
                }
                // A definition of its own would refuse the fields around it.
                let scope = Scope::new(home, &item.generics, ty.arguments());
                self.depth += 1;
                let schema = self.body(&scope, item, serde, true);
                self.depth -= 1;
                Part::Schema(schema)
            }
            Meaning::Foreign(krate, name) => match known::kind(&krate, &name) {
                Some(known::Kind::Map) => {
                    let values = ty.argument(1).map_or(json!({}), |values| self.ty(&values));
                    Part::Others(values)
                }
                Some(known::Kind::Transparent) => match ty.arguments().pop() {
                    Some(inner) => self.part_of(inner),
                    None => Part::Nothing,
                },
                // A value that does not fit is read as `None`.
                Some(known::Kind::Optional) => match ty.argument(0).map(|inner| self.part_of(inner)) {
                    Some(Part::Schema(schema)) => {
                        Part::Schema(json!({ "anyOf": [schema, { "type": "object" }] }))
                    }
                    _ => Part::Nothing,
                },
                Some(known::Kind::Schema(schema)) if schema.get("type").is_some_and(|ty| ty == "null") => {
                    Part::Nothing
                }
                _ => Part::Schema(self.foreign(&krate, &name, &ty)),
            },
            Meaning::Nameless if matches!(ty.ty, crate::summary::Ty::Tuple(parts) if parts.is_empty()) => {
                Part::Nothing
            }
            _ => Part::Schema(self.ty(&ty)),
        }
    }

    /// The object of a variant whose name is the value of its field `tag`, with what else is in it.
    pub(super) fn internally_tagged(&self, tag: &str, name: Value, content: Part) -> Value {
        let mut only = json!({ "type": "object", "properties": { tag: name }, "required": [tag] });
        match content {
            Part::Nothing => only,
            Part::Others(values) => {
                only["additionalProperties"] = values;
                only
            }
            Part::Schema(Value::Object(mut object)) if object.contains_key("properties") => {
                let tag_value = only["properties"][tag].take();
                object["properties"][tag] = tag_value;
                let mut required = vec![json!(tag)];
                if let Some(Value::Array(fields)) = object.get("required") {
                    required.extend(fields.iter().cloned());
                }
                object.insert("required".to_owned(), Value::Array(required));
                Value::Object(object)
            }
            Part::Schema(content) => json!({ "allOf": [only, content] }),
        }
    }

    /// Adds what is flattened to the schema of an object.
    pub(super) fn flattened(&self, schema: &mut Map<String, Value>, parts: Vec<Part>) {
        let mut others = None;
        let mut all = Vec::new();
        for part in parts {
            match part {
                Part::Schema(mut part) => {
                    // Serde's `deny_unknown_fields` does not reach through `flatten`.
                    if let Value::Object(object) = &mut part
                        && object.get("additionalProperties") == Some(&Value::Bool(false))
                    {
                        object.remove("additionalProperties");
                    }
                    all.push(part);
                }
                Part::Others(values) => others = Some(values),
                Part::Nothing => {}
            }
        }
        if let Some(values) = others {
            // The fields of what else is flattened are not `additional` to the others.
            let key = if all.is_empty() { "additionalProperties" } else { "unevaluatedProperties" };
            schema.insert(key.to_owned(), values);
        }
        if !all.is_empty() {
            schema.insert("allOf".to_owned(), Value::Array(all));
        }
    }

    /// What decides the form of a field's value in the place of its type.
    pub(super) fn custom<'f>(&self, field: &'f FieldItem) -> Option<&'f str> {
        match self.side {
            Side::Written => field.custom.written.as_deref(),
            Side::Read | Side::Text => field.custom.read.as_deref(),
            Side::Both => field.custom.written.as_deref().or(field.custom.read.as_deref()),
        }
    }
}
