//! Structs and enums, with serde's attributes: <https://serde.rs/json.html>, <https://serde.rs/enum-representations.html>.

use bis_syntax::rename;
use serde_json::{Map, Value, json};

use super::{Builder, Side, constraints, described, flatten::Part, known, tuple};
use crate::{
    summary::{Container, FieldItem, SerdeType, Sided, TypeItem, TypeShape, VariantItem},
    typed::{Meaning, Scope, Typed},
};

/// `{"name": inner}`, as an externally tagged variant is written; `is_open` where it is among other fields.
pub(super) fn tagged_object(name: &str, inner: Value, is_open: bool) -> Value {
    let mut schema = json!({ "type": "object", "properties": { name: inner }, "required": [name] });
    if !is_open {
        schema["additionalProperties"] = json!(false);
    }
    schema
}

impl Side {
    /// The half that counts; an event is known by the names that are written.
    fn of<T>(self, sided: &Sided<T>) -> &T {
        match self {
            Self::Written | Self::Both => &sided.written,
            Self::Read | Self::Text => &sided.read,
        }
    }

    /// Whether nothing is written by this schema.
    pub(super) fn only_reads(self) -> bool {
        matches!(self, Self::Read | Self::Text)
    }

    fn name(self, sided: &Sided<Option<String>>) -> Option<&str> {
        self.of(sided).as_deref()
    }
}

impl<'a> Builder<'_, '_, 'a> {
    /// The body of a type. `is_open` when it is put into an object among other fields.
    pub(super) fn body(
        &mut self,
        scope: &Scope<'a>,
        item: &'a TypeItem,
        serde: &'a SerdeType,
        is_open: bool,
    ) -> Value {
        let container = &serde.container;
        let proxy = match self.side {
            Side::Both => container.proxy.written.as_ref().or(container.proxy.read.as_ref()),
            side => side.of(&container.proxy).as_ref(),
        };
        if let Some(proxy) = proxy {
            return self.ty(&scope.typed(proxy));
        }
        match &serde.shape {
            TypeShape::Struct(fields) if container.transparent => self.transparent(scope, fields),
            TypeShape::Struct(fields) => {
                let rule = self.side.name(&container.rename_all);
                let schema = self.object(scope, fields, rule, container);
                match &container.tag {
                    // Serde writes the name of a struct, and does not look for it.
                    Some(tag) if self.side == Side::Written => {
                        let name = self.side.name(&container.rename).unwrap_or(&item.name);
                        self.internally_tagged(tag, json!({ "const": name }), Part::Schema(schema))
                    }
                    _ => schema,
                }
            }
            TypeShape::Tuple(fields) => self.tuple_struct(scope, fields, container.transparent),
            TypeShape::Unit => json!({ "type": "null" }),
            TypeShape::Enum(variants) => self.enumeration(scope, variants, container, is_open),
        }
    }

    fn transparent(&mut self, scope: &Scope<'a>, fields: &'a [FieldItem]) -> Value {
        match fields.iter().find(|field| !self.side.of(&field.skip)) {
            Some(field) => self.field(scope, field),
            None => json!({ "type": "null" }),
        }
    }

    /// The schema of a field's value, with the source's documentation of it.
    pub(super) fn field(&mut self, scope: &Scope<'a>, field: &'a FieldItem) -> Value {
        if let Some((schema, range)) = &field.schema {
            let schema = self.given(scope.module, schema, *range);
            return noted(schema, field);
        }
        let place = std::mem::replace(&mut self.place, (scope.module, field.range));
        let mut schema = match self.custom(field) {
            Some(function) => match known::written_with(function) {
                Some(schema) => schema,
                None => self.opaque(&scope.typed(&field.ty).text()),
            },
            None => self.ty(&scope.typed(&field.ty)),
        };
        self.place = place;
        if let Some(constraints) = &field.constraints {
            constraints::apply(&mut schema, constraints);
        }
        noted(schema, field)
    }

    pub(super) fn object(
        &mut self,
        scope: &Scope<'a>,
        fields: &'a [FieldItem],
        rule: Option<&str>,
        container: &Container,
    ) -> Value {
        let mut properties = Map::new();
        let mut required = Vec::new();
        let mut parts = Vec::new();
        let side = self.side;
        for field in fields.iter().filter(|field| !*side.of(&field.skip)) {
            if field.flatten {
                parts.push(self.part(scope, field));
                continue;
            }
            let schema = self.field(scope, field);
            let name = match self.side.name(&field.rename) {
                Some(name) => name.to_owned(),
                None => rename::field(&field.name, rule),
            };
            if self.is_required(scope, field, container) {
                required.push(name.clone());
            }
            properties.insert(name, schema);
        }
        let mut schema = Map::new();
        schema.insert("type".to_owned(), json!("object"));
        schema.insert("properties".to_owned(), Value::Object(properties));
        if !required.is_empty() {
            schema.insert("required".to_owned(), json!(required));
        }
        if container.deny_unknown_fields && parts.is_empty() && self.side != Side::Written {
            schema.insert("additionalProperties".to_owned(), json!(false));
        }
        self.flattened(&mut schema, parts);
        Value::Object(schema)
    }

    /// Whether an object always has a field (where it is written), or must have it (where it is read).
    fn is_required(&self, scope: &Scope<'a>, field: &'a FieldItem, container: &Container) -> bool {
        let may_lack = || {
            field.optional.read
                || container.default
                || (field.custom.read.is_none() && self.is_optional(scope.typed(&field.ty)))
        };
        match self.side {
            Side::Written => !field.optional.written,
            Side::Read | Side::Text => !may_lack(),
            Side::Both => !field.optional.written && !may_lack(),
        }
    }

