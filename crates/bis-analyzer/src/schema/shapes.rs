//! Structs and enums, with serde's attributes: <https://serde.rs/json.html>, <https://serde.rs/enum-representations.html>.

use bis_syntax::rename;
use serde_json::{Map, Value, json};

use super::{Builder, Env, tuple};
use crate::{
    summary::{Container, FieldItem, Name, SerdeType, Ty, TypeShape, VariantItem},
    tree::ModuleId,
};

/// `{"name": inner}`, as an externally tagged variant is written.
pub(crate) fn tagged_object(name: &str, inner: Value) -> Value {
    json!({
        "type": "object",
        "properties": { name: inner },
        "required": [name],
        "additionalProperties": false,
    })
}

impl Builder<'_, '_, '_> {
    /// The body of a type.
    pub(crate) fn body(&mut self, module: ModuleId, serde: &SerdeType, env: &Env) -> Value {
        let container = &serde.container;
        if let Some(proxy) = &container.proxy {
            return self.ty(module, proxy, env);
        }
        match &serde.shape {
            TypeShape::Struct(fields) if container.transparent => self.transparent(module, fields, env),
            TypeShape::Struct(fields) => {
                self.object(module, fields, container.rename_all.as_deref(), container, env)
            }
            TypeShape::Tuple(fields) => self.tuple_struct(module, fields, env),
            TypeShape::Unit => json!({ "type": "null" }),
            TypeShape::Enum(variants) => self.enumeration(module, variants, container, env),
        }
    }

    fn transparent(&mut self, module: ModuleId, fields: &[FieldItem], env: &Env) -> Value {
        match fields.iter().find(|field| !field.skip) {
            Some(field) => self.field(module, field, env),
            None => json!({ "type": "null" }),
        }
    }

    fn field(&mut self, module: ModuleId, field: &FieldItem, env: &Env) -> Value {
        if let Some((schema, range)) = &field.schema {
            return self.given(module, schema, *range);
        }
        let place = std::mem::replace(&mut self.place, (module, field.range));
        let schema =
            if field.custom { self.opaque(&super::text(&field.ty)) } else { self.ty(module, &field.ty, env) };
        self.place = place;
        schema
    }

    fn object(
        &mut self,
        module: ModuleId,
        fields: &[FieldItem],
        rule: Option<&str>,
        container: &Container,
        env: &Env,
    ) -> Value {
        let mut properties = Map::new();
        let mut required = Vec::new();
        let mut flattened = Vec::new();
        for field in fields.iter().filter(|field| !field.skip) {
            let schema = self.field(module, field, env);
            if field.flatten {
                flattened.push(schema);
                continue;
            }
            let name = field.rename.clone().unwrap_or_else(|| rename::field(&field.name, rule));
            if !(field.optional || container.default || is_option(&field.ty)) {
                required.push(name.clone());
            }
            properties.insert(name, schema);
        }
        let mut schema = json!({ "type": "object", "properties": properties });
        if !required.is_empty() {
            schema["required"] = json!(required);
        }
        if container.deny_unknown_fields && flattened.is_empty() {
            schema["additionalProperties"] = json!(false);
        }
        if !flattened.is_empty() {
            schema["allOf"] = json!(flattened);
        }
        schema
    }

    fn tuple_struct(&mut self, module: ModuleId, fields: &[FieldItem], env: &Env) -> Value {
        if let [field] = fields {
            return self.field(module, field, env);
        }
        let parts =
            fields.iter().filter(|field| !field.skip).map(|field| self.field(module, field, env)).collect();
        tuple(parts)
    }

    fn enumeration(
        &mut self,
        module: ModuleId,
        variants: &[VariantItem],
        container: &Container,
        env: &Env,
    ) -> Value {
        let variants: Vec<&VariantItem> = variants.iter().filter(|variant| !variant.skip).collect();
        let name = |variant: &VariantItem| {
            let rule = container.rename_all.as_deref();
            variant.rename.clone().unwrap_or_else(|| rename::variant(&variant.name, rule))
        };
        let external = container.tag.is_none() && !container.untagged;
        let (units, others): (Vec<&VariantItem>, Vec<&VariantItem>) = variants
            .into_iter()
            .partition(|variant| external && !variant.untagged && matches!(variant.shape, TypeShape::Unit));
        let mut forms = Vec::new();
        if !units.is_empty() {
            let names: Vec<String> = units.iter().map(|variant| name(variant)).collect();
            forms.push(json!({ "type": "string", "enum": names }));
        }
        for variant in others {
            forms.push(self.variant(module, variant, &name(variant), container, env));
        }
        match forms.len() {
            1 => forms.remove(0),
            _ if container.untagged => json!({ "anyOf": forms }),
            _ => json!({ "oneOf": forms }),
        }
    }

    fn variant(
        &mut self,
        module: ModuleId,
        variant: &VariantItem,
        name: &str,
        container: &Container,
        env: &Env,
    ) -> Value {
        let rule = variant.rename_all.as_deref().or(container.rename_all_fields.as_deref());
        let plain = Container::default();
        let content = match &variant.shape {
            TypeShape::Struct(fields) => Some(self.object(module, fields, rule, &plain, env)),
            TypeShape::Tuple(fields) => Some(self.tuple_struct(module, fields, env)),
            TypeShape::Unit | TypeShape::Enum(_) => None,
        };
        if container.untagged || variant.untagged {
            return content.unwrap_or_else(|| json!({ "type": "null" }));
        }
        match (&container.tag, &container.content) {
            (None, _) => tagged_object(name, content.unwrap_or_else(|| json!({ "type": "null" }))),
            (Some(tag), None) => internally_tagged(tag, name, content),
            (Some(tag), Some(key)) => {
                let mut schema = tag_only(tag, name);
                if let Some(content) = content {
                    schema["properties"][key] = content;
                    schema["required"] = json!([tag, key]);
                }
                schema
            }
        }
    }
}

fn tag_only(tag: &str, name: &str) -> Value {
    json!({ "type": "object", "properties": { tag: { "const": name } }, "required": [tag] })
}

fn internally_tagged(tag: &str, name: &str, content: Option<Value>) -> Value {
    let only = tag_only(tag, name);
    match content {
        None => only,
        Some(Value::Object(mut object)) if object.contains_key("properties") => {
            object["properties"][tag] = json!({ "const": name });
            let mut required = vec![json!(tag)];
            if let Some(Value::Array(fields)) = object.get("required") {
                required.extend(fields.iter().cloned());
            }
            object.insert("required".to_owned(), Value::Array(required));
            Value::Object(object)
        }
        Some(content) => json!({ "allOf": [only, content] }),
    }
}

/// Whether serde's derive takes a missing field for `None`: it looks at the written name as well.
fn is_option(ty: &Ty) -> bool {
    matches!(ty, Ty::Path(path, _) if path.segments.last().map(Name::as_ref) == Some("Option"))
}
