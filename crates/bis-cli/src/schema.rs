//! Validates JSON against a JSON Schema: the keywords of draft 2020-12 that the analyser writes, and those that people most
//! often write by hand. Unknown keywords are ignored.

use bis_core::EventId;
use bis_core::envelope::parse_time;
use serde_json::{Map, Value};

use crate::print::shown;

/// How many references may be followed to reach one value's schema.
const MAX_DEPTH: usize = 200;

/// Why a value does not match a schema.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mismatch {
    /// Where, as a JSON pointer (RFC 6901).
    place: String,
    reason: String,
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &*self.place {
            "" => write!(formatter, "the event {}", self.reason),
            place => write!(formatter, "`{}` {}", shown(place), self.reason),
        }
    }
}

/// Checks a value against a schema.
pub(crate) fn check(schema: &Value, value: &Value) -> Result<(), Mismatch> {
    Checker { root: schema }.check(schema, value, "", MAX_DEPTH)
}

struct Checker<'a> {
    root: &'a Value,
}

fn mismatch(place: &str, reason: impl Into<String>) -> Result<(), Mismatch> {
    Err(Mismatch { place: place.to_owned(), reason: reason.into() })
}

impl Checker<'_> {
    fn check(&self, schema: &Value, value: &Value, place: &str, depth: usize) -> Result<(), Mismatch> {
        let Value::Object(schema) = schema else {
            return if schema == false { mismatch(place, "must not be there") } else { Ok(()) };
        };
        // A schema that directly refers to itself describes nothing.
        let Some(depth) = depth.checked_sub(1) else { return Ok(()) };
        if let Some(target) = schema.get("$ref").and_then(Value::as_str).and_then(|path| self.referred(path))
        {
            self.check(target, value, place, depth)?;
        }
        kind(schema, value, place)?;
        self.forms(schema, value, place, depth)?;
        match value {
            Value::Object(fields) => self.object(schema, fields, place, depth),
            Value::Array(items) => self.array(schema, items, place, depth),
            Value::String(text) => string(schema, text, place),
            Value::Number(_) => number(schema, value, place),
            Value::Null | Value::Bool(_) => Ok(()),
        }
    }

    /// A schema within the same document.
    fn referred(&self, path: &str) -> Option<&Value> {
        self.root.pointer(path.strip_prefix('#')?)
    }

    fn forms(
        &self,
        schema: &Map<String, Value>,
        value: &Value,
        place: &str,
        depth: usize,
    ) -> Result<(), Mismatch> {
        let list = |word: &str| schema.get(word).and_then(Value::as_array);
        for part in list("allOf").into_iter().flatten() {
            self.check(part, value, place, depth)?;
        }
        for (word, most) in [("anyOf", usize::MAX), ("oneOf", 1)] {
            let Some(forms) = list(word) else { continue };
            let results: Vec<_> = forms.iter().map(|form| self.check(form, value, place, depth)).collect();
            let fitting = results.iter().filter(|result| result.is_ok()).count();
            if fitting == 0 {
                // The best match is the alternative whose mismatch is deepest.
                let nearest = results.into_iter().filter_map(Result::err).max_by_key(|one| one.place.len());
                return match nearest.filter(|nearest| nearest.place.len() > place.len()) {
                    Some(nearest) => Err(nearest),
                    None => mismatch(place, "has none of the forms that it may have"),
                };
            }
            if fitting > most {
                return mismatch(place, "has several of the forms of which it may have one");
            }
        }
        match schema.get("not") {
            Some(other) if self.check(other, value, place, depth).is_ok() => {
                mismatch(place, "has a form that it must not have")
            }
            _ => Ok(()),
        }
    }

    fn object(
        &self,
        schema: &Map<String, Value>,
        fields: &Map<String, Value>,
        place: &str,
        depth: usize,
    ) -> Result<(), Mismatch> {
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        for name in required.filter_map(Value::as_str) {
            if !fields.contains_key(name) {
                return mismatch(place, format!("lacks `{}`", shown(name)));
            }
        }
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, field) in fields {
            let place = format!("{place}/{}", name.replace('~', "~0").replace('/', "~1"));
            if let Some(known) = properties.and_then(|properties| properties.get(name)) {
                self.check(known, field, &place, depth)?;
            } else if let Some(others) = schema.get("additionalProperties")
                && !schema.contains_key("patternProperties")
            {
                self.check(others, field, &place, depth)?;
            }
        }
        count(schema, fields.len(), place, ["minProperties", "maxProperties"], "fields")
    }

    fn array(
        &self,
        schema: &Map<String, Value>,
        items: &[Value],
        place: &str,
        depth: usize,
    ) -> Result<(), Mismatch> {
        count(schema, items.len(), place, ["minItems", "maxItems"], "items")?;
        let first = schema.get("prefixItems").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        for (index, item) in items.iter().enumerate() {
            if let Some(schema) = first.get(index).or_else(|| schema.get("items")) {
                self.check(schema, item, &format!("{place}/{index}"), depth)?;
            }
        }
        let is_unique = schema.get("uniqueItems").is_some_and(|word| word == true);
        if is_unique && items.iter().enumerate().any(|(index, item)| items[..index].contains(item)) {
            return mismatch(place, "has an item twice");
        }
        Ok(())
    }
}

