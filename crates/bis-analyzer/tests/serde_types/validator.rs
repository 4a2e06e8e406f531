//! JSON Schema (draft 2020-12), as far as the analyser writes it. A keyword that it does not know fails the test.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Whether a value fits a schema, which may refer to others in the document.
pub fn fits(document: &Value, schema: &Value, value: &Value) -> bool {
    evaluate(document, schema, value).is_some()
}

/// The properties that a schema speaks of; `None` when the value does not fit.
fn evaluate(document: &Value, schema: &Value, value: &Value) -> Option<BTreeSet<String>> {
    let schema = match schema {
        Value::Bool(true) => return Some(BTreeSet::new()),
        Value::Object(schema) => schema,
        _ => return None,
    };
    let mut known = BTreeSet::new();
    for (key, argument) in schema {
        let holds = match key.as_str() {
            "description" | "deprecated" | "format" | "title" | "x-sensitive" => true,
            "$ref" => {
                let target = document.pointer(argument.as_str().unwrap().strip_prefix('#').unwrap());
                join(&mut known, evaluate(document, target.expect("a reference leads somewhere"), value))
            }
            "allOf" => list(argument).iter().all(|part| join(&mut known, evaluate(document, part, value))),
            "anyOf" => {
                let fitting = list(argument).iter().filter_map(|part| evaluate(document, part, value));
                let fitting: Vec<BTreeSet<String>> = fitting.collect();
                known.extend(fitting.iter().flatten().cloned());
                !fitting.is_empty()
            }
            "oneOf" => {
                let fitting = list(argument).iter().filter_map(|part| evaluate(document, part, value));
                let fitting: Vec<BTreeSet<String>> = fitting.collect();
                known.extend(fitting.iter().flatten().cloned());
                fitting.len() == 1
            }
            "not" => !fits(document, argument, value),
            "const" => argument == value,
            "enum" => list(argument).contains(value),
            "type" => match argument {
                Value::Array(types) => types.iter().any(|ty| is_of(ty, value)),
                ty => is_of(ty, value),
            },
            "unevaluatedProperties" => true,
            _ => match value {
                Value::Object(object) => fields(document, schema, key, argument, object, &mut known),
                Value::Array(items) => elements(document, schema, key, argument, items),
                _ => scalar(key, argument, value),
            },
        };
        if !holds {
            return None;
        }
    }
    if let (Some(others), Value::Object(object)) = (schema.get("unevaluatedProperties"), value) {
        let mut rest = object.iter().filter(|(name, _)| !known.contains(*name));
        if !rest.all(|(_, value)| fits(document, others, value)) {
            return None;
        }
    }
    Some(known)
}

fn join(known: &mut BTreeSet<String>, found: Option<BTreeSet<String>>) -> bool {
    let fits = found.is_some();
    known.extend(found.unwrap_or_default());
    fits
}

fn list(argument: &Value) -> &Vec<Value> {
    argument.as_array().expect("a list of schemas")
}

fn is_of(ty: &Value, value: &Value) -> bool {
    match ty.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("`{other}` is not a type"),
    }
}

fn fields(
    document: &Value,
    schema: &Map<String, Value>,
    key: &str,
    argument: &Value,
    object: &Map<String, Value>,
    known: &mut BTreeSet<String>,
) -> bool {
    match key {
        "properties" => argument.as_object().unwrap().iter().all(|(name, schema)| {
            known.insert(name.clone());
            object.get(name).is_none_or(|value| fits(document, schema, value))
        }),
        "required" => list(argument).iter().all(|name| object.contains_key(name.as_str().unwrap())),
        "additionalProperties" => object.iter().all(|(name, value)| {
            let is_named = schema.get("properties").is_some_and(|properties| properties.get(name).is_some());
            known.insert(name.clone());
            is_named || fits(document, argument, value)
        }),
        other => is_of_another_type(other),
    }
}

fn elements(
    document: &Value,
    schema: &Map<String, Value>,
    key: &str,
    argument: &Value,
    items: &[Value],
) -> bool {
    let count = || argument.as_u64().unwrap() as usize;
    match key {
        "prefixItems" => list(argument).iter().zip(items).all(|(schema, item)| fits(document, schema, item)),
        "items" => {
            let first = schema.get("prefixItems").map_or(0, |first| list(first).len());
            items.iter().skip(first).all(|item| fits(document, argument, item))
        }
        "minItems" => items.len() >= count(),
        "maxItems" => items.len() <= count(),
        "uniqueItems" => items.iter().enumerate().all(|(index, item)| !items[..index].contains(item)),
        other => is_of_another_type(other),
    }
}

fn scalar(key: &str, argument: &Value, value: &Value) -> bool {
    let length = || value.as_str().map_or(0, |text| text.chars().count() as u64);
    match key {
        "minLength" => !value.is_string() || length() >= argument.as_u64().unwrap(),
        "maxLength" => !value.is_string() || length() <= argument.as_u64().unwrap(),
        "minimum" => value.as_f64().is_none_or(|number| number >= argument.as_f64().unwrap()),
        "maximum" => value.as_f64().is_none_or(|number| number <= argument.as_f64().unwrap()),
        other => is_of_another_type(other),
    }
}

/// Whether a keyword is one that says nothing about values of another type.
fn is_of_another_type(key: &str) -> bool {
    const KEYS: [&str; 12] = [
        "properties",
        "required",
        "additionalProperties",
        "prefixItems",
        "items",
        "minItems",
        "maxItems",
        "uniqueItems",
        "minLength",
        "maxLength",
        "minimum",
        "maximum",
    ];
    assert!(KEYS.contains(&key), "the validator does not know `{key}`");
    true
}
