//! What a validating library checks, as keywords of JSON Schema.

use serde_json::{Map, Value, json};

use crate::summary::Constraints;

/// Adds the keywords to the schema of a field. What is a reference is checked where its type is declared.
pub(super) fn apply(schema: &mut Value, constraints: &Constraints) {
    let Value::Object(object) = schema else { return };
    if let Some(Value::Array(forms)) = object.get_mut("anyOf") {
        let is_null = |form: &Value| form.get("type").is_some_and(|ty| ty == "null");
        forms.iter_mut().filter(|form| !is_null(form)).for_each(|form| apply(form, constraints));
        return;
    }
    if let Some(inner) = &constraints.inner {
        match object.get_mut("items") {
            Some(items) => apply(items, inner),
            None => keywords(object, inner),
        }
    }
    keywords(object, constraints);
}

fn keywords(object: &mut Map<String, Value>, constraints: &Constraints) {
    let is = |object: &Map<String, Value>, ty: &str| match object.get("type") {
        Some(Value::String(name)) => name == ty,
        Some(Value::Array(names)) => names.iter().any(|name| name == ty),
        _ => false,
    };
    let mut add = |ty: &str, key: &str, value: Option<Value>| {
        if let Some(value) = value
            && is(object, ty)
        {
            object.insert(key.to_owned(), value);
        }
    };
    for (ty, least, most) in [
        ("string", "minLength", "maxLength"),
        ("array", "minItems", "maxItems"),
        ("object", "minProperties", "maxProperties"),
    ] {
        add(ty, least, constraints.min_length.map(|least| json!(least)));
        add(ty, most, constraints.max_length.map(|most| json!(most)));
    }
    for ty in ["integer", "number"] {
        let number = |number: &Option<serde_json::Number>| number.clone().map(Value::Number);
        add(ty, "minimum", number(&constraints.minimum));
        add(ty, "maximum", number(&constraints.maximum));
        add(ty, "exclusiveMinimum", number(&constraints.exclusive_minimum));
        add(ty, "exclusiveMaximum", number(&constraints.exclusive_maximum));
    }
    add("string", "pattern", constraints.pattern.as_deref().map(|pattern| json!(pattern)));
    add("string", "format", constraints.format.map(|format| json!(format)));
}