/// `type`, `const` and `enum`.
fn kind(schema: &Map<String, Value>, value: &Value, place: &str) -> Result<(), Mismatch> {
    let kinds: Vec<&str> = match schema.get("type") {
        Some(Value::String(kind)) => vec![kind],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !kinds.is_empty() && !kinds.iter().any(|kind| is_of(value, kind)) {
        return mismatch(place, format!("is {} and not {}", kind_of(value), kinds.join(" or ")));
    }
    let is_one_of = |known: &Value| schema.get("const") == Some(known);
    if schema.contains_key("const") && !is_one_of(value) {
        return mismatch(place, format!("is not {}", schema["const"]));
    }
    match schema.get("enum").and_then(Value::as_array) {
        Some(values) if !values.contains(value) => {
            let values: Vec<String> = values.iter().map(ToString::to_string).collect();
            mismatch(place, format!("is not one of {}", values.join(", ")))
        }
        _ => Ok(()),
    }
}

fn is_of(value: &Value, kind: &str) -> bool {
    match kind {
        // A number with a decimal point is not an integer to serde. Integers beyond 64 bits are read as
        // floating-point numbers.
        "integer" => value.as_number().is_some_and(|number| {
            number.as_f64().is_some_and(|float| !number.is_f64() || float.abs() >= 9.2e18)
        }),
        "number" => value.is_number(),
        _ => kind_of(value) == kind,
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn count(
    schema: &Map<String, Value>,
    count: usize,
    place: &str,
    [least, most]: [&str; 2],
    what: &str,
) -> Result<(), Mismatch> {
    let bound = |word: &str| schema.get(word).and_then(Value::as_u64);
    let number = count as u64;
    match (bound(least), bound(most)) {
        (Some(least), _) if number < least => {
            mismatch(place, format!("has {count} {what} and not at least {least}"))
        }
        (_, Some(most)) if number > most => {
            mismatch(place, format!("has {count} {what} and not at most {most}"))
        }
        _ => Ok(()),
    }
}

fn string(schema: &Map<String, Value>, text: &str, place: &str) -> Result<(), Mismatch> {
    count(schema, text.chars().count(), place, ["minLength", "maxLength"], "characters")?;
    let is_right = match schema.get("format").and_then(Value::as_str) {
        Some("uuid") => EventId::from(text).is_uuid(),
        Some("date-time") => parse_time(text).is_ok(),
        Some("ipv4") => text.parse::<std::net::Ipv4Addr>().is_ok(),
        Some("ipv6") => text.parse::<std::net::Ipv6Addr>().is_ok(),
        _ => true,
    };
    if is_right { Ok(()) } else { mismatch(place, format!("is no {}", schema["format"])) }
}

fn number(schema: &Map<String, Value>, value: &Value, place: &str) -> Result<(), Mismatch> {
    // Bounds beyond 2^53 are compared as integers if both are integers.
    let compared = |word: &str| {
        let bound = schema.get(word)?;
        let integers = value.as_i64().zip(bound.as_i64()).map(|(value, bound)| value.cmp(&bound));
        let naturals = value.as_u64().zip(bound.as_u64()).map(|(value, bound)| value.cmp(&bound));
        let floats = || value.as_f64()?.partial_cmp(&bound.as_f64()?);
        integers.or(naturals).or_else(floats).map(|order| (order, bound.to_string()))
    };
    use std::cmp::Ordering::{Equal, Greater, Less};
    for (word, wrong, text) in [
        ("minimum", &[Less][..], "at least"),
        ("maximum", &[Greater], "at most"),
        ("exclusiveMinimum", &[Less, Equal], "more than"),
        ("exclusiveMaximum", &[Greater, Equal], "less than"),
    ] {
        if let Some((order, bound)) = compared(word)
            && wrong.contains(&order)
        {
            return mismatch(place, format!("is not {text} {bound}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(schema: &Value, value: Value, expected: &str) {
        let found = super::check(schema, &value).err().map(|mismatch| mismatch.to_string());
        assert_eq!(found.unwrap_or_default(), expected, "{value}");
    }

    #[test]
    fn what_the_analyser_writes_is_checked() {
        let schema = json!({
            "type": "object",
            "properties": {
                "id": { "type": "string", "format": "uuid" },
                "count": { "type": "integer", "minimum": 0, "maximum": 255 },
                "note": { "type": ["string", "null"] },
                "at": { "type": "string", "format": "date-time" },
                "next": { "anyOf": [{ "$ref": "#" }, { "type": "null" }] },
                "sum": { "$ref": "#/$defs/Cents" },
                "pair": { "type": "array", "prefixItems": [{ "type": "number" }, { "type": "boolean" }],
                    "items": false, "minItems": 2, "maxItems": 2 },
                "tags": { "type": "array", "items": { "type": "string" }, "uniqueItems": true },
                "state": { "type": "string", "enum": ["new", "done"] },
                "of": { "type": "object", "additionalProperties": { "type": "integer" } },
                "any": {},
            },
            "required": ["id", "count"],
            "additionalProperties": false,
            "$defs": { "Cents": { "type": "integer" } },
        });
        let id = "0191d6f8-0000-7000-8000-000000000001";
        let with = |name: &str, value: Value| json!({ "id": id, "count": 1, name: value });
        let right = json!({ "id": id, "count": 255, "note": null, "at": "2026-01-31T09:00:00Z", "sum": -1,
            "next": with("any", json!([1])), "pair": [1.5, true], "tags": ["a"], "state": "new", "of": { "x": 1 } });
        check(&schema, right, "");
        check(&schema, json!([1]), "the event is array and not object");
        check(&schema, json!({ "id": id }), "the event lacks `count`");
        check(&schema, json!({ "id": "7", "count": 1 }), "`/id` is no \"uuid\"");
        for (name, value, expected) in [
            ("count", json!(256), "`/count` is not at most 255"),
            ("count", json!(-1), "`/count` is not at least 0"),
            ("count", json!(1.0), "`/count` is number and not integer"),
            ("count", json!("1"), "`/count` is string and not integer"),
            ("note", json!(1), "`/note` is number and not string or null"),
            ("at", json!("2026-01-31T09:00:00"), "`/at` is no \"date-time\""),
            ("sum", json!("1"), "`/sum` is string and not integer"),
            ("next", json!({ "id": id, "count": "1" }), "`/next/count` is string and not integer"),
            ("next", json!(1), "`/next` has none of the forms that it may have"),
            ("pair", json!([1]), "`/pair` has 1 items and not at least 2"),
            ("pair", json!([1, 1]), "`/pair/1` is number and not boolean"),
            ("tags", json!(["a", "a"]), "`/tags` has an item twice"),
            ("tags", json!(["a", 1]), "`/tags/1` is number and not string"),
            ("state", json!("old"), "`/state` is not one of \"new\", \"done\""),
            ("of", json!({ "a/b": "1" }), "`/of/a~1b` is string and not integer"),
            ("other\n", json!(1), "`/other\\n` must not be there"),
        ] {
            check(&schema, with(name, value), expected);
        }
    }

    #[test]
    fn enums_in_each_representation_are_checked() {
        let external = json!({ "oneOf": [
            { "type": "string", "enum": ["Unit"] },
            { "type": "object", "properties": { "One": { "type": "integer" } }, "required": ["One"] },
            { "type": "object", "properties": { "Two": { "const": 2 } }, "required": ["Two"] },
        ] });
        check(&external, json!("Unit"), "");
        check(&external, json!({ "One": 1 }), "");
        check(&external, json!({ "One": "1" }), "`/One` is string and not integer");
        check(&external, json!({ "Two": 1 }), "`/Two` is not 2");
        check(
            &external,
            json!({ "One": 1, "Two": 2 }),
            "the event has several of the forms of which it may have one",
        );
        check(&external, json!("Other"), "the event has none of the forms that it may have");
    }

    #[test]
    fn hand_written_words_are_checked_and_nothing_loops() {
        check(&json!({ "$ref": "#" }), json!(1), "");
        check(
            &json!({ "not": { "type": "null" } }),
            json!(null),
            "the event has a form that it must not have",
        );
        check(&json!({ "exclusiveMinimum": 0 }), json!(0), "the event is not more than 0");
        check(
            &json!({ "minLength": 2, "pattern": "never" }),
            json!("é"),
            "the event has 1 characters and not at least 2",
        );
        check(&json!({ "type": "integer" }), json!(1e20), "");
        check(&json!({ "maximum": u64::MAX }), json!(u64::MAX), "");
        check(&json!(false), json!(1), "the event must not be there");
    }
}