    /// Whether serde takes a missing field of this type for `None`.
    fn is_optional(&self, ty: Typed<'a>) -> bool {
        let (ty, meaning) = ty.follow(self.resolver);
        match meaning {
            Meaning::Foreign(krate, name) => match known::kind(&krate, &name) {
                Some(known::Kind::Optional) => true,
                Some(known::Kind::Transparent) => {
                    ty.arguments().pop().is_some_and(|inner| self.is_optional(inner))
                }
                _ => false,
            },
            _ => false,
        }
    }

    fn tuple_struct(&mut self, scope: &Scope<'a>, fields: &'a [FieldItem], is_transparent: bool) -> Value {
        match fields {
            [field] => self.field(scope, field),
            fields if is_transparent => self.transparent(scope, fields),
            fields => {
                let side = self.side;
                let fields = fields.iter().filter(|field| !*side.of(&field.skip));
                tuple(fields.map(|field| self.field(scope, field)).collect())
            }
        }
    }

    fn enumeration(
        &mut self,
        scope: &Scope<'a>,
        variants: &'a [VariantItem],
        container: &'a Container,
        is_open: bool,
    ) -> Value {
        let side = self.side;
        let rule = side.name(&container.rename_all);
        let name = |variant: &VariantItem| match side.name(&variant.rename) {
            Some(name) => name.to_owned(),
            None => rename::variant(&variant.name, rule),
        };
        let is_external = container.tag.is_none() && !container.untagged;
        let is_other = |variant: &VariantItem| variant.other && side.only_reads();
        let is_plain = |variant: &&VariantItem| {
            let is_unit = matches!(variant.shape, TypeShape::Unit);
            is_external && !variant.untagged && is_unit && !is_open && !is_other(variant)
        };
        let there = variants.iter().filter(|variant| !*side.of(&variant.skip));
        let (units, others): (Vec<&VariantItem>, Vec<&VariantItem>) = there.partition(is_plain);
        let mut forms = Vec::new();
        if !units.is_empty() {
            let names: Vec<String> = units.iter().map(|variant| name(variant)).collect();
            forms.push(json!({ "type": "string", "enum": names }));
        }
        let is_named = |variant: &&VariantItem| !is_other(variant) && !*side.of(&variant.skip);
        let known: Vec<String> = variants.iter().filter(is_named).map(name).collect();
        for variant in &others {
            let name = match is_other(variant) {
                true => json!({ "type": "string", "not": { "enum": known } }),
                false => json!({ "const": name(variant) }),
            };
            let form = self.variant(scope, variant, name, container, is_open);
            forms.push(described(form, &variant.docs));
        }
        let may_overlap = is_open || container.untagged || others.iter().any(|variant| variant.untagged);
        match forms.len() {
            1 => forms.remove(0),
            // A type without values.
            0 => json!({ "not": {} }),
            _ if may_overlap => json!({ "anyOf": forms }),
            _ => json!({ "oneOf": forms }),
        }
    }

    /// A variant under the name that fits the schema `name`.
    fn variant(
        &mut self,
        scope: &Scope<'a>,
        variant: &'a VariantItem,
        name: Value,
        container: &'a Container,
        is_open: bool,
    ) -> Value {
        let side = self.side;
        let rule = side.name(&variant.rename_all).or(side.name(&container.rename_all_fields));
        // Only this option of the enum applies to the fields of its variants.
        let is_closed = container.deny_unknown_fields && !is_open && !container.untagged && !variant.untagged;
        let fields_container = Container { deny_unknown_fields: is_closed, ..Container::default() };
        if let (Some(tag), None, false) = (&container.tag, &container.content, variant.untagged) {
            let content = match &variant.shape {
                TypeShape::Struct(fields) => {
                    Part::Schema(self.object(scope, fields, rule, &fields_container))
                }
                TypeShape::Tuple(fields) => match &fields[..] {
                    [field] => self.part(scope, field),
                    fields => Part::Schema(self.tuple_struct(scope, fields, false)),
                },
                TypeShape::Unit | TypeShape::Enum(_) => Part::Nothing,
            };
            return self.internally_tagged(tag, name, content);
        }
        let content = match &variant.shape {
            TypeShape::Struct(fields) => Some(self.object(scope, fields, rule, &fields_container)),
            TypeShape::Tuple(fields) => Some(self.tuple_struct(scope, fields, false)),
            TypeShape::Unit | TypeShape::Enum(_) => None,
        };
        let null = || json!({ "type": "null" });
        match (&container.tag, &container.content) {
            _ if container.untagged || variant.untagged => content.unwrap_or_else(null),
            (Some(tag), Some(key)) => {
                let mut schema = json!({ "type": "object", "properties": { tag: name }, "required": [tag] });
                if let Some(content) = content {
                    schema["properties"][key] = content;
                    schema["required"] = json!([tag, key]);
                }
                schema
            }
            _ => match name.get("const").and_then(Value::as_str) {
                Some(name) => tagged_object(name, content.unwrap_or_else(null), is_open),
                None => name,
            },
        }
    }
}

/// A field's schema with the source's documentation of it.
fn noted(schema: Value, field: &FieldItem) -> Value {
    let mut schema = described(schema, &field.docs);
    if let Value::Object(object) = &mut schema
        && field.sensitive
    {
        object.insert("x-sensitive".to_owned(), json!(true));
    }
    schema
}
