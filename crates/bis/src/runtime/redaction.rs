//! Keeps the values of sensitive fields out of the text of an error, before anybody logs or stores it.
//!
//! Only what stands in the text as it stands in the event is found: an error that spells a value in another way shows it.

use serde_json::Value;

/// What stands where something is hidden.
const REDACTED: &str = "[redacted]";
/// A shorter value is left: it is everywhere, and says little.
const MIN_BYTES: usize = 3;

/// The text without the values that the event's data has in fields of these names, at any depth.
pub(crate) fn redacted(mut text: String, data: &[u8], sensitive: &[&str]) -> String {
    if sensitive.is_empty() {
        return text;
    }
    let mut values = Vec::new();
    if let Ok(data) = serde_json::from_slice(data) {
        collect(&data, sensitive, false, &mut values);
    }
    // A value may be part of another one.
    values.sort_by_key(|value: &String| std::cmp::Reverse(value.len()));
    for value in values.iter().filter(|value| value.len() >= MIN_BYTES) {
        text = text.replace(value, REDACTED);
    }
    text
}

/// The texts and numbers of a value that are sensitive themselves, or in fields that are. Fields of tuples are named by
/// their index.
fn collect(value: &Value, sensitive: &[&str], is_sensitive: bool, found: &mut Vec<String>) {
    match value {
        Value::String(text) if is_sensitive => found.push(text.clone()),
        Value::Number(number) if is_sensitive => found.push(number.to_string()),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let is_named = sensitive.contains(&index.to_string().as_str());
                collect(item, sensitive, is_sensitive || is_named, found);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                collect(field, sensitive, is_sensitive || sensitive.contains(&name.as_str()), found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, data: &str, sensitive: &[&str], expected: &str) {
        assert_eq!(redacted(text.to_owned(), data.as_bytes(), sensitive), expected);
    }

    #[test]
    fn values_of_sensitive_fields_are_hidden() {
        let data =
            r#"{"email":"ann@b.example","card":{"number":4242424242},"alias":"ann@b.example.org","id":17}"#;
        let text = "no mail to ann@b.example.org or ann@b.example: 4242424242 of order 17";
        check(text, data, &["email"], "no mail to [redacted].org or [redacted]: 4242424242 of order 17");
        check(
            text,
            data,
            &["email", "alias", "card"],
            "no mail to [redacted] or [redacted]: [redacted] of order 17",
        );
        check(text, data, &["id"], text);
        check(text, data, &[], text);
        check(text, "no json", &["email"], text);
        check("not for secret", r#"{"Placed":["secret",7]}"#, &["0"], "not for [redacted]");
    }
}
